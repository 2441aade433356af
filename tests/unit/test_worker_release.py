"""What a worker lets go of: a shard that leaves, a lane that is not its own, a job that kills."""

import asyncio
from collections import Counter
from collections.abc import Callable
from functools import partial

import pytest
from manual_clock import ManualClock
from memory_broker import MemoryBroker
from memory_fleet import NAMES, MemoryFleet
from samples import job, lane
from scripted_provider import ScriptedProvider

from tollway_schemas.codec import decode
from tollway_schemas.dead_letter import DeadLetter
from tollway_schemas.failure import FailureClass
from tollway_schemas.job import Job, Priority
from tollway_schemas.redrive import LetterName, Redrive, StoredAnswer
from tollway_workers.config.shape.route import RetrySettings, RouteSettings
from tollway_workers.errors import ProviderFailure
from tollway_workers.ownership import commit_note
from tollway_workers.pipeline.stored import Held, StoredAnswers
from tollway_workers.providers.base import Completion, ProviderCall

_RETRIES = RetrySettings(backoff_initial=5.0, backoff_max=5.0)
ROUTE = RouteSettings(lanes=("main",), retry=_RETRIES)
LANE_TOPIC = NAMES.lane("main", Priority.BULK)


def fleet_of(
    provider: ScriptedProvider, broker: MemoryBroker | None = None, *, name: str = "worker-0"
) -> MemoryFleet:
    fleet = MemoryFleet(
        {lane(concurrency=8, call_timeout=20.0): provider}, {"extract": ROUTE}, broker=broker
    )
    fleet.source.instance_id = name
    return fleet


def names(provider: ScriptedProvider) -> Counter[str]:
    return Counter(call.call_id.split("/")[0] for call in provider.calls)


async def both(one: MemoryFleet, other: MemoryFleet, true: Callable[[], bool]) -> None:
    """Let time pass for two workers, each with a clock of its own."""

    def pass_for_the_other() -> bool:
        other.clock.advance(0.05)
        return true()

    await one.until(pass_for_the_other)


def failing() -> ProviderFailure:
    return ProviderFailure(failure_class=FailureClass.TRANSIENT, message="a bad moment")


def redriven(name: str) -> Job:
    """A job that carries its answer."""
    answer = StoredAnswer(attempt=1, text="fine", finish="stop")
    of = LetterName(route="extract", job_id=name)
    return job(name, generation=2, redrive=Redrive(of=of, answers=(answer,)))


async def test_a_drain_sends_on_what_waits_for_a_retry_with_its_attempts() -> None:
    provider, other = ScriptedProvider([failing()]), ScriptedProvider()
    fleet = fleet_of(provider)
    await fleet.publish(job("tried"))
    fleet.start()
    await fleet.until(lambda: fleet.worker.dispatcher.waiting == 1)

    await fleet.drain()
    sent_on = len(fleet.broker.records(LANE_TOPIC))
    async with fleet_of(other, fleet.broker, name="worker-1") as second:
        await second.until(lambda: "tried" in second.replies)

    assert sent_on == 1
    assert [call.call_id for call in other.calls] == ["tried/1/2"]
    assert [each.number for each in second.replies["tried"].attempts] == [1, 2]


async def test_a_drain_waits_for_no_retry_that_is_not_due() -> None:
    fleet = fleet_of(ScriptedProvider([failing()]))
    await fleet.publish(job("tried"))
    fleet.start()
    await fleet.until(lambda: fleet.worker.dispatcher.waiting == 1)
    told = fleet.clock.monotonic()

    await fleet.drain()

    assert fleet.clock.monotonic() - told < 2.0


async def test_what_was_never_called_is_given_back_and_read_by_the_next() -> None:
    provider, other = ScriptedProvider(), ScriptedProvider()
    provider.hold.clear()
    fleet = fleet_of(provider)
    await fleet.publish(*(job(f"j{n}") for n in range(30)))
    fleet.start()
    await fleet.until(lambda: len(provider.calls) == 8)

    fleet.worker.drain()
    provider.hold.set()
    await fleet.left()
    async with fleet_of(other, fleet.broker, name="worker-1") as second:
        await second.until(lambda: len(second.replies) == 30)

    assert len(provider.calls) == 8
    assert fleet.broker.records(LANE_TOPIC) == []
    assert set((names(provider) + names(other)).values()) == {1}


