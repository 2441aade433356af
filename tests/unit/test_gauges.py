"""What a worker's gauges say of its assignment, its proofs of life and its unfinished work."""

from types import SimpleNamespace
from typing import Any
from unittest.mock import AsyncMock

import pytest
from aiokafka import AIOKafkaConsumer
from manual_clock import ManualClock
from prometheus_client import CollectorRegistry
from samples import NOW, admission_of, lane, progress

from tollway_schemas.codec import encode
from tollway_schemas.ledger import LedgerEntry
from tollway_workers.app.gauges import Gauges, Watched
from tollway_workers.budgets.ledger import key_of
from tollway_workers.budgets.spending import Spending
from tollway_workers.config.shape.budget import BudgetSettings
from tollway_workers.kafka.client_settings import SourceSettings
from tollway_workers.kafka.consume.source import KafkaSource
from tollway_workers.operators.commands import Commands
from tollway_workers.ownership.owned_partition import LEASE
from tollway_workers.ownership.owned_partitions import Found
from tollway_workers.ownership.sharding import ShardGroup
from tollway_workers.ownership.user_data import Orders
from tollway_workers.pipeline.admit import Permit
from tollway_workers.telemetry.state import StateGauges

_INTERACTIVE, _BULK = "tollway.lanes.main.interactive", "tollway.lanes.main.bulk"
_GROUP = ShardGroup(
    name="main",
    shards=2,
    ownership_topic=_INTERACTIVE,
    topics=(_INTERACTIVE, _BULK),
    generation=1,
)
_BUDGETS = {
    name: BudgetSettings.model_validate({"usd": 10, "per": "day", "alert_at": 0.7})
    for name in ("day", "unused")
}
_PARTITIONS = {_INTERACTIVE: 4, _BULK: 4}


class Stage:
    """A source that a test gives partitions, and the gauges of its worker."""

    def __init__(self) -> None:
        self.clock = ManualClock(NOW)
        self.registry = CollectorRegistry()
        settings = SourceSettings(
            client={},
            topics=_GROUP.topics,
            group="workers",
            instance_id="one",
            session_timeout=15.0,
            groups=(_GROUP,),
        )
        self.source = KafkaSource(settings, self.clock)
        self.worker: Any = SimpleNamespace(writer=SimpleNamespace(held=0, held_for=0.0))
        self.liveness: Any = SimpleNamespace(
            commit_age=float("inf"), lag=SimpleNamespace(worst=0.5), kafka_away=False
        )
        self.backlog: Any = SimpleNamespace(ends={})
        parts: dict[str, Any] = {
            "worker": self.worker,
            "liveness": self.liveness,
            "backlog": self.backlog,
            "commands": Commands(),
            "spending": Spending(_BUDGETS, {}, "one", self.clock),
        }
        self.spending: Spending = parts["spending"]
        self.admission = admission_of(lane(concurrency=1), self.clock)
        self.worker.dispatcher = SimpleNamespace(held=lambda name: 0)
        lanes: Any = {"main": SimpleNamespace(admission=self.admission)}
        watched = Watched(source=self.source, lanes=lanes, retired=["old"], **parts)
        self._gauges = Gauges(StateGauges(self.registry), watched, self.clock)

    def give(
        self, *places: tuple[str, int], marks: frozenset[tuple[str, int]] = frozenset()
    ) -> None:
        orders = Orders(marks=marks, layout=(_GROUP,), partitions=_PARTITIONS)
        found = {place: Found(offset=100) for place in places}
        self.source.partitions.assign(found, orders, self.clock.boottime())
        self.source.joined = True

    async def commit(self) -> None:
        """Let Kafka take a commit of all that was given."""
        consumer = AsyncMock(AIOKafkaConsumer, position=AsyncMock(return_value=100))
        assert await self.source.committer.commit(consumer, lambda: True)

    def value(self, name: str, **labels: str) -> float | None:
        self._gauges.refresh()
        return self.registry.get_sample_value(name, labels)


@pytest.fixture
def stage() -> Stage:
    return Stage()


async def test_the_assignment_is_shown_with_shards_by_group_and_what_is_about_to_go(
    stage: Stage,
) -> None:
    stage.give((_INTERACTIVE, 1), (_INTERACTIVE, 3), (_BULK, 1), marks=frozenset({(_BULK, 1)}))
    await stage.commit()

    assert stage.value("tollway_partitions_owned") == 3
    assert stage.value("tollway_partitions_releasing") == 1
    assert stage.value("tollway_shards_owned", group="main") == 1


