"""Batches as they lie on a topic, right and wrong, byte by byte."""

import gzip
import struct
import zlib
from collections.abc import Callable, Iterable

import cramjam
from aiokafka.codec import lz4_encode, snappy_encode
from aiokafka.record.util import calc_crc32c

Header = tuple[bytes, bytes | None]

_HEADER = struct.Struct(">qiibIhiqqqhii")
_COVERED_FROM = 21
TRANSACTIONAL, CONTROL = 0x10, 0x20
#: Codecs by their number.
PACK: dict[int, Callable[[bytes], bytes]] = {
    0: lambda body: body,
    1: gzip.compress,
    2: lambda body: bytes(snappy_encode(body)),
    3: lambda body: bytes(lz4_encode(body)),
    4: lambda body: bytes(cramjam.zstd.compress(body)),
}


def varint(number: int) -> bytes:
    """A signed number of variable length."""
    rest = ((number << 1) ^ (number >> 63)) & (2**64 - 1)
    out = bytearray()
    while rest > 0x7F:
        out.append(0x80 | rest & 0x7F)
        rest >>= 7
    out.append(rest)
    return bytes(out)


def sized(part: bytes | None) -> bytes:
    """Bytes behind their length."""
    return varint(-1) if part is None else varint(len(part)) + part


def record(
    delta: int, value: bytes | None, key: bytes | None = b"key", headers: Iterable[Header] = ()
) -> bytes:
    """A record of format 2; the names of its headers are any bytes."""
    pairs = list(headers)
    body = b"\0" + varint(0) + varint(delta) + sized(key) + sized(value) + varint(len(pairs))
    return sized(body + b"".join(sized(name) + sized(text) for name, text in pairs))


def batch(
    base: int,
    *records: bytes,
    codec: int = 0,
    count: int | None = None,
    last: int | None = None,
    producer: int | None = None,
    packed: bytes | None = None,
) -> bytes:
    """A batch of format 2 whose checksum is right, whatever else is not.

    `codec`: with CONTROL it holds Kafka's own marks. `producer`: of a transaction of that one.
    """
    count = len(records) if count is None else count
    last = max(len(records) - 1, 0) if last is None else last
    body = PACK[codec & 7](b"".join(records)) if packed is None else packed
    numbers = (base, 49 + len(body), 0, 2)
    attributes = codec if producer is None else codec | TRANSACTIONAL
    rest = (attributes, last, 1000, 2000, -1 if producer is None else producer, 0, -1, count)
    raw = _HEADER.pack(*numbers, 0, *rest) + body
    return _HEADER.pack(*numbers, calc_crc32c(raw[_COVERED_FROM:]), *rest) + body


def old_record(
    offset: int, value: bytes | None, *, magic: int, codec: int = 0, key: bytes | None = None
) -> bytes:
    """A record of format 0 or 1."""
    body = struct.pack(">bb", magic, codec) + (struct.pack(">q", 3000) if magic else b"")
    for part in (key, value):
        body += struct.pack(">i", -1 if part is None else len(part)) + (part or b"")
    message = struct.pack(">I", zlib.crc32(body)) + body
    return struct.pack(">qi", offset, len(message)) + message
