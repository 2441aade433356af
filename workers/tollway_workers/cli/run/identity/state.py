"""The state file beside OUT: what a re-run must know to go on where a run stopped."""

import contextlib
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from tollway_schemas.bounds import MOST, MOST_OFFSET
from tollway_workers.cli.run.identity.who import Who, other_who
from tollway_workers.errors import InputError
from tollway_workers.local.fleet.disk import MAKE_ROOM, replace_file, state_path, writing
from tollway_workers.ownership.partition import Partition

#: The largest offset, and the largest partition or generation, that Kafka and JSON readers take.
Count = Annotated[int, Field(ge=0, le=MOST_OFFSET)]
PartitionNumber = Annotated[int, Field(ge=0, le=MOST)]


class RunState(BaseModel):
    """Written about once a second, in one step: a reader finds the old state or the new one."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: Annotated[int, Field(ge=2, le=2)] = 2
    run: str
    """The run's id, with which its job ids begin."""
    token: str = ""
    """What replies to its jobs repeat, so that nobody else's is taken for one."""
    input_sha256: str
    """The batch file's, in hex."""
    route: str | None
    """What `--route` said: with another one the same line would be another job."""
    who: dict[str, Who] = Field(default_factory=dict)
    """Who answers, by route as the lines name it; empty: a fleet that others run."""
    cluster: str
    """Kafka's cluster id: offsets mean nothing on another."""
    prefix: str
    """First word of the topics."""
    generation: Annotated[int, Field(ge=1, le=MOST)] = 1
    """What the jobs of this round are: 1 at first; `--retry-failed` begins the next round."""
    acknowledged_line: Count = 0
    """Every job of this round of the lines up to this one is on its topic."""
    job_offsets: dict[str, dict[PartitionNumber, Count]] = Field(default_factory=dict)
    """By topic and partition: jobs of later lines lie at these offsets or behind."""
    reply_partition: PartitionNumber
    """Where this run's replies go."""
    reply_start: Count
    """The first offset there that may be a reply to this run."""
    reply_offset: Count
    """Replies before it are in OUT."""
    lines_written: Count = 0
    """Lines that OUT had when this was written."""

    def offsets(self) -> dict[Partition, int]:
        """`job_offsets`, flat."""
        return {
            (topic, partition): offset
            for topic, partitions in self.job_offsets.items()
            for partition, offset in partitions.items()
        }

    def with_who(self, who: Mapping[str, Who], routes: Collection[str]) -> Self:
        """With who answers on `routes`, which lines ask for now: `--limit` may be another."""
        used = {route: each for route, each in who.items() if route in routes}
        return self.model_copy(update={"who": {**self.who, **used}})

    def next_round(self, generation: int, offsets: dict[Partition, int]) -> Self:
        """Jobs of `generation` come next, all at these offsets of their topics or behind."""
        return self.with_progress(0, offsets, generation=generation)

    def with_progress(self, line: int, offsets: dict[Partition, int], **fields: int) -> Self:
        """The same run, further on."""
        nested: dict[str, dict[int, int]] = {}
        for (topic, partition), offset in offsets.items():
            nested.setdefault(topic, {})[partition] = offset
        return self.model_copy(update={"acknowledged_line": line, "job_offsets": nested} | fields)


class StateFile:
    """The state of the run that writes to OUT."""

    def __init__(self, out: Path) -> None:
        self.path = state_path(out)

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
        """Replace the file in one step. Raises DiskError."""
        draft = self.path.with_suffix(".new")
        with writing(self.path, MAKE_ROOM):
            replace_file(self.path, draft, [state.model_dump_json(indent=1).encode()])

    def delete(self) -> None:
        """Forget the run; no state is no error."""
        with contextlib.suppress(FileNotFoundError):
            self.path.unlink()


def check_same_run(
    state: RunState, *, sha256: str, route: str | None, who: Mapping[str, Who], prefix: str
) -> str | None:
    """Why `state` belongs to another command than this, as a clause; None if it does not."""
    if state.input_sha256 != sha256:
        return "the input has changed"
    if other := other_who(state.who, who):
        return other
    if state.route != route:
        return f"it was started with {_named(state.route)}, now it is {_named(route)}"
    if state.prefix != prefix:
        return f"it was started with the topic prefix {state.prefix!r}"
    return None


def _named(route: str | None) -> str:
    return "no --route" if route is None else f"--route {route}"
