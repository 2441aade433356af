"""Response bodies: read as they came in, bounded, and unpacked only where they are packed."""

from collections.abc import AsyncGenerator, AsyncIterator, Callable

import aiohttp
import httpx

from tollway_workers.providers.http.transport_errors import BODY, FOREIGN_IN_BODY, translated
from tollway_workers.providers.http.unpack import BadPacking, PackedTwice, Unpacking, packing
from tollway_workers.providers.large_answers import LARGEST_INLINE, make_room


class BodyTooLarge(httpx.DecodingError):
    """A response body passes the limit that its reader set; the rest was not read."""


class BodyNotTaken(httpx.DecodingError):
    """A response body in a form that is not read: another call would bring another such."""


class ResponseBody(httpx.AsyncByteStream):
    """The raw body of a response, as the server sent it."""

    def __init__(self, response: aiohttp.ClientResponse, request: httpx.Request) -> None:
        self._response = response
        self._request = request

    @property
    def encoded(self) -> bool:
        return "Content-Encoding" in self._response.headers

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            async for chunk in self._response.content.iter_any():
                yield chunk
        except FOREIGN_IN_BODY as error:
            raise translated(error, BODY, self._request) from None

    async def read(self, limit: int, on_piece: "OnPiece") -> bytes:
        """The whole body in as few steps as it came in."""
        content = self._response.content
        parts: list[bytes] = []
        size = 0
        try:
            while True:
                part = await content.readany()
                size += len(part)
                if size > limit:
                    raise too_large(limit, self._request)
                if size > LARGEST_INLINE:
                    await make_room(size)
                parts.append(part)
                if content.at_eof():
                    return parts[0] if len(parts) == 1 else b"".join(parts)
                on_piece(part)
        except FOREIGN_IN_BODY as error:
            raise translated(error, BODY, self._request) from None

    async def aclose(self) -> None:
        # A body that came to its end has given its connection back: then this does nothing.
        self._response.close()


#: What is told of every piece of a body, as it comes.
OnPiece = Callable[[bytes], None]


def _nobody(_: bytes) -> None:
    pass


async def read_body(response: httpx.Response, limit: int, on_piece: OnPiece = _nobody) -> bytes:
    """The body of a response of any transport, unpacked, at most `limit` bytes; then it is closed.

    Raises what `body_pieces` does. Cancellation closes the response.
    """
    stream = response.stream
    if isinstance(stream, ResponseBody) and not stream.encoded:
        try:
            body = await stream.read(limit, on_piece)
        except BaseException:
            await response.aclose()
            raise
        # The end of the body gave the connection back: nothing is left for `aclose` to do.
        response.is_closed = True
        return body
    parts: list[bytes] = []
    size = 0
    try:
        async for piece in body_pieces(response, limit):
            on_piece(piece)
            parts.append(piece)
            size += len(piece)
            if size > LARGEST_INLINE:
                await make_room(size)
    finally:
        await response.aclose()
    return b"".join(parts)


async def body_pieces(response: httpx.Response, limit: int) -> AsyncGenerator[bytes]:
    """The same in pieces as they come, unpacked. It closes nothing.

    Raises:
        BodyTooLarge: there are more than `limit` bytes, as they came or unpacked.
        BodyNotTaken: it is packed more than once, or in an unknown way.
        httpx.DecodingError: the body is not what `content-encoding` says.
        httpx.TransportError: the connection failed.
    """
    unpacking = _unpacking(response)
    received = unpacked = 0
    try:
        async for chunk in _async_stream(response):
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


def too_large(limit: int, request: httpx.Request | None = None) -> BodyTooLarge:
    """The error of a body that passes its limit."""
    return BodyTooLarge(f"the answer is larger than {limit:,} bytes", request=request)


def _unpacking(response: httpx.Response) -> Unpacking | None:
    try:
        coding = packing(response.headers.get_list("content-encoding"))
    except PackedTwice as error:
        raise BodyNotTaken(str(error)) from None
    return None if coding is None else Unpacking(coding)


def _async_stream(response: httpx.Response) -> httpx.AsyncByteStream:
    if not isinstance(response.stream, httpx.AsyncByteStream):
        raise TypeError("the response of an asynchronous transport needs an asynchronous stream")
    return response.stream