async def test_a_move_calls_no_job_twice_and_gives_back_the_bytes_of_what_went() -> None:
    provider, other = ScriptedProvider(), ScriptedProvider()
    provider.hold.clear()
    fleet = fleet_of(provider)
    await fleet.publish(*(job(f"j{n}") for n in range(40)))
    fleet.start()
    await fleet.until(lambda: len(provider.calls) == 8)

    async with fleet_of(other, fleet.broker, name="worker-1") as second:
        await both(fleet, second, lambda: fleet.source.releasing)
        provider.hold.set()
        await both(fleet, second, lambda: len(fleet.replies) == 40 and len(other.calls) > 0)
        fleet.worker.drain()
        await both(fleet, second, lambda: fleet.running is not None and fleet.running.done())

    assert set((names(provider) + names(other)).values()) == {1}
    assert fleet.worker.held_bytes == second.worker.held_bytes == 0


async def test_a_call_that_outlives_its_release_is_broken_off_and_its_partition_goes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    provider, other = ScriptedProvider(), ScriptedProvider()
    fleet = fleet_of(provider)

    async def never(call: object) -> None:
        await fleet.clock.sleep(1e9)

    monkeypatch.setattr(provider, "complete", never)
    await fleet.publish(*(job(f"j{n}") for n in range(6)))
    fleet.start()
    await fleet.until(lambda: fleet.lanes["main"].admission.in_flight == 6)
    began = fleet.clock.monotonic()

    async with fleet_of(other, fleet.broker, name="worker-1") as second:
        await both(fleet, second, lambda: len(other.calls) > 0)
        took = fleet.clock.monotonic() - began
        held = fleet.worker.held_bytes
        await fleet.crash()

    # The longest call, and a second.
    assert 21.0 <= took <= 23.0
    # What the second has called for already is ours no more.
    assert held < 6 * 3_500


async def test_a_retry_that_a_drain_breaks_off_goes_on_with_its_attempts() -> None:
    provider, other = ScriptedProvider([failing()]), ScriptedProvider()
    fleet = fleet_of(provider)
    await fleet.publish(job("tried"))
    fleet.start(drain_timeout=1.0)
    await fleet.until(lambda: fleet.worker.dispatcher.waiting == 1)
    provider.hold.clear()
    await fleet.until(lambda: len(provider.calls) == 2)

    await fleet.drain()
    async with fleet_of(other, fleet.broker, name="worker-1") as second:
        await second.until(lambda: "tried" in second.replies)

    # The call that was broken off is nobody's mistake: it is made again.
    assert [call.call_id for call in other.calls] == ["tried/1/2"]
    assert [each.number for each in second.replies["tried"].attempts] == [1, 2]
    assert fleet.worker.held_bytes == 0


async def test_a_partition_that_goes_after_a_call_was_broken_off_has_no_last_word() -> None:
    provider = ScriptedProvider()
    provider.hold.clear()
    fleet = fleet_of(provider)
    await fleet.publish(job("hangs"))
    fleet.start(drain_timeout=1.0)
    await fleet.until(lambda: len(provider.calls) == 1)

    await fleet.drain()

    notes = [
        commit_note.read(*at)
        for (topic, _), at in fleet.broker.committed(NAMES.worker_group).items()
        if topic == NAMES.jobs("extract", Priority.BULK)
    ]
    assert sorted(note.final for note in notes if note is not None) == [False, True, True, True]


