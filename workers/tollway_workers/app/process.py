"""One worker process, put together from a configuration."""

import asyncio
import gc
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from random import SystemRandom

import orjson
import structlog
from prometheus_client import disable_created_metrics

from tollway_schemas.heartbeat import Heartbeat
from tollway_schemas.semantic import Observations
from tollway_schemas.topics import TopicNames
from tollway_workers.app.allocator import give_back_large_blocks
from tollway_workers.app.answer_cache import SharedCache, open_cache
from tollway_workers.app.connection import client_options
from tollway_workers.app.contact import Contact, describe_lanes
from tollway_workers.app.gauges import Gauges, Watched
from tollway_workers.app.liveness import Liveness
from tollway_workers.app.reads import jobs_topics, lane_topics, needed_topics, used_lanes
from tollway_workers.app.similar import OpenSimilar, open_similar, used_embedders
from tollway_workers.app.topic_setup import require_topics
from tollway_workers.app.work import work_by_topic
from tollway_workers.budgets.spending import Spending
from tollway_workers.cache.key import lane_identity
from tollway_workers.cache.ports import NoCache
from tollway_workers.clock import SystemClock
from tollway_workers.config.say.render import settings_digest
from tollway_workers.config.shape.fleet import FleetSettings, LaneConfig, resolve_lane
from tollway_workers.config.shape.groups import contract_of, limit_groups, without_limits
from tollway_workers.embedding.opening import Surroundings as Embedding
from tollway_workers.errors import ConfigError, FleetError, LocalError
from tollway_workers.forwarding.relay import RelayTargets
from tollway_workers.kafka.client_settings import SinkSettings, SourceSettings
from tollway_workers.kafka.consume.backlog import Backlog
from tollway_workers.kafka.consume.relay_loop import Relay
from tollway_workers.kafka.consume.source import KafkaSource
from tollway_workers.kafka.consume.tier_reader import KafkaTierSource
from tollway_workers.kafka.probe import ProbeSettings
from tollway_workers.kafka.produce.sink import KafkaSink
from tollway_workers.kafka.read.one_record import KafkaReplies
from tollway_workers.kafka.talk.heartbeats import HeartbeatFollower
from tollway_workers.kafka.talk.ledger_log import LedgerLog
from tollway_workers.limits.estimate import text_tokens
from tollway_workers.limits.quota import Quota
from tollway_workers.operators.commands import Commands
from tollway_workers.ownership.sharding import shard_groups
from tollway_workers.pipeline.admit import Admission
from tollway_workers.pipeline.agreements import Agreements, load_agreements
from tollway_workers.pipeline.call import JobExecutor, Lane
from tollway_workers.pipeline.check import Checks
from tollway_workers.pipeline.checks.order import checks_in_order
from tollway_workers.pipeline.decide import RetryPolicy
from tollway_workers.pipeline.exact_cache import ExactCache
from tollway_workers.pipeline.publish import OutcomePublisher, PublisherSettings
from tollway_workers.pipeline.queue import Fairness
from tollway_workers.pipeline.read import JobReader, ReadSettings
from tollway_workers.pipeline.semantic_cache import SemanticCache
from tollway_workers.pipeline.stand_in import StandIns
from tollway_workers.pipeline.stand_ins.known import KnownAnswers
from tollway_workers.pipeline.stand_ins.rule import RuleAnswers, load_rules
from tollway_workers.pipeline.stand_ins.similar import SimilarAnswers
from tollway_workers.pipeline.stored import StoredAnswers
from tollway_workers.pipeline.sweep import Surroundings
from tollway_workers.providers.registry import ProviderRegistry
from tollway_workers.providers.tokenizer import open_tokenizers
from tollway_workers.telemetry.metrics import Metrics
from tollway_workers.telemetry.server import TelemetryServer
from tollway_workers.topics.specs import largest_record, most_unpacked
from tollway_workers.validation.check_loading import load_checks
from tollway_workers.validation.checks import RouteChecks
from tollway_workers.validation.validator import ResultValidator
from tollway_workers.worker.parts import Parts
from tollway_workers.worker.worker import Worker

