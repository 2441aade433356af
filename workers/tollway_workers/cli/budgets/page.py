"""How budgets and the ledger are shown to people and to machines."""

from collections.abc import Iterable, Sequence
from math import inf, isfinite
from typing import Any

from tollway_schemas.ledger import RUN_BUDGET, Pot
from tollway_workers.cli.budgets.view import BudgetLine, PartLine
from tollway_workers.cli.fleet.page import Sheet, span
from tollway_workers.cli.shared.output import Column, dollars

_COLOURS = {
    "open": "green",
    "alert": "yellow",
    "spent": "bold red",
    "spending": "green",
    "in": "bold red",
    "left": "dim",
    "gone": "dim",
    "closed": "dim",
}
_BUDGETS = (
    Column("budget", wraps=True),
    Column("state", colours=_COLOURS),
    Column("limit", right=True),
    Column("settled", right=True),
    Column("granted", right=True),
    Column("in doubt", right=True),
    Column("used", right=True),
    Column("rate", right=True),
    Column("ends in", right=True),
    Column("turns in", right=True),
    Column("who spends", wraps=True),
)
_PARTS = (
    Column("budget", wraps=True),
    Column("window"),
    Column("process", wraps=True),
    Column("state", colours=_COLOURS),
    Column("granted", right=True),
    Column("settled", right=True),
    Column("in doubt", right=True),
    Column("heard", right=True),
    Column("closed", wraps=True),
)
_NONE = "-"
#: Who spends, as far as there is room.
_MOST_SPENDERS = 3
#: What is shown of a day's rate by the second would be nothing.
_HOUR = 3_600.0


def budget_sheet(lines: Iterable[BudgetLine], unused: Sequence[str]) -> Sheet:
    """One row a budget and window; those of the configuration that nobody uses last."""
    rows = [_budget_row(line) for line in lines]
    width = len(_BUDGETS) - 2
    rows += [(name, "open", *[_NONE] * (width - 1), "nobody yet") for name in unused]
    return Sheet(_BUDGETS, rows)


def part_sheet(lines: Iterable[PartLine]) -> Sheet:
    """One row for what a process has of a budget."""
    return Sheet(_PARTS, [_part_row(line) for line in lines])


def budget_facts(lines: Iterable[BudgetLine]) -> list[dict[str, Any]]:
    """The same for machines: amounts are decimal strings, times seconds."""
    return [
        _named(line.pot, tokens=line.tokens)
        | {
            "state": line.condition,
            "limit": str(line.state.limit),
            "settled": str(line.state.settled),
            "granted": str(line.state.granted),
            "in_doubt": str(line.state.doubt),
            "left": str(line.state.left),
            "used": line.state.used,
            "alert_at": line.alert_at,
            "rate_per_second": line.rate,
            "ends_in_seconds": _finite(line.ends_in),
            "turns_in_seconds": _finite(line.turns_in),
            "who_spends": [{"tenant": who, "part": part} for who, part in line.spenders],
        }
        for line in lines
    ]


def part_facts(lines: Iterable[PartLine]) -> list[dict[str, Any]]:
    """The same of what processes have."""
    return [
        _named(line.pot, tokens=line.tokens)
        | {
            "process": line.process,
            "state": line.condition.replace(" ", "_"),
            "granted": str(line.standing.entry.granted),
            "asking": str(line.standing.entry.asking),
            "settled": str(line.standing.settled),
            "in_doubt": str(line.doubt),
            "heard_seconds_ago": line.silent,
            "closed": _closed_facts(line),
        }
        for line in lines
    ]


def pot_text(pot: Pot) -> str:
    """A budget, and whose part of it."""
    if pot.budget == RUN_BUDGET:
        return f"run {pot.whose or _NONE}"
    return pot.budget if pot.whose is None else f"{pot.budget} of {pot.whose}"


def amount(figure: int, *, tokens: bool) -> str:
    """An amount in its unit."""
    return f"{figure:,} tokens" if tokens else dollars(figure)


def _budget_row(line: BudgetLine) -> tuple[str, ...]:
    state = line.state
    return (
        pot_text(line.pot),
        line.condition,
        *(
            amount(figure, tokens=line.tokens)
            for figure in (state.limit, state.settled, state.granted, state.doubt)
        ),
        f"{state.used:.1%}",
        _rate(line),
        _ends(line),
        _NONE if line.turns_in == inf else span(line.turns_in),
        ", ".join(f"{who} {part:.0%}" for who, part in line.spenders[:_MOST_SPENDERS]) or _NONE,
    )


def _rate(line: BudgetLine) -> str:
    if line.rate is None:
        return "unknown"
    return f"{amount(round(line.rate * _HOUR), tokens=line.tokens)}/h"


def _ends(line: BudgetLine) -> str:
    """When nothing is left, where that comes before its window turns."""
    if line.ends_in is None:
        return "unknown"
    if line.ends_in == 0.0:
        return "spent"
    return span(line.ends_in) if line.ends_in < line.turns_in else "not in time"


def _part_row(line: PartLine) -> tuple[str, ...]:
    standing = line.standing
    closing = standing.closing if standing.closed else None
    return (
        pot_text(line.pot),
        line.pot.window,
        line.process,
        line.condition,
        amount(standing.counts, tokens=line.tokens),
        amount(standing.settled, tokens=line.tokens),
        amount(line.doubt, tokens=line.tokens) if line.doubt else _NONE,
        f"{span(line.silent)} ago",
        _NONE if closing is None else f"{closing.at:%Y-%m-%d %H:%M} by {closing.by}: {closing.why}",
    )


def _closed_facts(line: PartLine) -> dict[str, Any] | None:
    closing = line.standing.closing if line.standing.closed else None
    if closing is None:
        return None
    return {"at": closing.at.isoformat(), "by": closing.by, "why": closing.why}


def _named(pot: Pot, *, tokens: bool) -> dict[str, Any]:
    return {
        "budget": pot.budget,
        "whose": pot.whose,
        "window": pot.window,
        "unit": "tokens" if tokens else "pico_usd",
    }


def _finite(seconds: float | None) -> float | None:
    return seconds if seconds is not None and isfinite(seconds) else None
