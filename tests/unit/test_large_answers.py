"""However many large answers come at once, few of them are in memory."""

import asyncio
import tracemalloc
from collections import Counter
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from typing import Any

import httpx
import orjson
import pytest
from held_memory import holds
from samples import lane

from tollway_schemas.failure import FailureClass
from tollway_workers.config.shape.provider import ProviderSettings
from tollway_workers.errors import ProviderError
from tollway_workers.job.readable_json import exact_value, repaired
from tollway_workers.providers.answer_body import MOST_CALLS
from tollway_workers.providers.base import Completion, ProviderCall
from tollway_workers.providers.http.http_provider import HttpProvider
from tollway_workers.providers.http.sse import Event
from tollway_workers.providers.large_answers import LARGEST_INLINE, MOST_MEMORY
from tollway_workers.providers.protocols import wire_format
from tollway_workers.testing import OverHttpx

pytestmark = pytest.mark.both_loops

CALL = ProviderCall(body=b"{}", call_id="job-1/1/1", timeout=30.0)
STREAMED = replace(CALL, stream=True)
SMALL = orjson.dumps({"choices": [{"message": {"content": "hi"}, "finish_reason": "stop"}]})
MEBIBYTE = 2**20
#: For as many there is no memory.
CALLS = 128
#: Memory for an answer of a mebibyte that is kept until it is written: as it came, in the reply,
#: and in the batch that goes to Kafka, each with the JSON in it.
KEPT = 6 * MEBIBYTE
LANE = lane()


class Body(httpx.AsyncByteStream):
    """A body that comes in pieces, and tells how much of it is read."""

    def __init__(self, pieces: tuple[bytes, ...], on_piece: Callable[[int], None]) -> None:
        self._pieces = pieces
        self._on_piece = on_piece

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self._pieces:
            self._on_piece(len(piece))
            yield piece


def _plain(size: int = MEBIBYTE) -> tuple[bytes, ...]:
    """A sound answer with blanks around it."""
    body = SMALL + b" " * (size - len(SMALL))
    return tuple(body[start : start + 65_536] for start in range(0, size, 65_536))


