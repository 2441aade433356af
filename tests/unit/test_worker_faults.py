"""A fault, or a death, at each point where a worker waits for the world: nothing is lost."""

import asyncio
from collections import Counter
from collections.abc import Callable
from importlib import import_module

import pytest
from memory_broker import MemoryBroker
from memory_fleet import MemoryFleet, memory_broker
from samples import job, lane
from scripted_provider import ScriptedProvider, Turn, completion

from tollway_schemas import headers
from tollway_schemas.failure import FailureClass
from tollway_schemas.request import ChatRequest, FunctionTool, Message, Tool
from tollway_workers.config.shape.route import RouteSettings
from tollway_workers.errors import ProviderFailure
from tollway_workers.job import envelopes as outgoing
from tollway_workers.job.outcome import Completed
from tollway_workers.job.ports import OutgoingRecord
from tollway_workers.job.progress import JobProgress
from tollway_workers.ownership.partition import Partition

_NAMES = [f"job-{number}" for number in range(6)]
#: Two of these calls fail: a retry, a dead letter and answers are all on the way.
_TURNS: list[Turn] = [
    ProviderFailure(failure_class=FailureClass.TRANSIENT, message="no", status=500),
    ProviderFailure(failure_class=FailureClass.CONTENT_POLICY, message="no", status=400),
    completion("fine"),
]
#: More than the writes of such a fleet: 7 journal records, 6 replies, a dead letter and a refusal.
_POINTS = range(18)


def fleet_on(broker: MemoryBroker, provider: ScriptedProvider) -> MemoryFleet:
    routes = {"extract": RouteSettings(lanes=("main",))}
    return MemoryFleet({lane(concurrency=3): provider}, routes, broker=broker)


def at_the(nth: int, act: Callable[[], None], write: Callable[[OutgoingRecord], object]) -> object:
    """A write that does something else once, at the `nth` time."""
    count = iter(range(10**6))

    async def append(record: OutgoingRecord) -> Partition:
        if next(count) == nth:
            act()
        return await write(record)  # type: ignore[no-any-return, misc]  # the broker's own

    return append


async def publish(fleet: MemoryFleet) -> None:
    await fleet.publish(*(job(name) for name in _NAMES))
    await fleet.publish_raw(b"\x00 no job", "extract")


def all_ended(fleet: MemoryFleet) -> bool:
    refused = sum(letter.value == b"\x00 no job" for letter in fleet.dead_letters)
    return set(fleet.replies) == set(_NAMES) and refused >= 1 and fleet.lag == 0


@pytest.mark.parametrize("point", _POINTS)
@pytest.mark.parametrize("error", [ConnectionError, asyncio.TimeoutError, RuntimeError])
async def test_a_write_that_fails_once_is_written_again(point: int, error: type[Exception]) -> None:
    broker, provider = memory_broker("extract"), ScriptedProvider(_TURNS)
    fleet = fleet_on(broker, provider)
    await publish(fleet)

    def fail() -> None:
        raise error("the broker is away")

    broker.append = at_the(point, fail, broker.append)  # type: ignore[method-assign, assignment]  # a fault
    async with fleet:
        await fleet.until(lambda: all_ended(fleet))

    assert len(provider.calls) == 7
    assert fleet.worker.held_bytes == 0


@pytest.mark.parametrize("point", _POINTS)
async def test_a_worker_that_dies_at_a_write_loses_nothing(point: int) -> None:
    broker, provider = memory_broker("extract"), ScriptedProvider(_TURNS)
    first = fleet_on(broker, provider)
    await publish(first)
    died = asyncio.Event()

    def die() -> None:
        died.set()
        raise asyncio.CancelledError

    write = broker.append
    broker.append = at_the(point, die, write)  # type: ignore[method-assign, assignment]  # a death
    first.start()
    await first.until(lambda: died.is_set() or all_ended(first))
    await first.crash()
    broker.append = write  # type: ignore[method-assign]  # it is over

    second = fleet_on(broker, ScriptedProvider())
    async with second:
        await second.until(lambda: all_ended(second))

    twice = Counter(record.key for record in broker.records("tollway.replies"))
    assert max(twice.values()) <= 2


