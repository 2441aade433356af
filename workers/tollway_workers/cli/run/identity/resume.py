"""OUT and what is known of the run that wrote to it."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tollway_workers.cli.batch.out_file import OutFile, Output, StandardOutput
from tollway_workers.cli.run.identity.state import RunState, StateFile, check_same_run
from tollway_workers.cli.run.identity.who import Who
from tollway_workers.cli.run.options import RunOptions
from tollway_workers.errors import InputError


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """What makes a command the same as the one before."""

    sha256: str
    #: What `--route` says.
    route: str | None
    who: Mapping[str, Who]
    prefix: str
    out: Path

    def check(self, state: RunState, cluster: str | None = None) -> None:
        """Raise InputError, one sentence, if `state` is that of another command.

        `cluster`: the Kafka that is used, once it is known.
        """
        changed = check_same_run(
            state, sha256=self.sha256, route=self.route, who=self.who, prefix=self.prefix
        )
        if changed is None and cluster not in (None, state.cluster):
            changed = "it was started on another Kafka cluster"
        if changed is not None:
            raise InputError(
                f"{self.out} belongs to a run that cannot go on, because {changed}: "
                "give the same command again, another OUT, or --fresh to start anew"
            )


@dataclass(frozen=True, slots=True)
class OpenedOutput:
    """OUT, open; where its state is kept, if anywhere; and the state, if it has been run."""

    out: Output
    state_file: StateFile | None
    state: RunState | None


def open_output(options: RunOptions, identity: Identity) -> OpenedOutput:
    """OUT with its state, both empty for `--fresh`. Raises InputError if they do not go together.

    Stdout has no state: nothing can be resumed.
    """
    if options.to_stdout:
        return OpenedOutput(StandardOutput(), None, None)
    out = OutFile(options.out, fresh=options.fresh)
    try:
        state_file = StateFile(out.path)
        if options.fresh:
            state_file.delete()
        state = state_file.read()
        if state is None and not out.is_empty:
            raise InputError(
                f"{options.out} has results already, and no {state_file.path.name} says of "
                "which run: give another OUT, or --fresh to overwrite it"
            )
        if state is not None:
            identity.check(state)
    except BaseException:
        out.close()
        raise
    return OpenedOutput(out, state_file, state)
