"""TLS, proxies and keys: what a transport is told, and what it refuses."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
import trustme
from httpx_seam import AsHttpx, read_body

from tollway_workers.errors import ConfigError
from tollway_workers.providers.http.transport import (
    AiohttpTransport,
    TransportOptions,
    check_plain_http,
)
from tollway_workers.providers.http.transport_options import probed_socket

ANSWER = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"


class Listener:
    """A server that keeps the heads it was sent, and says the same to each."""

    def __init__(self) -> None:
        self.answer = ANSWER
        self.heads: list[bytes] = []
        self._server: asyncio.Server | None = None
        self._calls: set[asyncio.Task[None]] = set()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._calls.add(task)
        try:
            while True:
                self.heads.append(await reader.readuntil(b"\r\n\r\n"))
                writer.write(self.answer)
        except (asyncio.IncompleteReadError, asyncio.CancelledError, ConnectionError):
            writer.transport.abort()  # the client went away, or the test is over

    async def start(self, context: ssl.SSLContext | None = None) -> int:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=context)
        return int(self._server.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
        for call in self._calls:
            call.cancel()
        await asyncio.gather(*self._calls, return_exceptions=True)


@pytest.fixture
async def listener() -> AsyncIterator[Listener]:
    made = Listener()
    yield made
    await made.stop()


async def _get(options: TransportOptions, url: str) -> bytes:
    transport = AsHttpx(AiohttpTransport(options))
    try:
        response = await transport.handle_async_request(httpx.Request("GET", url))
        return await read_body(response, 100)
    finally:
        await transport.aclose()


async def test_a_ca_file_adds_an_authority(listener: Listener, tmp_path: Path) -> None:
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    port = await listener.start(context)

    body = await _get(
        TransportOptions(ca_file=str(tmp_path / "ca.pem")), f"https://127.0.0.1:{port}/"
    )

    assert body == b"ok"


def test_a_ca_file_that_cannot_be_used_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "not.pem").write_text("nothing")

    for name in ("missing.pem", "not.pem"):
        with pytest.raises(ConfigError, match=f"the CA file .*{name} cannot be used"):
            AiohttpTransport(TransportOptions(ca_file=str(tmp_path / name)))


async def test_a_proxy_gets_the_call_and_its_own_credentials(listener: Listener) -> None:
    port = await listener.start()
    proxy = f"http://user:pass@127.0.0.1:{port}"

    body = await _get(TransportOptions(proxy=proxy), "http://api.invalid/v1")

    assert body == b"ok"
    assert listener.heads[0].startswith(b"POST http://api.invalid/v1 HTTP/1.1\r\n")
    assert b"Proxy-Authorization: Basic dXNlcjpwYXNz\r\n" in listener.heads[0]


async def test_the_environments_proxy_counts_unless_it_is_not_trusted(
    listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = await listener.start()
    monkeypatch.setenv("http_proxy", f"127.0.0.1:{port}")
    monkeypatch.setenv("no_proxy", "direct.invalid")

    assert await _get(TransportOptions(), "http://api.invalid/") == b"ok"
    transport = AiohttpTransport()
    assert transport._proxy_for(httpx.URL("http://direct.invalid/")) is None
    trusting_none = AiohttpTransport(TransportOptions(trust_env=False))
    assert trusting_none._proxy_for(httpx.URL("http://api.invalid/")) is None


async def test_calls_to_this_machine_take_no_proxy(listener: Listener) -> None:
    port = await listener.start()
    nowhere = TransportOptions(proxy="http://127.0.0.1:1")

    assert await _get(nowhere, f"http://127.0.0.1:{port}/") == b"ok"


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_a_proxy_that_does_not_answer_is_a_proxy_error(scheme: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]

    with pytest.raises(httpx.ProxyError):
        await _get(TransportOptions(proxy=f"http://127.0.0.1:{port}"), f"{scheme}://api.invalid/")


async def test_a_proxy_that_refuses_the_tunnel_is_a_proxy_error(listener: Listener) -> None:
    listener.answer = b"HTTP/1.1 407 Who are you\r\ncontent-length: 0\r\n\r\n"
    port = await listener.start()

    with pytest.raises(httpx.ProxyError):
        await _get(TransportOptions(proxy=f"http://127.0.0.1:{port}"), "https://api.invalid/")


async def test_a_proxy_that_is_none_is_refused_without_quoting_its_password(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for proxy in ("socks5://me:secret@host:1", "secret", "http://", "http://me:secret@host:port"):
        with pytest.raises(ConfigError, match="the proxy's address cannot be used") as caught:
            AiohttpTransport(TransportOptions(proxy=proxy))
        assert "secret" not in str(caught.value)

    monkeypatch.setenv("http_proxy", "socks5://me:secret@host:1")
    with pytest.raises(httpx.UnsupportedProtocol, match="the environment's proxy is no http proxy"):
        await _get(TransportOptions(), "http://api.invalid/")


async def test_credentials_in_an_address_are_not_sent(listener: Listener) -> None:
    port = await listener.start()

    await _get(TransportOptions(), f"http://me:secret@127.0.0.1:{port}/")

    assert b"authorization" not in listener.heads[0].lower()


async def test_closing_twice_is_fine_and_a_later_call_is_refused(listener: Listener) -> None:
    url = f"http://127.0.0.1:{await listener.start()}/"
    transport = AsHttpx(AiohttpTransport())
    await read_body(await transport.handle_async_request(httpx.Request("GET", url)), 100)

    await transport.aclose()
    await transport.aclose()

    with pytest.raises(RuntimeError, match="closed"):
        await transport.handle_async_request(httpx.Request("GET", url))


def test_the_kernel_watches_idle_connections() -> None:
    with probed_socket((socket.AF_INET, socket.SOCK_STREAM, 0, "", ("127.0.0.1", 1))) as made:
        assert made.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) != 0


@pytest.mark.parametrize(
    "address", ["http://localhost:1/v1", "http://127.9.9.9/", "http://[::1]:8000/", "https://a.b/"]
)
def test_a_key_may_go_over_tls_or_to_this_machine(address: str) -> None:
    check_plain_http(httpx.URL(address), has_key=True)


@pytest.mark.parametrize(
    "address", ["http://a.b/v1", "http://localhost.a.b/", "http://10.0.0.1/", "http://0.0.0.0/"]
)
def test_a_key_never_goes_over_plain_http_to_another_machine(address: str) -> None:
    with pytest.raises(ConfigError, match="a key would travel unencrypted"):
        check_plain_http(httpx.URL(address), has_key=True)
    check_plain_http(httpx.URL(address), has_key=False)


async def test_bodies_of_other_transports_are_read_and_bounded_too() -> None:
    async def parts() -> AsyncIterator[bytes]:
        yield b"ab"
        yield b"cd"

    mock = httpx.MockTransport(lambda request: httpx.Response(200, content=parts()))
    request = httpx.Request("GET", "http://a.b/")

    assert await read_body(await mock.handle_async_request(request), 4) == b"abcd"
    with pytest.raises(httpx.DecodingError):
        await read_body(await mock.handle_async_request(request), 3)
