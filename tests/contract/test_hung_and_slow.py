"""Servers that hang, crawl or never end: a call ends at its own bound, and the next one works."""

import asyncio
import gzip
import tracemalloc
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Literal

import pytest
from samples import lane

from tollway_schemas.failure import FailureClass
from tollway_schemas.request import ChatRequest, Message
from tollway_workers.config.shape.fleet import LaneConfig
from tollway_workers.config.shape.provider import ProviderSettings
from tollway_workers.errors import ProviderError
from tollway_workers.local.simulator import Fault, FaultKind, Simulator, SimulatorOptions
from tollway_workers.providers.base import Completion, Provider, ProviderCall
from tollway_workers.providers.registry import ProviderRegistry

REQUEST = ChatRequest(messages=(Message(role="user", content="hi"),))
#: Seconds: far below the call's own, so that what ended a call is not in doubt.
_FIRST, _IDLE, _TOTAL = 0.6, 0.4, 20.0
_LANE = lane(
    provider_name="p", model="m", stream="always", first_token_timeout=_FIRST, idle_timeout=_IDLE
)

Class = FailureClass
Stream = Literal["always", "never"]


@dataclass
class Ended:
    """How a call ended, what the model had said by then, and whether its first token was told."""

    failure_class: FailureClass | None
    message: str
    said: str
    had_token: bool


async def _call(provider: Provider, number: int, within: float = _TOTAL) -> Ended:
    tokens: list[None] = []
    call = ProviderCall(
        body=provider.build(REQUEST, None),
        call_id=f"job/1/{number}",
        timeout=within,
        stream=provider.streams(REQUEST),
    )
    call.received.on_first_token = lambda: tokens.append(None)
    try:
        await provider.complete(call)
    except ProviderError as error:
        failure = error.failure
        said = call.received.text()
        return Ended(failure.failure_class, failure.message, said, bool(tokens))
    return Ended(None, "", call.received.text(), bool(tokens))


# --------------------------------------------------------------------- the simulator, by script


@asynccontextmanager
async def _simulated(fault: Fault, config: LaneConfig) -> AsyncIterator[tuple[Provider, Simulator]]:
    """A provider whose first call meets a fault."""
    async with Simulator(SimulatorOptions(faults=(fault,))) as simulator:
        registry = ProviderRegistry({"p": ProviderSettings(base_url=simulator.base_url)})
        provider = registry.open(config)
        try:
            yield provider, simulator
        finally:
            await provider.aclose()


@pytest.mark.parametrize(
    ("kind", "stream", "ends", "had_token"),
    [
        (FaultKind.HANG, "always", Class.TIMEOUT_FIRST_TOKEN, False),
        (FaultKind.STALL, "always", Class.TIMEOUT_IDLE, True),
        (FaultKind.DRIP, "always", Class.TIMEOUT_FIRST_TOKEN, False),
        # Of an answer in one piece nothing is heard before it is there.
        (FaultKind.HANG, "never", Class.TIMEOUT_TOTAL, False),
        (FaultKind.STALL, "never", Class.TIMEOUT_IDLE, True),
        (FaultKind.DRIP, "never", Class.TIMEOUT_IDLE, True),
    ],
)
async def test_a_call_that_hangs_ends_with_the_timeout_of_what_it_lacks(
    kind: FaultKind, stream: Stream, ends: FailureClass, had_token: bool
) -> None:
    fault = Fault(kind=kind, first_attempts=1)

    async with _simulated(fault, replace(_LANE, stream=stream)) as (provider, simulator):
        ended = await _call(provider, 1, within=1.5)
        after = await _call(provider, 2)
        calls = [(call.ending, call.stream) for call in simulator.calls]

    assert (ended.failure_class, ended.had_token) == (ends, had_token)
    assert bool(ended.said) == (kind is FaultKind.STALL and stream == "always")
    assert after.failure_class is None
    assert calls == [(kind.value, stream == "always"), ("ok", stream == "always")]


async def test_a_byte_now_and_then_is_no_token() -> None:
    # Faster than a token is due, and far slower than tokens are.
    fault = Fault(kind=FaultKind.DRIP, bytes_per_second=20, first_attempts=1)

    async with _simulated(fault, _LANE) as (provider, _):
        ended = await _call(provider, 1)

    assert ended.failure_class is Class.TIMEOUT_FIRST_TOKEN
    assert ended.message == f"no first token within {_FIRST} s"