async def test_shards_are_shown_for_as_long_as_calls_for_them_may_start(stage: Stage) -> None:
    stage.give((_INTERACTIVE, 0))
    before = stage.value("tollway_shards_owned", group="main")
    await stage.commit()
    stage.source.joined = False
    in_a_rebalance = stage.value("tollway_shards_owned", group="main")

    stage.clock.advance(LEASE)

    assert before is None
    assert in_a_rebalance == 1
    assert stage.value("tollway_shards_owned", group="main") == 0


async def test_what_went_to_others_is_shown_as_zero(stage: Stage) -> None:
    stage.give((_INTERACTIVE, 0))
    await stage.commit()
    before = stage.value("tollway_shards_owned", group="main")

    stage.give()

    assert before == 1
    assert stage.value("tollway_shards_owned", group="main") == 0
    assert stage.value("tollway_jobs_outstanding", topic=_INTERACTIVE) == 0


def test_a_standby_has_no_commit_and_no_lease_that_could_be_old(stage: Stage) -> None:
    stage.give()

    assert stage.value("tollway_commit_age_seconds") == 0
    assert stage.value("tollway_lease_age_seconds") == 0


def test_an_owner_that_has_not_committed_has_no_lease(stage: Stage) -> None:
    stage.give((_BULK, 0))

    assert stage.value("tollway_commit_age_seconds") == float("inf")
    assert stage.value("tollway_lease_age_seconds") == float("inf")


def test_outstanding_work_leaves_out_what_is_finished_behind_a_running_job(stage: Stage) -> None:
    stage.give((_BULK, 0), (_BULK, 1))
    tracker = stage.source.partitions.tracker((_BULK, 0))
    for offset in range(100, 110):
        tracker.start(offset, NOW + offset)
    for offset in range(101, 106):
        tracker.finish(offset)
    unread = stage.value("tollway_jobs_outstanding", topic=_BULK)

    stage.backlog.ends = {(_BULK, 0): 108, (_BULK, 1): 107}
    stage.clock.advance(160.0)

    assert unread == 5
    assert stage.value("tollway_jobs_outstanding", topic=_BULK) == 5 + 7
    assert stage.value("tollway_oldest_job_age_seconds") == 60


def test_what_is_held_for_kafka_and_that_it_is_away_are_shown(stage: Stage) -> None:
    stage.worker.writer = SimpleNamespace(held=7, held_for=12.5)
    stage.liveness.kafka_away = True

    assert stage.value("tollway_outcomes_held") == 7
    assert stage.value("tollway_outcome_held_seconds") == 12.5
    assert stage.value("tollway_kafka_away") == 1
    assert stage.value("tollway_event_loop_lag_seconds") == 0.5


def test_calls_on_their_way_are_those_that_hold_a_permit(stage: Stage) -> None:
    permit = stage.admission.admit(progress())
    assert isinstance(permit, Permit)

    during = stage.value("tollway_calls_in_flight", lane="main")
    permit.release()

    assert (during, stage.value("tollway_calls_in_flight", lane="main")) == (1, 0)


def test_a_lane_s_state_and_how_often_its_breaker_opened_are_shown(stage: Stage) -> None:
    name = "tollway_lane_state"
    before = [stage.value(name, lane="main", state=state) for state in ("open", "broken")]
    stage.admission.break_lane(60.0)

    after = [stage.value(name, lane="main", state=state) for state in ("open", "broken")]
    opened = stage.value("tollway_breaker_opened_total", lane="main")

    assert (before, after, opened) == ([1, 0], [0, 1], 1)
    assert stage.value("tollway_breaker_opened_total", lane="main") == 1
    assert stage.value(name, lane="old", state="retired") == 1


def test_of_a_budget_the_part_of_it_is_shown_of_which_most_is_gone(stage: Stage) -> None:
    now = stage.clock.now()

    def write(process: str, whose: str, at: float, **figures: int) -> None:
        given = {"budget": "day", "whose": whose, "window": "w", "limit": 1_000, "number": 1}
        entry = LedgerEntry.model_validate({**given, "process": process, **figures})
        stage.spending.apply(key_of(entry), encode(entry), at)

    write("alive", "acme", now, granted=900, settled=300)
    write("dead", "acme", now - 500, granted=300, settled=100)
    write("alive", "zeta", now, granted=200, settled=200)

    assert stage.value("tollway_budget_used_ratio", budget="day") == pytest.approx(0.6)
    assert stage.value("tollway_budget_in_doubt_ratio", budget="day") == pytest.approx(0.2)
    assert stage.value("tollway_budget_used_ratio", budget="unused") == 0
    assert stage.value("tollway_budget_alert_at", budget="unused") == 0.7
