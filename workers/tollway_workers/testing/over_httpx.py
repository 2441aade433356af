"""httpx's transports in place of a provider's server: tests plug in what they know."""

from collections.abc import AsyncIterator, Mapping
from typing import cast

import httpx

from tollway_workers.errors import CallNotSent
from tollway_workers.providers.http.response_body import too_large
from tollway_workers.providers.http.seam import HttpAnswer, HttpCall, OnPiece
from tollway_workers.providers.large_answers import LARGEST_INLINE, make_room


class HttpxAnswer:
    """An `HttpAnswer` that is an httpx response."""

    def __init__(self, response: httpx.Response) -> None:
        self._response = response
        self.status = response.status_code
        self.headers: Mapping[str, str] = {
            name.lower().decode(errors="replace"): value.decode(errors="replace")
            for name, value in reversed(response.headers.raw)
        }
        self.codings = response.headers.get_list("content-encoding")

    async def read(self, limit: int, on_piece: OnPiece) -> bytes:
        """See `HttpAnswer`."""
        body = b""
        async for piece in self.pieces():
            body += piece
            if len(body) > limit:
                raise too_large(limit)
            if len(body) > LARGEST_INLINE:
                await make_room(len(body))
            on_piece(piece)
        return body

    async def pieces(self) -> AsyncIterator[bytes]:
        """See `HttpAnswer`."""
        async for piece in cast(httpx.AsyncByteStream, self._response.stream):
            yield piece
        # The end of a body alone gives no connection of httpx's back.
        await self.close()

    async def close(self) -> None:
        """See `HttpAnswer`."""
        await self._response.aclose()


class OverHttpx:
    """A `Transport` over one of httpx's, such as `httpx.MockTransport`.

    HttpProvider(..., transport=OverHttpx(httpx.MockTransport(answer)))
    """

    def __init__(self, transport: httpx.AsyncBaseTransport) -> None:
        self._transport = transport

    async def post(self, call: HttpCall) -> HttpAnswer:
        """See `Transport`."""
        if not call.may_send():
            raise CallNotSent
        request = httpx.Request(
            "POST",
            call.url,
            headers=[*call.headers.items()],
            content=call.body,
            extensions={"timeout": {"connect": call.connect_timeout}},
        )
        return HttpxAnswer(await self._transport.handle_async_request(request))

    async def aclose(self) -> None:
        """See `Transport`."""
        await self._transport.aclose()
