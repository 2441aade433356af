"""`tollway cost` apart from Kafka: what a journal record says, how it is summed, what is shown."""

import csv
import io
import sys
from collections import defaultdict
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from samples import attempt
from typer.testing import CliRunner

from tollway_schemas import Attempt, Billed, JournalRecord, Usage
from tollway_schemas.codec import encode
from tollway_schemas.usage import MOST_PICO_USD
from tollway_workers.cli.cost.lines import DIMENSIONS, Figures, Line, LineReader, Seen, Unreadable
from tollway_workers.cli.cost.page import Question, Reading, show, write_csv, write_facts
from tollway_workers.cli.cost.sums import Group, Sums
from tollway_workers.cli.main import app
from tollway_workers.errors import MissingExtra

NOON = datetime(2026, 1, 31, 23, 30, tzinfo=UTC)
USAGE = Usage(
    input_total=100,
    input_cached_read=30,
    input_cache_write_5m=20,
    input_cache_write_1h=10,
    output_total=50,
    reasoning=5,
)
ALL = tuple(DIMENSIONS)


def journalled(call: Attempt | None = None, **fields: Any) -> bytes:
    given: dict[str, Any] = {
        "job_id": "j",
        "generation": 1,
        "route": "extract",
        "worker": "w-0",
        "attempt": call,
        "request": {"messages": [{"content": "secret"}]},
    }
    return encode(JournalRecord(**{**given, **fields}))


def a_call(**fields: Any) -> Attempt:
    return attempt(
        **{"started_at": NOON, "usage": USAGE, "cost": 7, "billed": Billed.YES, **fields}
    )


def figures_of(call: Attempt) -> Figures:
    line = LineReader(()).read(journalled(call))
    assert line is not None
    return line.figures


def test_a_record_says_whose_call_it_was_of_what_day_and_all_its_kinds_of_tokens() -> None:
    line = LineReader(ALL).read(journalled(a_call(), tenant="acme", run="r1"))

    assert line is not None
    assert dict(zip(ALL, line.key, strict=True)) == {
        "route": "extract",
        "tenant": "acme",
        "run": "r1",
        "lane": "main",
        "provider": "scripted",
        "model": "scripted",
        "day": "2026-01-31",
        "month": "2026-01",
    }
    assert line.figures == Figures(
        calls=1,
        input=100,
        cached_read=30,
        cache_write=30,
        output=50,
        reasoning=5,
        cost=7,
    )


def test_a_cost_that_is_unknown_is_counted_and_one_that_was_not_billed_is_nothing() -> None:
    assert figures_of(a_call(cost=None))[:4] == (1, 0, 1, 0)
    assert figures_of(a_call(cost=None, usage=None, billed=Billed.UNKNOWN)).unknown == 1
    refused = figures_of(a_call(cost=None, usage=None, billed=Billed.NO))
    assert (refused.unknown, refused.cost) == (0, 0)


def test_a_cost_by_estimated_tokens_is_told_apart() -> None:
    found = figures_of(a_call(usage=Usage(input_total=1, estimated=True), cost=9))

    assert (found.cost, found.estimated, found.cost_estimated) == (9, 1, 9)


def test_an_answer_without_a_call_costs_nothing_and_is_counted() -> None:
    record = journalled(None, provenance="rule", answered_at=NOON)

    assert LineReader(("lane", "day")).read(record) == Line(
        (None, "2026-01-31"), Figures(uncalled=1)
    )


def test_days_are_utc_wherever_a_record_was_written() -> None:
    elsewhere = NOON.astimezone(datetime.fromisoformat("2026-01-01T00:00+09:00").tzinfo)

    line = LineReader(("day",)).read(journalled(a_call(started_at=elsewhere)))

    assert line is not None
    assert line.key == ("2026-01-31",)


def test_calls_sent_before_since_or_from_until_on_are_left_out() -> None:
    record = journalled(a_call())

    assert LineReader((), since=NOON).read(record)
    assert LineReader((), until=NOON).read(record) is None
    assert LineReader((), since=NOON + timedelta(microseconds=1)).read(record) is None


