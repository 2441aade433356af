"""What every Provider keeps: one suite for the double and for HTTP over a real socket."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

import pytest
from aiohttp import web
from scripted_provider import ScriptedProvider, Turn, completion

from tollway_schemas.failure import FailureClass
from tollway_schemas.request import ChatRequest, Message, OutputSchema
from tollway_workers.config.shape.fleet import LaneConfig
from tollway_workers.config.shape.provider import LimitSettings, ProviderSettings
from tollway_workers.errors import ProviderError, ProviderFailure
from tollway_workers.providers.base import Provider, ProviderCall
from tollway_workers.providers.registry import ProviderRegistry

REQUEST = ChatRequest(messages=(Message(role="user", content="hi"),))


@dataclass
class Stage:
    """A provider and what its other side has seen."""

    provider: Provider
    #: Ids of the calls that arrived.
    seen: Callable[[], list[str]]
    #: While it is cleared, calls hang.
    hold: asyncio.Event


#: What the other side does, call by call: a text, or the status of an error.
Script = list[str | int]
_CLASSES = {429: FailureClass.RATE_LIMIT, 500: FailureClass.TRANSIENT}


async def _scripted(script: Script) -> AsyncIterator[Stage]:
    turns: list[Turn] = [
        completion(each)
        if isinstance(each, str)
        else ProviderFailure(failure_class=_CLASSES[each], message="scripted", status=each)
        for each in script
    ]
    provider = ScriptedProvider(turns)
    yield Stage(provider, lambda: [call.call_id for call in provider.calls], provider.hold)


async def _http(script: Script) -> AsyncIterator[Stage]:
    seen: list[str] = []
    hold = asyncio.Event()
    hold.set()

    async def answer(request: web.Request) -> web.Response:
        seen.append(request.headers["X-Client-Request-Id"])
        turn = script[min(len(seen), len(script)) - 1]
        await hold.wait()
        if isinstance(turn, int):
            return web.json_response({"error": {"message": "scripted"}}, status=turn)
        choice = {"message": {"content": turn}, "finish_reason": "stop"}
        return web.json_response({"choices": [choice]})

    app = web.Application()
    app.router.add_post("/v1/chat/completions", answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    settings = ProviderSettings(base_url=f"http://127.0.0.1:{port}/v1")
    provider = ProviderRegistry({"p": settings}).open(_LANE)
    yield Stage(provider, lambda: seen, hold)
    hold.set()
    await provider.aclose()
    await runner.cleanup()


_LANE = LaneConfig(
    name="lane",
    provider_name="p",
    model="m",
    limits=LimitSettings(),
    token_rule="openai_max",
    call_timeout=60.0,
    connect_timeout=2.0,
    max_tokens_field="max_completion_tokens",
    structured_output="json_schema",
)


@pytest.fixture
def script() -> Script:
    return ["one", 429, 500, "two"]


@pytest.fixture(params=[_scripted, _http], ids=["scripted", "http"])
async def stage(request: pytest.FixtureRequest, script: Script) -> AsyncIterator[Stage]:
    async for each in request.param(script):
        yield each


def _call(provider: Provider, number: int = 1, timeout: float = 5.0) -> ProviderCall:
    return ProviderCall(
        body=provider.build(REQUEST, None), call_id=f"job/1/{number}", timeout=timeout
    )


async def _class_of(provider: Provider, call: ProviderCall) -> FailureClass:
    with pytest.raises(ProviderError) as raised:
        await provider.complete(call)
    return raised.value.failure.failure_class


async def test_calls_end_as_the_other_side_says(stage: Stage) -> None:
    first = await stage.provider.complete(_call(stage.provider, 1))
    limited = await _class_of(stage.provider, _call(stage.provider, 2))
    broken = await _class_of(stage.provider, _call(stage.provider, 3))
    last = await stage.provider.complete(_call(stage.provider, 4))

    assert (first.text, first.status) == ("one", 200)
    assert (limited, broken) == (FailureClass.RATE_LIMIT, FailureClass.TRANSIENT)
    assert last.text == "two"
    assert last.body
    assert stage.seen() == ["job/1/1", "job/1/2", "job/1/3", "job/1/4"]


async def test_a_call_that_hangs_ends_with_its_timeout(stage: Stage) -> None:
    stage.hold.clear()

    ended = await _class_of(stage.provider, _call(stage.provider, timeout=0.05))

    assert ended is FailureClass.TIMEOUT_TOTAL


async def test_a_cancelled_call_leaves_the_provider_usable(stage: Stage) -> None:
    stage.hold.clear()
    task = asyncio.create_task(stage.provider.complete(_call(stage.provider, 1)))
    async with asyncio.timeout(5):
        while not stage.seen():  # noqa: ASYNC110 - the two sides share no event to wait for
            await asyncio.sleep(0.005)

    task.cancel()
    ended = await asyncio.gather(task, return_exceptions=True)
    stage.hold.set()

    assert isinstance(ended[0], asyncio.CancelledError)
    assert await _class_of(stage.provider, _call(stage.provider, 2)) is FailureClass.RATE_LIMIT


async def test_a_body_names_the_schema_that_is_asked_for(stage: Stage) -> None:
    output = OutputSchema(json_schema={"type": "object", "title": "a title"})

    assert b"a title" in stage.provider.build(REQUEST, output)
    assert b"a title" not in stage.provider.build(REQUEST, None)


async def test_closing_twice_is_closing_once(stage: Stage) -> None:
    await stage.provider.aclose()
    await stage.provider.aclose()


@asynccontextmanager
async def _answering(
    answer: Callable[[web.Request], Awaitable[web.StreamResponse]], asked: LaneConfig = _LANE
) -> AsyncIterator[Provider]:
    app = web.Application()
    app.router.add_post("/v1/chat/completions", answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    settings = ProviderSettings(base_url=f"http://127.0.0.1:{runner.addresses[0][1]}/v1")
    provider = ProviderRegistry({"p": settings}).open(asked)
    try:
        yield provider
    finally:
        await provider.aclose()
        await runner.cleanup()


async def test_an_answer_that_is_streamed_though_nobody_asked_is_joined() -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        assert not (await request.json()).get("stream")
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        for piece in (b'data: {"choices":[{"delta":{"con', b'tent":"Hel"}}]}\n\ndata: {"choices":'):
            await response.write(piece)
        await response.write(b'[{"delta":{"content":"lo"},"finish_reason":"stop"}]}\r\n\r\n')
        await response.write(b"data: [DONE]\n\n")
        return response

    async with _answering(answer, replace(_LANE, stream="never")) as provider:
        completion = await provider.complete(_call(provider))

    assert (completion.text, completion.finish_reason) == ("Hello", "stop")


@pytest.mark.parametrize(
    ("body", "kind", "text"),
    [
        (rb'{"choices":[{"message":{"content":"cut \ud83d"}}]}', "application/json", "cut \ufffd"),
        (b'\xef\xbb\xbf{"choices":[{"message":{"content":"x"}}]}', "application/json", "x"),
        (b'{"choices":[{"message":{"content":"x"},"logprobs":[-Infinity]}]}', "text/plain", "x"),
        (
            '{"choices":[{"message":{"content":"café"}}]}'.encode("latin-1"),
            "application/json; charset=iso-8859-1",
            "café",
        ),
    ],
)
async def test_a_whole_answer_is_taken_however_it_is_written(
    body: bytes, kind: str, text: str
) -> None:
    async def answer(_: web.Request) -> web.StreamResponse:
        return web.Response(body=body, headers={"Content-Type": kind})

    async with _answering(answer) as provider:
        assert (await provider.complete(_call(provider))).text == text
