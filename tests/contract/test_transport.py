"""What httpx's own transport does, ours does: one suite over real sockets for both."""

import asyncio
import gzip
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Awaitable, Callable

import httpx
import pytest
import trustme
from httpx_seam import AsHttpx, read_body
from multidict import CIMultiDict

from tollway_workers.providers.http.response_body import BodyTooLarge
from tollway_workers.providers.http.seam import HttpCall
from tollway_workers.providers.http.transport import AiohttpTransport

Scene = Callable[[bytes, asyncio.StreamReader, asyncio.StreamWriter], Awaitable[bool]]

pytestmark = pytest.mark.both_loops

TIMEOUT = {"connect": 0.3, "read": 0.3, "write": 0.3, "pool": 0.3}


def _ours() -> httpx.AsyncBaseTransport:
    return AsHttpx(AiohttpTransport())


@pytest.fixture(params=[httpx.AsyncHTTPTransport, _ours], ids=["httpx", "ours"])
async def transport(request: pytest.FixtureRequest) -> AsyncIterator[httpx.AsyncBaseTransport]:
    made: httpx.AsyncBaseTransport = request.param()
    yield made
    await made.aclose()


@pytest.fixture
async def server() -> AsyncIterator[httpx.URL]:
    """Answers each path as its name says; a path may end the connection."""
    tasks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                body = await _request_body(reader, head)
                if not await _SCENES[head.split(b" ")[1]](head + body, reader, writer):
                    return
        except (asyncio.IncompleteReadError, asyncio.CancelledError, ConnectionError):
            return  # the client went away, as some tests want, or the test is over
        finally:
            writer.close()

    listener = await asyncio.start_server(serve, "127.0.0.1", 0)
    yield httpx.URL(f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}/")
    listener.close()
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def _request_body(reader: asyncio.StreamReader, head: bytes) -> bytes:
    lower = head.lower()
    if b"transfer-encoding: chunked" in lower:
        return await reader.readuntil(b"0\r\n\r\n")
    if b"content-length: " not in lower:
        return b""
    return await reader.readexactly(int(lower.split(b"content-length: ")[1].split(b"\r\n")[0]))


