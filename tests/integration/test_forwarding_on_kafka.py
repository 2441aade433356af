"""The ways a job takes besides its jobs topic, on a real broker."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from live_fleet import LiveFleet, OpenFleet, by_job, fresh_job, fresh_jobs
from samples import attempt, progress

from tollway_schemas import headers
from tollway_schemas.codec import decode, encode
from tollway_schemas.dead_letter import DeadLetter
from tollway_schemas.failure import Failure, FailureClass
from tollway_schemas.job import Priority
from tollway_schemas.keys import job_key
from tollway_schemas.reply import Reply
from tollway_schemas.topics import TopicNames
from tollway_workers.app.process import WorkerApp, WorkerOptions
from tollway_workers.clock import SystemClock
from tollway_workers.config.load.layers import load_fleet
from tollway_workers.forwarding.relay import RelayTargets
from tollway_workers.forwarding.travel import departure
from tollway_workers.job.ports import OutgoingRecord
from tollway_workers.job.progress import MOST_HOPS
from tollway_workers.kafka.client_settings import SinkSettings, SourceSettings
from tollway_workers.kafka.consume.relay_loop import Relay
from tollway_workers.kafka.consume.tier_reader import KafkaTierSource
from tollway_workers.kafka.group.unfinished import unfinished_records
from tollway_workers.kafka.produce.sink import KafkaSink
from tollway_workers.local.simulator import Fault, FaultKind, Simulator, SimulatorOptions
from tollway_workers.ownership.record import ReceivedRecord

pytestmark = pytest.mark.kafka

MakeTopic = Callable[..., Awaitable[str]]
_TIERS = (2.0, 5.0)
_PARTITIONS = 4


async def _no_giving_up(record: ReceivedRecord, failure: Failure, route: str) -> None:
    raise AssertionError(failure.message)


@dataclass
class Ground:
    """Retry topics, a lane's topic, and relays that end with their test."""

    client: dict[str, Any]
    targets: RelayTargets
    sink: KafkaSink
    relays: list[tuple[Relay, KafkaTierSource, asyncio.Task[None]]] = field(default_factory=list)

    async def relay(self, name: str) -> tuple[Relay, KafkaTierSource]:
        settings = SourceSettings(
            client=self.client,
            topics=tuple(self.targets.names.retry(tier) for tier in self.targets.tiers),
            group=self.targets.names.relay_group,
            instance_id=name,
            session_timeout=6.0,
        )
        source = KafkaTierSource(settings, SystemClock())
        relay = Relay(source, self.sink, self.targets, SystemClock(), _no_giving_up)
        self.relays.append((relay, source, asyncio.create_task(relay.run())))
        return relay, source

    async def wait(self, tier: float, job: str, due: float) -> None:
        about = headers.encode(
            ((headers.LANE, "main"), (headers.PRIORITY, "bulk"), (headers.DUE, f"{due:.3f}"))
        )
        record = OutgoingRecord(self.targets.names.retry(tier), job.encode(), b"{}", about)
        await (await self.sink.send(record))

    async def back(self, count: int, seconds: float = 30.0) -> dict[bytes, list[float]]:
        """When each job came back, once `count` records have; more are waited for a moment."""
        topic = self.targets.names.lane("main", Priority.BULK)
        consumer = AIOKafkaConsumer(**self.client, auto_offset_reset="earliest")
        await consumer.start()
        consumer.assign([TopicPartition(topic, number) for number in range(_PARTITIONS)])
        found: dict[bytes, list[float]] = {}
        until = time.monotonic() + seconds
        try:
            while sum(map(len, found.values())) < count and time.monotonic() < until:
                _note(found, await consumer.getmany(timeout_ms=200))
            _note(found, await consumer.getmany(timeout_ms=1500))
        finally:
            await consumer.stop()
        return found

    async def left_to_do(self) -> int:
        """Records of retry topics that are not committed."""
        admin = AIOKafkaAdminClient(**self.client)
        await admin.start()
        try:
            commits = await admin.list_consumer_group_offsets(self.targets.names.relay_group)
        finally:
            await admin.close()
        consumer = AIOKafkaConsumer(**self.client)
        await consumer.start()
        try:
            places = [
                TopicPartition(self.targets.names.retry(tier), number)
                for tier in self.targets.tiers
                for number in range(_PARTITIONS)
            ]
            consumer.assign(places)
            ends = await consumer.end_offsets(places)
        finally:
            await consumer.stop()
        done = {place: commit.offset for place, commit in commits.items()}
        return sum(end - max(done.get(place, 0), 0) for place, end in ends.items())

    async def close(self) -> None:
        for relay, source, running in self.relays:
            relay.stop()
            await asyncio.wait({running}, timeout=10)
            await source.leave()
        await self.sink.stop()


