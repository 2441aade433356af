"""One of httpx's transports in place of a provider's server."""

from collections.abc import AsyncIterator

import httpx
import pytest
from multidict import CIMultiDict

from tollway_workers.errors import CallNotSent
from tollway_workers.providers.http.response_body import BodyTooLarge, read_body
from tollway_workers.providers.http.seam import HttpCall
from tollway_workers.testing import OverHttpx

CALL = HttpCall("https://api.example/v1", CIMultiDict({"X-A": "1"}), b"{}", 5.0, lambda: True)


class _Body(httpx.AsyncByteStream):
    """A body of httpx's pool, which holds its connection until it is closed."""

    closed = False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield b"fine"

    async def aclose(self) -> None:
        self.closed = True


async def test_the_call_comes_to_it_as_one_of_httpx_s_requests() -> None:
    asked: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        return httpx.Response(200, headers=[("X-B", "1"), ("x-b", "2")], content=b"fine")

    came = await OverHttpx(httpx.MockTransport(answer)).post(CALL)

    (request,) = asked
    assert (request.method, str(request.url), request.content) == ("POST", CALL.url, b"{}")
    assert request.headers["x-a"] == "1"
    assert (came.status, came.headers["x-b"]) == (200, "1")
    assert await came.read(4, lambda _: None) == b"fine"


async def test_a_body_beyond_its_limit_is_refused() -> None:
    server = OverHttpx(httpx.MockTransport(lambda _: httpx.Response(200, content=b"fine")))

    with pytest.raises(BodyTooLarge):
        await (await server.post(CALL)).read(3, lambda _: None)


async def test_a_body_that_came_to_its_end_gives_its_connection_back() -> None:
    body = _Body()
    server = OverHttpx(httpx.MockTransport(lambda _: httpx.Response(200, stream=body)))

    assert await read_body(await server.post(CALL), 4) == b"fine"

    assert body.closed


async def test_a_call_that_may_not_be_sent_is_not() -> None:
    server = OverHttpx(httpx.MockTransport(lambda _: pytest.fail("it was sent")))

    with pytest.raises(CallNotSent):
        await server.post(CALL._replace(may_send=lambda: False))
