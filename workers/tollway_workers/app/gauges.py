"""Gauges that are read when metrics are scraped: the worker's state at this moment."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import inf

from tollway_workers.app.answer_cache import SharedCache
from tollway_workers.app.liveness import Liveness
from tollway_workers.app.work import Work, work_by_topic
from tollway_workers.budgets.spending import Spending
from tollway_workers.budgets.standings import states
from tollway_workers.cache.semantic.similar import SimilarPrompts
from tollway_workers.clock import Clock
from tollway_workers.kafka.consume.backlog import Backlog
from tollway_workers.kafka.consume.source import KafkaSource
from tollway_workers.lanes.state import LaneState, shown
from tollway_workers.operators.commands import Commands
from tollway_workers.pipeline.call import Lane
from tollway_workers.telemetry.state import StateGauges
from tollway_workers.worker.worker import Worker


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched:
    """The parts of a worker that gauges and heartbeats read."""

    source: KafkaSource
    worker: Worker
    lanes: Mapping[str, Lane]
    liveness: Liveness
    backlog: Backlog
    commands: Commands
    #: Lanes in no route any more, whose jobs are forwarded.
    retired: Sequence[str] = ()
    #: Says what is equal for equal settings of the fleet.
    configuration: Callable[[], str | None] = lambda: None
    #: Where a route gives stored answers.
    cache: SharedCache | None = None
    #: Where a route looks for similar prompts.
    similar: SimilarPrompts | None = None
    #: What calls may spend; None: nothing is budgeted.
    spending: Spending | None = None


class Gauges:
    """Sets a worker's gauges. State: groups, topics and budgets that were named, to be zero
    later, and `_dropped`, answers that were counted as such."""

    def __init__(self, state: StateGauges, watched: Watched, clock: Clock) -> None:
        self._state = state
        self._watched = watched
        self._clock = clock
        self._groups: set[str] = set()
        self._topics: set[str] = set()
        self._dropped = 0
        self._budgets: set[str] = set()

    def refresh(self) -> None:
        """Set them all to what holds now."""
        self._lanes()
        self._assignment()
        self._proofs()
        self._work()
        self._cache()
        if self._watched.spending is not None:
            self._money(self._watched.spending)

    def _lanes(self) -> None:
        state, watched = self._state, self._watched
        for name, lane in watched.lanes.items():
            state.in_flight.labels(name).set(lane.admission.in_flight)
            state.waiting.labels(name).set(watched.worker.dispatcher.held(name))
            paused = watched.commands.paused_until(name, self._clock.now()) is not None
            now = shown(lane.admission.state, paused=paused)
            state.parked.labels(name).set(now is LaneState.PARKED)
            for each in LaneState:
                state.lane_state.labels(name, each.value).set(now is each)
            state.breaker_opened.labels(name).inc(lane.admission.breaker.take_opened())
        for name in watched.retired:
            for each in LaneState:
                state.lane_state.labels(name, each.value).set(each is LaneState.RETIRED)

    def _money(self, spending: Spending) -> None:
        """How much of each budget is gone: of the part of it of which most is."""
        bounds = spending.time.at(self._clock.boottime())
        now = self._clock.now() if bounds is None else bounds[1]
        used, doubt = dict.fromkeys(spending.budgets, 0.0), dict.fromkeys(spending.budgets, 0.0)
        for pot, each in states(spending.ledger, now).items():
            used[pot.budget] = max(used.get(pot.budget, 0.0), each.used)
            part = each.doubt / each.limit if each.limit else 0.0
            doubt[pot.budget] = max(doubt.get(pot.budget, 0.0), part)
        self._budgets |= used.keys()
        state = self._state
        for name in self._budgets:
            state.budget_used.labels(name).set(used.get(name, 0.0))
            state.budget_doubt.labels(name).set(doubt.get(name, 0.0))
        for name, settings in spending.budgets.items():
            state.budget_alert_at.labels(name).set(settings.alert_at)

    def _assignment(self) -> None:
        state, source = self._state, self._watched.source
        state.partitions.set(source.owned)
        state.releasing.set(source.partitions.releasing)
        # During a rebalance this worker may call for its former shards while its lease lasts.
        shards = source.partitions.shards() if source.committer.holds_lease else {}
        self._groups |= shards.keys()
        for group in self._groups:
            state.shards.labels(group).set(shards.get(group, 0))

    def _proofs(self) -> None:
        """Signs of life of the worker and of Kafka."""
        state, source, liveness = self._state, self._watched.source, self._watched.liveness
        # A standby has nothing to commit, and needs no lease.
        owns = len(source.partitions) > 0
        state.commit_age.set(liveness.commit_age if owns else 0.0)
        state.lease_age.set(source.committer.lease_age if owns else 0.0)
        state.commit_failures.inc(source.committer.take_failures())
        state.loop_lag.set(liveness.lag.worst)
        state.kafka_away.set(liveness.kafka_away)

    def _cache(self) -> None:
        """The copy of stored answers. What is counted there is counted on here."""
        cache, state = self._watched.cache, self._state
        if cache is None:
            return
        now = cache.state
        state.cache_serves.set(now.serves)
        state.cache_entries.set(now.entries)
        state.cache_bytes.set(now.bytes)
        state.cache_lag.set(now.lag)
        state.cache_evicted.set(now.evicted)
        state.cache_dropped.inc(cache.dropped - self._dropped)
        self._dropped = cache.dropped
        similar = self._watched.similar
        if similar is not None:
            state.similar.vectors.set(len(similar.places))
            state.similar.vector_bytes.set(similar.places.bytes)

    def _work(self) -> None:
        """Outstanding work."""
        state, watched = self._state, self._watched
        writer = watched.worker.writer
        state.held.set(writer.held)
        state.held_for.set(writer.held_for)
        work = work_by_topic(watched.source.partitions, watched.backlog)
        self._topics |= work.keys()
        for topic in self._topics:
            state.outstanding.labels(topic).set(work[topic].outstanding if topic in work else 0)
        oldest = Work.of(work.values()).oldest
        state.oldest_job.set(0.0 if oldest == inf else max(0.0, self._clock.now() - oldest))
