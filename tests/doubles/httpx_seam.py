"""HTTP's seam and httpx's transports, each as the other: doubles and suites speak httpx."""

from collections.abc import AsyncIterator, Mapping
from typing import cast

import httpx
from multidict import CIMultiDict

from tollway_workers.providers.http import response_body
from tollway_workers.providers.http.response_body import too_large
from tollway_workers.providers.http.seam import HttpAnswer, HttpCall, OnPiece, Transport


class HttpxAnswer:
    """An `HttpAnswer` that is an httpx response."""

    def __init__(self, response: httpx.Response) -> None:
        self._response = response
        self.status = response.status_code
        raw = response.headers.raw
        self.headers: Mapping[str, str] = {
            name.lower().decode(errors="replace"): value.decode(errors="replace")
            for name, value in reversed(raw)
        }
        self.codings = response.headers.get_list("content-encoding")

    async def read(self, limit: int, on_piece: OnPiece) -> bytes:
        """See `HttpAnswer`."""
        body = b""
        async for piece in self.pieces():
            body += piece
            if len(body) > limit:
                raise too_large(limit)
            on_piece(piece)
        return body

    async def pieces(self) -> AsyncIterator[bytes]:
        """See `HttpAnswer`."""
        async for piece in cast(httpx.AsyncByteStream, self._response.stream):
            yield piece

    async def close(self) -> None:
        """See `HttpAnswer`."""
        await self._response.aclose()


class OverHttpx:
    """A `Transport` over one of httpx's, such as its `MockTransport`."""

    def __init__(self, transport: httpx.AsyncBaseTransport) -> None:
        self._transport = transport

    async def post(self, call: HttpCall) -> HttpAnswer:
        """See `Transport`."""
        headers, patience = [*call.headers.items()], {"connect": call.connect_timeout}
        request = httpx.Request(
            "POST",
            call.url,
            headers=headers,
            content=call.body,
            extensions={"timeout": patience},
        )
        return HttpxAnswer(await self._transport.handle_async_request(request))

    async def aclose(self) -> None:
        """See `Transport`."""
        await self._transport.aclose()


class _Body(httpx.AsyncByteStream):
    def __init__(self, answer: HttpAnswer) -> None:
        self.answer = answer

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for piece in self.answer.pieces():
            yield piece

    async def aclose(self) -> None:
        await self.answer.close()


def _yes() -> bool:
    return True


class AsHttpx(httpx.AsyncBaseTransport):
    """One of httpx's transports over ours: it posts whatever it is asked."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Of its `extensions` two count: `may_send`, and of `timeout` what bounds a connection."""
        framing = (b"content-length", b"transfer-encoding")
        sent = [
            (name.decode(), value.decode())
            for name, value in request.headers.raw
            if name.lower() not in framing
        ]
        call = HttpCall(
            url=str(request.url),
            headers=CIMultiDict(sent),
            body=await request.aread(),
            connect_timeout=request.extensions.get("timeout", {}).get("connect", 5.0),
            may_send=request.extensions.get("may_send", _yes),
        )
        answer = await self._transport.post(call)
        headers = [*answer.headers.items()]
        return httpx.Response(answer.status, headers=headers, stream=_Body(answer))

    async def aclose(self) -> None:
        """As ours."""
        await self._transport.aclose()


class _Read:
    """An answer of ours that closes the response which holds it."""

    def __init__(self, answer: HttpAnswer, response: httpx.Response) -> None:
        self.status, self.headers, self.codings = answer.status, answer.headers, answer.codings
        self.read, self.pieces, self.close = answer.read, answer.pieces, response.aclose


async def read_body(response: httpx.Response, limit: int) -> bytes:
    """What an httpx response holds, read as ours are."""
    stream = response.stream
    answer: HttpAnswer = HttpxAnswer(response)
    if isinstance(stream, _Body):
        answer = _Read(stream.answer, response)
    return await response_body.read_body(answer, limit)
