"""HTTP's seam as one of httpx's transports: one suite holds ours to what httpx's own does."""

from collections.abc import AsyncIterator

import httpx
from multidict import CIMultiDict

from tollway_workers.providers.http import response_body
from tollway_workers.providers.http.seam import HttpAnswer, HttpCall, Transport
from tollway_workers.testing.over_httpx import HttpxAnswer


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