def test_a_line_that_was_written_again_is_summed_once_and_another_try_of_its_job_too() -> None:
    reader = LineReader(())
    first, second = journalled(a_call(number=1)), journalled(a_call(number=2))

    found = [reader.read(each) for each in (first, second, first, second)]

    assert [each is not None for each in found] == [True, True, False, False]


def test_what_is_remembered_of_lines_is_bounded() -> None:
    seen = Seen(2)

    assert [seen.add(line) for line in (1, 2, 1, 3, 2, 4, 5, 1)] == [
        *(True, True, False, True, False, True, True, True)
    ]


def test_a_call_of_unknown_cost_is_priced_by_its_instant_where_that_is_asked_for() -> None:
    def pricing(lane: str, instant: float, usage: Usage) -> int | None:
        assert (lane, instant) == ("main", NOON.timestamp())
        return usage.input_total * 3

    reader = LineReader((), pricing=pricing)

    unknown, known = (reader.read(journalled(a_call(cost=cost))) for cost in (None, 7))

    assert unknown and known
    assert (unknown.figures.cost, unknown.figures.cost_priced, unknown.figures.unknown) == (
        300,
        300,
        0,
    )
    assert (known.figures.cost, known.figures.cost_priced) == (7, 0)


def _changed(**fields: Any) -> bytes:
    record = orjson.loads(journalled(a_call()))
    record["attempt"].update(fields)
    return orjson.dumps(record)


@pytest.mark.parametrize(
    "value",
    [
        None,
        b"",
        b"\xff",
        b"[]",
        b"{}",
        b'{"route": 3, "attempt": null, "answered_at": "2026-01-01T00:00Z"}',
        b'{"route": "r", "attempt": [], "answered_at": "2026-01-01T00:00Z"}',
        b'{"route": "r", "attempt": null, "answered_at": "2026-01-01T00:00"}',
        b'{"version": 99, "route": "r", "attempt": null, "answered_at": "2026-01-01T00:00Z"}',
        _changed(started_at="soon"),
        _changed(started_at="0001-01-01T00:00:00+14:00"),
        _changed(cost=7.5),
        _changed(cost="much"),
        _changed(cost=str(MOST_PICO_USD)),
        _changed(cost=[]),
        _changed(usage={"input_total": -1}),
        _changed(usage={"output_total": 2**60}),
        _changed(usage={"reasoning": True}),
        _changed(usage=[1]),
        _changed(lane=3),
    ],
)
def test_what_is_no_journal_record_is_unreadable_and_nothing_else(value: bytes | None) -> None:
    with pytest.raises(Unreadable):
        LineReader(ALL).read(value)


_KEYS = st.tuples(st.none() | st.text(max_size=3), st.sampled_from(["a", "b"]))
_COSTS = st.integers(-(10**24), 10**24)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(_KEYS, _COSTS), max_size=40), st.integers(1, 5))
def test_sums_are_exact_however_often_they_are_handed_to_duckdb(
    lines: list[tuple[tuple[str | None, str], int]], held: int
) -> None:
    lines = [(key, cost) for key, cost in lines if "\0" not in (key[0] or "")]
    expected: dict[tuple[str | None, str], int] = defaultdict(int)
    with Sums(2, most_held=held) as sums:
        for key, cost in lines:
            expected[key] += cost
            sums.add(Line(key, Figures(calls=1, cost=cost)))

        groups = list(sums.groups())

    assert {group.key: group.figures.cost for group in groups} == expected
    assert sum(group.figures.calls for group in groups) == len(lines)
    assert [g.figures.cost for g in groups] == sorted(
        (g.figures.cost for g in groups), reverse=True
    )


def test_without_a_dimension_there_is_one_sum_and_none_of_nothing() -> None:
    with Sums(0) as sums:
        assert list(sums.groups()) == []
        for _ in range(2):
            sums.add(Line((), Figures(calls=1, cost=10**23)))

        assert list(sums.groups()) == [Group((), Figures(calls=2, cost=2 * 10**23))]


def test_what_is_read_is_what_is_summed() -> None:
    reader = LineReader(("tenant",))
    with Sums(1) as sums:
        for call in (a_call(cost=None), a_call(usage=Usage(estimated=True))):
            line = reader.read(journalled(call, tenant="acme"))
            assert line is not None
            sums.add(line._replace(key=(str(call.cost),)))

        known, unknown = sums.groups()

    assert (known.key, known.figures.estimated, known.figures.cost) == (("7",), 1, 7)
    assert (unknown.figures.calls, unknown.figures.unknown, unknown.figures.input) == (1, 1, 100)


