"""A record as it was read from Kafka, before anything is believed of it."""

from typing import NamedTuple

from tollway_schemas.dead_letter import Origin
from tollway_schemas.headers import Headers
from tollway_workers.policies.offsets import OffsetTracker

#: Bytes of a job's objects: measured for jobs of two messages.
_OBJECTS = 3_500
#: Deaths of workers while a job ran alone, after which it was no accident.
KILLER_DEATHS = 2


class ReceivedRecord(NamedTuple):
    """One record of a jobs topic, and the tracker of the partition it holds open."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: Headers
    #: Kafka's own time of the record, in seconds since 1970.
    timestamp: float
    tracker: OffsetTracker
    #: Workers that ended while it ran alone.
    deaths: int = 0
    #: Why it cannot be read at all, in one sentence; its value is then as much as was found.
    unreadable: str | None = None

    @property
    def kills(self) -> bool:
        """Whether it is what ends the workers that run it."""
        return self.deaths >= KILLER_DEATHS

    @property
    def origin(self) -> Origin:
        """Where it was read."""
        return Origin(topic=self.topic, partition=self.partition, offset=self.offset)

    @property
    def size(self) -> int:
        """Bytes that it and the job in it hold in memory, roughly: its texts twice, and objects."""
        return 2 * len(self.value or b"") + len(self.key or b"") + _OBJECTS