@pytest.mark.parametrize("name", ["reply", "journal_record", "dead_letter"])
async def test_a_bug_while_a_record_is_built_is_a_dead_letter_and_no_endless_try(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A reply is built of an answer, a dead letter of a refusal.
    turns = [completion("fine")] if name == "reply" else _TURNS
    broker, provider = memory_broker("extract"), ScriptedProvider(turns)
    build = getattr(outgoing, name)

    def break_once_for_each_answer(progress: JobProgress, what: object, **rest: object) -> bytes:
        if name == "dead_letter" or isinstance(what, Completed | outgoing.Exchange):
            raise TypeError("secret prompt")
        return build(progress, what, **rest)  # type: ignore[no-any-return]  # as the original

    monkeypatch.setattr(outgoing, name, break_once_for_each_answer)
    fleet = fleet_on(broker, provider)
    await fleet.publish(job("job-0"))

    async with fleet:
        await fleet.until(lambda: fleet.lag == 0)

    assert len(provider.calls) <= 2
    assert (len(fleet.dead_letters) == 1) or name == "dead_letter"
    assert "secret" not in str([letter.value for letter in fleet.dead_letters])
    assert fleet.worker.writer.held == 0


@pytest.mark.parametrize(
    "step",
    ["tollway_workers.pipeline.read.read_job", "tollway_workers.pipeline.admit.prompt_tokens"],
)
async def test_a_bug_met_before_any_call_is_that_jobs_dead_letter_and_ends_no_worker(
    step: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    module, _, name = step.rpartition(".")
    original = getattr(import_module(module), name)
    steps = iter(range(10**6))

    def break_at_the_second(*arguments: object, **rest: object) -> object:
        if next(steps) == 1:
            raise TypeError("secret prompt")
        return original(*arguments, **rest)

    monkeypatch.setattr(step, break_at_the_second)
    routes = {"extract": RouteSettings(lanes=("main",))}
    config = lane(tokens_per_minute=60_000)
    async with MemoryFleet({config: ScriptedProvider()}, routes) as fleet:
        await fleet.publish(job("first"), job("second"), job("third"))
        await fleet.until(lambda: fleet.lag == 0)

    (letter,) = fleet.dead_letters
    assert [reply.status for reply in fleet.replies.values()].count("completed") == 2
    assert "in the worker ended the job (TypeError)" in str([letter.value, letter.headers])
    assert "secret" not in str([letter.value, letter.headers]) + caplog.text
    assert fleet.worker.held_bytes == 0


@pytest.mark.parametrize("point", range(8))
async def test_a_worker_that_dies_during_a_call_loses_nothing_and_repeats_that_call_alone(
    point: int,
) -> None:
    broker, provider = memory_broker("extract"), ScriptedProvider()
    first = fleet_on(broker, provider)
    await publish(first)
    original = provider.complete

    async def complete(call):  # type: ignore[no-untyped-def]  # as the double's own
        if len(provider.calls) >= point:
            provider.hold.clear()
        return await original(call)

    provider.complete = complete  # type: ignore[method-assign]  # calls hang from then on
    first.start()
    await first.until(lambda: all_ended(first) or len(provider.calls) > point)
    await first.source.commit()
    in_flight = len(provider.calls) - len(first.replies)
    await first.crash()

    successor = ScriptedProvider()
    second = fleet_on(broker, successor)
    async with second:
        await second.until(lambda: all_ended(second))

    assert len(provider.calls) + len(successor.calls) <= len(_NAMES) + in_flight


async def test_a_job_with_a_number_that_is_too_large_to_send_ends_no_worker() -> None:
    huge = Tool(function=FunctionTool(name="f", parameters={"const": 10**30}))
    asks = ChatRequest(messages=(Message(role="user", content="?"),), tools=(huge,))
    config = lane(tokens_per_minute=60_000)
    routes = {"extract": RouteSettings(lanes=("main",))}
    async with MemoryFleet({config: ScriptedProvider()}, routes) as fleet:
        await fleet.publish(job("huge", request=asks), job("usual"))
        await fleet.until(lambda: "usual" in fleet.replies and bool(fleet.dead_letters))

    said = dict(fleet.dead_letters[0].headers)[headers.FAILURE_MESSAGE]
    assert said.startswith(b"request.tools[0]: is an integer of more than 64 bits")
