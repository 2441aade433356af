"""One whole worker over a broker in memory, a scripted provider and a clock that a test moves."""

import asyncio
from collections.abc import Callable, Collection, Iterable, Mapping
from itertools import count
from random import Random
from typing import ClassVar

from manual_clock import ManualClock
from memory_beats import memory_beat
from memory_broker import MemoryBroker, MemorySink, MemorySource
from memory_replies import MemoryReplies
from memory_tiers import MemoryTierSource
from samples import NOW, admission_of
from unconfined import Unconfined

from tollway_schemas.attempt import JournalRecord
from tollway_schemas.codec import decode, encode
from tollway_schemas.headers import PREFIX, Headers
from tollway_schemas.heartbeat import Heartbeat
from tollway_schemas.job import Job, Priority
from tollway_schemas.keys import job_key
from tollway_schemas.mark import Mark
from tollway_schemas.reply import Reply
from tollway_schemas.topics import TopicNames
from tollway_workers.cache.ports import AnswerCache, NoCache
from tollway_workers.config.shape.fleet import LaneConfig
from tollway_workers.config.shape.route import RouteSettings
from tollway_workers.forwarding.relay import RelayTargets
from tollway_workers.forwarding.travel import departure
from tollway_workers.job.ports import OutgoingRecord
from tollway_workers.job.progress import JobProgress
from tollway_workers.kafka.consume.relay_loop import Relay
from tollway_workers.operators.commands import Commands
from tollway_workers.pipeline.admit import Admission
from tollway_workers.pipeline.call import JobExecutor, Lane
from tollway_workers.pipeline.check import Checks
from tollway_workers.pipeline.checks.order import checks_in_order
from tollway_workers.pipeline.decide import RetryPolicy
from tollway_workers.pipeline.exact_cache import ExactCache
from tollway_workers.pipeline.publish import OutcomePublisher, PublisherSettings
from tollway_workers.pipeline.queue import Fairness
from tollway_workers.pipeline.read import JobReader, ReadSettings
from tollway_workers.pipeline.semantic_cache import SemanticCache, SemanticParts
from tollway_workers.pipeline.stand_in import Rung, StandIns
from tollway_workers.pipeline.stand_ins.known import KnownAnswers
from tollway_workers.pipeline.stand_ins.rule import RouteRule, RuleAnswers
from tollway_workers.pipeline.stand_ins.similar import SimilarAnswers
from tollway_workers.pipeline.stored import StoredAnswers
from tollway_workers.pipeline.sweep import Surroundings
from tollway_workers.pipeline.turns import Turns
from tollway_workers.providers.base import Provider
from tollway_workers.telemetry.metrics import Metrics
from tollway_workers.validation.checks import NO_CHECKS, RouteChecks
from tollway_workers.validation.judge import Judge
from tollway_workers.validation.validator import ResultValidator
from tollway_workers.worker.parts import Parts
from tollway_workers.worker.worker import Worker

NAMES = TopicNames()
#: Delays of the retry topics, in seconds.
TIERS = (15.0, 60.0, 300.0, 1800.0)
#: Each relay has a name of its own, whatever its worker is called.
_RELAYS = count()
#: Seconds of real time that a test waits for what it expects.
_PATIENCE = 10.0


def memory_broker(
    *routes: str, lanes: Iterable[str] = (), tiers: Iterable[float] = (), partitions: int = 4
) -> MemoryBroker:
    """A broker with the topics of a fleet that has these routes, lanes and retry topics."""
    broker = MemoryBroker(most_bytes=200_000, now=NOW)
    for name in (
        NAMES.replies,
        NAMES.dead_letters,
        NAMES.marks,
        NAMES.journal,
        *map(NAMES.retry, tiers),
    ):
        broker.create_topic(name, partitions)
    for priority in Priority:
        for route in routes:
            broker.create_topic(NAMES.jobs(route, priority), partitions)
        for lane in lanes:
            broker.create_topic(NAMES.lane(lane, priority), partitions)
    return broker


#: Bytes of the largest job.
MOST_JOB_BYTES = 2**20


