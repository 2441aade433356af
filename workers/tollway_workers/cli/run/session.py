"""`tollway run` from its options to its exit status."""

import time
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

from tollway import DeadLetters
from tollway_workers.app.connection import client_options, connection_of
from tollway_workers.cli.batch.causes import Cause
from tollway_workers.cli.batch.tally import Tally
from tollway_workers.cli.run.conduct import Played
from tollway_workers.cli.run.fleet import make_topics, own_locks
from tollway_workers.cli.run.identity.lane_lock import LaneLocks
from tollway_workers.cli.run.identity.state import RunState
from tollway_workers.cli.run.options import RunOptions
from tollway_workers.cli.run.prepare import Prepared
from tollway_workers.cli.run.rounds import Rounds
from tollway_workers.cli.run.settings import FleetPlan
from tollway_workers.cli.run.watching.screen import Screen
from tollway_workers.cli.run.work import RunParts, RunWork, new_state
from tollway_workers.cli.shared.signals import StopSignals
from tollway_workers.clock import SystemClock
from tollway_workers.config.shape.fleet import FleetSettings
from tollway_workers.config.shape.kafka import KafkaSettings
from tollway_workers.kafka.client_settings import SinkSettings
from tollway_workers.kafka.connect import quieten_client_logs
from tollway_workers.kafka.produce.sink import KafkaSink
from tollway_workers.kafka.read.log_reader import LogReader, cluster_id
from tollway_workers.local.fleet.early import Early
from tollway_workers.topics.specs import RECORD_OVERHEAD


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """How a run ended."""

    run_id: str
    tally: Tally
    #: Lines of the input that count.
    total: int
    #: Seconds of this process.
    seconds: float
    #: The exit status that a signal asks for; None: it ended by itself.
    stopped: int | None
    #: Lines without their ending.
    left: int
    #: Why lines failed, the commonest first.
    causes: tuple[Cause, ...]
    played: Played

    @property
    def exit_status(self) -> int:
        """0 all answered, 1 some failed or it gave up; what the signal says if it was stopped."""
        if self.played.gave_up:
            return 1
        if self.stopped is not None and self.left:
            return self.stopped
        return 1 if self.tally.failed else 0


class Session:
    """One run: `play` once.

    Mutable state: none but what its parts keep; a session that fails is started anew.
    """

    def __init__(self, options: RunOptions, plan: FleetPlan, screen: Screen, early: Early) -> None:
        self._options = options
        self._plan = plan
        self._screen = screen
        self._early = early

    async def play(self, given: Prepared, settings: FleetSettings, signals: StopSignals) -> Result:
        """Run until every line has its ending or a signal comes. Raises TollwayError.

        `settings`: those of the fleet, its broker included.
        """
        quieten_client_logs()
        began = time.monotonic()
        async with self._work(given, settings) as (work, locks):
            rounds = Rounds(self._options, self._plan, self._screen, work, locks, self._early)
            played = await rounds.play(given.batch.lines, signals)
        return Result(
            run_id=given.batch.run_id,
            tally=work.collector.tally,
            total=given.batch.lines,
            seconds=time.monotonic() - began,
            stopped=signals.exit_status,
            left=len(work.collector.missing),
            causes=work.collector.causes,
            played=played,
        )

    @asynccontextmanager
    async def _work(
        self, given: Prepared, settings: FleetSettings
    ) -> AsyncIterator[tuple[RunWork, LaneLocks]]:
        """The run on its broker, with its topics, its right to call and all clients open."""
        async with AsyncExitStack() as stack:
            self._screen.phase("topics")
            client = client_options(settings.kafka)
            cluster = await cluster_id(client)
            locks = stack.enter_context(own_locks(self._plan, settings, cluster))
            made: Mapping[str, int] = {}
            if self._options.retry_failed or not given.is_complete:
                made = await make_topics(self._plan, settings)
            parts = RunParts(
                reader=given.reader,
                batch=given.batch,
                out=given.opened.out,
                state_file=given.opened.state_file,
                settings=settings,
                models=_models(self._plan),
                made=made,
                jobs_log=LogReader(client),
                replies_log=LogReader(client),
                sink=_sink(settings, client),
                letters=_letters(settings.kafka),
            )
            for started in (parts.jobs_log, parts.replies_log, parts.sink):
                await started.start()
                stack.push_async_callback(started.stop)
            yield RunWork(parts, await _state(parts, given, cluster)), locks


async def _state(parts: RunParts, given: Prepared, cluster: str) -> RunState:
    if (state := given.opened.state) is not None:
        given.identity.check(state, cluster)
        return state.with_who(given.identity.who, parts.batch.routes)
    ends = await parts.jobs_log.ends([parts.names.replies])
    return new_state(parts.batch, ends, given.identity, cluster)


def _models(plan: FleetPlan) -> dict[str, frozenset[str]]:
    """Those that may answer, by route as topics have it."""
    routes = (plan.routes or {}).values()
    return {route.name: frozenset(each.model for each in route.who.models) for route in routes}


def _letters(kafka: KafkaSettings) -> DeadLetters:
    return DeadLetters(connection_of(kafka), prefix=kafka.prefix, max_job_bytes=kafka.max_job_bytes)


def _sink(settings: FleetSettings, client: dict[str, Any]) -> KafkaSink:
    most_bytes = settings.kafka.max_job_bytes + RECORD_OVERHEAD
    return KafkaSink(SinkSettings(client=client, most_bytes=most_bytes), SystemClock())
