"""`tollway budgets` and `tollway ledger` apart from Kafka: how budgets stand, and ending doubt."""

import io
from datetime import UTC, datetime
from math import inf
from typing import Any

import pytest
from rich.console import Console
from samples import NOW, attempt
from typer.testing import CliRunner

from tollway_schemas import JournalRecord
from tollway_schemas.codec import encode
from tollway_schemas.ledger import (
    RUN_BUDGET,
    LedgerClosing,
    LedgerEntry,
    LedgerPresence,
    LedgerSum,
    Pot,
)
from tollway_workers.budgets.ledger import key_of
from tollway_workers.budgets.shown import Journaled
from tollway_workers.cli.budgets.closing import Choice, closings
from tollway_workers.cli.budgets.command import closed_words, live_page
from tollway_workers.cli.budgets.page import (
    budget_facts,
    budget_sheet,
    part_facts,
    part_sheet,
)
from tollway_workers.cli.budgets.reading import LedgerReader
from tollway_workers.cli.budgets.spenders import SPAN, Spenders
from tollway_workers.cli.budgets.view import BudgetLine, LedgerView
from tollway_workers.cli.main import app
from tollway_workers.cli.shared.topic_scan import Place
from tollway_workers.config.shape.budget import BudgetSettings
from tollway_workers.config.shape.fleet import FleetSettings
from tollway_workers.config.shape.kafka import KafkaSettings
from tollway_workers.errors import InputError

USD = 10**12
POT = Pot("day", None, "2026-11-29")
TURNS = datetime.fromtimestamp(NOW + 7_200, UTC)
BUDGETS = {
    "day": BudgetSettings.model_validate({"usd": 10, "per": "day", "alert_at": 0.5}),
    "tenants": BudgetSettings.model_validate(
        {"tokens": 1_000, "per": "hour", "each": "tenant", "routes": ["extract"]}
    ),
}


class Desk:
    """A ledger that is written record by record."""

    def __init__(self) -> None:
        self.spenders = Spenders(BUDGETS)
        self.view = LedgerView(BUDGETS, self.spenders)
        self._numbers: dict[str, int] = {}

    def write(self, record: Any, at: float) -> None:
        self.view.apply(key_of(record), encode(record), at)

    def entry(self, process: str, at: float = NOW, pot: Pot = POT, **fields: Any) -> None:
        number = self._numbers[process] = self._numbers.get(process, 0) + 1
        given = {"limit": 10 * USD, "ends_at": TURNS, "granted": 0, **fields}
        self.write(
            LedgerEntry.model_validate(
                {**pot._asdict(), "process": process, "number": number, **given}
            ),
            at,
        )

    def present(self, process: str, at: float) -> None:
        self.write(LedgerPresence(process=process, number=1), at)

    def spend(self, cost: int, at: float = NOW, tenant: str | None = "acme", **fields: Any) -> None:
        call = attempt(cost=cost, usage={"input_total": cost})
        given = {"job_id": "j", "generation": 1, "route": "extract", "worker": "w", **fields}
        record = JournalRecord(**given, tenant=tenant, attempt=call)
        self.spenders.hear(encode(record), at)

    def line(self, now: float = NOW) -> BudgetLine:
        (line,) = self.view.budgets(now)
        return line


def test_a_budget_is_what_was_settled_what_the_living_hold_and_what_the_dead_left_in_doubt() -> (
    None
):
    desk = Desk()
    desk.entry("alive", granted=3 * USD, asking=1 * USD, settled=2 * USD)
    desk.entry("dead", NOW - 101, granted=2 * USD, settled=1 * USD)
    desk.entry("gone", NOW - 500, granted=USD, settled=USD, left=True)

    state = desk.line().state

    assert (state.settled, state.granted, state.doubt) == (4 * USD, 2 * USD, 1 * USD)
    assert (state.limit, state.left, state.used) == (10 * USD, 3 * USD, 0.5)


def test_a_process_that_says_that_it_is_here_is_not_in_doubt_however_long_a_call_takes() -> None:
    desk = Desk()
    desk.entry("busy", NOW - 900, granted=USD)
    desk.present("busy", NOW - 30)

    assert desk.line().state == (10 * USD, 0, USD, 0)


def test_the_lowest_limit_of_those_who_are_here_holds_and_of_a_run_the_first() -> None:
    desk = Desk()
    for process, limit, left in (("a", 8, False), ("b", 5, False), ("c", 1, True)):
        desk.entry(process, limit=limit * USD, granted=0, left=left)
    assert desk.line().state.limit == 5 * USD

    other = Desk()
    run = Pot(RUN_BUDGET, "r1", "total")
    for process, limit in (("a", 8), ("b", 5)):
        other.entry(process, pot=run, limit=limit * USD, ends_at=None)
    line = other.line()
    assert (line.state.limit, line.turns_in) == (8 * USD, inf)