class MemoryFleet:
    """A worker that is put together as a process puts it together, and what it wrote."""

    #: What its routes ask of an answer beyond its schema.
    answer_checks: ClassVar[RouteChecks] = NO_CHECKS
    #: What answers where no lane does, by route.
    rules: ClassVar[Mapping[str, RouteRule]] = {}
    #: What every worker knows of answers.
    answers: ClassVar[AnswerCache] = NoCache()
    #: What similar prompts are found by.
    semantic: ClassVar[SemanticParts | None] = None
    #: What decides of a job whose call failed.
    policy: ClassVar[type[RetryPolicy]] = RetryPolicy

    def __init__(
        self,
        lanes: Mapping[LaneConfig, Provider],
        routes: Mapping[str, RouteSettings],
        *,
        broker: MemoryBroker | None = None,
        memory_bytes: int = 2**20,
        retired: Collection[str] = (),
        tiers: tuple[float, ...] = TIERS,
    ) -> None:
        """`retired`: lanes that are configured and in no route; of them nothing is called.

        Topics of the broker that are none of the fleet's are those of services, for replies.
        """
        names = [*(config.name for config in lanes), *retired]
        self.clock = ManualClock(NOW)
        self.broker = broker or memory_broker(*routes, lanes=names, tiers=tiers)
        reads = ReadSettings(
            jobs={NAMES.jobs(r, p): (r, p) for r in routes for p in Priority},
            lanes={NAMES.lane(name, p): (name, p) for name in names for p in Priority},
            routes=routes,
            most_bytes=MOST_JOB_BYTES,
        )
        topics = [topic for topic in (*reads.jobs, *reads.lanes) if topic in self.broker.topics]
        self.source = MemorySource(
            self.broker, topics, group=NAMES.worker_group, instance_id="worker-0"
        )
        self.sink = MemorySink(self.broker)
        self.lanes = {
            config.name: Lane(config, self.admission_of(config), provider)
            for config, provider in lanes.items()
        }
        self.metrics = Metrics({config.name: config for config in lanes}, self.clock)
        self.validator = ResultValidator(Judge(Unconfined()))
        self.executor = self._new_executor(self.policy(Random(7), tiers))
        self.publisher = self._new_publisher(tiers)
        self.reader = JobReader(reads)
        self.commands = Commands()
        self.checks = self._new_checks(routes)
        self.tiers = self._new_tiers(tiers)
        self.finder = MemoryReplies(self.broker)
        self.relay = self._new_relay(routes, names, tiers)
        self.cache = ExactCache(self.answers, {name: name for name in self.lanes}, self.clock)
        self.worker = Worker(self._parts(memory_bytes))
        self.running: asyncio.Task[None] | None = None

    def _new_executor(self, policy: RetryPolicy) -> JobExecutor:
        executor = JobExecutor(self.lanes, self.validator, policy, self.clock, self.answer_checks)
        # Of two answers in one moment one waits: a fleet in memory has few.
        executor.turns = Turns(at_once=1)
        return executor

    def admission_of(self, config: LaneConfig) -> Admission:
        """Leave to call one lane; a test may give it another count of tokens."""
        return admission_of(config, self.clock)

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
        assert self.running is not None
        running = self.running
        await self.until(running.done)
        await running

    async def crash(self) -> None:
        """End the worker's tasks as a killed process does: nothing is committed any more."""
        self.broker.leave(NAMES.worker_group, self.source)
        self.source.forget()
        self.tiers.crash()
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

    async def send_on(
        self, progress: JobProgress, lane: str, *, not_before: float = 0.0, **changed: str
    ) -> None:
        """Put a job where another worker would that forwards it; `changed`: headers of ours."""
        about = departure(progress, lane=lane, not_before=not_before, most_bytes=10**6)
        other = {f"{PREFIX}{name}": value.encode() for name, value in changed.items()}
        about = [each for each in about if each[0] not in other] + list(other.items())
        topic = NAMES.lane(lane, progress.job.priority)
        value = progress.record.value or b""
        await self.broker.append(OutgoingRecord(topic, job_key(progress.job.id), value, about))

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
    def marks(self) -> list[Mark]:
        """All marks."""
        return [decode(Mark, each.value) for each in self.broker.records(NAMES.marks)]

    @property
    def journal(self) -> list[JournalRecord]:
        """All journal records."""
        return [decode(JournalRecord, each.value) for each in self.broker.records(NAMES.journal)]

    @property
    def lag(self) -> int:
        """Records of jobs topics that are not committed as done, the map's included."""
        return sum(self.outstanding().values())

    def outstanding(self) -> dict[str, int]:
        """The same by topic."""
        committed = self.broker.committed(NAMES.worker_group)
        return {
            topic: sum(
                len(log) - committed.get((topic, partition), (0, ""))[0]
                for partition, log in enumerate(self.broker.topics[topic])
            )
            for topic in self.source.topics
        }

    def beats(self) -> list[Heartbeat]:
        """The worker's heartbeat of this moment."""
        by_topic = self.outstanding()
        by_lane = {
            name: sum(by_topic[topic] for topic in self.reader.topics_of(name) if topic in by_topic)
            for name in self.lanes
        }
        return [memory_beat(self.lanes, by_lane, self.clock.monotonic())]

    def _new_publisher(self, tiers: tuple[float, ...]) -> OutcomePublisher:
        return OutcomePublisher(
            self.sink,
            PublisherSettings(
                topics=NAMES,
                worker="worker-0",
                reply_topics=frozenset(t for t in self.broker.topics if not NAMES.is_ours(t)),
                most_bytes=self.broker.most_bytes,
                tiers=tiers,
            ),
            self.clock,
        )

    def _new_tiers(self, tiers: tuple[float, ...]) -> MemoryTierSource:
        return MemoryTierSource(
            self.broker,
            [topic for topic in map(NAMES.retry, tiers) if topic in self.broker.topics],
            group=NAMES.relay_group,
            instance_id=f"relay-{next(_RELAYS)}",
        )

    def _new_checks(self, routes: Mapping[str, RouteSettings]) -> Checks:
        return checks_in_order(
            routes=routes,
            admissions={name: lane.admission for name, lane in self.lanes.items()},
            may_reply_to=self.publisher.may_reply_to,
            validator=self.validator,
            commands=self.commands,
        )

    def _rule_answers(self) -> Rung:
        unanswered = self.metrics.rule_had_none
        return RuleAnswers(self.rules, self.validator, self.answer_checks, self.clock, unanswered)

    def _new_relay(
        self, routes: Mapping[str, RouteSettings], lanes: Iterable[str], tiers: tuple[float, ...]
    ) -> Relay:
        targets = RelayTargets(
            names=NAMES,
            first_lanes={name: route.lanes[0] for name, route in routes.items()},
            lanes=frozenset(lanes),
            tiers=tiers,
        )
        give_up = self.publisher.publish_undecodable
        return Relay(self.tiers, self.sink, targets, self.clock, give_up, self.metrics)

    def _parts(self, memory_bytes: int) -> Parts:
        semantic = None
        if self.semantic is not None:
            semantic = SemanticCache(self.cache, self.semantic, self.clock)
        similar = [] if semantic is None else [SimilarAnswers(semantic)]
        return Parts(
            source=self.source,
            sink=self.sink,
            relay=self.relay,
            replies=self.finder,
            reader=self.reader,
            checks=self.checks,
            commands=self.commands,
            surroundings=Surroundings(beats=self.beats, outstanding=self.outstanding),
            stand_ins=StandIns((KnownAnswers(self.cache), *similar, self._rule_answers())),
            cache=self.cache,
            semantic=semantic,
            lanes=self.lanes,
            executor=self.executor,
            publisher=self.publisher,
            stored=StoredAnswers(self.validator, self.answer_checks),
            events=self.metrics,
            clock=self.clock,
            memory_bytes=memory_bytes,
            fairness=Fairness(lane_bytes=memory_bytes / len(self.lanes)),
        )
