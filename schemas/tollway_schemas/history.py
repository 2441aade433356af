"""Where a job has been: what travels with it between workers."""

from typing import Annotated

from pydantic import AwareDatetime, Field

from tollway_schemas.attempt import Attempt, CallCount
from tollway_schemas.bounds import SCHEMA_VERSION
from tollway_schemas.dead_letter import BadAnswer
from tollway_schemas.failure import FailureClass
from tollway_schemas.job import Visit
from tollway_schemas.model import Record

#: What a process counts in its life; the most that JSON readers of other languages count with.
Counted = Annotated[int, Field(ge=0, le=2**53 - 1)]


class LaneTally(Record):
    """Calls of a lane in one process, as they were counted at a failure of the job."""

    source: Annotated[str, Field(max_length=64)]
    """Lane and process: only tallies of one source compare."""
    calls: Counted
    """Calls that were answered or failed by the lane's fault."""
    failures: Counted
    """Those of them that failed by its fault."""


class JobHistory(Record):
    """What was tried for a job so far: the header `tollway-history` of lane and retry topics.

    A header, so that the record's value stays the job's own bytes. So the attempt budget holds, and
    reply and dead letter say what was called, wherever the job goes.
    """

    version: Annotated[int, Field(ge=1)] = SCHEMA_VERSION
    """Major version of this record's schema."""
    created_at: AwareDatetime | None = None
    """When the service handed the job over; counts where the job itself does not say."""
    attempts: tuple[Attempt, ...] = ()
    """The calls made so far; of those that were not charged the first 2 and the last 8."""
    uncharged: dict[FailureClass, CallCount] = Field(default_factory=dict)
    """Calls that were not charged (a 429, a refused key), by failure class: all of them, while
    `attempts` lists their first 2 and last 8."""
    bad_answers: tuple[BadAnswer, ...] = ()
    """Answers that were paid for and could not be used."""
    visits: tuple[Visit, ...] = ()
    """The lanes it has been on, first to last."""
    waited: str | None = None
    """Why a lane let nothing through while it waited there."""
    doubt: Annotated[float, Field(ge=0, le=1)] = 1.0
    """How far chance still explains its failures that a lane may cause: 1 where nothing speaks
    against the job."""
    lane_failures: CallCount = 0
    """Its failures that a lane may cause."""
    tally: LaneTally | None = None
    """What the lane's calls had brought at the last of them."""
