"""One whole worker over a broker in memory, a scripted provider and a clock that a test moves."""

import asyncio
from collections.abc import Callable, Mapping
from random import Random

from tollway_schemas.attempt import JournalRecord
from tollway_schemas.codec import decode, encode
from tollway_schemas.headers import Headers
from tollway_schemas.job import Job, Priority
from tollway_schemas.keys import job_key
from tollway_schemas.reply import Reply
from tollway_schemas.topics import TopicNames
from tollway_workers.admission import Admission
from tollway_workers.config.fleet import LaneConfig
from tollway_workers.config.route import RouteSettings
from tollway_workers.executor import JobExecutor, Lane
from tollway_workers.intake import Intake, IntakeSettings
from tollway_workers.kafka.ports import OutgoingRecord
from tollway_workers.policies.retry import RetryPolicy
from tollway_workers.providers.base import Provider
from tollway_workers.publisher import OutcomePublisher, PublisherSettings
from tollway_workers.telemetry.metrics import Metrics
from tollway_workers.testing.manual_clock import ManualClock
from tollway_workers.testing.memory_broker import MemoryBroker, MemorySink, MemorySource
from tollway_workers.testing.samples import NOW
from tollway_workers.validation.validator import ResultValidator
from tollway_workers.worker import Parts, Worker

NAMES = TopicNames()
#: Seconds of real time that a test waits for what it expects.
_PATIENCE = 10.0


def memory_broker(*routes: str, partitions: int = 4) -> MemoryBroker:
    """A broker with the topics of a fleet that has these routes."""
    broker = MemoryBroker(most_bytes=200_000, now=NOW)
    for name in (NAMES.replies, NAMES.dead_letters, NAMES.journal):
        broker.create_topic(name, partitions)
    for route in routes:
        for priority in Priority:
            broker.create_topic(NAMES.jobs(route, priority), partitions)
    return broker


class MemoryFleet:
    """A worker that is put together as a process puts it together, and what it wrote."""

    def __init__(
        self,
        lanes: Mapping[LaneConfig, Provider],
        routes: Mapping[str, RouteSettings],
        *,
        broker: MemoryBroker | None = None,
        memory_bytes: int = 2**20,
    ) -> None:
        self.clock = ManualClock(NOW)
        self.broker = broker or memory_broker(*routes)
        topics = {NAMES.jobs(r, p): (r, p) for r in routes for p in Priority}
        self.source = MemorySource(
            self.broker, topics, group=NAMES.worker_group, instance_id="worker-0"
        )
        self.sink = MemorySink(self.broker)
        self.lanes = {
            config.name: Lane(config, Admission(config, self.clock), provider)
            for config, provider in lanes.items()
        }
        self.metrics = Metrics({config.name: config for config in lanes}, self.clock)
        self.validator = ResultValidator()
        dice = Random(7)  # noqa: S311 the same dice in every test
        self.executor = JobExecutor(self.lanes, self.validator, RetryPolicy(dice), self.clock)
        self.publisher = OutcomePublisher(
            self.sink,
            PublisherSettings(
                topics=NAMES,
                worker="worker-0",
                reply_topics=frozenset(),
                most_bytes=self.broker.most_bytes,
            ),
            self.clock,
        )
        reads = IntakeSettings(jobs=topics, routes=routes)
        self.intake = Intake(reads, self.publisher, self.validator, self.clock)
        self.worker = Worker(self._parts(memory_bytes))
        self.running: asyncio.Task[None] | None = None

    async def __aenter__(self) -> "MemoryFleet":
        self.start()
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.drain()

    def start(self, drain_timeout: float = 60.0) -> None:
        """Let the worker run."""
        self.running = asyncio.create_task(self.worker.run(drain_timeout))

    async def drain(self) -> None:
        """Tell the worker to drain, and let time pass until it has left."""
        self.worker.drain()
        await self.left()

    async def left(self) -> None:
        """Let time pass until the worker has left; raises what it raised."""
        assert self.running is not None  # noqa: S101 a fleet is started before it is drained
        running = self.running
        await self.until(running.done)
        await running

    async def crash(self) -> None:
        """End the worker's tasks as a killed process does: nothing is committed any more."""
        self.broker.leave(NAMES.worker_group, self.source)
        self.source.forget()
        if self.running is not None:
            self.running.cancel()
            await asyncio.gather(self.running, return_exceptions=True)

    async def publish(self, *jobs: Job) -> None:
        """Put jobs where a service would."""
        for job in jobs:
            await self.publish_raw(encode(job), job.route, job.priority, key=job_key(job.id))

    async def publish_raw(
        self,
        value: bytes,
        route: str,
        priority: Priority = Priority.BULK,
        *,
        key: bytes | None = b"key",
        headers: Headers = (),
    ) -> None:
        """Put any record where a service would put a job."""
        topic = NAMES.jobs(route, priority)
        await self.broker.append(OutgoingRecord(topic, key, value, list(headers)))

    async def until(self, true: Callable[[], bool], *, step: float = 0.05) -> None:
        """Let time pass, `step` seconds of the clock at a time, until something is true."""
        async with asyncio.timeout(_PATIENCE):
            while not true():
                self.clock.advance(step)
                await asyncio.sleep(0)
                await asyncio.sleep(0.0005)

    async def settle(self, turns: int = 60) -> None:
        """Let everything happen that needs no time of the clock."""
        for _ in range(turns):
            await asyncio.sleep(0.0005)

    @property
    def replies(self) -> dict[str, Reply]:
        """The last reply of each job."""
        return {
            reply.job_id: reply
            for record in self.broker.records(NAMES.replies)
            for reply in (decode(Reply, record.value),)
        }

    @property
    def dead_letters(self) -> list[OutgoingRecord]:
        """All dead letters."""
        return self.broker.records(NAMES.dead_letters)

    @property
    def journal(self) -> list[JournalRecord]:
        """All journal records."""
        return [decode(JournalRecord, each.value) for each in self.broker.records(NAMES.journal)]

    @property
    def lag(self) -> int:
        """Records of jobs topics that are not committed as done, the map's included."""
        committed = self.broker.committed(NAMES.worker_group)
        return sum(
            len(log) - committed.get((topic, partition), (0, ""))[0]
            for topic in self.source.topics
            for partition, log in enumerate(self.broker.topics[topic])
        )

    def _parts(self, memory_bytes: int) -> Parts:
        return Parts(
            source=self.source,
            sink=self.sink,
            intake=self.intake,
            lanes=self.lanes,
            executor=self.executor,
            publisher=self.publisher,
            events=self.metrics,
            clock=self.clock,
            memory_bytes=memory_bytes,
        )
