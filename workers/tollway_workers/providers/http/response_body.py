"""Response bodies: read as they came in, bounded, and unpacked only where they are packed."""

from collections.abc import AsyncIterator

import aiohttp
import httpx

from tollway_workers.providers.http.transport_errors import BODY, FOREIGN_IN_BODY, translated
from tollway_workers.providers.http.unpack import BadPacking, PackedTwice, Unpacking, packing


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
        BodyNotTaken: it is packed more than once, or in an unknown way.
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
        return await _read_packed(response, limit)
    finally:
        await response.aclose()


async def _read_packed(response: httpx.Response, limit: int) -> bytes:
    unpacking = _unpacking(response)
    body = bytearray()
    received = 0
    try:
        async for chunk in _async_stream(response):
            received += len(chunk)
            body += chunk if unpacking is None else unpacking.feed(chunk, limit + 1 - len(body))
            if max(received, len(body)) > limit:
                break
        else:
            if unpacking is not None:
                unpacking.end()
    except BadPacking as error:
        raise httpx.DecodingError(str(error)) from None
    return _within(limit, bytes(body), max(received, len(body)))


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


def _within(limit: int, body: bytes, size: int, request: httpx.Request | None = None) -> bytes:
    if size > limit:
        raise BodyTooLarge(f"the answer is larger than {limit:,} bytes", request=request)
    return body
