"""Prompts that are counted before their jobs are called: of which, when, and what else goes on."""

import asyncio
from collections.abc import Iterable
from threading import Event
from typing import Any

import pytest
from memory_fleet import MemoryFleet
from samples import NOW, admission_of, job, lane
from scripted_provider import ScriptedProvider, completion

from tollway_schemas.codec import decode, encode
from tollway_schemas.command import Action, Command
from tollway_schemas.dead_letter import DeadLetter
from tollway_schemas.job import Job, Priority
from tollway_schemas.request import ChatRequest, Message, OutputSchema
from tollway_workers.config.shape.fleet import LaneConfig
from tollway_workers.config.shape.route import RouteSettings
from tollway_workers.job.envelopes import instant
from tollway_workers.limits.estimate import TokenCount, text_tokens
from tollway_workers.pipeline.admit import Admission

_ROUTES = {"extract": RouteSettings(lanes=("main",)), "other": RouteSettings(lanes=("plain",))}


class Count:
    """Tokens by text; counts only while `open`. `asked`: the texts, in order."""

    def __init__(self, **tokens: int) -> None:
        self.asked: list[str] = []
        self.open = Event()
        self.open.set()
        self._tokens = tokens

    def __call__(self, text: str, /) -> int:
        self.asked.append(text)
        assert self.open.wait(10)
        return self._tokens.get(text, 10)


class CountingFleet(MemoryFleet):
    """The lane `main` counts by `count`, the lane `plain` estimates."""

    def __init__(self, count: Count, *turns: Any, **limits: Any) -> None:
        self.count = count
        limits = {"concurrency": 4, "tokens_per_minute": 600_000, **limits}
        lanes = {
            lane("main", token_rule="sum", **limits): ScriptedProvider(turns),
            lane("plain", **limits): ScriptedProvider(),
        }
        super().__init__(lanes, _ROUTES, memory_bytes=2**22)

    def admission_of(self, config: LaneConfig) -> Admission:
        count: TokenCount = self.count if config.name == "main" else text_tokens
        return admission_of(config, self.clock, count)

    @property
    def called(self) -> list[str]:
        provider = self.lanes["main"].provider
        assert isinstance(provider, ScriptedProvider)
        return [call.call_id.split("/")[0] for call in provider.calls]

    async def until_asked(self, texts: int) -> None:
        await self.until(lambda: len(self.count.asked) >= texts, step=0.0)


def asking(text: str, **fields: Any) -> Job:
    request = ChatRequest(messages=(Message(role="user", content=text),), max_output_tokens=100)
    return job(text[:20], request=request, **fields)


def cancel(job_id: str) -> Command:
    return Command(
        action=Action.CANCEL,
        jobs=(job_id,),
        issued_at=instant(NOW),
        expires_at=instant(NOW + 1_000),
    )


def spent(fleet: MemoryFleet, lane_name: str = "main") -> float:
    (pool,) = fleet.lanes[lane_name].admission.quota.pools
    return pool.spent


@pytest.fixture
def closed() -> Iterable[Count]:
    count = Count()
    count.open.clear()
    yield count
    count.open.set()


async def test_a_call_reserves_what_was_counted() -> None:
    fleet = CountingFleet(Count(a=1_234))
    async with fleet:
        await fleet.publish(asking("a"))
        await fleet.until(lambda: "a" in fleet.replies)

    # Its own, 4 for the message, and the answer's limit.
    assert spent(fleet) == 1_234 + 4 + 100


async def test_no_job_is_called_before_its_prompt_is_counted(closed: Count) -> None:
    fleet = CountingFleet(closed)
    async with fleet:
        await fleet.publish(asking("a"))
        await fleet.until_asked(1)
        await fleet.settle()
        before = list(fleet.called)
        closed.open.set()
        await fleet.until(lambda: "a" in fleet.replies)

    assert (before, fleet.called) == ([], ["a"])


async def test_other_lanes_go_on_while_one_counts(closed: Count) -> None:
    fleet = CountingFleet(closed)
    async with fleet:
        await fleet.publish(asking("a"))
        await fleet.until_asked(1)
        await fleet.publish(asking("b", route="other"))
        await fleet.until(lambda: "b" in fleet.replies)
        closed.open.set()

    assert spent(fleet, "plain") > 0


