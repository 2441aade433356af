"""The relay: puts jobs back when they are due, never early, each commit right after its batch."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from unittest.mock import Mock

import pytest
from manual_clock import ManualClock
from memory_broker import MemoryBroker, MemorySink
from memory_tiers import MemoryTierSource
from samples import NOW

from tollway_schemas import headers
from tollway_schemas.failure import Failure, FailureClass
from tollway_schemas.topics import TopicNames
from tollway_workers.forwarding.relay import RelayTargets
from tollway_workers.job.ports import OutgoingRecord
from tollway_workers.kafka.consume.relay_loop import Relay
from tollway_workers.ownership.record import ReceivedRecord

NAMES = TopicNames()
TARGETS = RelayTargets(
    names=NAMES,
    first_lanes={"extract": "main"},
    lanes=frozenset({"main"}),
    tiers=(15.0, 60.0),
)
LANE = "tollway.lanes.main.bulk"


class Events:
    """What a relay told of itself."""

    def __init__(self) -> None:
        self.late: list[float] = []
        self.failures: list[str] = []

    def job_relayed(self, late: float) -> None:
        self.late.append(late)

    def relay_failed(self, error: Exception) -> None:
        self.failures.append(type(error).__name__)


@dataclass
class Fixture:
    broker: MemoryBroker
    clock: ManualClock
    sink: MemorySink
    relay: Relay
    late: list[float]
    given_up: list[tuple[ReceivedRecord, Failure]] = field(default_factory=list)

    async def wait(self, tier: float, job: str, due: float, value: bytes = b"{}") -> None:
        about = headers.encode(
            ((headers.LANE, "main"), (headers.PRIORITY, "bulk"), (headers.DUE, f"{NOW + due:.3f}"))
        )
        record = OutgoingRecord(NAMES.retry(tier), job.encode(), value, about)
        await self.broker.append(record)

    async def until_relayed(self, count: int, *others: Relay) -> None:
        async with asyncio.timeout(10):
            while sum(relay.relayed for relay in (self.relay, *others)) < count:
                self.clock.advance(0.01)
                await asyncio.sleep(0.001)

    @property
    def back(self) -> list[bytes]:
        return sorted(record.key or b"" for record in self.broker.records(LANE))

    @property
    def done(self) -> int:
        return sum(offset for offset, _ in self.broker.committed(NAMES.relay_group).values())


@pytest.fixture
async def fixture() -> AsyncIterator[Fixture]:
    broker, clock = MemoryBroker(now=NOW), ManualClock(NOW)
    topics = [broker.create_topic(NAMES.retry(tier), 2) for tier in TARGETS.tiers]
    broker.create_topic(LANE, 2)
    sink = MemorySink(broker)
    given_up: list[tuple[ReceivedRecord, Failure]] = []

    async def give_up(record: ReceivedRecord, failure: Failure, route: str) -> None:
        given_up.append((record, failure))

    source = MemoryTierSource(broker, topics, group=NAMES.relay_group, instance_id="w-0")
    events = Events()
    relay = Relay(source, sink, TARGETS, clock, give_up, events)
    running = asyncio.create_task(relay.run())
    yield Fixture(broker, clock, sink, relay, events.late, given_up)
    relay.stop()
    await running


async def quiet() -> None:
    for _ in range(10):
        await asyncio.sleep(0.005)


async def test_a_job_comes_back_when_it_is_due_and_not_before(fixture: Fixture) -> None:
    await fixture.wait(15.0, "a", due=15.0)
    fixture.clock.advance(14.99)
    await quiet()
    early = fixture.back

    fixture.clock.advance(0.02)
    await fixture.until_relayed(1)

    assert (early, fixture.back) == ([], [b"a"])
    assert fixture.late == [pytest.approx(0.01, abs=0.5)]


async def test_a_job_of_a_short_tier_does_not_wait_for_one_of_a_long_tier(fixture: Fixture) -> None:
    await fixture.wait(60.0, "slow", due=60.0)
    await fixture.wait(15.0, "fast", due=15.0)

    fixture.clock.advance(15.0)
    await fixture.until_relayed(1)

    assert fixture.back == [b"fast"]


async def test_what_was_put_back_is_committed_at_once(fixture: Fixture) -> None:
    for number in range(20):
        await fixture.wait(15.0, f"{number}", due=0.0 if number < 12 else 15.0)

    await fixture.until_relayed(12)

    assert fixture.done == 12


async def test_jobs_that_kafka_does_not_take_are_written_again_and_each_is_put_back(
    fixture: Fixture,
) -> None:
    fixture.sink.failures = 7
    for number in range(5):
        await fixture.wait(15.0, f"{number}", due=0.0)

    await fixture.until_relayed(5)

    assert set(fixture.back) == {b"0", b"1", b"2", b"3", b"4"}
    assert fixture.sink.recoveries >= 1
    assert fixture.done == 5


async def test_a_job_that_became_too_large_is_given_up_and_blocks_nobody(fixture: Fixture) -> None:
    fixture.broker.most_bytes = 10_000
    await fixture.wait(15.0, "small", due=0.0)
    fixture.broker.topics[NAMES.retry(15.0)][0].insert(
        0, OutgoingRecord(NAMES.retry(15.0), b"large", b"x" * 20_000, [])
    )

    await fixture.until_relayed(2)

    assert fixture.back == [b"small"]
    (record, failure) = fixture.given_up[0]
    assert (record.key, failure.failure_class) == (b"large", FailureClass.INVALID_JOB)


async def test_a_second_relay_takes_its_part_and_nothing_is_put_back_twice(
    fixture: Fixture,
) -> None:
    for number in range(40):
        await fixture.wait(15.0, f"{number:02}", due=0.0 if number < 20 else 20.0)
    await fixture.until_relayed(20)
    topics = [NAMES.retry(tier) for tier in TARGETS.tiers]
    source = MemoryTierSource(fixture.broker, topics, group=NAMES.relay_group, instance_id="w-1")

    async def give_up(record: ReceivedRecord, failure: Failure, route: str) -> None:
        raise AssertionError(failure)

    second = Relay(source, fixture.sink, TARGETS, fixture.clock, give_up)
    running = asyncio.create_task(second.run())
    await quiet()
    fixture.clock.advance(20.0)
    await fixture.until_relayed(40, second)
    second.stop()
    await running

    assert fixture.back == [f"{number:02}".encode() for number in range(40)]
    assert second.relayed > 0


async def test_a_relay_that_is_stopped_does_not_wait_for_records(fixture: Fixture) -> None:
    source = Mock(MemoryTierSource)

    async def give_up(record: ReceivedRecord, failure: Failure, route: str) -> None:
        raise AssertionError(failure)

    Relay(source, fixture.sink, TARGETS, fixture.clock, give_up).stop()

    source.wake.assert_called_once_with()


async def test_a_relay_that_fails_is_started_again_and_says_so() -> None:
    broker, clock, events = MemoryBroker(now=NOW), ManualClock(NOW), Events()
    topic = broker.create_topic(NAMES.retry(15.0), 1)
    broker.create_topic(LANE, 1)
    source = MemoryTierSource(broker, [topic], group=NAMES.relay_group, instance_id="w-0")
    poll, polls = source.poll, 0

    async def poll_that_fails_once() -> None:
        nonlocal polls
        polls += 1
        if polls == 1:
            raise RuntimeError("a bug")
        await poll()

    async def give_up(record: ReceivedRecord, failure: Failure, route: str) -> None:
        raise AssertionError(failure.message)

    source.poll = poll_that_fails_once  # type: ignore[method-assign]  # a failure
    relay = Relay(source, MemorySink(broker), TARGETS, clock, give_up, events)
    running = asyncio.create_task(relay.keep_running())
    about = headers.encode(((headers.LANE, "main"), (headers.DUE, f"{NOW:.3f}")))
    await broker.append(OutgoingRecord(topic, b"a", b"{}", about))
    async with asyncio.timeout(10):
        while not broker.records(LANE):
            clock.advance(0.1)
            await asyncio.sleep(0.001)
        relay.stop()
        await running

    assert events.failures == ["RuntimeError"]
    assert len(broker.records(LANE)) == 1
