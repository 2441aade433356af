"""Heartbeats: how a worker is, said once a second."""

from typing import Annotated

from pydantic import Field

from tollway_schemas.bounds import SCHEMA_VERSION
from tollway_schemas.model import Moment, Record

#: Bounded as what other languages count with: numbers of strangers are summed and divided.
MOST_COUNT = 2**53 - 1
MOST_UNITS = 1e15
Count = Annotated[int, Field(ge=0, le=MOST_COUNT)]


class LimitUse(Record):
    """One limit of a lane, as far as this worker may use it."""

    name: str
    """As the configuration calls it; `concurrency` for calls in flight."""
    shared: bool = False
    """Whether all lanes of the limit group use it together."""
    most: Annotated[float, Field(ge=0, le=MOST_UNITS)]
    """This worker's part of it: units in each period, or calls in flight; less while slowed."""
    period: Annotated[float, Field(gt=0)] | None = None
    """Seconds; absent for calls in flight."""
    used: Annotated[float, Field(ge=-MOST_UNITS, le=MOST_UNITS)]
    """Units spent within the last period, so far as this worker has run; or calls in flight."""
    binds: bool = False
    """Whether it is what the next call waits for."""


class LaneBeat(Record):
    """One lane in one worker."""

    lane: str
    """Its name."""
    group: str
    """The limit group it belongs to."""
    state: str
    """open, slowed, probing, broken, parked, paused or retired."""
    paused_until: Moment | None = None
    """When its pause expires."""
    reason: Annotated[str, Field(max_length=500)] | None = None
    """Why it lets nothing through but single tries, in a sentence; absent where it does."""
    since: Moment | None = None
    """Since when."""
    next_try: Moment | None = None
    """When the next call may start; absent where one may start or is on its way."""
    asked_until: Moment | None = None
    """Until when the provider asked to be left alone, where the next try is before that."""
    routes: tuple[str, ...] = ()
    """Routes whose jobs come to it first."""
    in_flight: Count = 0
    """Calls on their way."""
    call_seconds: Annotated[float, Field(ge=0, le=MOST_UNITS)] | None = None
    """Seconds that calls take of late; absent where none was answered yet."""
    waiting: Count = 0
    """Jobs in memory that wait for a call."""
    outstanding: Count = 0
    """Records of this worker's partitions of its topics that are not finished, read or not."""
    finished: Count = 0
    """Records of these partitions that were finished since they became this worker's."""
    behind_transactions: Count = 0
    """Partitions of its topics that stand still behind an open transaction of some producer."""
    oldest: Moment | None = None
    """When the oldest job that is read and not finished was written."""
    limits: tuple[LimitUse, ...] = ()
    """Each limit that a call meets."""


class Heartbeat(Record):
    """How a worker is: a record of `<prefix>.heartbeats`, whose key is the worker."""

    version: Annotated[int, Field(ge=1)] = SCHEMA_VERSION
    """Major version of this record's schema."""
    worker: str
    """Its instance id."""
    started_at: Moment
    """When its process started."""
    release: str
    """The version of Tollway it runs."""
    configuration: Annotated[str, Field(max_length=64)] | None = None
    """Equal for equal settings of the fleet; secrets do not count. Dead letters say it, too."""
    shards: dict[str, Count] = Field(default_factory=dict)
    """Shards that it owns, by limit group."""
    partitions: Count = 0
    """Partitions that it owns."""
    holds_lease: bool = False
    """Whether it can prove that they are its own: without that no call starts."""
    releasing: Count = 0
    """Partitions that are about to go to another worker."""
    draining: bool = False
    """Whether it was told to stop."""
    left: bool = False
    """Whether this is its final heartbeat."""
    commands: Count = 0
    """The offset of `<prefix>.commands` before which it has applied everything."""
    lanes: tuple[LaneBeat, ...] = ()
    """Its lanes."""
    cache: tuple[Count, ...] | None = None
    """For each partition of `<prefix>.cache` the offset before which it has applied everything:
    marks of what is forgotten, too. Absent where it gives no stored answers."""