async def test_a_prompt_is_counted_once_for_each_request() -> None:
    count = Count()
    schema = OutputSchema(json_schema={"type": "object", "required": ["x"]})
    fleet = CountingFleet(count, completion("{}"), completion('{"x": 1}'))
    async with fleet:
        await fleet.publish(asking("a", output=schema))
        await fleet.until(lambda: "a" in fleet.replies)

    # The second time with the answer and its errors.
    assert [text for text in count.asked if text in {"a", "{}"}] == ["a", "a", "{}"]
    assert len(fleet.called) == 2


async def test_a_job_that_is_counted_larger_than_the_lane_ever_lets_through_is_refused() -> None:
    fleet = CountingFleet(Count(big=400_000))
    async with fleet:
        await fleet.publish(asking("big"), asking("small"))
        await fleet.until(lambda: {"big", "small"} <= fleet.replies.keys())

    (letter,) = (decode(DeadLetter, each.value) for each in fleet.dead_letters)
    assert letter.failure.failure_class == "beyond_limits"
    assert "400,104 tokens" in (letter.failure.message or "")
    assert fleet.called == ["small"]


async def test_a_job_that_was_only_estimated_too_large_is_called() -> None:
    text = "0" * 100_000
    assert text_tokens(text) > 40_000

    fleet = CountingFleet(Count(**{text: 10}))
    async with fleet:
        await fleet.publish(asking(text))
        await fleet.until(lambda: text[:20] in fleet.replies)

    assert fleet.called == [text[:20]]


async def test_a_job_whose_deadline_passes_while_it_is_counted_is_answered(closed: Count) -> None:
    fleet = CountingFleet(closed)
    async with fleet:
        await fleet.publish(asking("a", seconds=5))
        await fleet.until_asked(1)
        await fleet.until(lambda: "a" in fleet.replies)
        closed.open.set()

    failure = fleet.replies["a"].failure
    assert failure is not None
    assert failure.failure_class == "expired"
    assert fleet.called == []


async def test_a_job_that_is_cancelled_while_it_is_counted_is_not_called(closed: Count) -> None:
    fleet = CountingFleet(closed)
    async with fleet:
        await fleet.publish(asking("a"))
        await fleet.until_asked(1)
        fleet.worker.operators.apply([(b"the command", encode(cancel("a")))])
        closed.open.set()
        await fleet.until(lambda: "a" in fleet.replies)

    assert (fleet.replies["a"].status, fleet.called) == ("cancelled", [])


async def test_a_drain_gives_back_what_is_being_counted(closed: Count) -> None:
    fleet = CountingFleet(closed)
    fleet.start()
    await fleet.publish(asking("a"))
    await fleet.until_asked(1)
    fleet.worker.drain()
    await fleet.settle()
    closed.open.set()
    await fleet.left()

    assert (fleet.called, fleet.lag) == ([], 1)


async def test_only_the_prompts_of_jobs_that_go_next_are_counted() -> None:
    count = Count()
    fleet = CountingFleet(count, concurrency=1)
    provider = fleet.lanes["main"].provider
    assert isinstance(provider, ScriptedProvider)
    provider.hold.clear()
    async with fleet:
        await fleet.publish(*(asking(f"a{n}", tenant="a") for n in range(100)))
        await fleet.until_asked(30)
        await fleet.settle()
        flood = len(count.asked)
        await fleet.publish(
            asking("b", tenant="b"), asking("c", tenant="a", priority=Priority.INTERACTIVE)
        )
        await fleet.until(lambda: {"b", "c"} <= set(count.asked))
        after = len(count.asked)
        provider.hold.set()
        await fleet.until(lambda: len(fleet.called) == 102)

    assert flood <= 40
    assert after <= flood + 34
    assert {"b", "c"} <= set(fleet.called[:5])


async def test_a_large_prompt_is_counted_alone() -> None:
    """So that what is counted at once takes no longer than it must."""
    fleet = CountingFleet(Count(), concurrency=1)
    batches: list[int] = []
    to_thread = asyncio.to_thread

    async def noted(work: Any, admission: Admission, jobs: list[Any]) -> Any:
        batches.append(len(jobs))
        return await to_thread(work, admission, jobs)

    large = [asking(f"{n}" + "x" * 90_000) for n in range(3)]
    small = [asking(f"s{n}") for n in range(3)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(asyncio, "to_thread", noted)
        async with fleet:
            await fleet.publish(*large, *small)
            await fleet.until(lambda: len(fleet.replies) == 6)

    assert sum(batches) == 6
    assert len(batches) >= 3
