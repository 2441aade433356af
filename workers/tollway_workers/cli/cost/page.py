"""What is said of costs: a table, one JSON document, or CSV."""

import csv
import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from operator import add
from typing import Any

from tollway_schemas.usage import PICO_PER_USD
from tollway_workers.cli.cost.lines import Figures
from tollway_workers.cli.cost.sums import Group
from tollway_workers.cli.shared.output import Column, count, dollars, printable, say, show_table

#: How a figure is called by machines.
_NAMES = {
    "calls": "calls",
    "uncalled": "answers_without_a_call",
    "unknown": "calls_of_unknown_cost",
    "estimated": "calls_with_estimated_tokens",
    "input": "input_tokens",
    "cached_read": "input_cached_read_tokens",
    "cache_write": "input_cache_write_tokens",
    "output": "output_tokens",
    "reasoning": "reasoning_tokens",
}
#: Money, as decimal strings: JSON readers lose digits.
_MONEY = {
    "cost": "cost",
    "cost_estimated": "cost_by_estimated_tokens",
    "cost_priced": "cost_priced_now",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What was asked."""

    by: tuple[str, ...]
    since: datetime | None = None
    until: datetime | None = None


@dataclass(slots=True, kw_only=True)
class Reading:
    """What was read for it."""

    records: int = 0
    unreadable: int = 0
    #: From where.
    topic: str = ""


def write_facts(question: Question, groups: Iterable[Group], reading: Reading) -> None:
    """One JSON document, written as it is made: groups may be many."""
    out, total = sys.stdout, Figures()
    before = {
        "since": None if question.since is None else question.since.isoformat(),
        "until": None if question.until is None else question.until.isoformat(),
        "by": list(question.by),
    }
    out.write(f'{{\n{_fields(before)},\n  "groups": [')
    for number, group in enumerate(groups):
        total = _sum(total, group.figures)
        named = dict(zip(question.by, group.key, strict=True)) | _figures(group.figures)
        out.write(f"{',' if number else ''}\n    {_json(named)}")
    after = {
        "total": _figures(total),
        "records_read": reading.records,
        "unreadable_records": reading.unreadable,
    }
    out.write(f"\n  ],\n{_fields(after)}\n}}\n")
    out.flush()


def write_csv(question: Question, groups: Iterable[Group]) -> None:
    """A line a group, a header before them; nothing that a spreadsheet would run as a formula."""
    out = csv.writer(sys.stdout, lineterminator="\n")
    out.writerow([*question.by, *_figures(Figures())])
    for group in groups:
        out.writerow([*map(_cell, group.key), *_figures(group.figures).values()])
    sys.stdout.flush()


def show(question: Question, groups: Iterable[Group], reading: Reading, *, top: int) -> None:
    """A table for people: the `top` dearest, the others in one row, and what is left out of it."""
    rows: list[list[str]] = []
    rest, total, others = Figures(), Figures(), 0
    for group in groups:
        total = _sum(total, group.figures)
        if len(rows) < top:
            rows.append(_row(group.key, group.figures))
        else:
            others += 1
            rest = _sum(rest, group.figures)
    if not rows:
        say(f"{reading.topic} holds no call of that time ({count(reading.records, 'record')} read)")
    else:
        beside = [""] * (len(question.by) - 1)
        if others:
            rows.append(_row((f"{others:,} others", *beside), rest))
        if question.by:
            rows.append(_row(("total", *beside), total))
        show_table(_columns(question.by), rows)
        for line in _left_out(total):
            say(line)
    if reading.unreadable:
        say(
            f"{count(reading.unreadable, 'record')} could not be read and "
            f"{_are(reading.unreadable)} in no sum: upgrade Tollway",
            to_stderr=True,
        )


def _columns(by: Sequence[str]) -> list[Column]:
    figures = ("calls", "tokens in", "cached", "written", "tokens out", "reasoning", "cost")
    return [
        *(Column(name, wraps=name in ("run", "tenant", "model")) for name in by),
        *(Column(title, right=True) for title in figures),
        Column("unknown", right=True),
    ]


def _row(key: Sequence[str | None], figures: Figures) -> list[str]:
    known = figures.calls > figures.unknown or not figures.calls
    return [
        *("-" if part is None else part for part in key),
        f"{figures.calls:,}",
        f"{figures.input:,}",
        f"{figures.cached_read:,}",
        f"{figures.cache_write:,}",
        f"{figures.output:,}",
        f"{figures.reasoning:,}",
        dollars(figures.cost if known else None),
        f"{figures.unknown:,}" if figures.unknown else "",
    ]


def _left_out(total: Figures) -> Iterable[str]:
    if total.unknown:
        yield (
            f"{count(total.unknown, 'call')} of unknown cost {_are(total.unknown)} in no sum: "
            "for want of a price, or of tokens that anybody counted"
        )
    if total.cost_priced:
        yield f"{dollars(total.cost_priced)} of it priced now, by the configuration's prices"
    if total.estimated:
        yield (
            f"{count(total.estimated, 'call')} by estimated tokens, "
            f"{dollars(total.cost_estimated)} of it: nobody counted them"
        )
    if total.uncalled:
        yield f"{count(total.uncalled, 'answer')} without a call, which cost nothing"


def _are(number: int) -> str:
    return "is" if number == 1 else "are"


def _figures(figures: Figures) -> dict[str, Any]:
    said: dict[str, Any] = {name: getattr(figures, field) for field, name in _NAMES.items()}
    for field, name in _MONEY.items():
        pico = getattr(figures, field)
        said[f"{name}_pico_usd"] = str(pico)
        said[f"{name}_usd"] = f"{Decimal(pico) / PICO_PER_USD:f}"
    return said


def _fields(named: Mapping[str, Any]) -> str:
    """The inside of an object, a line a field."""
    return ",\n".join(f"  {json.dumps(name)}: {_json(value)}" for name, value in named.items())


def _json(value: Any) -> str:
    return printable(json.dumps(value, ensure_ascii=False))


def _sum(one: Figures, other: Figures) -> Figures:
    return Figures._make(map(add, one, other))


#: What spreadsheets take for a formula where a cell begins with it.
_FORMULA: Mapping[str, str] = dict.fromkeys("=+-@\t\r", "'")


def _cell(part: str | None) -> str:
    text = printable(part or "")
    return _FORMULA.get(text[:1], "") + text
