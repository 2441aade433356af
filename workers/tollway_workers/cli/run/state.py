"""The state file beside OUT: what a re-run must know to go on where a run stopped."""

import contextlib
import os
from pathlib import Path
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from tollway_workers.cli.run.acknowledged import Place
from tollway_workers.errors import InputError

Count = Annotated[int, Field(ge=0)]


class RunState(BaseModel):
    """Written about once a second, in one step: a reader finds the old state or the new one."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    version: Annotated[int, Field(ge=1, le=1)] = 1
    run: str
    """The run's id, with which its job ids begin."""
    token: str = ""
    """What replies to its jobs repeat, so that nobody else's is taken for one."""
    input_sha256: str
    """The batch file's, in hex."""
    route: str | None
    """What `--route` said: with another one the same line would be another job."""
    cluster: str
    """Kafka's cluster id: offsets mean nothing on another."""
    prefix: str
    """First word of the topics."""
    acknowledged_line: Count = 0
    """Every job of the lines up to this one is on its topic."""
    job_offsets: dict[str, dict[int, Count]] = Field(default_factory=dict)
    """By topic and partition: jobs of later lines lie at these offsets or behind."""
    reply_partition: Count
    """Where this run's replies go."""
    reply_start: Count
    """The first offset there that may be a reply to this run."""
    reply_offset: Count
    """Replies before it are in OUT."""
    lines_written: Count = 0
    """Lines that OUT had when this was written."""

    def offsets(self) -> dict[Place, int]:
        """`job_offsets`, flat."""
        return {
            (topic, partition): offset
            for topic, partitions in self.job_offsets.items()
            for partition, offset in partitions.items()
        }

    def with_progress(self, line: int, offsets: dict[Place, int], **fields: int) -> Self:
        """The same run, further on."""
        nested: dict[str, dict[int, int]] = {}
        for (topic, partition), offset in offsets.items():
            nested.setdefault(topic, {})[partition] = offset
        return self.model_copy(update={"acknowledged_line": line, "job_offsets": nested} | fields)


class StateFile:
    """The state of the run that writes to OUT."""

    def __init__(self, out: Path) -> None:
        self.path = out.with_name(f"{out.name}.tollway-state.json")

    def read(self) -> RunState | None:
        """The state, None if there is none. Raises InputError if it cannot be understood."""
        try:
            return RunState.model_validate_json(self.path.read_bytes())
        except FileNotFoundError:
            return None
        except OSError as error:
            raise InputError(f"{self.path} cannot be read: {error.strerror}") from None
        except ValidationError:
            raise InputError(
                f"{self.path} is no state of a run that this release can read: "
                "start anew with --fresh"
            ) from None

    def write(self, state: RunState) -> None:
        """Replace the file in one step. It is on the disk before it takes its name."""
        draft = self.path.with_suffix(".new")
        try:
            with draft.open("wb") as file:
                file.write(state.model_dump_json(indent=1).encode())
                file.flush()
                os.fsync(file.fileno())
            draft.replace(self.path)
        except OSError as error:
            raise InputError(f"{self.path} cannot be written: {error.strerror}") from None

    def delete(self) -> None:
        """Forget the run; no state is no error."""
        with contextlib.suppress(FileNotFoundError):
            self.path.unlink()


def check_same_run(
    state: RunState, *, sha256: str, route: str | None, cluster: str, prefix: str, out: Path
) -> None:
    """Raise InputError, one sentence, if `state` belongs to another command than this."""
    if state.input_sha256 != sha256:
        changed = "the input has changed"
    elif state.route != route:
        changed = f"it was started with {_named(state.route)}, now it is {_named(route)}"
    elif state.cluster != cluster:
        changed = "it was started on another Kafka cluster"
    elif state.prefix != prefix:
        changed = f"it was started with the topic prefix {state.prefix!r}"
    else:
        return
    raise InputError(
        f"{out} belongs to a run that cannot go on, because {changed}: "
        "give the same command again, another OUT, or --fresh to start anew"
    )


def _named(route: str | None) -> str:
    return "no --route" if route is None else f"--route {route}"