def test_without_duckdb_one_sentence_says_how_to_install_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "duckdb", None)

    with pytest.raises(MissingExtra, match=r"pip install 'tollway\[analytics\]'"):
        Sums(1)


GROUPS = [
    Group(("acme", "fast"), Figures(calls=3, unknown=1, input=2_000, cost=1_500_000_000_001)),
    Group((None, "\x1b[31m=slow"), Figures(calls=1, unknown=1)),
    Group(("zeta", "fast"), Figures(calls=2, estimated=1, cost=4, cost_estimated=3, cost_priced=1)),
    Group(("zeta", None), Figures(uncalled=4)),
]
QUESTION = Question(by=("tenant", "lane"), since=NOON)


def test_the_table_says_what_is_unknown_and_never_shows_it_as_nothing(
    capsys: pytest.CaptureFixture[str],
) -> None:
    show(QUESTION, GROUPS, Reading(records=10, unreadable=1, topic="t.journal"), top=50)

    said, beside = capsys.readouterr()
    rows = {tuple(line.split()[:2]): line.split() for line in said.splitlines()}
    assert rows["acme", "fast"][-2:] == ["$1.500000", "1"]
    assert rows["-", "\\u001b[31m=slow"][-2:] == ["unknown", "1"]
    assert rows["zeta", "-"][-1] == "$0.000000"
    assert "2 calls of unknown cost are in no sum" in said
    assert "1 call by estimated tokens, <$0.000001 of it" in said
    assert "priced now" in said
    assert "4 answers without a call" in said
    assert "1 record could not be read" in beside


def test_a_table_shows_the_dearest_and_sums_the_others(
    capsys: pytest.CaptureFixture[str],
) -> None:
    show(QUESTION, GROUPS, Reading(records=10), top=1)

    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert [line[:2] for line in lines[1:4]] == [["acme", "fast"], ["3", "others"], ["total", "6"]]


def test_of_nothing_it_says_how_much_was_read(capsys: pytest.CaptureFixture[str]) -> None:
    show(QUESTION, [], Reading(records=3, topic="t.journal"), top=1)

    assert "t.journal holds no call of that time (3 records read)" in capsys.readouterr().out


def test_json_has_every_pico_dollar_as_a_decimal_string(
    capsys: pytest.CaptureFixture[str],
) -> None:
    write_facts(QUESTION, GROUPS, Reading(records=10, unreadable=1))

    said = capsys.readouterr().out
    found = orjson.loads(said)
    assert "\x1b" not in said
    assert (found["by"], found["until"]) == (["tenant", "lane"], None)
    assert found["groups"][0]["cost_pico_usd"] == "1500000000001"
    assert Decimal(found["groups"][0]["cost_usd"]) == Decimal("1.500000000001")
    assert (found["groups"][1]["tenant"], found["groups"][1]["calls_of_unknown_cost"]) == (None, 1)
    assert (found["total"]["cost_pico_usd"], found["total"]["calls"]) == ("1500000000005", 6)
    assert (found["records_read"], found["unreadable_records"]) == (10, 1)


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@x", "\tx"])
def test_no_cell_of_a_csv_is_a_formula(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    write_csv(Question(by=("tenant",)), [Group((text,), Figures(calls=1, cost=5))])

    (row,) = csv.DictReader(io.StringIO(capsys.readouterr().out))
    assert row["tenant"] == f"'{text}"
    assert (row["calls"], row["cost_pico_usd"]) == ("1", "5")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--by", "lanes"], "did you mean lane?"),
        (["--by", "lane,,"], "is none"),
        (["--since", "soon"], "is no time"),
        (["--json", "--csv"], "not both"),
        (["--since", "1h", "--until", "2h"], "--since must be before --until"),
    ],
)
def test_what_cannot_be_asked_is_said_before_anything_is_read(
    arguments: Iterable[str], said: str
) -> None:
    result = CliRunner().invoke(app, ["cost", *arguments], env={"COLUMNS": "200"})

    assert result.exit_code == 2
    assert said in result.output