def test_a_rate_is_that_of_the_last_minutes_and_says_when_nothing_is_left() -> None:
    desk = Desk()
    # An hour ago it was spent faster.
    for seconds, settled in ((3_600, 0), (SPAN, 4), (300, 5), (0, 6)):
        desk.entry("w", NOW - seconds, granted=settled * USD, settled=settled * USD)

    line = desk.line()

    assert line.rate == pytest.approx(2 * USD / SPAN)
    assert line.ends_in == pytest.approx(4 / 2 * SPAN)
    assert line.condition == "alert"
    # Nobody spends any more: not what was spent before the last minutes.
    assert desk.line(NOW + 2 * SPAN).rate == 0
    assert desk.line(NOW + 2 * SPAN).ends_in == inf


def test_a_budget_of_which_nothing_is_left_is_spent() -> None:
    desk = Desk()
    desk.entry("w", granted=10 * USD, settled=10 * USD)

    line = desk.line()

    assert (line.condition, line.ends_in) == ("spent", 0.0)


def test_a_window_that_has_turned_is_shown_no_more_and_a_folded_one_by_its_sum() -> None:
    desk = Desk()
    desk.entry("w", granted=USD)
    assert desk.view.budgets(TURNS.timestamp()) == []
    assert desk.view.unused(TURNS.timestamp()) == ["day", "tenants"]
    assert len(list(desk.view.parts(TURNS.timestamp(), turned=True))) == 1

    folded = Desk()
    folded.write(
        LedgerSum(
            **POT._asdict(),
            limit=10 * USD,
            settled=USD,
            granted=3 * USD,
            processes=2,
            ends_at=TURNS,
        ),
        NOW,
    )
    assert folded.line().state == (10 * USD, USD, 0, 2 * USD)


def test_who_spends_is_whose_calls_fall_under_the_budget() -> None:
    desk = Desk()
    desk.spend(30)
    desk.spend(10, tenant="zeta")
    desk.spend(60, tenant="zeta", route="other")
    desk.spend(99, at=NOW - SPAN - 120)
    desk.entry("w", granted=USD)
    desk.entry("w", pot=Pot("tenants", "zeta", "2026-11-29T12:tokens"), tokens=True, limit=1_000)

    shared, of_tenant = desk.view.budgets(NOW)

    assert shared.spenders == [("zeta", 0.7), ("acme", 0.3)]
    # Only calls of its route, and of this tenant.
    assert of_tenant.spenders == [("zeta", 1.0)]


def test_a_table_says_it_in_words_and_json_in_pico_dollars() -> None:
    desk = Desk()
    desk.spend(30)
    desk.entry("w", NOW - 100, settled=0)
    desk.entry("w", granted=6 * USD, settled=5 * USD)

    sheet, (facts, *_) = budget_sheet([desk.line()], ["tenants"]), budget_facts([desk.line()])

    assert sheet.rows[0] == (
        "day",
        "alert",
        "$10.000000",
        "$5.000000",
        "$1.000000",
        "$0.000000",
        "50.0%",
        "$180.000000/h",
        "1m 40s",
        "2h",
        "acme 100%",
    )
    assert len(sheet.rows[1]) == len(sheet.columns)
    assert facts["settled"] == str(5 * USD)
    assert (facts["unit"], facts["ends_in_seconds"]) == ("pico_usd", 100.0)


# The ledger, and ending doubt.


def dead_desk() -> Desk:
    desk = Desk()
    desk.entry("dead", NOW - 500, granted=4 * USD, settled=1 * USD)
    desk.entry("alive", NOW - 3, granted=2 * USD)
    return desk


def close(desk: Desk, spent: str, process: str = "dead", **where: str) -> list[LedgerClosing]:
    lines = Choice(process=process, **where).of(desk.view.parts(NOW, turned=False))
    return closings(
        lines,
        spent,
        Journaled(),
        at=datetime.fromtimestamp(NOW, UTC),
        by="me@here",
        why="it burned",
    )


