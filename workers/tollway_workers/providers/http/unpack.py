"""A packed response body, unpacked piece by piece and never beyond a bound.

A server is asked for none; a proxy may pack all the same. Of one coding a thousand bytes come of
one, of two a million: so one is the most.
"""

import zlib
from collections.abc import Iterable

#: Members of one gzip body; a server that packs as it goes may send several.
_MOST_MEMBERS = 16
#: Bytes by which zlib's own header is known.
_HEAD = 2
_GZIP, _ZLIB, _RAW = 16 + zlib.MAX_WBITS, zlib.MAX_WBITS, -zlib.MAX_WBITS
_WINDOWS = {"gzip": _GZIP, "x-gzip": _GZIP, "deflate": _ZLIB}


class BadPacking(ValueError):
    """A body that cannot be unpacked; the text says why and quotes nothing."""


class PackedTwice(BadPacking):
    """A body in more than one coding, or in one that was not offered and is not known."""


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
    if codings[0] not in _WINDOWS:
        raise PackedTwice("the answer is packed in a way that is not read: gzip and deflate are")
    return codings[0]


class Unpacking:
    """Unpacks one body. State: zlib's, how many members there were, and the first bytes while
    there are too few of them to know what they are.
    """

    def __init__(self, coding: str) -> None:
        self._coding = coding
        self._inflater = zlib.decompressobj(_WINDOWS[coding])
        self._members = 1
        self._head = b""
        self._begun = False

    def feed(self, piece: bytes, most: int) -> bytes:
        """What `piece` unpacks to, cut after `most` bytes: then the body is given up.

        Raises BadPacking where it is not what its coding says.
        """
        unpacked = bytearray()
        if not self._begun:
            piece = self._head = self._head + piece
            if len(piece) < _HEAD:
                return b""
            self._begin(piece)
        while piece and len(unpacked) < most:
            if self._inflater.eof:
                self._next_member(piece)
            unpacked += self._inflate(piece, most - len(unpacked))
            piece = self._inflater.unused_data or self._inflater.unconsumed_tail
        return bytes(unpacked)

    def end(self) -> None:
        """Raises BadPacking if the body is not whole."""
        if self._head and not self._inflater.eof:
            raise BadPacking("the packed answer was cut short")

    def _begin(self, head: bytes) -> None:
        self._begun = True
        # Some servers leave out zlib's own header.
        if self._coding == "deflate" and (head[0] & 15 != 8 or int.from_bytes(head[:2]) % 31):
            self._inflater = zlib.decompressobj(_RAW)

    def _inflate(self, piece: bytes, most: int) -> bytes:
        try:
            return self._inflater.decompress(piece, most)
        except zlib.error:
            raise BadPacking(f"the answer is not packed as {self._coding}") from None

    def _next_member(self, piece: bytes) -> None:
        self._members += 1
        if not piece.startswith(b"\x1f") or self._coding == "deflate":
            raise BadPacking("something follows the packed answer")
        if self._members > _MOST_MEMBERS:
            raise BadPacking("the answer is packed in too many pieces")
        self._inflater = zlib.decompressobj(_GZIP)
