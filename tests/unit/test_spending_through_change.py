"""Budgets while things change: configurations that come back, limits that sink, names that end."""

from decimal import Decimal
from typing import Any

import pytest
from manual_clock import ManualClock
from samples import attempt, lane
from spending_fleet import CLAIM, LANES, Fleet, answered, of, usd

from tollway_schemas.attempt import Billed
from tollway_schemas.codec import encode
from tollway_schemas.failure import FailureClass
from tollway_schemas.ledger import LedgerEntry, Pot
from tollway_schemas.usage import Usage
from tollway_workers.budgets.lack import Lack, Short
from tollway_workers.budgets.ledger import PotView, Standing, key_of
from tollway_workers.budgets.purse import Purse
from tollway_workers.budgets.spending import Money, Spending
from tollway_workers.config.shape.budget import BudgetSettings
from tollway_workers.config.shape.price import Price

POT = Pot("all", None, "total")


def settings(calls: int, **fields: Any) -> dict[str, BudgetSettings]:
    return {"all": BudgetSettings(usd=usd(calls * CLAIM), per="total", **fields)}


def counted(fleet: Fleet) -> tuple[int, int]:
    """What one that joins in a while reads: what counts, and what is settled."""
    fleet.clock._elapsed += 2.0
    fleet.ledger.settle_down()
    view = fleet.process().ledger.pot(POT)
    return view.counted, sum(part.settled for part in view.parts.values())


def test_a_claim_that_there_was_enough_for_once_does_not_keep_smaller_ones_waiting() -> None:
    purse, view = Purse(POT, "me", 100), PotView()
    take(view, 50)
    purse.want(50)
    take(view, 60)

    assert purse.due(view, 0.0, lambda: 0.0) is None
    purse.want(5)

    record = purse.due(view, 1.0, lambda: 0.0)
    assert record is not None
    assert record.asking == 5


def test_who_leaves_takes_back_what_is_asked_for_and_not_read_back_yet() -> None:
    purse, view = Purse(POT, "me", 100_000), PotView()
    purse.want(10)
    asking = purse.due(view, 0.0, lambda: 0.5)
    assert asking is not None
    assert asking.counts > 0

    purse.closed = True
    last = purse.due(view, 0.1, lambda: 0.5)
    purse.read_back(asking, view, 0.2)

    assert last is not None
    assert (last.counts, last.left) == (0, True)
    assert (purse.granted, purse.due(view, 0.3, lambda: 0.5)) == (0, None)


def take(view: PotView, granted: int) -> None:
    other = LedgerEntry(
        budget="all", window="total", limit=100, process="other", number=granted, granted=granted
    )
    view.put("other", Standing(other, 0.0))


def test_a_budget_that_is_taken_out_and_put_back_knows_the_calls_in_flight() -> None:
    fleet = Fleet(all={"usd": usd(2 * CLAIM), "per": "total"})
    spending = fleet.process()
    under_way = fleet.claim(spending, of())
    assert isinstance(under_way, Money)

    spending.configure({})
    fleet.ledger.settle_down()
    spending.configure(settings(2))
    fleet.paid(spending, of(), CLAIM)
    under_way.pay(answered(CLAIM))
    fleet.ledger.settle_down()

    assert isinstance(fleet.claim(spending, of()), Lack)
    assert counted(fleet) == (2 * CLAIM, 2 * CLAIM)


def test_a_budget_that_is_put_back_before_its_last_record_is_read_goes_on_from_it() -> None:
    fleet = Fleet(all={"usd": usd(2 * CLAIM), "per": "total"})
    spending = fleet.process()
    fleet.paid(spending, of(), CLAIM)

    spending.configure({})
    for _ in range(3):
        fleet.ledger.write(spending)
        spending.touch(*spending._purses.values())
    spending.configure(settings(2))
    fleet.paid(spending, of(), CLAIM)
    fleet.ledger.settle_down()

    assert isinstance(fleet.claim(spending, of()), Lack)
    assert counted(fleet) == (2 * CLAIM, 2 * CLAIM)


