"""The screen of `up`: a live table on a terminal, a line now and then elsewhere, or JSON."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any, Protocol

import orjson
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from tollway_workers.cli.shared.output import console, on_one_line, printable
from tollway_workers.cli.up.figures import READY, WorkerFigures

#: Seconds between two lines where there is no terminal.
_LINE_EVERY = 5.0


class UpScreen(Protocol):
    """Where `up` tells what happens."""

    def tell(self, text: str) -> None:
        """Say one thing; it is made safe for a terminal."""
        ...

    def facts(self, kind: str, facts: dict[str, Any], text: str) -> None:
        """Say something that machines want as facts, and people as text."""
        ...

    def show(self, figures: Sequence[WorkerFigures], jobs_per_second: float) -> None:
        """How it goes."""
        ...

    def showing(self) -> Any:
        """A context for the time that figures come."""
        ...


class PeopleScreen:
    """For people. Mutable state: the live table, and what the last plain line said and when."""

    def __init__(self, out: Console | None = None) -> None:
        self._console = out or console()
        self._live: Live | None = None
        self._last: tuple[float, str] = (float("-inf"), "")

    def tell(self, text: str) -> None:
        """Say one thing."""
        self._console.print(Text(printable(text)), soft_wrap=True)

    def facts(self, kind: str, facts: dict[str, Any], text: str) -> None:
        """Say the text."""
        self.tell(text)

    @contextmanager
    def showing(self) -> Iterator[None]:
        """Keep a table at the bottom of a terminal."""
        if not self._console.is_terminal:
            yield
            return
        with Live(console=self._console, refresh_per_second=4, redirect_stderr=False) as self._live:
            try:
                yield
            finally:
                self._live = None

    def show(self, figures: Sequence[WorkerFigures], jobs_per_second: float) -> None:
        """How it goes: where there is no terminal, only what is new."""
        if self._live is not None:
            self._live.update(Group(_table(figures), Text(_totals(figures, jobs_per_second))))
            return
        now, (told_at, told) = time.monotonic(), self._last
        done = f"{[(each.state, each.done, each.in_flight) for each in figures]}"
        if not self._console.is_terminal and now - told_at >= _LINE_EVERY and done != told:
            self._last = now, done
            self.tell(_totals(figures, jobs_per_second))


class MachineScreen:
    """One JSON object a line on stdout; what is only for people goes to stderr."""

    def __init__(self) -> None:
        self._out = console()
        self._errors = console(to_stderr=True)

    def tell(self, text: str) -> None:
        """Say one thing, on stderr."""
        self._errors.print(Text(printable(text)), soft_wrap=True)

    def facts(self, kind: str, facts: dict[str, Any], text: str) -> None:
        """Say the facts."""
        line = orjson.dumps({"kind": kind} | facts).decode()
        self._out.print(Text(on_one_line(line)), soft_wrap=True)

    @contextmanager
    def showing(self) -> Iterator[None]:
        """Nothing is kept on a screen."""
        yield

    def show(self, figures: Sequence[WorkerFigures], jobs_per_second: float) -> None:
        """All figures."""
        workers = [asdict(each) for each in figures]
        self.facts("figures", {"workers": workers, "jobs_per_second": jobs_per_second}, "")


def _table(figures: Sequence[WorkerFigures]) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    table.add_column("worker")
    table.add_column("state")
    for title in ("partitions", "waiting", "in flight", "answered", "failed", "dead letters"):
        table.add_column(title, justify="right")
    for each in figures:
        doing = (each.partitions, each.waiting, each.in_flight)
        done = (each.completed, each.failed, each.dead_lettered)
        table.add_row(f"{each.slot} ({each.pid})", each.state, *(f"{n:,}" for n in doing + done))
    return table


def _totals(figures: Sequence[WorkerFigures], jobs_per_second: float) -> str:
    ready = sum(each.state == READY for each in figures)
    failed = sum(each.failed + each.dead_lettered for each in figures)
    tokens = sum(each.input_tokens + each.output_tokens for each in figures)
    words = (
        f"{ready}/{len(figures)} workers ready",
        f"{sum(each.in_flight for each in figures):,} in flight",
        f"{sum(each.completed for each in figures):,} answered",
        f"{failed:,} failed",
        f"{jobs_per_second:.1f} jobs/s",
        f"{tokens:,} tokens",
        _cost(figures),
    )
    return "  ".join(words)


def _cost(figures: Sequence[WorkerFigures]) -> str:
    dollars = f"${sum(each.cost for each in figures):,.4f}"
    unpriced = sum(each.unpriced_calls for each in figures)
    return f"at least {dollars} ({unpriced:,} calls of unknown cost)" if unpriced else dollars
