"""The health of a worker process: its event loop's lag, the watchdog, readiness."""

import asyncio
import os
import sys
from collections.abc import Callable
from typing import Protocol

import structlog

from tollway_workers.clock import Clock
from tollway_workers.health.readiness import Condition, why_not_ready
from tollway_workers.health.watchdog import Watchdog
from tollway_workers.kafka.client_progress import ClientProgress, Sink, Source
from tollway_workers.kafka.client_watch import KafkaWatchdog
from tollway_workers.kafka.consume.open_transactions import OpenTransactions
from tollway_workers.kafka.probe import ProbeSettings, kafka_is_well
from tollway_workers.telemetry.loop_lag import LoopLag

log = structlog.get_logger(__name__)

#: Exit status of a process whose Kafka clients are stuck (EX_SOFTWARE of sysexits.h): restart it.
STUCK = 70


def end_stuck_process(why: str) -> None:
    """End this process now, with one sentence and without cancelling what waits for Kafka."""
    log.error(why)
    sys.stderr.flush()
    os._exit(STUCK)


class WatchedSource(Source, Protocol):
    """A source, and the open transactions that block it."""

    #: Owned partitions that are blocked although Kafka answers.
    transactions: OpenTransactions


class Liveness:
    """Runs beside a worker from its start to its end; its failures reach no other part."""

    def __init__(
        self,
        source: WatchedSource,
        sink: Sink,
        probe: ProbeSettings,
        *,
        session: float,
        release: Callable[[], None],
        clock: Clock,
    ) -> None:
        """`session`: seconds of a silent member's grace; `release` releases all shards."""
        self._source = source
        self._clock = clock
        self.lag = LoopLag(release)
        self._watchdog = KafkaWatchdog(
            Watchdog(session),
            ClientProgress(source, sink, clock),
            lambda: kafka_is_well(probe),
            end_stuck_process,
            clock,
        )

    async def run(self) -> None:
        """Watch until cancelled."""
        async with asyncio.TaskGroup() as watching:
            watching.create_task(self.lag.run(), name="loop lag")
            watching.create_task(self._watchdog.run(), name="watchdog")

    @property
    def commit_age(self) -> float:
        """Seconds since the last commit that succeeded was sent."""
        last = self._source.last_commit
        return float("inf") if last is None else self._clock.monotonic() - last

    @property
    def kafka_away(self) -> bool:
        """Whether Kafka did not answer an independent client when it was last asked."""
        return self._watchdog.away

    def why_not_ready(self, *, draining: bool, held: int) -> str | None:
        """Why the worker is not ready, in one sentence; None where it is.

        `held`: outcomes that Kafka has not acknowledged yet.
        """
        stalled = self._source.transactions.stalled
        condition = Condition(
            draining=draining,
            kafka_away=self.kafka_away,
            joined=self._source.joined,
            owned=self._source.owned,
            commit_age=self.commit_age,
            loop_lag=self.lag.worst,
            held=held,
            stalled={f"{topic}-{at}": age for (topic, at), age in stalled.items()},
        )
        return why_not_ready(condition)