def _chunk(delta: object, finish: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return b"data: " + orjson.dumps({"choices": [choice]}) + b"\n\n"


def _stream(size: int = MEBIBYTE) -> tuple[bytes, ...]:
    texts = [_chunk({"content": "a" * 32_768})] * (size // 32_768)
    return (*texts, _chunk({}, "stop"), b"data: [DONE]\n\n")


class Answers:
    """Calls whose answers are held as long as a worker holds them: until they are written.

    State: `_bytes` (of answers that are read, by call), `most` (the most of all together), `read`
    (calls whose answers are whole), `written`.
    """

    def __init__(self, pieces: tuple[bytes, ...], headers: dict[str, str] | None = None) -> None:
        self._bytes: Counter[str] = Counter()
        self.read: set[str] = set()
        self.most = 0
        self.some_read, self.written = asyncio.Event(), asyncio.Event()
        self._pieces = pieces
        self._headers = headers or {}
        self._provider = HttpProvider(
            settings=ProviderSettings(base_url="https://api.example.com/v1"),
            lane=LANE,
            wire=wire_format("openai"),
            transport=OverHttpx(httpx.MockTransport(self._answer)),
        )

    async def call(self, name: str, call: ProviderCall = CALL) -> Completion:
        """One call, whose outcome is written once `written` is set."""
        try:
            completion = await self._provider.complete(replace(call, call_id=name))
            self.read.add(name)
            self.some_read.set()
            await self.written.wait()
            return completion
        finally:
            del self._bytes[name]

    def _answer(self, request: httpx.Request) -> httpx.Response:
        name = request.headers["x-client-request-id"]
        pieces = (SMALL,) if name == "small" else self._pieces
        body = Body(pieces, lambda size: self._reads_on(name, size))
        return httpx.Response(200, headers=self._headers, stream=body)

    def _reads_on(self, name: str, size: int) -> None:
        self._bytes[name] += size
        self.most = max(self.most, self._bytes.total())


async def _turns(turns: int = 200) -> None:
    """Let everything happen that can."""
    for _ in range(turns):
        await asyncio.sleep(0.001)


async def _full(answers: Answers, call: ProviderCall = CALL) -> list[asyncio.Task[Completion]]:
    """More answers than there is memory for, of which some are read and none is written."""
    calls = [asyncio.create_task(answers.call(f"call-{number}", call)) for number in range(CALLS)]
    async with asyncio.timeout(20):
        await answers.some_read.wait()
    await _turns()
    return calls


@pytest.mark.parametrize(
    ("pieces", "call"), [(_plain(), CALL), (_plain(), STREAMED), (_stream(), STREAMED)]
)
async def test_large_answers_wait_for_memory_until_others_are_written(
    pieces: tuple[bytes, ...], call: ProviderCall
) -> None:
    answers = Answers(pieces)

    calls = await _full(answers, call)

    assert 2 <= len(answers.read) <= MOST_MEMORY // KEPT
    # Each takes four times its size, beyond what is read of any.
    assert answers.most <= MOST_MEMORY // 4 + CALLS * 2 * LARGEST_INLINE
    answers.written.set()
    completions = await asyncio.gather(*calls)
    assert len(completions) == CALLS


@pytest.mark.parametrize("prompt", [b"{}", b'{"a":"%s"}' % (b"a" * MEBIBYTE)], ids=len)
async def test_a_small_answer_waits_for_no_large_one(prompt: bytes) -> None:
    answers = Answers(_plain())
    calls = await _full(answers)

    small = asyncio.create_task(answers.call("small", replace(CALL, body=prompt)))
    await _turns()

    assert "small" in answers.read
    answers.written.set()
    await asyncio.gather(small, *calls)


async def test_who_waits_for_memory_keeps_its_timeout_and_holds_up_nobody_after_it() -> None:
    answers = Answers(_plain())
    calls = await _full(answers)

    with pytest.raises(ProviderError) as raised:
        await answers.call("late", replace(CALL, timeout=0.05))
    cancelled = asyncio.create_task(answers.call("cancelled"))
    await _turns(20)
    cancelled.cancel()

    assert raised.value.failure.failure_class is FailureClass.TIMEOUT_TOTAL
    with pytest.raises(asyncio.CancelledError):
        await cancelled
    answers.written.set()
    await asyncio.gather(answers.call("last"), *calls)


async def test_an_answer_that_is_all_there_waits_to_be_parsed_beyond_its_timeout() -> None:
    answers, written = Answers(_plain()), asyncio.Event()
    answers.written.set()
    # The oldest has its own memory; beside the other a mebibyte can be read, and not parsed.
    others = [asyncio.create_task(holds(size, written)) for size in (1, 20 * MEBIBYTE)]
    await asyncio.sleep(0)

    paid = asyncio.create_task(answers.call("paid", replace(CALL, timeout=0.05)))
    cancelled = asyncio.create_task(answers.call("cancelled"))
    await _turns(20)
    cancelled.cancel()
    with pytest.raises(asyncio.CancelledError):
        await cancelled
    await _turns(100)
    assert not paid.done()
    written.set()

    assert (await paid).text == "hi"
    await asyncio.gather(*others)


async def test_one_task_may_read_one_large_answer_after_the_other() -> None:
    answers = Answers(_plain())
    answers.written.set()

    for number in range(100):
        await answers.call(f"call-{number}")


def _tool_calls(protocol: str, calls: int) -> dict[str, Any]:
    """An answer that asks for so many calls of tools."""
    if protocol == "openai":
        said: Any = [{"function": {"name": "f", "arguments": "{}"}}] * calls
        choice = {"message": {"tool_calls": said}, "finish_reason": "tool_calls"}
        return {"choices": [choice]}
    if protocol == "anthropic":
        said = [{"type": "tool_use", "name": "f", "input": {}}] * calls
        return {"type": "message", "content": said, "stop_reason": "tool_use"}
    if protocol == "gemini":
        said = [{"functionCall": {"name": "f"}}] * calls
        return {"candidates": [{"content": {"parts": said}, "finishReason": "STOP"}]}
    said = [{"type": "function_call", "name": "f", "arguments": "{}"}] * calls
    return {"object": "response", "status": "completed", "output": said}


@pytest.mark.parametrize("protocol", ["openai", "anthropic", "gemini", "responses"])
def test_an_answer_of_too_many_calls_is_bad_output(protocol: str) -> None:
    parse = wire_format(protocol).parse
    few = orjson.dumps(_tool_calls(protocol, MOST_CALLS))
    many = orjson.dumps(_tool_calls(protocol, MOST_CALLS + 1))

    assert len(parse(200, {}, few, b"{}").tool_calls) == MOST_CALLS
    with pytest.raises(ProviderError) as raised:
        parse(200, {}, many, b"{}")
    assert raised.value.failure.failure_class is FailureClass.BAD_OUTPUT
    assert raised.value.failure.message == "the answer asks for more than 4,096 calls of tools"


def test_calls_behind_what_is_none_are_counted() -> None:
    answer = _tool_calls("openai", MOST_CALLS + 1)
    calls = answer["choices"][0]["message"]["tool_calls"]
    calls.insert(0, None)
    parse = wire_format("openai").parse

    with pytest.raises(ProviderError, match="more than 4,096 calls"):
        parse(200, {}, orjson.dumps(answer), b"{}")
    calls.pop()
    assert len(parse(200, {}, orjson.dumps(answer), b"{}").tool_calls) == MOST_CALLS


def _peak(work: Callable[[], object]) -> int:
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_a_text_of_control_characters_takes_few_times_its_size() -> None:
    text = '"' + "\x01" * 500_000 + '"'

    # Each becomes an escape of six.
    assert _peak(lambda: repaired(text)) < 8 * len(text)


def test_of_a_value_with_a_long_number_there_are_not_two() -> None:
    text = "[" + '{"":{}},' * 50_000 + "1" * 30 + "]"

    assert _peak(lambda: exact_value(text)) < 50 * len(text)


@pytest.mark.parametrize("protocol", ["openai", "anthropic", "gemini", "responses"])
def test_a_stream_of_many_small_pieces_takes_few_times_its_text(protocol: str) -> None:
    events = [Event(b"", (orjson.dumps(_piece(protocol, number)),)) for number in range(50_000)]
    stream = wire_format(protocol).stream()

    def take() -> None:
        for event in events:
            stream.take(event)

    # OpenAI's responses repeat in their items what was said.
    texts = 2 if protocol == "responses" else 1
    assert _peak(take) < texts * 6 * 8 * len(events)
    assert len(stream.text()) == 8 * len(events)


def _piece(protocol: str, number: int) -> dict[str, Any]:
    """One event with eight characters of text."""
    text = f"{number:08}"
    if protocol == "openai":
        return {"choices": [{"index": 0, "delta": {"content": text}}]}
    if protocol == "anthropic":
        delta = {"type": "text_delta", "text": text}
        return {"type": "content_block_delta", "index": 0, "delta": delta}
    if protocol == "gemini":
        return {"candidates": [{"content": {"parts": [{"text": text}]}, "index": 0}]}
    return {"type": "response.output_text.delta", "output_index": 0, "delta": text}