def fetched_ahead() -> tuple[Fleet, Spending, Spending]:
    """Two processes, the first of which has money of a large budget to spare."""
    fleet = Fleet(all={"usd": usd(1_000 * CLAIM), "per": "total"})
    one, other = fleet.process(), fleet.process()
    calls = [fleet.claim(one, of()) for _ in range(4)]
    for call in calls:
        assert isinstance(call, Money)
        call.pay(answered(CLAIM // 2))
    fleet.ledger.settle_down()
    return fleet, one, other


def test_a_budget_that_is_lowered_below_what_is_spent_ends_what_was_fetched_ahead() -> None:
    _, one, _ = fetched_ahead()

    one.configure(settings(2))

    assert isinstance(one.claim(of(), "main"), Lack)


def test_another_s_lower_limit_ends_what_was_fetched_ahead() -> None:
    fleet, one, other = fetched_ahead()

    fleet.ledger.append(*lowered(other))
    fleet.ledger.read(one)
    fleet.ledger.settle_down()

    lack = one.claim(of(), "main")
    assert isinstance(lack, Lack)
    assert lack.short is Short.SPENT


def lowered(spending: Spending) -> tuple[bytes, bytes]:
    entry = LedgerEntry(
        budget="all", window="total", limit=2 * CLAIM, process=spending.process, number=1, granted=0
    )
    return key_of(entry), encode(entry)


def test_what_a_lost_record_said_is_said_again() -> None:
    fleet = Fleet(all={"usd": usd(100 * CLAIM), "per": "total"})
    spending = fleet.process()
    under_way = fleet.claim(spending, of())
    assert isinstance(under_way, Money)
    spending.start_anew()
    under_way.pay(answered(7))

    assert spending.due(everything=True), "what is lost with its connection"
    spending.start_anew()
    fleet.ledger.settle_down()

    assert counted(fleet) == (7, 7)
    assert not spending._purses


def test_no_name_of_a_run_is_that_of_another_tenant_s() -> None:
    fleet = Fleet(run={"usd": usd(CLAIM), "per": "run"})
    spending = fleet.process()

    for bound, run in (("a", "b/c"), ("a/b", "c"), (None, "a/b/c"), ("x" * 400, "c")):
        fleet.paid(spending, of(bound, run=run), CLAIM)
        fleet.ledger.settle_down()

    assert isinstance(fleet.claim(spending, of("a", run="b/c")), Lack)


def test_a_tenant_of_any_length_has_a_part_of_its_own() -> None:
    fleet = Fleet(each={"usd": usd(CLAIM), "per": "total", "each": "tenant"})
    spending = fleet.process()

    fleet.paid(spending, of("x" * 400), CLAIM)
    fleet.paid(spending, of("x" * 401), CLAIM)

    assert isinstance(fleet.claim(spending, of("x" * 400)), Lack)


@pytest.mark.parametrize(
    ("billed", "usage"),
    [
        (Billed.UNKNOWN, None),
        (Billed.YES, None),
        (Billed.YES, Usage(input_total=1, output_total=1, estimated=True)),
    ],
)
def test_a_call_on_a_dearer_lane_that_did_not_say_counts_by_that_lane_s_price(
    billed: Billed, usage: Usage | None
) -> None:
    dear = Price(input=Decimal(9), output=Decimal(9), cache_write_5m=Decimal(9))
    lanes = {**LANES, "dear": lane("dear", price=dear, max_output_tokens=64)}
    spending = Spending({}, lanes, "w", ManualClock())
    limited = of(max_cost_usd=usd(9 * CLAIM))
    cost = 2 if usage else None
    limited.note(attempt(1, lane="dear", cost=cost, billed=billed, usage=usage))

    lack = spending.claim(limited, "main")

    assert isinstance(lack, Lack)
    assert "max_cost_usd" in lack.said


def test_calls_that_are_listed_no_more_count_in_what_a_job_has_spent() -> None:
    spending = Spending({}, LANES, "w", ManualClock())
    limited = of(max_cost_usd=usd(50 * CLAIM))
    for number in range(1, 50):
        assert isinstance(spending.claim(limited, "main"), Money)
        timed_out = attempt(
            number, FailureClass.TIMEOUT_TOTAL, charged=False, billed=Billed.UNKNOWN
        )
        limited.note(timed_out)
    limited.note(attempt(50, cost=CLAIM, billed=Billed.YES))

    assert len(limited.attempts) < 20
    assert isinstance(spending.claim(limited, "main"), Lack)
