"""Vectors of a provider's model: asked together, within limits, and done without in time."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from decimal import Decimal
from random import Random
from typing import Any

import orjson
import pytest
from eventually import eventually
from manual_clock import ManualClock

from tollway_schemas.failure import FailureClass
from tollway_schemas.request import ChatRequest, OutputSchema
from tollway_schemas.usage import Usage
from tollway_workers.config.shape.breaker import BreakerSettings
from tollway_workers.config.shape.embedder import EmbedderSettings
from tollway_workers.embedding.endpoint import Endpoint, EndpointEmbedder
from tollway_workers.embedding.rate_share import RateShare
from tollway_workers.errors import EmbedderError, ProviderError, ProviderFailure
from tollway_workers.job.vectors import encoded_vectors, packed
from tollway_workers.lanes.breaker import Breaker
from tollway_workers.providers.base import Completion, Finish, ProviderCall
from tollway_workers.telemetry.embedder_events import EmbedderCall

Texts = list[str]
#: What the provider makes of some texts: a number each, or how it fails.
Answers = Callable[[Texts], list[float] | ProviderFailure]


def _one_each(texts: Texts) -> list[float]:
    return [float(len(text)) for text in texts]


def _failing(failure_class: FailureClass, **fields: Any) -> Answers:
    failure = ProviderFailure(failure_class=failure_class, message="no", **fields)
    return lambda _: failure


class Vectors:
    """A provider of vectors of two numbers, which counts `usage`. `calls` are the texts of each
    call so far.
    """

    def __init__(self, answers: Answers = _one_each) -> None:
        self.answers = answers
        self.usage: Usage | None = Usage(input_total=100, output_total=0)
        self.calls: list[Texts] = []
        self.hold = asyncio.Event()
        self.hold.set()
        self.closed = False

    def build(self, request: ChatRequest, output: OutputSchema | None) -> bytes:
        assert output is None
        return orjson.dumps([message.content for message in request.messages])

    def streams(self, request: ChatRequest) -> bool:
        return False

    async def complete(self, call: ProviderCall) -> Completion:
        texts: Texts = orjson.loads(call.body)
        self.calls.append(texts)
        await self.hold.wait()
        said = self.answers(texts)
        if isinstance(said, ProviderFailure):
            raise ProviderError(said)
        return Completion(
            text=encoded_vectors(packed([number, 1.0]) for number in said),
            tool_calls=(),
            finish=Finish.STOP,
            finish_reason=None,
            usage=self.usage,
            model_served="m",
            provider_request_id=None,
            status=200,
            scripted=False,
            body=b"{}",
        )

    async def aclose(self) -> None:
        self.closed = True


class Heard:
    def __init__(self) -> None:
        self.calls: list[EmbedderCall] = []

    def embedder_called(self, call: EmbedderCall) -> None:
        self.calls.append(call)


class Stage:
    """An embedder, its provider, its clock, and what was heard of it."""

    def __init__(self, answers: Answers = _one_each, *, workers: int = 1, **given: Any) -> None:
        self.provider = Vectors(answers)
        self.clock = ManualClock()
        self.heard = Heard()
        self.workers = workers
        settings = EmbedderSettings(provider="p", model="m", **given)
        self.breaker = Breaker(BreakerSettings(), Random(1))
        self.embedder = EndpointEmbedder(
            Endpoint(
                name="e",
                settings=settings,
                base_url="https://h/v1/",
                provider=self.provider,
                breaker=self.breaker,
                share=RateShare(
                    settings.requests_per_minute, settings.tokens_per_minute, lambda: self.workers
                ),
                clock=self.clock,
                events=self.heard,
            )
        )

    def ask(self, *texts: str) -> "asyncio.Task[Any]":
        return asyncio.create_task(self.embedder.embed(texts))

    async def gathered(self) -> None:
        """The moment in which texts wait for others is over."""
        await asyncio.sleep(0)
        self.clock.advance(0.005)

    async def embed(self, *texts: str) -> Any:
        asking = self.ask(*texts)
        await self.gathered()
        return await asking


@asynccontextmanager
async def stage(answers: Answers = _one_each, **given: Any) -> AsyncIterator[Stage]:
    made = Stage(answers, **given)
    try:
        yield made
    finally:
        made.provider.hold.set()
        await made.embedder.aclose()


async def test_texts_of_one_moment_go_in_one_call_and_each_has_its_own_vector() -> None:
    async with stage() as on:
        asking = [on.ask("a" * n) for n in (1, 2, 3)]
        await on.gathered()
        vectors = await asyncio.gather(*asking)

    assert on.provider.calls == [["a", "aa", "aaa"]]
    assert [float(v[0] / v[1]) for (v,) in vectors] == pytest.approx([1.0, 2.0, 3.0])


async def test_a_full_batch_waits_for_nothing() -> None:
    async with stage(batch=2) as on:
        asking = on.ask("a", "b", "c", "d", "e")
        await eventually(lambda: len(on.provider.calls) == 3)
        await asking

    assert sorted(on.provider.calls) == [["a", "b"], ["c", "d"], ["e"]]


async def test_of_who_stopped_waiting_no_call_is_made() -> None:
    async with stage() as on:
        given_up, kept = on.ask("a"), on.ask("b")
        await asyncio.sleep(0)
        given_up.cancel()
        await asyncio.sleep(0)
        await on.gathered()
        await kept

    assert on.provider.calls == [["b"]]


async def test_a_provider_that_is_slow_is_waited_for_no_longer_than_the_timeout() -> None:
    async with stage(timeout=0.05) as on:
        on.provider.hold.clear()
        with pytest.raises(EmbedderError, match=r"no vectors within 0\.05 s"):
            await on.embed("a")


@pytest.mark.parametrize(
    "failure_class",
    [FailureClass.TRANSIENT, FailureClass.CONNECT, FailureClass.AUTH, FailureClass.INVALID_REQUEST],
)
async def test_after_failures_in_a_row_it_is_left_alone_and_comes_back(
    failure_class: FailureClass,
) -> None:
    async with stage(_failing(failure_class)) as on:
        for _ in range(5):
            with pytest.raises(EmbedderError, match=failure_class.value.replace("_", " ")):
                await on.embed("a")
        with pytest.raises(EmbedderError, match="left alone: 5 calls in a row failed"):
            await on.embedder.embed(["a"])
        on.provider.answers = _one_each
        on.clock.advance(7.0)

        await on.embed("a")

    assert len(on.provider.calls) == 6


async def test_a_429_is_waited_out_and_breaks_nothing() -> None:
    async with stage(_failing(FailureClass.RATE_LIMIT, retry_after=30.0)) as on:
        with pytest.raises(EmbedderError, match="rate limit"):
            await on.embed("a")
        with pytest.raises(EmbedderError, match="rate limit is used up"):
            await on.embed("a")
        on.provider.answers = _one_each
        on.clock.advance(30.0)
        await on.embed("a")

    assert len(on.provider.calls) == 2


@pytest.mark.parametrize(("workers", "calls"), [(1, 19), (4, 4), (0, 0)])
async def test_its_limit_is_divided_by_the_workers_there_are(workers: int, calls: int) -> None:
    async with stage(requests_per_minute=600, timeout=0.01, workers=workers) as on:
        for _ in range(40):
            asking = on.ask("a")
            await on.gathered()
            await asyncio.wait([asking])
            asking.exception()

    assert len(on.provider.calls) == pytest.approx(calls, abs=2)


async def test_tokens_are_limited_as_the_provider_counts_them() -> None:
    # Two seconds' worth are 190 tokens; each call is counted as 100, whatever was estimated.
    async with stage(tokens_per_minute=6_000) as on:
        await on.embed("a")
        await on.embed("b")
        with pytest.raises(EmbedderError, match="rate limit is used up"):
            await on.embed("c " * 300)

    assert on.provider.calls == [["a"], ["b"]]


def test_whatever_a_provider_counts_its_limit_is_used_up_for_a_minute_at_most() -> None:
    share = RateShare(None, 6_000, lambda: 2)
    assert share.wait(10.0, 0.0) == 0.0

    for _ in range(2):
        share.take(10.0)
        share.correct(10.0, 1e15)

    assert 50.0 < share.wait(10.0, 0.0) < 62.0
    assert share.wait(10.0, 62.0) == 0.0


async def test_a_text_that_is_refused_leaves_the_others_their_vectors() -> None:
    def refuses(texts: Texts) -> list[float] | ProviderFailure:
        if "bad" in texts:
            return ProviderFailure(failure_class=FailureClass.INVALID_REQUEST, message="bad")
        return _one_each(texts)

    async with stage(refuses) as on:
        asking = [on.ask(text) for text in ("a", "bad", "c", "d")]
        await on.gathered()
        said = await asyncio.gather(*asking, return_exceptions=True)

    assert [isinstance(each, EmbedderError) for each in said] == [False, True, False, False]
    assert len(on.provider.calls) == 5


async def test_one_bad_text_among_many_costs_few_calls_and_few_others_their_vectors() -> None:
    def refuses(texts: Texts) -> list[float] | ProviderFailure:
        if "17" in texts:
            return ProviderFailure(failure_class=FailureClass.INVALID_REQUEST, message="bad")
        return _one_each(texts)

    async with stage(refuses) as on:
        asking = [on.ask(str(number)) for number in range(64)]
        await on.gathered()
        said = await asyncio.gather(*asking, return_exceptions=True)

    assert len(on.provider.calls) == 7
    assert sum(isinstance(each, EmbedderError) for each in said) == 8


async def test_where_every_text_is_refused_a_batch_costs_few_calls() -> None:
    async with stage(_failing(FailureClass.INVALID_REQUEST)) as on:
        with pytest.raises(EmbedderError):
            await on.embed(*map(str, range(64)))
        await eventually(lambda: "[0 calls" in repr(on.embedder))

    assert len(on.provider.calls) <= 5


async def test_a_refused_word_of_ours_costs_nobody_a_vector() -> None:
    first = ProviderFailure(failure_class=FailureClass.UNSUPPORTED_FIELD, message="base64")
    answers = iter([first])

    async with stage(lambda texts: next(answers, None) or _one_each(texts)) as on:
        assert len(await on.embed("a")) == 1

    assert on.provider.calls == [["a"], ["a"]]


async def test_what_it_took_is_told() -> None:
    async with stage(price=Decimal("0.02")) as on:
        await on.embed("a", "b")
        on.provider.usage = None
        await on.embed("b")
        on.provider.answers = _failing(FailureClass.TRANSIENT)
        with pytest.raises(EmbedderError):
            await on.embed("c")

    told = [(call.ending, call.texts, call.tokens, call.cost) for call in on.heard.calls]
    # 100 tokens at 0.02 dollars a million are 2 millionths of a dollar.
    # What was not counted costs nobody knows what.
    assert told == [("ok", 2, 100, 2_000_000), ("ok", 1, 0, None), ("transient", 1, 0, None)]


async def test_vectors_of_another_length_than_before_are_none() -> None:
    async with stage(dimensions=3) as on:
        with pytest.raises(EmbedderError, match="another length"):
            await on.embed("a")


async def test_large_answers_are_read_aside_and_mean_the_same() -> None:
    async with stage(batch=2_048, timeout=10.0, window=2_048) as on:
        vectors = await on.embed(*("a" * (1 + number % 7) for number in range(2_048)))

    assert [round(float(v[0] / v[1])) for v in vectors[:8]] == [1, 2, 3, 4, 5, 6, 7, 1]


async def test_a_fault_of_ours_holds_up_nobody_and_quotes_no_text() -> None:
    def broken(texts: Texts) -> list[float]:
        raise RuntimeError(f"secret {texts}")

    async with stage(broken) as on:
        with pytest.raises(EmbedderError) as said:
            await on.embed("b")

    assert str(said.value) == "the embedder failed (RuntimeError)"


async def test_other_dimensions_are_another_embedder() -> None:
    assert Stage().embedder.id == Stage().embedder.id
    assert Stage().embedder.id != Stage(dimensions=2).embedder.id


async def test_what_is_closed_breaks_off_its_calls() -> None:
    on = Stage()
    on.provider.hold.clear()
    asking = on.ask("a")
    await on.gathered()
    await eventually(lambda: len(on.provider.calls) == 1)

    await on.embedder.aclose()

    with pytest.raises(EmbedderError, match="closed"):
        await asking
    assert on.provider.closed
