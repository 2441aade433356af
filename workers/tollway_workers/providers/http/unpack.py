"""A packed response body, unpacked piece by piece and never beyond a bound.

A server is asked for none; a proxy may pack all the same. Of one coding a thousand bytes come of
one, of two a million: so one is the most.
"""

import sys
import zlib
from collections.abc import Iterable, Iterator
from typing import Protocol

import brotli

if sys.version_info >= (3, 14):  # pragma: no cover
    from compression import zstd
else:
    from backports import zstd

#: Members of one gzip body, frames of one zstd body; a server that packs as it goes may send
#: several.
_MOST_MEMBERS = 16
#: Bytes that are unpacked at once.
_PART = 256 * 1024
#: Bytes by which zlib's own header is known.
_HEAD = 2
_GZIP, _ZLIB, _RAW = 16 + zlib.MAX_WBITS, zlib.MAX_WBITS, -zlib.MAX_WBITS
#: RFC 9659: what who unpacks zstd from the web has to offer, and so the most that is sent.
_ZSTD_OPTIONS: dict[int, int] = {zstd.DecompressionParameter.window_log_max: 23}


class BadPacking(ValueError):
    """A body that cannot be unpacked; the text says why and quotes nothing."""


class PackedTwice(BadPacking):
    """A body in more than one coding, or in one that was not offered and is not known."""


class _Member(Protocol):
    """One gzip member, zstd frame, zlib or brotli stream."""

    @property
    def eof(self) -> bool:
        """Whether it has come to its end."""
        ...

    @property
    def holds_back(self) -> bool:
        """Whether there may be more of what it was given already."""
        ...

    def unpack(self, piece: bytes, most: int) -> tuple[bytes, bytes]:
        """What a piece unpacks to, about `most` bytes of it; and what of the piece is left.

        Raises zlib.error, brotli.error, zstd.ZstdError.
        """
        ...


class _Zlib:
    def __init__(self, window: int) -> None:
        self._inflater = zlib.decompressobj(window)
        self.holds_back = False

    @property
    def eof(self) -> bool:
        return self._inflater.eof

    def unpack(self, piece: bytes, most: int) -> tuple[bytes, bytes]:
        unpacked = self._inflater.decompress(piece, most)
        self.holds_back = not self.eof and len(unpacked) >= most
        return unpacked, self._inflater.unused_data or self._inflater.unconsumed_tail


class _Deflate(_Zlib):
    """State: `_head`, the first bytes while there are too few of them to know what they are."""

    def __init__(self) -> None:
        super().__init__(_ZLIB)
        self._head: bytes | None = b""

    def unpack(self, piece: bytes, most: int) -> tuple[bytes, bytes]:
        if self._head is not None:
            piece = self._head = self._head + piece
            if len(piece) < _HEAD:
                return b"", b""
            self._head = None
            # Some servers leave out zlib's own header.
            if piece[0] & 15 != 8 or int.from_bytes(piece[:2]) % 31:
                self._inflater = zlib.decompressobj(_RAW)
        return super().unpack(piece, most)


class _Zstd:
    def __init__(self) -> None:
        self._frame = zstd.ZstdDecompressor(options=_ZSTD_OPTIONS)

    @property
    def eof(self) -> bool:
        return self._frame.eof

    @property
    def holds_back(self) -> bool:
        return not self.eof and not self._frame.needs_input

    def unpack(self, piece: bytes, most: int) -> tuple[bytes, bytes]:
        return self._frame.decompress(piece, most), self._frame.unused_data if self.eof else b""


class _Brotli:
    def __init__(self) -> None:
        self._stream = brotli.Decompressor()

    @property
    def eof(self) -> bool:
        return bool(self._stream.is_finished())

    @property
    def holds_back(self) -> bool:
        return not self.eof and not self._stream.can_accept_more_data()

    def unpack(self, piece: bytes, most: int) -> tuple[bytes, bytes]:
        return self._stream.process(piece, output_buffer_limit=most), b""


def _gzip() -> _Member:
    return _Zlib(_GZIP)


_CODINGS = {
    "gzip": _gzip,
    "x-gzip": _gzip,
    "deflate": _Deflate,
    "br": _Brotli,
    "zstd": _Zstd,
}
#: What another member begins with, where a coding may have several.
_MARKS = {"gzip": b"\x1f\x8b", "x-gzip": b"\x1f\x8b", "zstd": b"\x28\xb5\x2f\xfd"}
_ERRORS = (zlib.error, brotli.error, zstd.ZstdError)


def packing(values: Iterable[str]) -> str | None:
    """The one coding of a body by its `content-encoding` headers; None where it has none.

    Raises PackedTwice.
    """
    named = [word.strip().lower() for value in values for word in value.split(",")]
    codings = [word for word in named if word not in ("", "identity")]
    if not codings:
        return None
    if len(codings) > 1:
        raise PackedTwice(f"the answer is packed {len(codings)} times, of which one is read")
    if codings[0] not in _CODINGS:
        raise PackedTwice(
            "the answer is packed in a way that is not read: gzip, deflate, br and zstd are"
        )
    return codings[0]


class Unpacking:
    """Unpacks one body. State: the member that is unpacked, and how many there were."""

    def __init__(self, coding: str) -> None:
        self._coding = coding
        self._member: _Member = _CODINGS[coding]()
        self._members = 1
        self._begun = False

    def feed(self, piece: bytes) -> Iterator[bytes]:
        """What `piece` unpacks to, in parts of about 256 KiB: who has enough takes no more.

        Raises BadPacking where it is not what its coding says.
        """
        more = bool(piece)
        self._begun |= more
        while more:
            if self._member.eof:
                self._next_member(piece)
            try:
                part, piece = self._member.unpack(piece, _PART)
            except _ERRORS:
                raise BadPacking(f"the answer is not packed as {self._coding}") from None
            more = bool(piece) or self._member.holds_back
            if part:
                yield part

    def end(self) -> None:
        """Raises BadPacking if the body is not whole."""
        if self._begun and not self._member.eof:
            raise BadPacking("the packed answer was cut short")

    def _next_member(self, piece: bytes) -> None:
        self._members += 1
        mark = _MARKS.get(self._coding)
        if mark is None or not mark.startswith(piece[: len(mark)]):
            raise BadPacking("something follows the packed answer")
        if self._members > _MOST_MEMBERS:
            raise BadPacking("the answer is packed in too many pieces")
        self._member = _CODINGS[self._coding]()
