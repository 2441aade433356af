"""Batches of format 2, which Kafka writes since 2017. Pure.

`BatchHeader` | records, together compressed or not; each record begins with its length, so that
one that is broken inside ends none but itself.
"""

import struct
from collections.abc import Iterator
from typing import NamedTuple

from tollway_schemas.reading.entry import Entry, unreadable

_HEADER = struct.Struct(">qiibIhiqqqhii")
HEADER_BYTES = _HEADER.size
#: Bytes of a record that says nothing.
SMALLEST_RECORD = 7
#: Headers of one record that are read, and bytes of its key and headers together. A megabyte of
#: headers may stand in a kilobyte, packed, and take gigabytes as objects.
MOST_HEADERS = 10_000
MOST_BESIDE = 2**20
#: Where the checksum's cover begins: at the attributes, which stand behind it.
COVERED_FROM = 21
_ATTRIBUTES_AT = slice(21, 23)
_CODEC, _LOG_APPEND_TIME, _TRANSACTIONAL, _CONTROL = 0x07, 0x08, 0x10, 0x20
#: Bits of the largest number that a varint may hold.
_VARINT_BITS = 64


class BatchHeader(NamedTuple):
    """What a batch says of itself."""

    base_offset: int
    length: int
    leader_epoch: int
    magic: int
    crc: int
    attributes: int
    last_offset_delta: int
    first_timestamp: int
    max_timestamp: int
    producer_id: int
    producer_epoch: int
    base_sequence: int
    records: int

    @classmethod
    def of(cls, raw: bytes) -> "BatchHeader | None":
        """The header of a batch; None where there is no room for one."""
        return cls(*_HEADER.unpack_from(raw)) if len(raw) >= HEADER_BYTES else None

    @property
    def codec(self) -> int:
        """The number of what it is compressed with; 0: nothing."""
        return self.attributes & _CODEC

    @property
    def is_transactional(self) -> bool:
        """Whether it belongs to a transaction."""
        return bool(self.attributes & _TRANSACTIONAL)

    @property
    def is_control(self) -> bool:
        """Whether it holds Kafka's own marks, and no records."""
        return bool(self.attributes & _CONTROL)

    @property
    def last_offset(self) -> int:
        """The offset of its last record, which compaction may have removed."""
        return self.base_offset + self.last_offset_delta

    @property
    def timestamp_type(self) -> int:
        """0: records carry their producers' time; 1: all have Kafka's."""
        return int(bool(self.attributes & _LOG_APPEND_TIME))


def without_codec(raw: bytes, body: bytes) -> bytes:
    """The batch with its records unpacked."""
    header = bytearray(raw[:HEADER_BYTES])
    (attributes,) = struct.unpack(">h", header[_ATTRIBUTES_AT])
    header[_ATTRIBUTES_AT] = struct.pack(">h", attributes & ~_CODEC)
    return bytes(header) + body


def entries(header: BatchHeader, body: bytes, begin: int = 0) -> Iterator[Entry]:
    """The records from offset `begin` on, in ascending order of offsets within the batch.

    What cannot be read stands at its own offset; where none of the rest can, at the last one.
    """
    last, found, at = header.last_offset, 0, 0
    expected = header.base_offset
    while at < len(body):
        try:
            length, start = _varint(body, at)
        except _Broken:
            length, start = -1, at
        if not 0 < length <= len(body) - start:
            if max(expected, begin) <= last:
                yield unreadable(last, body[at:], "ends before its records do")
            return
        entry = _record(header, body[start : start + length], expected)
        found, at, expected = found + 1, start + length, entry.offset + 1
        if begin <= entry.offset <= last:
            yield entry
    if found != header.records and max(expected, begin) <= last:
        why = f"says that it holds {header.records} records, and holds {found}"
        yield unreadable(last, b"", why)


def is_ordinary(body: bytes) -> bool:
    """Whether no record is long enough to have more headers than are read; False if in doubt."""
    at, longest = 0, 2 * MOST_HEADERS
    if len(body) <= longest:
        return True
    try:
        while at < len(body):
            length, at = _varint(body, at)
            if not 0 < length <= longest:
                return False
            at += length
    except _Broken:
        return False
    return True


class _Broken(Exception):
    """A record is not built as records are; the text is the end of a sentence."""


def _record(header: BatchHeader, piece: bytes, expected: int) -> Entry:
    """The record in `piece`, or what of it can be read."""
    entry = unreadable(expected, piece, "", header.first_timestamp, bytes_of="record")
    try:
        delta, at = _varint(piece, 1)
        offset_delta, at = _varint(piece, at)
        offset = header.base_offset + offset_delta
        if not expected <= offset <= header.last_offset:
            raise _Broken("says an offset that is not its own")
        timestamp = (
            header.max_timestamp if header.timestamp_type else header.first_timestamp + delta
        )
        entry = entry._replace(offset=offset, timestamp=timestamp)
        key, at = _bytes(piece, at)
        value, at = _bytes(piece, at)
        beside = len(key or b"") + len(piece) - at
        entry = entry._replace(
            key=key if beside <= MOST_BESIDE else None,
            value=value,
            headers=[],
            timestamp_type=header.timestamp_type,
            bytes_of=None,
        )
        if beside > MOST_BESIDE:
            raise _Broken(
                f"has a key and headers of {beside:,} bytes, more than the {MOST_BESIDE:,} "
                "that are read"
            )
        return _with_headers(entry, piece, at)
    except _Broken as broken:
        return entry._replace(why=str(broken))


def _with_headers(entry: Entry, piece: bytes, at: int) -> Entry:
    """The record with its headers; what is wrong with one of them is said of the record."""
    count, at = _varint(piece, at)
    headers: list[tuple[str, bytes | None]] = []
    why = None
    try:
        if not 0 <= count <= len(piece):
            raise _Broken(f"says that it has {count} headers")
        if count > MOST_HEADERS:
            raise _Broken(f"has {count:,} headers, more than the {MOST_HEADERS:,} that are read")
        for number in range(1, count + 1):
            name, at = _bytes(piece, at)
            value, at = _bytes(piece, at)
            if name is None:
                raise _Broken(f"has a header without a name, its number {number}")
            try:
                headers.append((name.decode(), value))
            except UnicodeDecodeError:
                why = why or f"has a header whose name is not UTF-8, its number {number}"
        if at != len(piece):
            raise _Broken(f"has {len(piece) - at} bytes behind its end")
    except _Broken as broken:
        why = why or str(broken)
    return entry._replace(headers=headers, why=why)


def _bytes(piece: bytes, at: int) -> tuple[bytes | None, int]:
    """Bytes behind their length, or None where that is -1, and where what follows begins."""
    length, at = _varint(piece, at)
    if length == -1:
        return None, at
    if not 0 <= length <= len(piece) - at:
        raise _Broken("has a part that is longer than all of it")
    return piece[at : at + length], at + length


def _varint(piece: bytes, at: int) -> tuple[int, int]:
    """A signed number of variable length, and where what follows begins."""
    number = shift = 0
    while at < len(piece) and shift < _VARINT_BITS:
        byte = piece[at]
        at += 1
        number |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return (number >> 1) ^ -(number & 1), at
    raise _Broken("ends in the middle of a number")