def _note(found: dict[bytes, list[float]], batches: dict[Any, list[Any]]) -> None:
    for records in batches.values():
        for record in records:
            found.setdefault(record.key, []).append(record.timestamp / 1000)


@pytest.fixture
async def ground(
    bootstrap_servers: str, topic_prefix: str, make_topic: MakeTopic
) -> AsyncIterator[Ground]:
    names = TopicNames(topic_prefix)
    for tier in _TIERS:
        await make_topic(names.retry(tier), _PARTITIONS)
    await make_topic(names.lane("main", Priority.BULK), _PARTITIONS)
    client = {"bootstrap_servers": bootstrap_servers}
    sink = KafkaSink(SinkSettings(client=client, most_bytes=100_000), SystemClock())
    await sink.start()
    targets = RelayTargets(
        names=names, first_lanes={"r": "main"}, lanes=frozenset({"main"}), tiers=_TIERS
    )
    ground = Ground(client, targets, sink)
    yield ground
    await ground.close()


async def test_jobs_come_back_when_they_are_due_and_are_committed_at_once(ground: Ground) -> None:
    await ground.relay("one")
    due: dict[bytes, float] = {}
    for number in range(40):
        tier = _TIERS[number % 2]
        at = time.time() + tier
        due[str(number).encode()] = at
        await ground.wait(tier, str(number), at)

    back = await ground.back(40)

    assert {job: len(times) for job, times in back.items()} == dict.fromkeys(due, 1)
    late = [back[job][0] - due[job] for job in due]
    # Records carry the producer's time in whole milliseconds.
    assert min(late) > -0.002
    assert max(late) < 2.0
    assert await ground.left_to_do() == 0


async def test_relays_that_join_and_leave_put_nothing_back_twice(ground: Ground) -> None:
    first, _ = await ground.relay("one")
    for number in range(300):
        await ground.wait(2.0, str(number), time.time() + 2.0)
    await ground.relay("two")
    for number in range(300, 600):
        await ground.wait(2.0, str(number), time.time() + 1.0)
    first.stop()
    for number in range(600, 800):
        await ground.wait(2.0, str(number), time.time() + 0.5)

    back = await ground.back(800)

    assert len(back) == 800
    assert Counter(map(len, back.values())) == {1: 800}


async def test_after_a_crash_another_relay_goes_on_and_nothing_is_lost(ground: Ground) -> None:
    relay, source = await ground.relay("one")
    for number in range(50):
        await ground.wait(2.0, str(number), time.time())
    await ground.back(50)
    running = ground.relays[0][2]
    # As a killed process: it neither commits nor leaves.
    consumer, source._consumer = source._consumer, None
    running.cancel()
    await asyncio.wait({running})
    assert consumer is not None
    await consumer.stop()
    for number in range(50, 100):
        await ground.wait(2.0, str(number), time.time())

    await ground.relay("one")
    back = await ground.back(100)

    assert relay.relayed == 50
    assert len(back) == 100
    assert sum(map(len, back.values())) == 100


async def answered(fleet: LiveFleet, count: int, *, each: int = 1) -> dict[str, Reply]:
    """The replies by job, once a worker of this process has written so many, `each` for a job."""
    settings = load_fleet(fleet.config, environ={})
    worker = WorkerApp(settings, WorkerOptions(instance_id="one"))
    running = asyncio.create_task(worker.run())
    await fleet.until_records(fleet.names.replies, count)
    worker.worker.drain()
    await running
    replies = await fleet.replies()
    assert set(Counter(reply.job_id for reply in replies).values()) == {each}
    return by_job(replies)


async def left_to_do(fleet: LiveFleet, group: str, topics: list[str]) -> int:
    return sum((await unfinished_records(fleet.client, group, topics)).values())


