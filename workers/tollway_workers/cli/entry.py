"""The console command `tollway`: from what is raised to an exit status and one sentence."""

import gc
import sys
import time

from tollway_workers.cli.timeline import Timeline
from tollway_workers.exit_status import COULD_NOT_RUN, INTERRUPTED, UNEXPECTED
from tollway_workers.importing import importing
from tollway_workers.safe_traceback import safe_traceback

_DEBUG = "--debug"
_NOT_INSTALLED = (
    "tollway: this is the SDK alone; for the command install the workers with it: "
    "pip install 'tollway[workers]', or 'tollway[local]' with a Kafka for this machine\n"
)
_UNEXPECTED = (
    "tollway: unexpected exception, a bug in Tollway: its types and places are above; "
    "--debug shows its text too, which may quote prompts, answers and keys\n"
)


def main() -> None:
    """Run the command line and exit. Errors of ours are one sentence, others a safe traceback.

    `--debug` shows Python's own traceback, with the exception's text.
    """
    arguments = sys.argv[1:]
    debug = _DEBUG in arguments
    # What the processor has done so far is the start of Python itself.
    timeline = Timeline(told=debug, before=time.process_time())
    try:
        with importing():
            from tollway_workers.cli.main import app
    except ModuleNotFoundError as error:
        if debug or _is_ours(error):
            raise
        sys.stderr.write(_NOT_INSTALLED)
        sys.exit(COULD_NOT_RUN)
    try:
        app(args=[argument for argument in arguments if argument != _DEBUG], obj=timeline)
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    except Exception as error:
        if debug:
            raise
        if _is_for_a_person(error):
            sys.stderr.write(f"tollway: {_printable(str(error))}\n")
            sys.exit(COULD_NOT_RUN)
        # Its text may quote a prompt, and what a worker says on stderr is its log.
        sys.stderr.write(f"{safe_traceback(error)}\n{_UNEXPECTED}")
        sys.exit(UNEXPECTED)
    finally:
        # Python's end looks through all that is left: there is nothing to find.
        gc.freeze()


def _printable(text: str) -> str:
    # Imported late: it brings rich along.
    from tollway_workers.cli.shared.output import printable

    # What strangers wrote is named in it.
    return printable(text)


def _is_for_a_person(error: Exception) -> bool:
    # Imported late: it brings pydantic along, and `--help` needs none of it.
    from tollway_schemas.errors import TollwayError

    return isinstance(error, TollwayError)


def _is_ours(error: ModuleNotFoundError) -> bool:
    return (error.name or "").partition(".")[0] in ("tollway", "tollway_schemas", "tollway_workers")


if __name__ == "__main__":
    main()
