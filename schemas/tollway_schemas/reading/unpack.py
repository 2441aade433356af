"""Compressed batches, unpacked within a bound: a few kilobytes may stand for gigabytes. Pure."""

import struct
import zlib
from collections.abc import Callable

import cramjam

#: Bytes that a batch may unpack to: more than the largest record that any fleet allows.
MOST_UNPACKED = 160 * 2**20
#: A codec's number in a batch's attributes.
_GZIP, _SNAPPY, _LZ4, _ZSTD = 1, 2, 3, 4
#: How large the first buffer is, in sizes of what is packed, and how fast buffers grow.
_FIRST, _GROWTH = 8, 4
_SMALLEST_BUFFER = 65_536
#: Bytes that anything may unpack to, and how many times its own size what is larger may.
_ALWAYS, _RATIO = 16 * 2**20, 64
#: Files of gzip that one batch may be, one behind the other: clients write one.
_MOST_MEMBERS = 64
#: zlib's number for "in gzip's format".
_GZIP_FORMAT = 31
#: What Java's snappy writes before its blocks, each with its length: name, version, compatibility.
_XERIAL = b"\x82SNAPPY\x00"
_XERIAL_HEADER = 16


class CannotUnpack(Exception):
    """What is packed cannot be unpacked; the text says why, as the end of a sentence."""


def unpacked(codec: int, packed: bytes, most: int) -> bytes:
    """What is packed, of at most `most` bytes, and above 16 MiB at most 64 times its packed size.

    Raises CannotUnpack: the codec is none, the bytes are damaged, or there are too many of them.
    Nothing much larger than that is made on the way.
    """
    most = min(most, max(_ALWAYS, _RATIO * len(packed)))
    unpack = _CODECS.get(codec)
    if unpack is None:
        raise CannotUnpack(f"is compressed with codec {codec}, which nobody knows")
    try:
        return unpack(packed, most)
    except (zlib.error, cramjam.DecompressionError, struct.error, EOFError) as error:
        raise CannotUnpack("is compressed, and damaged") from error


def _gunzip(packed: bytes, most: int) -> bytes:
    parts: list[bytes] = []
    size = 0
    while packed:
        if len(parts) == _MOST_MEMBERS:
            raise CannotUnpack(f"is compressed in more than {_MOST_MEMBERS} pieces")
        member = zlib.decompressobj(_GZIP_FORMAT)
        parts.append(member.decompress(packed, most - size + 1))
        size += len(parts[-1])
        if size > most:
            raise _too_large(most)
        if not member.eof:
            raise EOFError
        packed = member.unused_data.lstrip(b"\0")
    return b"".join(parts)


def _unsnappy(packed: bytes, most: int) -> bytes:
    if not packed.startswith(_XERIAL):
        return _unsnappy_block(packed, most)
    parts, size, at = [], 0, _XERIAL_HEADER
    while at < len(packed):
        (length,) = struct.unpack_from("!i", packed, at)
        if length < 0:
            raise EOFError
        parts.append(_unsnappy_block(packed[at + 4 : at + 4 + length], most))
        size += len(parts[-1])
        if size > most:
            raise _too_large(most)
        at += 4 + length
    return b"".join(parts)


def _unsnappy_block(packed: bytes, most: int) -> bytes:
    # A block begins with its size, for which snappy makes room before it looks further.
    if cramjam.snappy.decompress_raw_len(packed) > most:
        raise _too_large(most)
    return bytes(cramjam.snappy.decompress_raw(packed))


def _into(unpack: Callable[[bytes, bytearray], int]) -> Callable[[bytes, int], bytes]:
    """Unpacks into buffers that grow: a codec stops where its buffer is full."""

    def unpack_within(packed: bytes, most: int) -> bytes:
        size = max(_FIRST * len(packed), _SMALLEST_BUFFER)
        while True:
            size = min(size, most)
            buffer = bytearray(size)
            try:
                length = unpack(packed, buffer)
            except cramjam.DecompressionError as error:
                if "whole buffer" not in str(error):
                    raise
                if size == most:
                    raise _too_large(most) from error
                size *= _GROWTH
            else:
                return bytes(memoryview(buffer)[:length])

    return unpack_within


def _too_large(most: int) -> CannotUnpack:
    return CannotUnpack(f"is compressed, and unpacks to more than {most:,} bytes")


_CODECS: dict[int, Callable[[bytes, int], bytes]] = {
    _GZIP: _gunzip,
    _SNAPPY: _unsnappy,
    _LZ4: _into(cramjam.lz4.decompress_into),
    _ZSTD: _into(cramjam.zstd.decompress_into),
}