async def test_an_answer_in_one_piece_that_drips_ends_with_the_call_s_own_time() -> None:
    fault = Fault(kind=FaultKind.DRIP, bytes_per_second=20, first_attempts=1)

    async with _simulated(fault, replace(_LANE, stream="never")) as (provider, _):
        ended = await _call(provider, 1, within=1.0)

    assert ended.failure_class is Class.TIMEOUT_TOTAL


async def test_a_cancelled_stream_closes_its_connection() -> None:
    async with _simulated(Fault(kind=FaultKind.STALL), _LANE) as (provider, simulator):
        heard = asyncio.Event()
        call = ProviderCall(
            body=provider.build(REQUEST, None), call_id="j/1/1", timeout=_TOTAL, stream=True
        )
        call.received.on_first_token = heard.set
        task = asyncio.create_task(provider.complete(call))
        async with asyncio.timeout(10):
            await heard.wait()
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            while simulator.summary().running:  # noqa: ASYNC110 - no event outside
                await asyncio.sleep(0.005)

    assert [call.ending for call in simulator.calls] == ["stall"]
    assert call.received.text()


# ------------------------------------------------------------------------ servers without an end

Write = Callable[[bytes], Awaitable[None]]
Serve = Callable[[Write], Awaitable[None]]

_WHOLE = b'{"choices":[{"message":{"content":"whole"},"finish_reason":"stop"}]}'
_OK = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(_WHOLE), _WHOLE)
_CHUNKED = b"HTTP/1.1 200 OK\r\n%b\r\ntransfer-encoding: chunked\r\n\r\n"
_EVENTS = _CHUNKED % b"content-type: text/event-stream"
_JSON = _CHUNKED % b"content-type: application/json"
_TOKEN = b'data: {"choices":[{"index":0,"delta":{"content":"%b"}}]}\n\n'
_MEBIBYTE = b"x" * 2**20
_BOMB = gzip.compress(b"\0" * 2**26, mtime=0)
_BOMB_OF_EVENTS = gzip.compress(_TOKEN % (b"0" * 500) * 2**17, mtime=0)


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


class _Server:
    """A server whose first call meets `serve`; every other one gets an answer."""

    def __init__(self, serve: Serve) -> None:
        self._serve = serve
        self._calls = 0
        self.connections: set[asyncio.Task[None]] = set()

    def connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._answer(reader, writer))
        self.connections.add(task)

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async def write(data: bytes) -> None:
            writer.write(data)
            await writer.drain()

        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).lower()
                length = int(head.split(b"content-length: ")[1].split(b"\r\n")[0])
                await reader.readexactly(length)
                self._calls += 1
                await (self._serve(write) if self._calls == 1 else write(_OK))
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            writer.transport.abort()