@pytest.fixture
async def simulator() -> AsyncIterator[Simulator]:
    """Tells each job whose name begins with `later` to come back in eleven seconds."""
    later = tuple(f"later-{number}" for number in range(10))
    fault = Fault(
        kind=FaultKind.UNAVAILABLE, jobs=later, first_attempts=1, retry_after_seconds=11.0
    )
    async with Simulator(SimulatorOptions(faults=(fault,), latency_scale=0.05)) as simulator:
        yield simulator


@pytest.fixture
async def fleet(simulator: Simulator, live_fleet: OpenFleet) -> LiveFleet:
    """Lanes `main` and `old`, of which no route has the second."""
    old = {"provider": "simulator", "model": "scripted", "concurrency": 24}
    return await live_fleet(simulator.base_url, retry={"tiers": ["12s", "60s"]}, lanes={"old": old})


async def test_a_long_wait_goes_through_a_retry_topic_and_comes_back_with_its_attempts(
    fleet: LiveFleet, simulator: Simulator
) -> None:
    topic = fleet.names.jobs("extract", Priority.BULK)
    both = [fresh_job(f"{kind}-{n}") for kind in ("later", "soon") for n in range(10)]
    await fleet.publish(*both, headers=[("mine", b"1")])

    replies = await answered(fleet, 20)

    assert {reply.status for reply in replies.values()} == {"completed"}
    assert Counter(len(reply.attempts) for reply in replies.values()) == {1: 10, 2: 10}
    for reply in replies.values():
        assert [each.number for each in reply.attempts] == list(range(1, len(reply.attempts) + 1))
    lane = fleet.names.lane("main", Priority.BULK)
    came_back = {each.key: each.timestamp for each in await fleet.records(lane)}
    tier = fleet.names.retry(12.0)
    due = {r.key: headers.number(r.headers, headers.DUE) or 0.0 for r in await fleet.records(tier)}
    assert len(due) == 10
    late = [came_back[key] - at for key, at in due.items()]
    # Records carry the producer's time in whole milliseconds.
    assert min(late) > -0.002
    assert max(late) < 2.0
    for first, *more in (reply.attempts for reply in replies.values()):
        assert all(each.started_at - first.started_at >= timedelta(seconds=12) for each in more)
    assert len(simulator.calls) == 30
    assert await left_to_do(fleet, fleet.names.relay_group, [tier]) == 0
    assert await left_to_do(fleet, fleet.names.worker_group, [topic, lane]) == 0
    written = await fleet.records(fleet.names.replies)
    assert all(("mine", b"1") in reply.headers for reply in written)


async def test_a_retired_lane_is_emptied_and_no_job_is_sent_around_for_ever(
    fleet: LiveFleet, simulator: Simulator
) -> None:
    topic = fleet.names.lane("old", Priority.BULK)
    for number in range(12):
        each = fresh_job(f"held-{number}")
        subject = progress(each)
        subject.attempts.append(attempt(1, FailureClass.TRANSIENT, lane="old"))
        about = departure(subject, lane="old", most_bytes=100_000)
        around = str(MOST_HOPS if number == 0 else number % MOST_HOPS)
        about = [(name, value) for name, value in about if name != headers.HOPS]
        about.append((headers.HOPS, around.encode()))
        await fleet.write(topic, encode(each), job_key(each.id), about)
    await fleet.flush()

    replies = await answered(fleet, 12)

    (letter,) = [decode(DeadLetter, r.value) for r in await fleet.records(fleet.names.dead_letters)]
    assert (letter.job_id, letter.failure.failure_class) == (
        "held-0",
        FailureClass.HOPS_EXHAUSTED,
    )
    assert [each.number for each in letter.attempts] == [1]
    assert {call.job_id for call in simulator.calls} == replies.keys() - {"held-0"}
    assert all(
        [each.number for each in reply.attempts] == [1, 2]
        for reply in replies.values()
        if reply.job_id != "held-0"
    )
    assert await left_to_do(fleet, fleet.names.worker_group, [topic]) == 0


async def test_copies_of_a_job_are_called_once_and_each_has_the_reply(
    fleet: LiveFleet, simulator: Simulator
) -> None:
    topic = fleet.names.jobs("extract", Priority.BULK)
    twice = fresh_jobs(30)
    await fleet.publish(*twice, *twice)

    replies = await answered(fleet, 60, each=2)

    assert len(replies) == len(simulator.calls) == 30
    written = await fleet.records(fleet.names.replies)
    assert len({(record.key, record.value) for record in written}) == 30
    assert await left_to_do(fleet, fleet.names.worker_group, [topic]) == 0
