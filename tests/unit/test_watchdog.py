"""The watchdog: it ends a process that is stuck while Kafka is well, and no other."""

import pytest
from manual_clock import ManualClock

from tollway_workers.health.watchdog import Progress, Watchdog
from tollway_workers.kafka.client_watch import KafkaWatchdog
from tollway_workers.kafka.probe import writable

SESSION = 15.0


class Stage:
    """A worker and a Kafka that a test makes well or sick, and what the watchdog did."""

    def __init__(self, session: float = SESSION) -> None:
        self.clock = ManualClock()
        self.commits_go_on = self.polls_go_on = self.writes_go_on = self.kafka_is_well = True
        self.questions = 0
        self.ended: list[str] = []
        self._progress = Progress(commits=0.0, polls=0.0, writes=0.0)
        self.watchdog = KafkaWatchdog(
            Watchdog(session), self.progress, self.probe, self.ended.append, self.clock
        )

    def progress(self) -> Progress:
        now, before = self.clock.monotonic(), self._progress
        self._progress = Progress(
            commits=now if self.commits_go_on else before.commits,
            polls=now if self.polls_go_on else before.polls,
            writes=now if self.writes_go_on else before.writes,
        )
        return self._progress

    async def probe(self) -> bool:
        self.questions += 1
        return self.kafka_is_well

    async def live(self, seconds: float) -> None:
        """Let the watchdog look every two seconds, as it does by itself."""
        until = self.clock.monotonic() + seconds
        while self.clock.monotonic() < until and not self.ended:
            self.clock.advance(2.0)
            await self.watchdog.look()


async def test_a_worker_that_gets_on_is_left_alone_and_kafka_is_not_asked() -> None:
    stage = Stage()

    await stage.live(3600)

    assert stage.ended == []
    assert stage.questions == 0


@pytest.mark.parametrize("part", ["commits", "polls", "writes"])
async def test_a_worker_that_is_stuck_while_kafka_is_well_ends_after_two_sessions(
    part: str,
) -> None:
    stage = Stage()
    await stage.live(10)
    setattr(stage, f"{part}_go_on", False)

    await stage.live(2 * SESSION + 4)
    assert stage.ended == []
    await stage.live(8)

    assert len(stage.ended) == 1
    assert stage.ended[0].startswith(f"{part} have made no progress for 3")


async def test_short_sessions_leave_a_client_the_time_to_mend_a_dead_connection() -> None:
    stage = Stage(session=6.0)
    stage.writes_go_on = False

    await stage.live(28)
    assert stage.ended == []
    await stage.live(10)

    assert len(stage.ended) == 1


async def test_while_kafka_is_away_a_worker_waits_for_ever_and_says_so() -> None:
    stage = Stage()
    stage.commits_go_on = stage.kafka_is_well = False

    await stage.live(86_400)

    assert stage.ended == []
    assert stage.watchdog.away


async def test_a_worker_has_two_sessions_from_when_kafka_is_back() -> None:
    stage = Stage()
    stage.commits_go_on = stage.kafka_is_well = False
    await stage.live(600)
    stage.kafka_is_well = True

    await stage.live(2 * SESSION - 2)
    assert stage.ended == []
    stage.commits_go_on = True
    await stage.live(600)

    assert stage.ended == []
    assert not stage.watchdog.away


async def test_a_kafka_that_is_away_in_between_starts_the_count_anew() -> None:
    stage = Stage()
    stage.commits_go_on = False

    for _ in range(20):
        stage.kafka_is_well = True
        await stage.live(2 * SESSION - 4)
        stage.kafka_is_well = False
        await stage.live(4)

    assert stage.ended == []


async def test_a_process_that_was_frozen_counts_from_when_it_woke() -> None:
    stage = Stage()
    stage.commits_go_on = False
    await stage.live(10)

    stage.clock.advance(3600)
    await stage.live(2 * SESSION - 4)

    assert stage.ended == []


@pytest.mark.parametrize(
    ("leader", "isr", "replicas", "needed", "fit"),
    [
        (1, [1], [1], 1, True),
        (1, [1, 2], [1, 2, 3], 2, True),
        (1, [1], [1, 2, 3], 2, False),
        (-1, [1, 2], [1, 2, 3], 2, False),
        (1, [1], [1], 2, True),
    ],
)
def test_a_partition_is_writable_with_a_leader_and_enough_replicas_in_sync(
    leader: int, isr: list[int], replicas: list[int], needed: int, fit: bool
) -> None:
    assert writable({"leader": leader, "isr": isr, "replicas": replicas}, needed) is fit