@asynccontextmanager
async def _serving(serve: Serve, config: LaneConfig = _LANE) -> AsyncIterator[Provider]:
    served = _Server(serve)
    server = await asyncio.start_server(served.connect, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    settings = ProviderSettings(base_url=f"http://127.0.0.1:{port}/v1")
    provider = ProviderRegistry({"p": settings}).open(config)
    try:
        yield provider
    finally:
        await provider.aclose()
        server.close()
        for task in served.connections:
            task.cancel()
        await asyncio.gather(*served.connections)


async def _a_body_of_100_mb(write: Write) -> None:
    await write(b"HTTP/1.1 200 OK\r\ncontent-length: 104857600\r\n\r\n")
    for _ in range(100):
        await write(_MEBIBYTE)


async def _chunks_of_a_mebibyte(write: Write) -> None:
    await write(_JSON)
    while True:
        await write(_chunk(b'{"a":"' + _MEBIBYTE))


async def _a_bomb(write: Write) -> None:
    await write(_CHUNKED % b"content-type: application/json\r\ncontent-encoding: gzip")
    while True:
        await write(_chunk(_BOMB))


async def _a_bomb_of_events(write: Write) -> None:
    await write(_CHUNKED % b"content-type: text/event-stream\r\ncontent-encoding: gzip")
    await write(_chunk(_BOMB_OF_EVENTS))


async def _headers_without_end(write: Write) -> None:
    await write(b"HTTP/1.1 200 OK\r\n")
    while True:
        await write(b"".join(b"x-%d: %b\r\n" % (n, b"y" * 200) for n in range(100)))


async def _one_header_without_end(write: Write) -> None:
    await write(b"HTTP/1.1 200 OK\r\nx: ")
    while True:
        await write(_MEBIBYTE)


async def _a_line_without_end(write: Write) -> None:
    await write(_EVENTS + _chunk(b"data: "))
    while True:
        await write(_chunk(_MEBIBYTE))


async def _tokens_without_end(write: Write) -> None:
    await write(_EVENTS)
    while True:
        await write(_chunk(_TOKEN % (b"0" * 1_000) * 100))


async def _empty_tokens_without_end(write: Write) -> None:
    await write(_EVENTS)
    while True:
        await write(_chunk(_TOKEN % b"" * 1_000))
        await asyncio.sleep(0.001)


async def _comments_without_end(write: Write) -> None:
    await write(_EVENTS + _chunk(_TOKEN % b"once"))
    while True:
        await write(_chunk(b": PROCESSING\n\n"))
        await asyncio.sleep(0.01)


async def _blanks_without_end(write: Write) -> None:
    await write(_JSON)
    while True:
        await write(_chunk(b"\n"))
        await asyncio.sleep(0.01)


@pytest.mark.parametrize("stream", ["always", "never"])
@pytest.mark.parametrize(
    ("serve", "ends"),
    [
        (_a_body_of_100_mb, Class.BAD_OUTPUT),
        (_chunks_of_a_mebibyte, Class.BAD_OUTPUT),
        (_a_bomb, Class.BAD_OUTPUT),
        (_a_bomb_of_events, Class.BAD_OUTPUT),
        (_headers_without_end, Class.TRANSIENT),
        (_one_header_without_end, Class.TRANSIENT),
        (_a_line_without_end, Class.BAD_OUTPUT),
        (_tokens_without_end, Class.BAD_OUTPUT),
        (_comments_without_end, Class.TIMEOUT_IDLE),
    ],
)
async def test_what_never_ends_is_left_within_bounded_memory(
    serve: Serve, ends: FailureClass, stream: Stream
) -> None:
    async with _serving(serve, replace(_LANE, stream=stream)) as provider:
        tracemalloc.start()
        try:
            ended = await _call(provider, 1)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        after = await _call(provider, 2)

    assert ended.failure_class is ends, ended
    # The server's own part of it included.
    assert peak < 2**26
    assert after.failure_class is None


@pytest.mark.parametrize("serve", [_empty_tokens_without_end, _blanks_without_end])
async def test_what_keeps_a_connection_alive_is_no_first_token(serve: Serve) -> None:
    async with _serving(serve) as provider:
        ended = await _call(provider, 1)
        after = await _call(provider, 2)

    assert ended.failure_class is Class.TIMEOUT_FIRST_TOKEN
    assert after.failure_class is None


# ------------------------------------------------------------------- streams that are whole enough

_STOP = b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n'


async def _no_end_after_done(write: Write) -> None:
    await write(_EVENTS + _chunk(_TOKEN % b"whole" + _STOP + b"data: [DONE]\n\n"))
    await asyncio.Event().wait()


async def _no_done(write: Write) -> None:
    await write(_EVENTS + _chunk(_TOKEN % b"whole" + _STOP) + b"0\r\n\r\n")


async def _silence_instead_of_done(write: Write) -> None:
    await write(_EVENTS + _chunk(_TOKEN % b"whole" + _STOP))
    await asyncio.Event().wait()


async def _a_break_instead_of_done(write: Write) -> None:
    await write(_EVENTS + _chunk(_TOKEN % b"whole" + _STOP))
    # What was sent is read before the connection breaks.
    await asyncio.sleep(0.05)
    raise ConnectionError


async def _one_piece(write: Write) -> None:
    await write(_OK)


@pytest.mark.parametrize(
    "serve",
    [
        _no_end_after_done,
        _no_done,
        _silence_instead_of_done,
        _a_break_instead_of_done,
        _one_piece,
    ],
)
async def test_an_answer_that_has_said_why_it_ends_is_whole(serve: Serve) -> None:
    async with _serving(serve) as provider:
        completion = await _completed(provider)

    assert (completion.text, completion.finish_reason) == ("whole", "stop")


async def _completed(provider: Provider) -> Completion:
    call = ProviderCall(
        body=provider.build(REQUEST, None), call_id="j/1/1", timeout=_TOTAL, stream=True
    )
    return await provider.complete(call)
