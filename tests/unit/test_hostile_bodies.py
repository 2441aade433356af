"""What a provider may send for a body: it is read within bounds, or refused in one sentence."""

import asyncio
import contextlib
import gzip
import tracemalloc
import zlib
from collections.abc import Callable
from functools import cache
from threading import Barrier, Lock

import brotli
import httpx
import pytest
from aiohttp.client_proto import ResponseHandler
from backports import zstd
from httpx_seam import AsHttpx, read_body

from tollway_schemas.failure import FailureClass
from tollway_workers.providers.http.call_errors import connection_failed
from tollway_workers.providers.http.response_body import BodyNotTaken, BodyTooLarge
from tollway_workers.providers.http.transport import AiohttpTransport
from tollway_workers.providers.large_answers import LARGEST_ANSWER, read_aside

pytestmark = pytest.mark.both_loops


def packed(body: bytes) -> bytes:
    """Without the time of day: tests are named after it."""
    return gzip.compress(body, mtime=0)


@cache
def bomb(pack: Callable[[bytes], bytes]) -> bytes:
    return pack(b"\0" * 2**20 * 64)


def brotli_packed(body: bytes) -> bytes:
    return bytes(brotli.compress(body, quality=1))


#: A frame that wants 512 MiB of memory to be unpacked (RFC 8878, 3.1.1.1.2).
WIDE = b"\x28\xb5\x2f\xfd\x00" + bytes((19 << 3,)) + b"\x01\x00\x00"


class _Pieces(httpx.AsyncByteStream):
    def __init__(self, *pieces: bytes) -> None:
        self._pieces = pieces

    async def __aiter__(self):  # type: ignore[no-untyped-def]  # an iterator, as httpx has it
        for piece in self._pieces:
            yield piece


def _response(codings: tuple[str, ...], *pieces: bytes) -> httpx.Response:
    headers = [("content-encoding", coding) for coding in codings]
    return httpx.Response(200, headers=headers, stream=_Pieces(*pieces))


@pytest.mark.parametrize(
    ("coding", "body"),
    [
        ("gzip", packed(b"hello")),
        ("GZip", packed(b"hello")),
        ("identity, gzip", packed(b"hello")),
        ("x-gzip", packed(b"hel") + packed(b"lo")),
        ("deflate", zlib.compress(b"hello")),
        ("deflate", zlib.compress(b"hello")[2:-4]),
        ("br", brotli.compress(b"hello")),
        ("zstd", zstd.compress(b"hello")),
        ("ZSTD", zstd.compress(b"hel") + zstd.compress(b"lo")),
        ("identity", b"hello"),
        ("", b"hello"),
    ],
)
@pytest.mark.parametrize("size", [1, 3, 10_000])
async def test_a_body_that_is_packed_once_is_unpacked(coding: str, body: bytes, size: int) -> None:
    pieces = [body[start : start + size] for start in range(0, len(body), size)]

    assert await read_body(_response((coding,), *pieces), 100) == b"hello"


@pytest.mark.parametrize(
    "codings",
    [
        ("gzip, gzip",),
        ("gzip", "gzip"),
        ("gzip,deflate",),
        ("deflate, identity, gzip",),
        ("br, zstd",),
        ("compress",),
        ("snappy",),
        ("no such thing\x7f" * 99,),
    ],
)
async def test_a_body_that_is_packed_twice_is_not_unpacked(codings: tuple[str, ...]) -> None:
    twice = packed(bomb(packed))
    tracemalloc.start()
    try:
        with pytest.raises(BodyNotTaken) as raised:
            await read_body(_response(codings, twice), LARGEST_ANSWER)
        assert tracemalloc.get_traced_memory()[1] < 2**20
    finally:
        tracemalloc.stop()

    failure = connection_failed(raised.value).failure
    assert failure.failure_class is FailureClass.BAD_OUTPUT
    assert failure.message.startswith("the answer was not taken: the answer is packed ")
    assert len(failure.message) < 150


