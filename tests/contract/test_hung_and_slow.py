"""Servers that hang, crawl or never end: a call ends at its own bound, and the next one works."""

import asyncio
import gzip
import tracemalloc
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from itertools import product
from typing import Literal

import pytest
from raw_server import CHUNKED, WORDS, Words, Write, chunk, serving
from samples import lane
from size import thinned

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

#: What a server does, in the words of a protocol.
Does = Callable[[Write, Words], Awaitable[None]]

_EVENTS = CHUNKED % b"content-type: text/event-stream"
_JSON = CHUNKED % b"content-type: application/json"
_MEBIBYTE = b"x" * 2**20
_BOMB = gzip.compress(b"\0" * 2**26, compresslevel=1, mtime=0)
_BOMBS = {
    words.protocol: gzip.compress(words.token % (b"0" * 500) * 2**17, compresslevel=1, mtime=0)
    for words in WORDS
}
_EACH = pytest.mark.parametrize("words", WORDS, ids=[words.protocol for words in WORDS])


@asynccontextmanager
async def _serving(does: Does, words: Words, config: LaneConfig = _LANE) -> AsyncIterator[Provider]:
    async def serve(write: Write) -> None:
        await does(write, words)

    async with serving(serve, replace(config, protocol=words.protocol), words) as provider:
        yield provider


async def _a_body_of_100_mb(write: Write, _words: Words) -> None:
    await write(b"HTTP/1.1 200 OK\r\ncontent-length: 104857600\r\n\r\n")
    for _ in range(100):
        await write(_MEBIBYTE)


async def _chunks_of_a_mebibyte(write: Write, _: Words) -> None:
    await write(_JSON)
    while True:
        await write(chunk(b'{"a":"' + _MEBIBYTE))


async def _a_bomb(write: Write, _: Words) -> None:
    await write(CHUNKED % b"content-type: application/json\r\ncontent-encoding: gzip")
    while True:
        await write(chunk(_BOMB))


async def _a_bomb_of_events(write: Write, words: Words) -> None:
    await write(CHUNKED % b"content-type: text/event-stream\r\ncontent-encoding: gzip")
    await write(chunk(_BOMBS[words.protocol]))


async def _headers_without_end(write: Write, _: Words) -> None:
    await write(b"HTTP/1.1 200 OK\r\n")
    while True:
        await write(b"".join(b"x-%d: %b\r\n" % (n, b"y" * 200) for n in range(100)))


async def _one_header_without_end(write: Write, _: Words) -> None:
    await write(b"HTTP/1.1 200 OK\r\nx: ")
    while True:
        await write(_MEBIBYTE)


async def _a_line_without_end(write: Write, _: Words) -> None:
    await write(_EVENTS + chunk(b"data: "))
    while True:
        await write(chunk(_MEBIBYTE))


async def _tokens_without_end(write: Write, words: Words) -> None:
    await write(_EVENTS)
    while True:
        await write(chunk(words.token % (b"0" * 1_000) * 100))


async def _empty_tokens_without_end(write: Write, words: Words) -> None:
    await write(_EVENTS)
    while True:
        await write(chunk(words.token % b"" * 1_000))
        await asyncio.sleep(0.001)


async def _comments_without_end(write: Write, words: Words) -> None:
    await write(_EVENTS + chunk(words.token % b"once"))
    while True:
        await write(chunk(b": PROCESSING\n\n"))
        await asyncio.sleep(0.01)


async def _blanks_without_end(write: Write, _: Words) -> None:
    await write(_JSON)
    while True:
        await write(chunk(b"\n"))
        await asyncio.sleep(0.01)


_ENDLESS = (
    (_a_body_of_100_mb, Class.BAD_OUTPUT),
    (_chunks_of_a_mebibyte, Class.BAD_OUTPUT),
    (_a_bomb, Class.BAD_OUTPUT),
    (_a_bomb_of_events, Class.BAD_OUTPUT),
    (_headers_without_end, Class.TRANSIENT),
    (_one_header_without_end, Class.TRANSIENT),
    (_a_line_without_end, Class.BAD_OUTPUT),
    (_tokens_without_end, Class.BAD_OUTPUT),
    (_comments_without_end, Class.TIMEOUT_IDLE),
)
_STREAMS: tuple[Stream, ...] = ("always", "never")


# A third of all has each server, and each protocol with each way to answer.
@pytest.mark.parametrize(
    ("endless", "stream", "words"), thinned([*product(_ENDLESS, _STREAMS, WORDS)], every=3)
)
async def test_what_never_ends_is_left_within_bounded_memory(
    endless: tuple[Does, FailureClass], stream: Stream, words: Words
) -> None:
    does, ends = endless
    async with _serving(does, words, replace(_LANE, stream=stream)) as provider:
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


@_EACH
@pytest.mark.parametrize("does", [_empty_tokens_without_end, _blanks_without_end])
async def test_what_keeps_a_connection_alive_is_no_first_token(does: Does, words: Words) -> None:
    async with _serving(does, words) as provider:
        ended = await _call(provider, 1)
        after = await _call(provider, 2)

    assert ended.failure_class is Class.TIMEOUT_FIRST_TOKEN
    assert after.failure_class is None


# ------------------------------------------------------------------- streams that are whole enough


async def _no_end_after_done(write: Write, words: Words) -> None:
    await write(_EVENTS + chunk(words.token % b"whole" + words.stop + b"data: [DONE]\n\n"))
    await asyncio.Event().wait()


async def _no_done(write: Write, words: Words) -> None:
    await write(_EVENTS + chunk(words.token % b"whole" + words.stop) + b"0\r\n\r\n")


async def _silence_instead_of_done(write: Write, words: Words) -> None:
    await write(_EVENTS + chunk(words.token % b"whole" + words.stop))
    await asyncio.Event().wait()


async def _a_break_instead_of_done(write: Write, words: Words) -> None:
    await write(_EVENTS + chunk(words.token % b"whole" + words.stop))
    # What was sent is read before the connection breaks.
    await asyncio.sleep(0.05)
    raise ConnectionError


async def _one_piece(write: Write, words: Words) -> None:
    await write(words.ok)


@_EACH
@pytest.mark.parametrize(
    "does",
    [
        _no_end_after_done,
        _no_done,
        _silence_instead_of_done,
        _a_break_instead_of_done,
        _one_piece,
    ],
)
async def test_an_answer_that_has_said_why_it_ends_is_whole(does: Does, words: Words) -> None:
    async with _serving(does, words) as provider:
        completion = await _completed(provider)

    assert (completion.text, completion.finish_reason) == ("whole", words.reason)


async def _completed(provider: Provider) -> Completion:
    call = ProviderCall(
        body=provider.build(REQUEST, None), call_id="j/1/1", timeout=_TOTAL, stream=True
    )
    return await provider.complete(call)
