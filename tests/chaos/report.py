"""Figures, each with its bound, and one table of them all."""

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import inf
from typing import Literal

from rich.console import Console
from rich.table import Table

#: Seconds between two progress lines where there is no terminal to write over.
_QUIET = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """What was measured, and what it may be at most or has to be at least."""

    name: str
    value: float
    bound: float | None = None
    kind: Literal["most", "least"] = "most"
    #: Where the bound comes from, or what the figure is made of.
    note: str = ""

    @property
    def holds(self) -> bool:
        """Whether the bound is kept; a figure without bound is for information."""
        if self.bound is None:
            return True
        return self.value <= self.bound if self.kind == "most" else self.value >= self.bound


def exactly(name: str, value: float, bound: float, note: str = "") -> list[Figure]:
    """A figure that has one right value."""
    kind: Literal["most", "least"] = "most" if value > bound else "least"
    return [Figure(name=name, value=value, bound=bound, kind=kind, note=note)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What one scenario came to with one seed."""

    scenario: str
    seed: int
    seconds: float
    figures: Sequence[Figure]

    @property
    def holds(self) -> bool:
        """Whether every bound is kept."""
        return all(figure.holds for figure in self.figures)


def table(verdicts: Iterable[Verdict]) -> Table:
    """One table for all that was run."""
    made = Table(title="make chaos: what was measured, and its bound")
    made.add_column("scenario")
    made.add_column("figure")
    made.add_column("measured", justify="right")
    made.add_column("bound", justify="right")
    made.add_column("")
    made.add_column("how", overflow="fold")
    for verdict in verdicts:
        made.add_section()
        name = f"{verdict.scenario} (seed {verdict.seed}, {verdict.seconds:.0f} s)"
        for figure in verdict.figures:
            made.add_row(name, figure.name, *_cells(figure))
            name = ""
    return made


def _cells(figure: Figure) -> tuple[str, str, str, str]:
    if figure.bound is None:
        return _number(figure.value), "", "", figure.note
    sign = "<=" if figure.kind == "most" else ">="
    kept = "[green]kept[/green]" if figure.holds else "[bold red]BROKEN[/bold red]"
    return _number(figure.value), f"{sign} {_number(figure.bound)}", kept, figure.note


def _number(value: float) -> str:
    return f"{value:,.0f}" if value in (inf, -inf) or value == int(value) else f"{value:,.2f}"


class Progress:
    """One line that says how far a run is: written over on a terminal, else now and then."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._status = console.status("") if console.is_terminal else None
        self._said = 0.0

    def begin(self) -> None:
        """From here on there is something to tell."""
        if self._status is not None:
            self._status.start()

    def end(self) -> None:
        """Take the line away."""
        if self._status is not None:
            self._status.stop()

    def say(self, line: str) -> None:
        """How far it is now."""
        if self._status is not None:
            self._status.update(line)
        elif time.monotonic() - self._said > _QUIET:
            self._said = time.monotonic()
            self._console.print(line, highlight=False, soft_wrap=True)