log = structlog.get_logger(__name__)

#: What becomes of records for topics that take none, and that hold up no other.
_REPLIES_INSTEAD = "replies for it go to our reply topic, and each is a dead letter"
_MARKS_INSTEAD = (
    "dead letters are not told how their redriven jobs ended, which are answered as ever"
)
#: Allocations between collections of the youngest generation, against Python's 700: at 5,000 calls
#: in flight the default halves throughput. A backlog of 4,000 jobs and 1,500 calls in flight are
#: 300,000 objects and no garbage; to walk them stops the loop for a tenth of a second. An answered
#: call leaves no cycle behind, and one that is cut off some 70 objects; 400,000 are about 60 MB.
_GC_THRESHOLD = 400_000


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerOptions:
    """Options of one process; everything else is the fleet's configuration."""

    instance_id: str
    #: Where to write `{"pid": ..., "url": ...}` once metrics are served.
    announce: Path | None = None


class WorkerApp:
    """One worker process with everything around it."""

    def __init__(self, settings: FleetSettings, options: WorkerOptions) -> None:
        self._settings = settings
        self._digest = settings_digest(settings)
        self._options = options
        self._clock = SystemClock()
        self._client = client_options(settings.kafka)
        lanes = {name: resolve_lane(name, settings) for name in used_lanes(settings)}
        self._quotas = {
            group.name: Quota(contract_of(group, settings), self._clock.monotonic())
            for group in limit_groups(settings)
        }
        self._counts = open_tokenizers(settings, lanes)
        answer_checks, self._rules = load_checks(settings.routes), load_rules(settings.routes)
        self.metrics = Metrics(lanes, self._clock)
        self._answer_checks = RouteChecks(answer_checks, self.metrics.check_failed)
        self._commands = Commands()
        self._spending = Spending(settings.budgets, lanes, options.instance_id, self._clock)
        self._others: HeartbeatFollower | None = None
        self._source = self._new_source()
        self._sink = self._new_sink()
        self._similar = self._new_similar()
        self._cache = self._new_cache()
        self.worker = self._new_worker(lanes)
        self._liveness = self._new_liveness()
        self._others = self._new_follower()
        partitions, names = self._source.partitions, TopicNames(settings.kafka.prefix)
        self._ledger = LedgerLog(self._client, names.ledger, self._spending, self._clock)
        self._backlog = Backlog(self._client, lambda: tuple(partitions), self._clock)
        watched = Watched(
            source=self._source,
            worker=self.worker,
            lanes=self._lanes,
            liveness=self._liveness,
            backlog=self._backlog,
            commands=self._commands,
            retired=sorted(settings.lanes.keys() - lanes.keys()),
            configuration=lambda: self._digest,
            cache=self._cache,
            similar=None if self._similar is None else self._similar.prompts,
            spending=self._spending,
        )
        descriptions = describe_lanes(settings, settings.lanes, self._reader.topics_of)
        self._contact = Contact(
            self._client, names, watched, self._commands, descriptions, self._clock
        )
        gauges = Gauges(self.metrics.state, watched, self._clock)
        self._telemetry = TelemetryServer(self.metrics.registry, gauges.refresh, self.why_not_ready)

    async def run(self) -> None:
        """Serve until `worker.drain` is called.

        Raises FleetError where it cannot start, or where a newer process has its instance id.
        """
        await require_topics(
            self._client, needed_topics(self._settings), self._settings.kafka.reply_topics
        )
        # Before the cache reads its topic, the largest of all that is read at a start.
        give_back_large_blocks()
        background = await self._start_beside()
        gc.collect()
        gc.freeze()
        gc.set_threshold(_GC_THRESHOLD, 50, 50)
        log.info("worker starts", worker=self._options.instance_id, lanes=sorted(self._lanes))
        mistake: FleetError | ExceptionGroup[FleetError] | None = None
        try:
            await self.worker.run(self._settings.worker.drain_timeout)
        except* FleetError as mistakes:
            mistake = mistakes.exceptions[0]
        finally:
            for task in background:
                task.cancel()
            await asyncio.gather(*background, return_exceptions=True)
            # At once: while Kafka is away each takes as long as it may.
            cached = [] if self._cache is None else [self._cache.stop()]
            similar = [] if self._similar is None else [self._similar.aclose()]
            await asyncio.gather(self._ledger.stop(), self._contact.stop(), *cached, *similar)
            await self._telemetry.stop()
        log.info("worker has left the group", worker=self._options.instance_id)
        if mistake is not None:
            raise mistake

    async def _start_beside(self) -> list[asyncio.Task[None]]:
        """Start what runs beside the worker, and wait for what it needs before its first job."""
        await self._serve_telemetry()
        await self._contact.start(self._options.instance_id)
        await self._ledger.start()
        beside = {
            "ledger": self._ledger.run(),
            "liveness": self._liveness.run(),
            "backlog": self._backlog.run(),
            "contact": self._contact.run(),
        }
        if self._others is not None:
            beside["heartbeats of others"] = self._others.run()
        if self._cache is not None:
            beside["cache"] = self._cache.run()
        tasks = [asyncio.create_task(run, name=name) for name, run in beside.items()]
        if self._cache is not None:
            await self._cache.settle()
        return tasks

    @property
    def cache(self) -> SharedCache | None:
        """Its part of the cache that all workers share, where a route caches."""
        return self._cache

    def why_not_ready(self) -> str | None:
        """Why it is not ready, in one sentence; None where it is."""
        return self._liveness.why_not_ready(
            draining=self.worker.draining, held=self.worker.writer.held
        )

    def reconfigure(self, settings: FleetSettings) -> None:
        """Follow other limits, shards and budgets; the fleet follows too. No level rises.

        Raises ConfigError where anything else is different: that takes a restart.
        """
        before = self._settings
        if without_limits(settings) != without_limits(before):
            raise ConfigError(
                "only amounts of limits and budgets can change while a worker runs: restart it for "
                "the rest"
            )
        self._settings = settings
        self._digest = settings_digest(settings)
        for group in limit_groups(settings):
            self._quotas[group.name].configure(
                contract_of(group, settings), self._clock.monotonic()
            )
        self._source.configure(shard_groups(settings))
        self._spending.configure(settings.budgets)

    def _new_source(self) -> KafkaSource:
        kafka = self._settings.kafka
        names = TopicNames(kafka.prefix)
        settings = SourceSettings(
            client=self._client,
            topics=(*jobs_topics(self._settings), *lane_topics(self._settings)),
            group=names.worker_group,
            instance_id=self._options.instance_id,
            session_timeout=kafka.session_timeout,
            groups=shard_groups(self._settings),
            most_unpacked=most_unpacked(kafka),
        )
        return KafkaSource(settings, self._clock, self._quotas)

    def _new_sink(self) -> KafkaSink:
        settings = SinkSettings(
            client=self._client, most_bytes=largest_record(self._settings.kafka)
        )
        kafka = self._settings.kafka
        # What marks say is a courtesy: without it outcomes are written all the same.
        isolated = {
            **dict.fromkeys(kafka.reply_topics, _REPLIES_INSTEAD),
            TopicNames(kafka.prefix).marks: _MARKS_INSTEAD,
        }
        topics = dict.fromkeys((*needed_topics(self._settings), *isolated))
        return KafkaSink(settings, self._clock, topics, isolated)

    def _new_liveness(self) -> Liveness:
        kafka = self._settings.kafka
        probe = ProbeSettings(
            client=self._client,
            group=TopicNames(kafka.prefix).worker_group,
            topics=tuple(needed_topics(self._settings)),
            min_insync_replicas=kafka.min_insync_replicas,
        )
        return Liveness(
            self._source,
            self._sink,
            probe,
            session=kafka.session_timeout,
            release=self._source.release_all,
            clock=self._clock,
        )

    def _new_worker(self, configs: Mapping[str, LaneConfig]) -> Worker:
        settings, clock = self._settings, self._clock
        kafka = settings.kafka
        self._lanes = self._new_lanes(configs)
        self._introduce_siblings()
        self._exact = self._new_exact_cache()
        self._semantic = self._new_semantic_cache()
        validator = ResultValidator()
        publisher = OutcomePublisher(
            self._sink,
            PublisherSettings(
                topics=TopicNames(kafka.prefix),
                worker=self._options.instance_id,
                reply_topics=frozenset(kafka.reply_topics),
                most_bytes=largest_record(kafka),
                tiers=settings.retry.seconds,
                configuration=lambda: self._digest,
            ),
            clock,
        )
        reads = ReadSettings(
            jobs=jobs_topics(settings),
            lanes=lane_topics(settings),
            routes=settings.routes,
            most_bytes=kafka.max_job_bytes,
        )
        self._reader = JobReader(reads)
        parts = Parts(
            source=self._source,
            sink=self._sink,
            relay=self._new_relay(publisher),
            replies=KafkaReplies(self._client, clock),
            reader=self._reader,
            checks=self._checks(publisher, validator),
            lanes=self._lanes,
            executor=self._new_executor(validator),
            publisher=publisher,
            stored=StoredAnswers(validator, self._answer_checks),
            cache=self._exact,
            semantic=self._semantic,
            events=self.metrics,
            clock=clock,
            memory_bytes=settings.worker.memory_mib * 2**20,
            fairness=self._fairness(),
            commands=self._commands,
            stand_ins=self._stand_ins(validator),
            surroundings=Surroundings(beats=self._beats, outstanding=self._outstanding),
        )
        return Worker(parts)

    def _new_lanes(self, configs: Mapping[str, LaneConfig]) -> dict[str, Lane]:
        providers = ProviderRegistry(self._settings.providers)
        return {
            name: Lane(config, self._new_admission(config), providers.open(config))
            for name, config in configs.items()
        }

    def _new_exact_cache(self) -> ExactCache:
        settings = self._settings
        firsts = {route.lanes[0] for route in settings.routes.values()}
        lanes = {lane: lane_identity(lane, settings) for lane in firsts}
        return ExactCache(self._cache or NoCache(), lanes, self._clock)

    def _new_similar(self) -> OpenSimilar | None:
        """Opens the embedders of the routes that look for similar prompts."""
        surroundings = Embedding(
            clock=self._clock,
            workers=self._live_workers,
            events=self.metrics.state.embedders,
            rng=SystemRandom(),
        )
        worker = self._options.instance_id
        return open_similar(self._settings, worker, surroundings, self._observed)

    def _new_cache(self) -> SharedCache | None:
        settings, similar = self._settings, self._similar
        prompts = None if similar is None else similar.prompts
        return open_cache(self._client, settings, self._options.instance_id, self._clock, prompts)

    def _observed(self, key: bytes) -> list[Observations]:
        return [] if self._cache is None else self._cache.observed(key)

    def _live_workers(self) -> int:
        """How many share the limits of an embedder; 0: not known yet."""
        return 0 if self._others is None else len(self._others.live() or ())

    def _new_semantic_cache(self) -> SemanticCache | None:
        events = self.metrics.state.similar
        agreements = Agreements(load_agreements(self._settings.routes), events.agree_failed)
        if self._similar is None or self._cache is None:
            return None
        parts = self._similar.parts(self._settings, self._cache, events, agreements)
        return SemanticCache(self._exact, parts, self._clock)

    def _new_follower(self) -> HeartbeatFollower | None:
        """Follows the other workers' heartbeats, where jobs may leave for another lane, or limits
        of an embedder are shared.
        """
        settings = self._settings
        alone = all(len(route.lanes) == 1 for route in settings.routes.values())
        if alone and not any(
            settings.embedders[each].provider for each in used_embedders(settings)
        ):
            return None
        topic = TopicNames(settings.kafka.prefix).heartbeats
        return HeartbeatFollower(self._client, topic, self._clock)

    def _beats(self) -> list[Heartbeat] | None:
        """The last heartbeat of each live worker, at least our own; None: not known yet."""
        live = [] if self._others is None else self._others.live()
        return [self._contact.beat()] if live == [] else live

    def _outstanding(self) -> dict[str, int]:
        work = work_by_topic(self._source.partitions, self._backlog)
        return {topic: todo.outstanding for topic, todo in work.items()}

    def _new_executor(self, validator: ResultValidator) -> JobExecutor:
        return JobExecutor(
            self._lanes,
            validator,
            RetryPolicy(SystemRandom(), self._settings.retry.seconds),
            self._clock,
            self._answer_checks,
            on_slow=self.metrics.call_slow,
        )

    def _stand_ins(self, validator: ResultValidator) -> StandIns:
        """The rungs below the lanes, the strongest first."""
        checks, unanswered = self._answer_checks, self.metrics.rule_had_none
        rule = RuleAnswers(self._rules, validator, checks, self._clock, unanswered)
        similar = [] if self._semantic is None else [SimilarAnswers(self._semantic)]
        return StandIns((KnownAnswers(self._exact), *similar, rule))

    def _checks(self, publisher: OutcomePublisher, validator: ResultValidator) -> Checks:
        return checks_in_order(
            routes=self._settings.routes,
            admissions={name: lane.admission for name, lane in self._lanes.items()},
            may_reply_to=publisher.may_reply_to,
            validator=validator,
            commands=self._commands,
        )

    def _fairness(self) -> Fairness:
        settings = self._settings
        return Fairness(
            weights={name: tenant.weight for name, tenant in settings.tenants.items()},
            bulk_floor=settings.worker.bulk_floor,
            # A lane that stands still must not take the memory of the others.
            lane_bytes=settings.worker.memory_mib * 2**20 / len(self._lanes),
        )

    def _new_admission(self, lane: LaneConfig) -> Admission:
        group = self._settings.lanes[lane.name].limit_group or lane.name
        quota = self._quotas[group].of(lane.name)
        count = self._counts.get(lane.name, text_tokens)
        return Admission(lane, quota, self._clock, count, spending=self._spending)

    def _introduce_siblings(self) -> None:
        """What refuses a key or an account refuses it on all lanes of the provider."""
        for name, lane in self._lanes.items():
            lane.admission.siblings = [
                other.admission
                for each, other in self._lanes.items()
                if each != name and other.config.provider_name == lane.config.provider_name
            ]

    def _new_relay(self, publisher: OutcomePublisher) -> Relay:
        settings = self._settings
        names = TopicNames(settings.kafka.prefix)
        source = SourceSettings(
            client=self._client,
            topics=tuple(map(names.retry, settings.retry.seconds)),
            group=names.relay_group,
            instance_id=self._options.instance_id,
            session_timeout=settings.kafka.session_timeout,
            most_unpacked=most_unpacked(settings.kafka),
        )
        targets = RelayTargets(
            names=names,
            first_lanes={name: route.lanes[0] for name, route in settings.routes.items()},
            lanes=frozenset(settings.lanes),
            tiers=settings.retry.seconds,
        )
        return Relay(
            KafkaTierSource(source, self._clock),
            self._sink,
            targets,
            self._clock,
            publisher.publish_undecodable,
            self.metrics,
        )

    async def _serve_telemetry(self) -> None:
        telemetry = self._settings.telemetry
        if telemetry.port is None:
            return
        # Else every counter and histogram has a second series, which says when it was made.
        disable_created_metrics()  # type: ignore[no-untyped-call]  # untyped there
        url = await self._telemetry.start(telemetry.host, telemetry.port)
        log.info("metrics are served", url=url)
        if self._options.announce is not None:
            _announce(self._options.announce, url)


def _announce(path: Path, url: str) -> None:
    temporary = path.with_suffix(".tmp")
    try:
        temporary.write_bytes(orjson.dumps({"pid": os.getpid(), "url": url}))
        temporary.replace(path)
    except OSError as error:
        raise LocalError(f"--announce: {path} cannot be written: {error.strerror}") from None
