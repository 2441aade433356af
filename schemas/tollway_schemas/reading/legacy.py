"""Records of formats 0 and 1, which brokers before Kafka 4 may still keep. Pure.

A record is a batch of its own; one that is compressed holds the others as its value.
"""

import struct
import zlib
from collections.abc import Iterator
from typing import NamedTuple

from tollway_schemas.reading.entry import Entry, unreadable
from tollway_schemas.reading.frames import Frame, frames
from tollway_schemas.reading.unpack import CannotUnpack, unpacked

_CRC_AT, _COVERED_FROM, _ATTRIBUTES_AT, _TIMESTAMP_AT = 12, 16, 17, 18
#: Where the key's length stands, by format.
_KEY_AT = {0: 18, 1: 26}
_CODEC, _LOG_APPEND_TIME = 0x07, 0x08


def is_whole(frame: Frame) -> bool:
    """Whether its checksum is right."""
    (crc,) = struct.unpack_from(">I", frame.raw, _CRC_AT)
    return bool(crc == zlib.crc32(frame.raw[_COVERED_FROM:]))


def is_packed(frame: Frame) -> bool:
    """Whether it is compressed."""
    return bool(frame.raw[_ATTRIBUTES_AT] & _CODEC)


def legacy_entries(frame: Frame, most: int) -> Iterator[Entry]:
    """Its record, or those that are compressed in it, unpacked to at most `most` bytes."""
    outer = _read(frame)
    if outer.why is not None or not outer.codec:
        yield outer.entry(frame)
        return
    try:
        packed = unpacked(outer.codec, outer.value or b"", most)
    except CannotUnpack as error:
        yield unreadable(frame.offset, frame.raw, str(error))
        return
    inner = None
    shift = frame.offset - _last_offset(packed) if frame.magic else 0
    for inner in frames(packed):
        read = _read(inner)
        # What is compressed is so once.
        read = read._replace(why="is compressed twice") if read.codec else read
        if outer.log_append_time:
            read = read._replace(timestamp=outer.timestamp)
        yield read.entry(inner, shift)
    if inner is None:
        yield unreadable(frame.offset, frame.raw, "is compressed, and holds nothing")


class _Read(NamedTuple):
    codec: int = 0
    log_append_time: bool = False
    timestamp: int = 0
    key: bytes | None = None
    value: bytes | None = None
    why: str | None = None

    def entry(self, frame: Frame, shift: int = 0) -> Entry:
        offset = frame.offset + shift
        if self.why is not None:
            return unreadable(offset, frame.raw, self.why, bytes_of="record")
        kind = int(self.log_append_time) if frame.magic else None
        return Entry(offset, self.timestamp, kind, self.key, self.value, [])


def _read(frame: Frame) -> _Read:
    if frame.magic not in _KEY_AT or len(frame.raw) < _KEY_AT[frame.magic]:
        return _Read(why="is not built as records are")
    attributes, timestamp = frame.raw[_ATTRIBUTES_AT], 0
    if frame.magic:
        (timestamp,) = struct.unpack_from(">q", frame.raw, _TIMESTAMP_AT)
    try:
        key, at = _bytes(frame.raw, _KEY_AT[frame.magic])
        value, _ = _bytes(frame.raw, at)
    except (ValueError, struct.error):
        return _Read(why="has a part that is longer than all of it")
    is_appended = bool(attributes & _LOG_APPEND_TIME)
    return _Read(attributes & _CODEC, is_appended, timestamp, key, value)


def _bytes(raw: bytes, at: int) -> tuple[bytes | None, int]:
    (length,) = struct.unpack_from(">i", raw, at)
    at += 4
    if length == -1:
        return None, at
    if not 0 <= length <= len(raw) - at:
        raise ValueError(length)
    return raw[at : at + length], at + length


def _last_offset(packed: bytes) -> int:
    """The last record's offset within what was compressed, which counts from 0 in format 1."""
    last = 0
    for frame in frames(packed):
        last = frame.offset
    return last
