"""Response bodies: read as they came in, bounded, and unpacked only where they are packed."""

from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence

import aiohttp
import httpx
from aiohttp.connector import Connection
from aiohttp.http import RawResponseMessage

from tollway_workers.providers.http.seam import HttpAnswer, OnPiece
from tollway_workers.providers.http.transport_errors import BODY, FOREIGN_IN_BODY, translated
from tollway_workers.providers.http.unpack import BadPacking, PackedTwice, Unpacking, packing
from tollway_workers.providers.large_answers import LARGEST_INLINE, make_room


class BodyTooLarge(httpx.DecodingError):
    """A response body passes the limit that its reader set; the rest was not read."""


class BodyNotTaken(httpx.DecodingError):
    """A response body in a form that is not read: another call would bring another such."""


class AiohttpAnswer:
    """An `HttpAnswer` of what aiohttp has parsed. Its end gives the connection back."""

    def __init__(
        self,
        head: RawResponseMessage,
        content: aiohttp.StreamReader,
        connection: Connection,
        host: str | None,
    ) -> None:
        self._content = content
        self._connection = connection
        self._host = host
        self.status = head.code
        headers: dict[str, str] = {}
        for name, value in head.headers.items():
            headers.setdefault(name.lower(), value if value.isascii() else _readable(value))
        self.headers: Mapping[str, str] = headers
        self.codings: Sequence[str] = head.headers.getall("Content-Encoding", ())
        content.on_eof(self._give_back)

    async def read(self, limit: int, on_piece: OnPiece) -> bytes:
        """See `HttpAnswer`: in as few steps as it came in."""
        content = self._content
        parts: list[bytes] = []
        size = 0
        try:
            while True:
                part = await content.readany()
                size += len(part)
                if size > limit:
                    raise too_large(limit)
                if size > LARGEST_INLINE:
                    await make_room(size)
                parts.append(part)
                if content.at_eof():
                    return parts[0] if len(parts) == 1 else b"".join(parts)
                on_piece(part)
        except FOREIGN_IN_BODY as error:
            raise translated(error, BODY, self._host) from None

    async def pieces(self) -> AsyncIterator[bytes]:
        """See `HttpAnswer`."""
        content = self._content
        try:
            while piece := await content.readany():
                yield piece
        except FOREIGN_IN_BODY as error:
            raise translated(error, BODY, self._host) from None

    async def close(self) -> None:
        """See `HttpAnswer`."""
        # A body that came to its end has given its connection back: then this does nothing.
        break_off(self._connection)

    def _give_back(self) -> None:
        if _unsent(self._connection):
            # The answer came before all of the request was sent.
            break_off(self._connection)
        else:
            self._connection.release()


def break_off(connection: Connection) -> None:
    """Close a connection, unless it was given back. What is not sent by now never is: a server that
    reads on would bill it, and one that does not would keep it in memory here.
    """
    transport = connection.transport
    if transport is not None and _unsent(connection):
        transport.abort()
    connection.close()


def _unsent(connection: Connection) -> int:
    """Bytes of the request that have not left this process."""
    transport = connection.transport
    return 0 if transport is None else transport.get_write_buffer_size()


def _readable(value: str) -> str:
    """A header without what is no UTF-8, which aiohttp hands on as halves of characters: a record
    that holds one cannot be written.
    """
    return value.encode(errors="surrogateescape").decode(errors="replace")


def _nobody(_: bytes) -> None:
    pass


async def read_body(answer: HttpAnswer, limit: int, on_piece: OnPiece = _nobody) -> bytes:
    """The body of an answer, unpacked, at most `limit` bytes; then it is closed.

    Raises what `body_pieces` does. Cancellation closes the answer.
    """
    parts: list[bytes] = []
    size = 0
    try:
        if not answer.codings:
            return await answer.read(limit, on_piece)
        async for piece in body_pieces(answer, limit):
            on_piece(piece)
            parts.append(piece)
            size += len(piece)
            if size > LARGEST_INLINE:
                await make_room(size)
    except BaseException:
        # The end of a body gives its connection back.
        await answer.close()
        raise
    return b"".join(parts)


async def body_pieces(answer: HttpAnswer, limit: int) -> AsyncGenerator[bytes]:
    """The same in pieces as they come, unpacked. It closes nothing.

    Raises:
        BodyTooLarge: there are more than `limit` bytes, as they came or unpacked.
        BodyNotTaken: it is packed more than once, or in an unknown way.
        httpx.DecodingError: the body is not what `content-encoding` says.
        httpx.TransportError: the connection failed.
    """
    unpacking = _unpacking(answer)
    received = unpacked = 0
    try:
        async for chunk in answer.pieces():
            received += len(chunk)
            for piece in (chunk,) if unpacking is None else unpacking.feed(chunk):
                unpacked += len(piece)
                if unpacked > limit:
                    raise too_large(limit)
                yield piece
            # It may unpack to nothing at all.
            if received > limit:
                raise too_large(limit)
        if unpacking is not None:
            unpacking.end()
    except BadPacking as error:
        raise httpx.DecodingError(str(error)) from None


def too_large(limit: int) -> BodyTooLarge:
    """The error of a body that passes its limit."""
    return BodyTooLarge(f"the answer is larger than {limit:,} bytes")


def _unpacking(answer: HttpAnswer) -> Unpacking | None:
    try:
        coding = packing(answer.codings)
    except PackedTwice as error:
        raise BodyNotTaken(str(error)) from None
    return None if coding is None else Unpacking(coding)
