"""The root of the command line: what there is, and where it is."""

from typing import Annotated

import typer

from tollway_workers.cli.lazy import LazyCommand, add_placeholders, lazy_group

_JOBS = "Jobs"
_FLEET = "The fleet"
_LOCAL = "On this machine"

COMMANDS = (
    LazyCommand(
        "run",
        "tollway_workers.cli.run.command",
        "Answer a file of LLM jobs through Kafka.",
        _JOBS,
    ),
    LazyCommand(
        "dead-letters",
        "tollway_workers.cli.dead_letters.command",
        "See why jobs were given up on, mend them, have them answered.",
        _JOBS,
    ),
    LazyCommand(
        "journal", "tollway_workers.cli.journal.command", "Show every call of a job.", _JOBS
    ),
    LazyCommand(
        "cost",
        "tollway_workers.cli.cost.command",
        "Sum what calls cost, by route, tenant, lane, model, day.",
        _JOBS,
    ),
    LazyCommand(
        "worker",
        "tollway_workers.cli.worker.command",
        "Run one worker until it is told to stop.",
        _FLEET,
    ),
    LazyCommand(
        "lanes",
        "tollway_workers.cli.fleet.command",
        "Watch the lanes: what is left to do, limits and their use.",
        _FLEET,
    ),
    LazyCommand(
        "workers", "tollway_workers.cli.fleet.command", "Watch the workers that are alive.", _FLEET
    ),
    LazyCommand(
        "budgets",
        "tollway_workers.cli.budgets.command",
        "Watch the budgets: what is spent, granted, in doubt, and by whom.",
        _FLEET,
    ),
    LazyCommand(
        "ledger",
        "tollway_workers.cli.budgets.command",
        "See what each process has of the budgets; end doubt by hand.",
        _FLEET,
    ),
    LazyCommand("pause", "tollway_workers.cli.operate.command", "Start no call on a lane.", _FLEET),
    LazyCommand(
        "resume", "tollway_workers.cli.operate.command", "End every pause of a lane.", _FLEET
    ),
    LazyCommand(
        "cancel", "tollway_workers.cli.operate.command", "Cancel jobs, those in flight too.", _FLEET
    ),
    LazyCommand(
        "cache",
        "tollway_workers.cli.cache.command",
        "See what answers are stored, and forget them.",
        _FLEET,
    ),
    LazyCommand(
        "topics", "tollway_workers.cli.topics.command", "Plan and make the fleet's topics.", _FLEET
    ),
    LazyCommand(
        "config",
        "tollway_workers.cli.config.command",
        "Make, check and show the configuration.",
        _FLEET,
    ),
    LazyCommand(
        "up",
        "tollway_workers.cli.up.command",
        "A whole fleet in one terminal: Kafka, simulator, workers.",
        _LOCAL,
    ),
    LazyCommand(
        "kafka", "tollway_workers.cli.kafka.command", "A real Kafka on this machine.", _LOCAL
    ),
    LazyCommand(
        "simulator",
        "tollway_workers.cli.simulator.command",
        "A provider that costs nothing.",
        _LOCAL,
    ),
)

_EXAMPLES = """Examples:

tollway run jobs.jsonl -o results.jsonl --simulate

tollway run jobs.jsonl -o results.jsonl --base-url http://127.0.0.1:8080/v1 --model m --rpm 500

tollway config init && tollway worker"""

app = typer.Typer(
    cls=lazy_group(COMMANDS),
    name="tollway",
    no_args_is_help=True,
    epilog=_EXAMPLES,
    # entry.py says what is shown of an exception.
    pretty_exceptions_enable=False,
)
add_placeholders(app, COMMANDS)


def _show_version(wanted: bool) -> None:
    if wanted:
        # Imported late: it brings the parser of e-mails along.
        from importlib.metadata import version

        typer.echo(f"tollway {version('tollway')}")
        raise typer.Exit


@app.callback()
def tollway(
    _version: Annotated[
        bool,
        typer.Option(
            "--version", is_eager=True, callback=_show_version, help="Show the version and exit."
        ),
    ] = False,
    _debug: Annotated[
        bool,
        typer.Option(
            "--debug", help="Show stack traces of errors, and where the time of a run went."
        ),
    ] = False,
) -> None:
    """Tollway: LLM jobs on Kafka."""
