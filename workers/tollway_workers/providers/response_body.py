"""Response bodies: read as they came in, bounded, and unpacked only where they are packed."""

from collections.abc import AsyncIterator

import aiohttp
import httpx

from tollway_workers.providers.transport_errors import BODY, FOREIGN_IN_BODY, translated

#: A compressed body is unpacked in pieces of this many bytes, so that the limit holds early:
#: deflate makes at most a thousand bytes of one.
_COMPRESSED_PIECE = 4_096


class BodyTooLarge(httpx.DecodingError):
    """A response body passes the limit that its reader set; the rest was not read."""


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

    async def read(self, limit: int) -> bytes:
        """The whole body in as few steps as it came in."""
        content = self._response.content
        try:
            body = await content.readany()
            if content.at_eof():
                return _within(limit, body, len(body), self._request)
            parts, size = [body], len(body)
            while size <= limit and not content.at_eof():
                body = await content.readany()
                parts.append(body)
                size += len(body)
        except FOREIGN_IN_BODY as error:
            raise translated(error, BODY, self._request) from None
        return _within(limit, b"".join(parts), size, self._request)

    async def aclose(self) -> None:
        # A body that came to its end has given its connection back: then this does nothing.
        self._response.close()


async def read_body(response: httpx.Response, limit: int) -> bytes:
    """The body of a response of any transport, unpacked, at most `limit` bytes; then it is closed.

    Raises:
        BodyTooLarge: there is more; the connection is closed, the rest not read.
        httpx.DecodingError: the body is not what `content-encoding` says.
        httpx.TransportError: the connection failed.

    Cancellation closes the response.
    """
    stream = response.stream
    if isinstance(stream, ResponseBody) and not stream.encoded:
        try:
            body = await stream.read(limit)
        except BaseException:
            await response.aclose()
            raise
        # The end of the body gave the connection back: nothing is left for `aclose` to do.
        response.is_closed = True
        return body
    try:
        parts: list[bytes] = []
        size = 0
        async for chunk in _unpacked(response):
            parts.append(chunk)
            size += len(chunk)
            if size > limit:
                break
        return _within(limit, b"".join(parts), size)
    finally:
        await response.aclose()


def _unpacked(response: httpx.Response) -> AsyncIterator[bytes]:
    if "content-encoding" not in response.headers:
        return aiter(_async_stream(response))
    return httpx.Response(
        response.status_code, headers=response.headers, content=_pieces(response)
    ).aiter_bytes()


async def _pieces(response: httpx.Response) -> AsyncIterator[bytes]:
    async for chunk in _async_stream(response):
        for start in range(0, len(chunk), _COMPRESSED_PIECE):
            yield chunk[start : start + _COMPRESSED_PIECE]


def _async_stream(response: httpx.Response) -> httpx.AsyncByteStream:
    if not isinstance(response.stream, httpx.AsyncByteStream):
        raise TypeError("the response of an asynchronous transport needs an asynchronous stream")
    return response.stream


def _within(limit: int, body: bytes, size: int, request: httpx.Request | None = None) -> bytes:
    if size > limit:
        raise BodyTooLarge(f"the answer is larger than {limit:,} bytes", request=request)
    return body