async def test_nothing_starts_without_proof_that_it_is_ours(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    provider = ScriptedProvider()
    fleet = fleet_of(provider)
    proof: list[bool] = []
    monkeypatch.setattr(fleet.source, "may_start", lambda record: bool(proof))
    async with fleet:
        await fleet.publish(*(job(f"j{n}") for n in range(5)))
        await fleet.until(lambda: fleet.worker.dispatcher.waiting == 5)
        await fleet.settle()
        before = len(provider.calls)
        proof.append(True)
        await fleet.until(lambda: len(fleet.replies) == 5)

    assert before == 0


async def test_a_job_whose_lane_has_no_shard_here_is_sent_to_its_lane(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    provider = ScriptedProvider()
    fleet = fleet_of(provider)
    monkeypatch.setattr(
        fleet.source, "serves", lambda topic: bool(fleet.broker.records(LANE_TOPIC))
    )
    async with fleet:
        await fleet.publish(job("elsewhere"))
        await fleet.until(lambda: "elsewhere" in fleet.replies and fleet.lag == 0)

    (sent_on,) = fleet.broker.records(LANE_TOPIC)
    assert dict(sent_on.headers)["tollway-hops"] == b"0"
    assert len(provider.calls) == 1


async def test_what_others_have_by_now_is_forgotten_and_not_sent_on_to_be_called_twice(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    provider = ScriptedProvider()
    provider.hold.clear()
    fleet = fleet_of(provider)
    async with fleet:
        await fleet.publish(*(job(f"job-{n}") for n in range(20)))
        await fleet.until(lambda: fleet.worker.dispatcher.held("main") == 12)

        # It was taken for dead while it was frozen, and no shard of the lane is its own.
        monkeypatch.setattr(fleet.source, "serves", lambda topic: False)
        fleet.broker.leave(NAMES.worker_group, fleet.source)
        fleet.source.forget()
        # As after the poll in which the group says so, before anything else comes by.
        fleet.worker._leave_to_others()
        provider.hold.set()
        await fleet.until(lambda: fleet.worker.held_bytes == 0)

    assert fleet.broker.records(LANE_TOPIC) == []


class Deadly(ScriptedProvider):
    """Answers after half a second; `killed` is set as soon as it is called for the killer."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = ManualClock()
        self.killed = False

    async def complete(self, call: ProviderCall) -> Completion:
        self.killed = self.killed or call.call_id.startswith("killer")
        await self.clock.sleep(0.5)
        return await super().complete(call)


def over(provider: Deadly, fleet: MemoryFleet) -> bool:
    return provider.killed or len(fleet.replies) == 6


async def test_a_killer_is_given_up_after_four_deaths_and_the_others_are_answered() -> None:
    fleet = fleet_of(ScriptedProvider())
    await fleet.publish(*(job(f"j{n}") for n in range(5)), job("killer"))
    deaths = 0
    while len(fleet.replies) < 6:
        provider = Deadly()
        fleet = fleet_of(provider, fleet.broker)
        provider.clock = fleet.clock
        fleet.start()
        await fleet.until(partial(over, provider, fleet))
        deaths += provider.killed
        await fleet.crash()

    letters = [decode(DeadLetter, each.value) for each in fleet.dead_letters]
    assert [letter.job_id for letter in letters] == ["killer"]
    assert letters[0].failure.failure_class is FailureClass.WORKER_CRASHED
    assert deaths == 4
    assert set(fleet.replies) == {"killer", *(f"j{n}" for n in range(5))}


async def test_jobs_of_a_partition_that_was_lost_take_no_memory_while_their_lane_waits() -> None:
    provider = ScriptedProvider()
    provider.hold.clear()
    fleet = fleet_of(provider)
    async with fleet:
        await fleet.publish(*(job(f"job-{n}") for n in range(20)))
        await fleet.until(lambda: fleet.worker.dispatcher.held("main") == 12)
        waiting = sum(fleet.worker.dispatcher._lanes["main"].parts.values())
        called = fleet.worker.held_bytes - waiting

        fleet.broker.leave(NAMES.worker_group, fleet.source)
        fleet.source.forget()
        await fleet.until(lambda: fleet.worker.dispatcher.held("main") == 0)

        assert fleet.worker.held_bytes == called
        provider.hold.set()


async def test_a_job_whose_stored_answers_are_being_judged_holds_up_no_release(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fleet = fleet_of(ScriptedProvider())
    judging = asyncio.Event()

    async def hangs(*_: object) -> Held:
        await judging.wait()
        return Held(None)

    with monkeypatch.context() as patched:
        patched.setattr(StoredAnswers, "hold", hangs)
        await fleet.publish(*(redriven(f"job-{n}") for n in range(12)))
        fleet.start()
        await fleet.until(lambda: fleet.worker.dispatcher.waiting == 12)
    second = fleet_of(ScriptedProvider(), fleet.broker, name="worker-1")
    second.start()
    await both(fleet, second, lambda: len(second.source.partitions) == 8)
    await both(fleet, second, lambda: len(second.replies) > 0)
    judging.set()
    await both(fleet, second, lambda: fleet.lag == 0)

    assert len(second.replies) == 12
    await fleet.drain()
    await second.drain()