def _says(*parts: bytes, then_close: bool = False) -> Scene:
    async def scene(_: bytes, __: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        for part in parts:
            writer.write(part)
            await writer.drain()
        return not then_close

    return scene


def _stalls_after(*parts: bytes) -> Scene:
    async def scene(
        said: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> bool:
        await _says(*parts)(said, reader, writer)
        await reader.read(1)  # ends when the client goes away
        return False

    return scene


async def _echo(said: bytes, _: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
    writer.write(_with_length(said))
    await writer.drain()
    return True


async def _reset(_: bytes, __: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
    linger_zero = struct.pack("ii", 1, 0)
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger_zero)
    writer.transport.abort()
    return False


async def _reset_in_body(
    said: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> bool:
    await _says(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\nabc")(said, reader, writer)
    await asyncio.sleep(0.05)  # so that the client has read the headers before the reset
    return await _reset(said, reader, writer)


def _with_length(body: bytes, *headers: bytes, status: bytes = b"200 OK") -> bytes:
    lines = [b"HTTP/1.1 " + status, *headers, b"content-length: %d" % len(body), b"", body]
    return b"\r\n".join(lines)


_CHUNKED = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
_SCENES: dict[bytes, Scene] = {
    b"/ok": _says(_with_length(b"ok", b"x-a: 1", b"X-A: 2", b"set-cookie: a=b")),
    b"/latin-1": _says(_with_length(b"", b"X-Id: caf\xe9", b"x-id: 2", b"x-tea: th\xc3\xa9")),
    b"/echo": _echo,
    b"/gzip": _says(_with_length(gzip.compress(b"hello" * 100), b"content-encoding: gzip")),
    b"/not-gzip": _says(_with_length(b"plain", b"content-encoding: gzip")),
    b"/redirect": _says(_with_length(b"", b"location: /ok", status=b"307 Elsewhere")),
    b"/empty": _says(b"HTTP/1.1 204 No Content\r\n\r\n"),
    b"/long-header": _says(_with_length(b"ok", b"x-long: " + b"a" * 20_000)),
    b"/chunks": _says(_CHUNKED, b"3\r\nabc\r\n", b"2\r\nde\r\n", b"0\r\n\r\n"),
    b"/large": _says(_with_length(b"x" * 1_000_000)),
    b"/until-close": _says(b"HTTP/1.1 200 OK\r\n\r\nto the end", then_close=True),
    b"/drop": _says(then_close=True),
    b"/reset": _reset,
    b"/reset-in-body": _reset_in_body,
    b"/cut": _says(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\nabc", then_close=True),
    b"/cut-in-chunk": _says(_CHUNKED + b"9\r\nabc", then_close=True),
    b"/cut-between-chunks": _says(_CHUNKED + b"3\r\nabc\r\n", then_close=True),
    b"/bad-chunk": _says(_CHUNKED, b"zz\r\nsecret answer\r\n", then_close=True),
    b"/garbage": _says(b"SECRET ANSWER\r\n\r\n", then_close=True),
    b"/slow": _stalls_after(),
    b"/stall": _stalls_after(_CHUNKED + b"3\r\nabc\r\n"),
}


async def _post(
    transport: httpx.AsyncBaseTransport, url: httpx.URL, content: bytes | None = b"{}"
) -> tuple[httpx.Response, bytes]:
    request = httpx.Request("POST", url, content=content, extensions={"timeout": TIMEOUT})
    response = await transport.handle_async_request(request)
    return response, await read_body(response, 2_000_000)


async def test_an_answer_comes_with_status_headers_and_body(
    transport: httpx.AsyncBaseTransport, server: httpx.URL
) -> None:
    response, body = await _post(transport, server.join("/ok"))

    assert (response.status_code, body) == (200, b"ok")
    assert response.headers.get_list("x-a")[0] == "1"


async def test_a_header_is_text_that_can_be_written_whatever_its_bytes_are(
    server: httpx.URL,
) -> None:
    ours = AiohttpTransport()
    call = HttpCall(str(server.join("/latin-1")), CIMultiDict(), b"{}", 5.0, lambda: True)

    answer = await ours.post(call)
    await answer.close()
    await ours.aclose()

    assert answer.headers["x-id"] == "caf\N{REPLACEMENT CHARACTER}"
    assert answer.headers["x-tea"] == "th\u00e9"


async def test_the_request_on_the_wire_is_the_one_that_was_built(
    transport: httpx.AsyncBaseTransport, server: httpx.URL
) -> None:
    request = httpx.Request(
        "POST",
        server.join("/echo"),
        headers=[(b"authorization", b"Bearer k"), (b"X-Note", "caf\u00e9".encode())],
        content=b'{"a":1}',
    )

    head, _, body = (
        await read_body(await transport.handle_async_request(request), 9_999)
    ).partition(b"\r\n\r\n")

    assert body == b'{"a":1}'
    line, *headers = head.split(b"\r\n")
    assert line == b"POST /echo HTTP/1.1"
    assert {header.lower().split(b":")[0]: header.split(b": ")[1] for header in headers} == {
        b"host": server.netloc,
        b"authorization": b"Bearer k",
        b"x-note": "caf\u00e9".encode(),
        b"content-length": b"7",
    }


@pytest.mark.parametrize("given", [b"accept", b"Accept-Encoding", b"CONTENT-TYPE", b"user-agent"])
async def test_no_header_is_added_to_those_given(
    transport: httpx.AsyncBaseTransport, server: httpx.URL, given: bytes
) -> None:
    headers = [(given, b"a/b"), (b"X-Own", b"1")]
    request = httpx.Request("POST", server.join("/echo"), headers=headers, content=b"{}")

    said = await read_body(await transport.handle_async_request(request), 9_999)

    names = [line.split(b":")[0].lower() for line in said.split(b"\r\n\r\n")[0].splitlines()[1:]]
    assert sorted(names) == sorted([b"host", b"content-length", b"x-own", given.lower()])


async def test_a_post_without_a_body_says_that_it_has_none(
    transport: httpx.AsyncBaseTransport, server: httpx.URL
) -> None:
    _, said = await _post(transport, server.join("/echo"), None)

    assert b"content-length: 0" in said.lower()


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/gzip", b"hello" * 100),
        ("/chunks", b"abcde"),
        ("/large", b"x" * 1_000_000),
        ("/empty", b""),
        ("/until-close", b"to the end"),
        ("/long-header", b"ok"),
    ],
)
async def test_bodies_are_read_whole_and_alike_on_both_ways(
    transport: httpx.AsyncBaseTransport, server: httpx.URL, path: str, body: bytes
) -> None:
    async with httpx.AsyncClient(transport=transport) as client:
        through_client = await client.get(server.join(path))
        _, through_reader = await _post(transport, server.join(path))

    assert through_client.content == through_reader == body


async def test_redirects_are_not_followed_and_cookies_not_kept(
    transport: httpx.AsyncBaseTransport, server: httpx.URL
) -> None:
    response, _ = await _post(transport, server.join("/redirect"))
    await _post(transport, server.join("/ok"))
    _, said = await _post(transport, server.join("/echo"))

    assert (response.status_code, response.headers["location"]) == (307, "/ok")
    assert b"cookie" not in said.lower()


@pytest.mark.parametrize(
    ("path", "error"),
    [
        ("/drop", httpx.RemoteProtocolError),
        ("/reset", httpx.ReadError),
        ("/reset-in-body", (httpx.ReadError, httpx.RemoteProtocolError)),
        ("/cut", httpx.RemoteProtocolError),
        ("/cut-in-chunk", httpx.RemoteProtocolError),
        ("/cut-between-chunks", httpx.RemoteProtocolError),
        ("/bad-chunk", httpx.RemoteProtocolError),
        ("/garbage", httpx.RemoteProtocolError),
        ("/not-gzip", httpx.DecodingError),
    ],
)
async def test_each_way_to_fail_has_its_error_and_leaves_the_pool_usable(
    transport: httpx.AsyncBaseTransport,
    server: httpx.URL,
    path: str,
    error: type[httpx.RequestError] | tuple[type[httpx.RequestError], ...],
) -> None:
    with pytest.raises(error):
        await _post(transport, server.join(path))

    _, body = await _post(transport, server.join("/ok"))
    assert body == b"ok"


async def test_the_same_errors_come_while_a_body_is_streamed(
    transport: httpx.AsyncBaseTransport, server: httpx.URL
) -> None:
    request = httpx.Request("GET", server.join("/cut"), extensions={"timeout": TIMEOUT})
    response = await transport.handle_async_request(request)

    with pytest.raises(httpx.RemoteProtocolError):
        async for _ in response.aiter_bytes():
            pass
    await response.aclose()


async def test_a_refused_connection_is_a_connect_error(transport: httpx.AsyncBaseTransport) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]

    with pytest.raises(httpx.ConnectError):
        await _post(transport, httpx.URL(f"http://127.0.0.1:{port}/"))


async def test_an_unknown_name_is_a_connect_error(
    transport: httpx.AsyncBaseTransport, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def unknown(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", unknown)

    with pytest.raises(httpx.ConnectError):
        await _post(transport, httpx.URL("http://nowhere.invalid/"))


async def test_a_name_that_is_not_found_in_time_is_a_connect_timeout(
    transport: httpx.AsyncBaseTransport, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def hang(*_: object, **__: object) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", hang)

    with pytest.raises(httpx.ConnectTimeout):
        await _post(transport, httpx.URL("http://nowhere.invalid/"))


async def test_a_handshake_that_hangs_is_a_connect_timeout(
    transport: httpx.AsyncBaseTransport,
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent, pytest.raises(httpx.ConnectTimeout):
        await _post(transport, httpx.URL(f"https://127.0.0.1:{silent.getsockname()[1]}/"))


async def test_a_certificate_of_no_known_authority_is_a_connect_error(
    transport: httpx.AsyncBaseTransport,
) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("localhost").configure_cert(context)
    listener = await asyncio.start_server(lambda _, __: None, "127.0.0.1", 0, ssl=context)
    port = listener.sockets[0].getsockname()[1]

    with pytest.raises(httpx.ConnectError, match="certificate verify failed"):
        await _post(transport, httpx.URL(f"https://127.0.0.1:{port}/"))
    listener.close()


@pytest.mark.parametrize("value", [b"two\r\nlines", b"a key with its newline\n"])
async def test_a_header_that_cannot_be_sent_is_a_local_error(
    transport: httpx.AsyncBaseTransport, server: httpx.URL, value: bytes
) -> None:
    request = httpx.Request("POST", server.join("/ok"), headers=[(b"authorization", value)])

    with pytest.raises(httpx.LocalProtocolError):
        await transport.handle_async_request(request)


async def test_a_cancelled_call_leaves_the_pool_usable(
    transport: httpx.AsyncBaseTransport, server: httpx.URL
) -> None:
    for path in ("/slow", "/stall"):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await _post(transport, server.join(path))

    answers = await asyncio.gather(*[_post(transport, server.join("/ok")) for _ in range(20)])
    assert [body for _, body in answers] == [b"ok"] * 20


@pytest.mark.parametrize("path", ["/large", "/gzip"])
async def test_a_body_beyond_its_limit_is_refused_and_its_connection_closed(
    transport: httpx.AsyncBaseTransport, server: httpx.URL, path: str
) -> None:
    response = await transport.handle_async_request(httpx.Request("GET", server.join(path)))

    with pytest.raises(BodyTooLarge, match="larger than 100 bytes"):
        await read_body(response, 100)

    assert response.is_closed


async def test_an_answer_that_comes_before_the_request_is_sent_takes_its_connection_with_it() -> (
    None
):
    came: list[asyncio.StreamWriter] = []

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        came.append(writer)
        await reader.readuntil(b"\r\n\r\n")
        writer.write(_with_length(b"too large", status=b"413 Too Large"))

    listener = await asyncio.start_server(refuse, "127.0.0.1", 0)
    url = httpx.URL(f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}/")
    ours = _ours()

    answers = [await _post(ours, url, b"x" * 16_000_000) for _ in range(2)]

    assert [(answer.status_code, body) for answer, body in answers] == [(413, b"too large")] * 2
    assert len(came) == 2
    await ours.aclose()
    listener.close()
    for writer in came:
        writer.close()


async def test_the_rest_of_a_request_is_not_sent_once_its_call_was_given_up() -> None:
    given_up, received = asyncio.Event(), asyncio.get_running_loop().create_future()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await given_up.wait()
        size = 0
        try:
            while piece := await reader.read(1_000_000):
                size += len(piece)
        except ConnectionError:
            pass  # it was reset
        received.set_result(size)
        writer.close()

    listener = await asyncio.start_server(serve, "127.0.0.1", 0)
    url = httpx.URL(f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}/")
    ours = _ours()

    with pytest.raises(TimeoutError):
        await asyncio.wait_for(_post(ours, url, b"x" * 32_000_000), 0.2)
    given_up.set()

    assert await asyncio.wait_for(received, 5) < 32_000_000
    await ours.aclose()
    listener.close()


@pytest.mark.parametrize("pause", [0.0, 0.05])
@pytest.mark.parametrize(
    "late",
    [
        _with_length(b"another's"),
        b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n",
        b"HTTP/1.1 103 Early Hints\r\n\r\n" + _with_length(b"another's"),
    ],
    ids=["200", "101", "103 and 200"],
)
async def test_an_answer_that_no_call_has_asked_for_is_given_to_none(
    late: bytes, pause: float
) -> None:
    ours, asked = _ours(), []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                asked.append(await reader.readuntil(b"{}"))
                writer.write(_with_length(b"%d" % len(asked)))
                await asyncio.sleep(pause)
                writer.write(late)
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    listener = await asyncio.start_server(serve, "127.0.0.1", 0)
    url = httpx.URL(f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}/")

    bodies = []
    for _ in range(3):
        bodies.append((await _post(ours, url))[1])
        await asyncio.sleep(0.1)

    assert bodies == [b"1", b"2", b"3"]
    await ours.aclose()
    listener.close()


async def test_an_error_tells_no_secret(server: httpx.URL) -> None:
    ours = _ours()
    for path in ("/garbage", "/bad-chunk", "/drop"):
        url = server.join(path)
        _SCENES.setdefault(f"{path}?key=SECRET".encode(), _SCENES[path.encode()])

        with pytest.raises(httpx.TransportError) as caught:
            await _post(ours, url.copy_with(params={"key": "SECRET"}))

        assert "secret" not in str(caught.value).lower()
        assert caught.value.__suppress_context__
    await ours.aclose()
