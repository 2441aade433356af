"""Over TLS, and with bodies that do not fit a socket's buffer: what failed before a byte of the
request was sent is a connect error, on either event loop; nothing else is."""

import asyncio
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
import trustme
from httpx_seam import AsHttpx, read_body

from tollway_workers.providers.http.transport import AiohttpTransport
from tollway_workers.providers.http.transport_options import TransportOptions

pytestmark = pytest.mark.both_loops

Scene = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

TIMEOUT = {"connect": 5.0, "read": 5.0, "write": 5.0, "pool": 5.0}
#: More than the kernel takes for a server that does not read.
LARGE = 8 * 2**20


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(params=["httpx", "ours"])
async def transport(
    request: pytest.FixtureRequest, authority: trustme.CA, tmp_path: Path
) -> AsyncIterator[httpx.AsyncBaseTransport]:
    file = str(tmp_path / "ca.pem")
    authority.cert_pem.write_to_path(file)
    made: httpx.AsyncBaseTransport
    if request.param == "ours":
        made = AsHttpx(AiohttpTransport(TransportOptions(ca_file=file)))
    else:
        made = httpx.AsyncHTTPTransport(verify=ssl.create_default_context(cafile=file))
    yield made
    await made.aclose()


def _certificate(authority: trustme.CA, name: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(name).configure_cert(context)
    return context


def _reset(writer: asyncio.StreamWriter) -> None:
    linger_zero = struct.pack("ii", 1, 0)
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger_zero)
    writer.transport.abort()


async def _closes(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.close()


async def _closes_at_a_hello(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(10)
    writer.close()


async def _resets_at_a_hello(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(10)
    _reset(writer)


async def _speaks_no_tls(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(10)
    writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
    writer.close()


async def _drops(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.close()


async def _resets(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    _reset(writer)


async def _cuts(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\nabc")
    writer.close()


async def _answers(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
    writer.close()


@dataclass(frozen=True, slots=True)
class Server:
    """Plays a scene to whoever connects; without a certificate it speaks no TLS."""

    scene: Scene
    context: ssl.SSLContext | None = None

    async def answers(
        self, transport: httpx.AsyncBaseTransport, host: str, body: bytes = b"{}"
    ) -> bytes:
        """What it says to a POST of `body`."""
        listener = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self.context)
        url = f"{host}:{listener.sockets[0].getsockname()[1]}/"
        request = httpx.Request("POST", url, content=body, extensions={"timeout": TIMEOUT})
        try:
            return await read_body(await transport.handle_async_request(request), 9_999)
        finally:
            listener.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            await self.scene(reader, writer)


async def test_an_answer_over_tls_is_read(
    transport: httpx.AsyncBaseTransport, authority: trustme.CA
) -> None:
    server = Server(_answers, _certificate(authority, "127.0.0.1"))

    assert await server.answers(transport, "https://127.0.0.1") == b"ok"


@pytest.mark.parametrize("scene", [_closes, _closes_at_a_hello, _resets_at_a_hello, _speaks_no_tls])
async def test_a_handshake_that_does_not_end_is_a_connect_error_that_says_why(
    transport: httpx.AsyncBaseTransport, scene: Scene
) -> None:
    with pytest.raises(httpx.ConnectError) as raised:
        await Server(scene).answers(transport, "https://127.0.0.1")

    if isinstance(transport, AsHttpx):
        said, _, why = str(raised.value).rpartition("cannot connect: ")
        assert said == "127.0.0.1: "
        assert why


async def test_a_certificate_for_another_name_is_a_connect_error(
    transport: httpx.AsyncBaseTransport, authority: trustme.CA
) -> None:
    server = Server(_drops, _certificate(authority, "elsewhere.example"))

    with pytest.raises(httpx.ConnectError, match="certificate verify failed"):
        await server.answers(transport, "https://127.0.0.1")


@pytest.mark.filterwarnings("ignore:Sending a large body:ResourceWarning")
@pytest.mark.parametrize("scene", [_drops, _resets, _cuts])
@pytest.mark.parametrize(
    ("scheme", "size"), [("https", 2), ("https", LARGE), ("http", LARGE)], ids=str
)
async def test_what_fails_once_the_request_is_on_its_way_may_be_billed(
    transport: httpx.AsyncBaseTransport, authority: trustme.CA, scene: Scene, scheme: str, size: int
) -> None:
    server = Server(scene, _certificate(authority, "127.0.0.1") if scheme == "https" else None)

    with pytest.raises((httpx.ReadError, httpx.WriteError, httpx.RemoteProtocolError)):
        await server.answers(transport, f"{scheme}://127.0.0.1", b"x" * size)
