"""A record that was read by hand, or what stands where one cannot be read."""

from typing import Literal, NamedTuple

#: What bytes are that stand where no value could be found: one record, or a batch of them, as
#: Kafka keeps them.
BytesOf = Literal["record", "batch"]


class Entry(NamedTuple):
    """One record. Named like aiokafka's, which stand beside it."""

    offset: int
    #: Milliseconds since 1970, as its producer or Kafka says.
    timestamp: int
    timestamp_type: int | None
    key: bytes | None
    value: bytes | None
    headers: list[tuple[str, bytes | None]]
    #: Why it cannot be read, as the end of a sentence; its value is then as much as was found.
    why: str | None = None
    #: What its value is where that is not the record's own.
    bytes_of: BytesOf | None = None


def unreadable(
    offset: int, raw: bytes, why: str, timestamp: int = 0, *, bytes_of: BytesOf = "batch"
) -> Entry:
    """What stands at an offset where nothing could be read but these bytes."""
    return Entry(offset, timestamp, 0, None, raw, [], why, bytes_of)