@pytest.mark.parametrize(
    ("spent", "settled"), [("settled", 1), ("granted", 4), ("2.5", 2.5), ("1", 1), ("4.0", 4)]
)
def test_what_is_closed_by_hand_is_spent_and_the_rest_is_free_and_who_did_it_is_kept(
    spent: str, settled: float
) -> None:
    desk = dead_desk()
    assert desk.line().state.doubt == 3 * USD

    (record,) = close(desk, spent)
    desk.write(record, NOW)

    state = desk.line().state
    assert (state.doubt, state.settled, state.granted) == (0, settled * USD, 2 * USD)
    (facts,) = (
        each for each in part_facts(desk.view.parts(NOW, turned=False)) if each["process"] == "dead"
    )
    assert facts["state"] == "closed"
    assert facts["closed"]["by"] == "me@here"
    assert "it burned" in part_sheet(desk.view.parts(NOW, turned=False)).rows[0][-1]


def test_the_limit_of_a_process_that_is_gone_with_all_settled_is_ended_by_closing_it() -> None:
    desk = Desk()
    desk.entry("dead", NOW - 500, granted=USD, settled=USD, limit=2 * USD)
    desk.entry("alive", granted=USD)
    (line,) = Choice(process="dead").of(desk.view.parts(NOW, turned=False))
    assert line.condition == "gone"
    assert desk.line().state.limit == 2 * USD

    (record,) = close(desk, "settled")
    desk.write(record, NOW)

    assert desk.line().state.limit == 10 * USD
    assert desk.line().state.settled == USD


def test_a_process_that_comes_back_after_all_counts_again() -> None:
    desk = dead_desk()
    (record,) = close(desk, "settled")
    desk.write(record, NOW)

    desk.entry("dead", NOW + 1, granted=4 * USD, settled=3 * USD)

    assert desk.line(NOW + 1).state.settled == 3 * USD
    assert desk.line(NOW + 1).state.granted == 3 * USD


@pytest.mark.parametrize(
    ("spent", "where", "says"),
    [
        ("0.5", {}, "had settled $1.000000 itself"),
        ("4.1", {}, "could spend $4.000000 at most"),
        ("much", {}, "is not US dollars"),
        ("NaN", {}, "is not US dollars"),
        ("-1", {}, "is not US dollars"),
        ("1e-13", {}, "is not US dollars"),
        ("1e999999", {}, "is not US dollars"),
        ("settled", {"process": "alive"}, "was heard 3 s ago"),
        ("settled", {"process": "nobody"}, "knows no process 'nobody'"),
        ("settled", {"budget": "other"}, "nothing of dead is in doubt there"),
    ],
)
def test_doubt_that_cannot_be_ended_so_is_refused_in_one_sentence(
    spent: str, where: dict[str, str], says: str
) -> None:
    with pytest.raises(InputError, match=says.replace("$", r"\$")):
        close(dead_desk(), spent, **where)


@pytest.mark.parametrize(
    ("spent", "says"),
    [
        (2, "has spent $2.000000, $2.000000 is free again"),
        (5, "$5.000000, $1.000000 more than counted until now"),
    ],
)
def test_closing_says_what_becomes_free_or_counts_besides(spent: int, says: str) -> None:
    (record,), desk = close(dead_desk(), "settled"), dead_desk()
    (line,) = Choice(process="dead").of(desk.view.parts(NOW, turned=False))

    assert says in closed_words(record.model_copy(update={"settled": spent * USD}), line)


def test_an_amount_is_for_one_budget_alone() -> None:
    desk = dead_desk()
    desk.entry("dead", NOW - 400, pot=Pot("tenants", None, "w"), granted=9, tokens=True, limit=9)

    with pytest.raises(InputError, match="2 budgets are in doubt"):
        close(desk, "2")

    (record,) = close(desk, "7", budget="tenants")
    assert (record.settled, record.granted) == (7, 9)
    assert len(close(desk, "granted")) == 2


@pytest.mark.parametrize(
    ("said", "missing"),
    [
        ((), "--why"),
        (("--why", "x"), "either --by-journal or --spent"),
        (("--why", "x", "--by-journal", "--spent", "settled"), "either --by-journal or --spent"),
    ],
)
def test_closing_says_how_much_and_why(said: tuple[str, ...], missing: str) -> None:
    result = CliRunner().invoke(app, ["ledger", "close", "p", *said], env={"COLUMNS": "200"})

    assert result.exit_code != 0
    assert missing in f"{result.output}{result.exception}"


def test_the_live_page_shows_every_budget_and_what_is_no_record_of_the_ledger() -> None:
    unread: Any = None
    found = LedgerReader(Place(KafkaSettings(), FleetSettings(budgets=BUDGETS)), unread)
    desk = Desk()
    desk.entry("w", granted=USD)
    found.view.ledger = desk.view.ledger
    found.unreadable = 1

    screen = Console(width=200, record=True, file=io.StringIO())
    screen.print(live_page(found, NOW))

    said = screen.export_text()
    assert "day" in said
    assert "tenants" in said
    assert "1 record of the ledger cannot be read" in said