@pytest.mark.parametrize(
    ("coding", "pack", "times"),
    [
        ("gzip", packed, 1),
        ("gzip", packed, 3),
        ("deflate", zlib.compress, 1),
        ("br", brotli_packed, 1),
        ("zstd", zstd.compress, 1),
    ],
)
async def test_what_a_body_unpacks_to_is_bounded(
    coding: str, pack: Callable[[bytes], bytes], times: int
) -> None:
    body = bomb(pack) * times
    tracemalloc.start()
    try:
        with pytest.raises(BodyTooLarge) as raised:
            await read_body(_response((coding,), body), LARGEST_ANSWER)
        assert tracemalloc.get_traced_memory()[1] < 5 * LARGEST_ANSWER
    finally:
        tracemalloc.stop()

    assert connection_failed(raised.value).failure.failure_class is FailureClass.BAD_OUTPUT


@pytest.mark.parametrize(
    ("coding", "body", "why"),
    [
        ("gzip", b"plain", "the answer is not packed as gzip"),
        ("gzip", packed(b"hello" * 99)[:-9], "the packed answer was cut short"),
        ("gzip", packed(b"a") + b"rest", "something follows the packed answer"),
        ("deflate", zlib.compress(b"a") + b"rest", "something follows the packed answer"),
        ("deflate", b"plain", "the answer is not packed as deflate"),
        ("br", b"\xff" * 9, "the answer is not packed as br"),
        ("br", brotli.compress(b"hello" * 99)[:-2], "the packed answer was cut short"),
        ("zstd", b"plain", "the answer is not packed as zstd"),
        ("zstd", zstd.compress(b"hello" * 99)[:-2], "the packed answer was cut short"),
        ("zstd", zstd.compress(b"a") + b"rest", "something follows the packed answer"),
        ("zstd", WIDE, "the answer is not packed as zstd"),
        ("gzip", packed(b"") * 200_000, "the answer is packed in too many pieces"),
    ],
)
async def test_a_lie_about_packing_is_a_transient_failure(
    coding: str, body: bytes, why: str
) -> None:
    with pytest.raises(httpx.DecodingError) as raised:
        await read_body(_response((coding,), body), 2**27)

    failure = connection_failed(raised.value).failure
    assert failure.failure_class is FailureClass.TRANSIENT
    assert failure.message == f"the answer was not taken: {why}"


async def test_a_body_that_packs_nothing_at_all_ends_too() -> None:
    # Stored blocks of no bytes: a body may go on for ever without a byte of an answer.
    empty = b"\0\0\0\xff\xff" * 2_000
    head = b"\x1f\x8b\x08\0\0\0\0\0\0\3"

    with pytest.raises(BodyTooLarge):
        await read_body(_response(("gzip",), head, *[empty] * 500), 2**20)


async def _continue_for_ever(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
        await reader.readuntil(b"\r\n\r\n")
        while True:
            writer.write(b"HTTP/1.1 100 Continue\r\n\r\n" * 20_000)
            await writer.drain()
    writer.close()


async def test_a_server_that_never_comes_to_its_answer_is_left(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    parsed: list[int] = []
    parse = ResponseHandler.data_received

    def counted(connection: ResponseHandler, data: bytes) -> None:
        parsed.append(len(data))
        parse(connection, data)

    monkeypatch.setattr(ResponseHandler, "data_received", counted)
    server = await asyncio.start_server(_continue_for_ever, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    transport = AsHttpx(AiohttpTransport())
    request = httpx.Request("POST", f"http://127.0.0.1:{port}/", content=b"{}")

    async with asyncio.timeout(20):
        with pytest.raises(httpx.RemoteProtocolError):
            await transport.handle_async_request(request)

    await transport.aclose()
    server.close()
    # Each step holds up the loop, and 256 KiB at once for a second.
    assert max(parsed) <= 64 * 1024


async def test_large_answers_are_read_two_at_once() -> None:
    together = Barrier(2)
    reading, most, lock = 0, 0, Lock()

    def read(number: int) -> int:
        nonlocal reading, most
        with lock:
            reading += 1
            most = max(most, reading)
        together.wait(10)
        with lock:
            reading -= 1
        return number

    read_by_all = await asyncio.gather(*(read_aside(1, read, number) for number in range(20)))

    assert read_by_all == [*range(20)]
    assert most == 2
