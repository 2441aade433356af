"""What watches over a worker process: readiness from what it sees, and how a stuck one ends."""

import asyncio
import subprocess
import sys
from dataclasses import dataclass, field

import pytest
from manual_clock import ManualClock

from tollway_workers.app import liveness as liveness_module
from tollway_workers.app.liveness import STUCK, Liveness
from tollway_workers.health.watchdog import Progress, Watchdog
from tollway_workers.kafka.client_watch import KafkaWatchdog
from tollway_workers.kafka.consume.open_transactions import OpenTransactions
from tollway_workers.kafka.probe import ProbeSettings


@dataclass
class Clients:
    """Source and sink, as a test sets their marks."""

    joined: bool = True
    owned: int = 4
    last_commit: float | None = None
    last_poll: float = 0.0
    waiting_since: float | None = None
    transactions: OpenTransactions = field(default_factory=lambda: OpenTransactions(ManualClock()))


class Stage:
    """A worker that a test lets live, on a Kafka that is well or not."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.clients = Clients(last_commit=self.clock.monotonic())
        self.kafka_is_well = True
        self.released = 0
        self.ended: list[str] = []
        self.liveness = Liveness(
            self.clients,
            self.clients,
            ProbeSettings(client={}, group="workers", topics=(), min_insync_replicas=1),
            session=15.0,
            release=self._release,
            clock=self.clock,
        )

    async def probe(self, settings: ProbeSettings) -> bool:
        return self.kafka_is_well

    async def live(self, seconds: float) -> None:
        """Let time pass while it is watched; polls go on, commits do not."""
        watching = asyncio.create_task(self.liveness.run())
        for _ in range(int(seconds)):
            for _ in range(5):
                await asyncio.sleep(0)
            self.clock.advance(1.0)
            self.clients.last_poll = self.clock.monotonic()
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)

    def _release(self) -> None:
        self.released += 1


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch) -> Stage:
    stage = Stage()
    monkeypatch.setattr(liveness_module, "kafka_is_well", lambda settings: stage.probe(settings))
    # In its place this process would end.
    stage.liveness._watchdog._end = stage.ended.append
    return stage


async def test_a_worker_that_commits_is_ready_and_one_whose_commits_stop_is_not(
    stage: Stage,
) -> None:
    ready = stage.liveness.why_not_ready(draining=False, held=0)

    await stage.live(7)

    assert ready is None
    assert stage.liveness.commit_age == 7.0
    why_not = stage.liveness.why_not_ready(draining=False, held=0)
    assert why_not == "offsets were last committed 7 s ago: no call starts"


async def test_a_worker_says_that_kafka_is_away_and_outlives_it(stage: Stage) -> None:
    stage.kafka_is_well = False

    await stage.live(600)

    assert stage.liveness.kafka_away
    why_not = stage.liveness.why_not_ready(draining=False, held=3)
    assert why_not == "Kafka is away: no call starts, 3 answer(s) are held in memory"
    assert stage.ended == []


async def test_a_worker_that_is_stuck_while_kafka_is_well_is_ended(stage: Stage) -> None:
    await stage.live(60)

    assert stage.ended
    assert stage.ended[0].startswith("commits have made no progress for 3")


async def test_shards_are_released_where_the_loop_is_late_too_often(stage: Stage) -> None:
    stage.liveness.lag.measured(3.0, now=10.0)
    stage.liveness.lag.measured(3.0, now=12.0)

    assert stage.released == 1
    why_not = stage.liveness.why_not_ready(draining=False, held=0) or ""
    assert why_not.startswith("the event loop was 3.0 s late")


async def test_a_look_that_fails_does_not_end_the_watch() -> None:
    clock, looks = ManualClock(), 0

    async def broken_probe() -> bool:
        nonlocal looks
        looks += 1
        raise ValueError

    stuck = Progress(commits=-100.0, polls=0.0, writes=0.0)
    watchdog = KafkaWatchdog(Watchdog(15.0), lambda: stuck, broken_probe, pytest.fail, clock)
    watching = asyncio.create_task(watchdog.run())
    for _ in range(20):
        await asyncio.sleep(0)
        clock.advance(2.0)
    watching.cancel()

    assert looks > 1


def test_a_stuck_process_ends_at_once_with_its_status_and_one_sentence() -> None:
    program = (
        "from tollway_workers.app.liveness import end_stuck_process; end_stuck_process('stuck')"
    )

    ended = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )

    assert ended.returncode == STUCK
    assert "stuck" in ended.stdout + ended.stderr
