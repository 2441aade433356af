"""Requests and responses that are httpx's own, but for when their headers are made."""

from types import SimpleNamespace
from typing import Any

import httpx

from tollway_workers.providers.http.lean_http import (
    Endpoint,
    LeanResponse,
    PostRequest,
    header_values,
)

_URL = httpx.URL("https://a.b:8443/v1?x=1")
_TIMEOUT = {"connect": 1.0, "read": 2.0}


def _post() -> PostRequest:
    return PostRequest(Endpoint(_URL, [(b"X-A", b"1")]), [(b"X-B", b"2")], b"{}", _TIMEOUT)


def _received() -> Any:
    raw = ((b"X-A", b"1"), (b"x-a", b"2"), (b"Date", b"now"))
    return SimpleNamespace(status=201, raw_headers=raw, headers={"x-a": "1"})


def test_a_post_is_the_one_that_httpx_builds() -> None:
    usual = httpx.Request(
        "POST",
        _URL,
        headers={"X-A": "1", "X-B": "2"},
        content=b"{}",
        extensions={"timeout": _TIMEOUT},
    )

    post = _post()

    assert sorted(post.headers.raw) == sorted(usual.headers.raw)
    assert (post.method, post.url, post.content) == (usual.method, usual.url, usual.content)
    assert post.extensions == usual.extensions
    assert post.read() == usual.read()


async def test_a_transport_of_any_kind_takes_a_post() -> None:
    def echo(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, content=request.content, headers={"X-B": request.headers["x-b"]})

    response = await httpx.MockTransport(echo).handle_async_request(_post())

    assert (response.content, header_values(response)["x-b"]) == (b"{}", "2")


def test_what_httpx_knows_of_a_message_ours_know_too() -> None:
    usual_request = httpx.Request("POST", _URL, content=b"{}")
    usual = httpx.Response(201, headers={}, stream=httpx.ByteStream(b""), request=usual_request)
    response = LeanResponse(_received(), httpx.ByteStream(b""), usual_request, {})

    assert [name for name in vars(usual_request) if not hasattr(_post(), name)] == []
    assert [name for name in vars(usual) if not hasattr(response, name)] == []
    changing = ("stream", "headers", "extensions", "status_code", "_request")
    same = [name for name in vars(usual) if name not in changing]
    assert {n: getattr(response, n) for n in same} == {n: getattr(usual, n) for n in same}


async def test_a_response_is_read_as_httpx_reads_it() -> None:
    response = LeanResponse(_received(), httpx.ByteStream(b"body"), _post(), {})

    assert await response.aread() == b"body"
    assert (response.status_code, response.headers.get_list("x-a")) == (201, ["1", "2"])
    assert header_values(response) == {"x-a": "1"}
