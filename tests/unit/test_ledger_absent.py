"""A fleet that budgets nothing needs no ledger topic: one that is upgraded may not have it yet.
One that leaves a Kafka which takes nothing says what stays in doubt.
"""

import asyncio
from decimal import Decimal
from typing import Any

import pytest
from manual_clock import ManualClock
from samples import job, progress
from spending_fleet import LANES, Fleet, of
from structlog.testing import capture_logs

from tollway_workers.app.reads import needed_topics
from tollway_workers.budgets.lack import Lack
from tollway_workers.budgets.spending import Spending
from tollway_workers.clock import SystemClock
from tollway_workers.config.shape.budget import BudgetSettings
from tollway_workers.config.shape.fleet import FleetSettings
from tollway_workers.errors import BrokerUnavailable
from tollway_workers.kafka.talk import ledger_log
from tollway_workers.kafka.talk.ledger_log import LedgerLog

BUDGETS = {"all": BudgetSettings(usd=Decimal(1), per="total")}


@pytest.fixture
def topics(monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """The topics that there are."""
    found: dict[str, int] = {}

    async def existing(client: Any) -> dict[str, int]:
        return found

    monkeypatch.setattr(ledger_log, "existing_topics", existing)
    return found


async def test_without_the_topic_jobs_that_state_a_budget_wait_and_all_others_go_on(
    topics: dict[str, int],
) -> None:
    spending = Spending({}, LANES, "w", ManualClock())
    with capture_logs() as logs:
        await LedgerLog({}, "ledger", spending, ManualClock()).start()

    assert [each["problem"] for each in logs] == [
        "its topic does not exist: make it with `tollway topics apply`"
    ]
    assert spending.claim(progress(job(run="r")), "main") is None
    stating = progress(job(run="r", run_budget_usd=Decimal(1)))
    assert isinstance(spending.claim(stating, "main"), Lack)


async def test_the_topic_is_used_once_it_is_there(
    topics: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ledger_log, "_LOOK_AGAIN", 0.0)
    opened = asyncio.Event()

    async def keep(self: LedgerLog, work: Any, what: str) -> None:
        opened.set()

    monkeypatch.setattr(LedgerLog, "_keep", keep)
    spending = Spending({}, LANES, "w", SystemClock())
    log = LedgerLog({}, "ledger", spending, SystemClock())
    await log.start()
    running = asyncio.create_task(log.run())
    await asyncio.sleep(0)
    assert not opened.is_set()

    topics["ledger"] = 1
    await asyncio.wait_for(opened.wait(), 5.0)
    await running

    assert not spending.absent


async def test_where_something_is_budgeted_no_ledger_is_no_start(
    topics: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(self: LedgerLog) -> None:
        raise BrokerUnavailable("no ledger")

    monkeypatch.setattr(LedgerLog, "_begin", fail)
    with pytest.raises(BrokerUnavailable):
        await LedgerLog(
            {}, "ledger", Spending(BUDGETS, LANES, "w", ManualClock()), ManualClock()
        ).start()


def test_the_topic_is_needed_where_something_is_budgeted() -> None:
    assert "tollway.ledger" not in needed_topics(FleetSettings())
    assert "tollway.ledger" in needed_topics(FleetSettings(budgets=BUDGETS))


class Producer:
    """One whose Kafka acknowledges all, or nothing."""

    def __init__(self, acknowledges: bool) -> None:
        self.acknowledges = acknowledges

    async def send(self, *record: Any, partition: int) -> asyncio.Future[None]:
        sent = asyncio.get_running_loop().create_future()
        if self.acknowledges:
            sent.set_result(None)
        return sent

    async def stop(self) -> None:
        """It has no connection."""


@pytest.mark.parametrize("acknowledges", [True, False])
async def test_a_worker_that_leaves_says_whether_what_it_was_granted_may_stay_in_doubt(
    acknowledges: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def started(producer: Producer, client: Any) -> None:
        """It needs no start."""

    monkeypatch.setattr(ledger_log, "_LAST_WORDS", 0.05)
    monkeypatch.setattr(ledger_log, "started", started)
    monkeypatch.setattr(ledger_log, "AIOKafkaProducer", lambda **_: Producer(acknowledges))
    fleet = Fleet(all={"usd": Decimal(1), "per": "total"})
    spending = fleet.process()
    fleet.paid(spending, of())
    name = spending.process
    ledger = LedgerLog({}, "ledger", spending, fleet.clock)
    await ledger._open_producer()

    with capture_logs() as logs:
        await ledger.stop()

    assert [each["processes"] for each in logs] == ([] if acknowledges else [[name]])
