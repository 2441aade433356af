"""A record as it was read from Kafka, before it is decoded."""

from typing import NamedTuple

from tollway_schemas.dead_letter import Origin
from tollway_schemas.headers import Headers
from tollway_schemas.reading.entry import BytesOf
from tollway_workers.ownership.offsets import OffsetTracker

#: Bytes of a job's objects, at least: measured for jobs of two messages.
_OBJECTS = 3_500
#: Bytes of the objects that a brace, a bracket, and a comma, of JSON may stand for: measured for
#: what costs most, parts of messages with one short field each, and lists within lists.
_BRACE, _BRACKET, _COMMA = 500, 90, 80
#: Bytes of a header's objects.
_HEADER = 150
#: Deaths of workers while a job ran alone, after which the job is their cause.
KILLER_DEATHS = 2


class ReceivedRecord(NamedTuple):
    """One record of a jobs topic, and the offset tracker of its partition."""

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
    #: What its value is where that is not its own: it, or its batch, as Kafka keeps them.
    bytes_of: BytesOf | None = None
    #: What `size` says, where it was reckoned before.
    weight: int = 0

    @property
    def kills(self) -> bool:
        """Whether its job kills the workers that run it."""
        return self.deaths >= KILLER_DEATHS

    @property
    def origin(self) -> Origin:
        """Where it was read."""
        return Origin(topic=self.topic, partition=self.partition, offset=self.offset)

    @property
    def size(self) -> int:
        """Bytes that it and the job in it hold in memory, roughly: its texts twice, and objects."""
        return self.weight or weight_of(self.key, self.value, self.headers)


def weight_of(key: bytes | None, value: bytes | None, headers: Headers = ()) -> int:
    """The size of a record, by what is in it: a megabyte of small objects takes forty."""
    beside = sum(_HEADER + len(text or b"") for _, text in headers)
    text = value or b""
    objects = _BRACE * text.count(b"{") + _BRACKET * text.count(b"[") + _COMMA * text.count(b",")
    return 2 * len(text) + len(key or b"") + beside + max(objects, _OBJECTS)
