"""What stands in the ledger: bytes that are none of it harm nobody, and what is old goes."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from spending_fleet import CLAIM, Fleet, of

from tollway_schemas.codec import encode
from tollway_schemas.errors import SchemaError
from tollway_schemas.ledger import LedgerEntry, LedgerPresence, LedgerSum, Pot
from tollway_schemas.usage import MOST_PICO_USD
from tollway_workers.budgets.fold import FORGOTTEN_AFTER, fold
from tollway_workers.budgets.ledger import Ledger, LedgerRecord, key_of

TURNED = datetime(2026, 11, 29, tzinfo=UTC)
POT = Pot("all", None, "total")


def entry(process: str = "a", window: str = "2026-11-28", **fields: Any) -> LedgerEntry:
    given = {"budget": "all", "window": window, "limit": 100, "process": process, "number": 1}
    return LedgerEntry.model_validate(given | {"granted": 10, "ends_at": TURNED} | fields)


def read(*records: LedgerRecord, at: float = 0.0) -> Ledger:
    ledger = Ledger()
    for record in records:
        ledger.apply(key_of(record), encode(record), at)
    return ledger


def fold_all(ledger: Ledger, now: float, is_run: Callable[[Pot], bool] = lambda _: False) -> int:
    """Fold until nothing is left to do; how many records that took."""
    written = 0
    for _ in range(5):
        folded = fold(ledger, now, is_run)
        for key, value in folded:
            ledger.apply(key, value, now)
        written += len(folded)
    return written


@pytest.mark.parametrize("value", [None, b"", b"{}", b"null", b"\xff"])
@pytest.mark.parametrize(
    "key",
    [
        b'["entry",[],null,"x","p"]',
        b'["entry","x",{},"x","p"]',
        b'["entry","x",null,"x",[]]',
        b'["sum",{},null,"x"]',
        b'["closing",1,2,3,4]',
        b'["presence",["a"]]',
        b'[["entry"],1,2,3,4]',
        b"[" * 5_000,
        b"7",
    ],
)
def test_a_key_that_is_none_of_the_ledger_s_is_one_sentence(key: bytes, value: bytes) -> None:
    with pytest.raises(SchemaError):
        Ledger().apply(key, value, 0.0)


def test_one_that_says_that_a_window_has_turned_folds_nobody_else_s() -> None:
    ends = TURNED.timestamp() + 86_400.0
    ledger = read(entry(), entry("b", ends_at=datetime.fromtimestamp(ends, UTC)))

    assert fold(ledger, ends) == []


def test_amounts_beyond_all_money_do_not_keep_a_window_from_being_folded() -> None:
    most: dict[str, Any] = dict.fromkeys(("granted", "asking", "settled"), MOST_PICO_USD)
    ledger = read(entry("a", **most), entry("b", **most))

    fold_all(ledger, TURNED.timestamp() + 7_200.0)

    (view,) = ledger.pots.values()
    assert view.total is not None
    assert (view.total.settled, view.total.granted) == (MOST_PICO_USD, MOST_PICO_USD)


def test_sums_processes_and_runs_that_are_long_gone_leave_the_ledger() -> None:
    total = LedgerSum(
        budget="all",
        window="2026-11-28",
        ends_at=TURNED,
        limit=1,
        settled=1,
        granted=1,
        processes=1,
    )
    run = entry("a", "total", budget="@run", whose="r", ends_at=None)
    tenant = entry("a", "total", whose="acme", ends_at=None)
    ledger = read(total, run, tenant, LedgerPresence(process="a", number=1), at=0.0)
    week = TURNED.timestamp() + FORGOTTEN_AFTER

    fold_all(ledger, week + 1.0, lambda pot: pot.budget == "@run")

    assert list(ledger.pots) == [tenant.pot]
    assert not ledger.present
    assert not ledger.heard
    assert fold_all(ledger, week + 1.0) == 0


def test_a_run_that_nobody_draws_from_is_no_longer_in_memory_and_goes_on_where_it_was() -> None:
    fleet = Fleet()
    spending = fleet.process()
    fleet.paid(spending, of(run="r", run_budget_usd="0.0003"), CLAIM)
    fleet.ledger.settle_down()

    fleet.clock._elapsed += 120.0
    fleet.ledger.settle_down()
    fleet.ledger.settle_down()

    assert not spending._purses
    fleet.paid(spending, of(run="r"), CLAIM)
    lack = fleet.claim(spending, of(run="r"))
    assert lack is not None
    assert "of the run" in str(lack)
