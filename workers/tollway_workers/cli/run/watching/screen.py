"""The progress of a run: a bar on a terminal, a line now and then elsewhere."""

import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn
from rich.progress import Progress as Bar
from rich.table import Table

from tollway_schemas.usage import PICO_PER_USD
from tollway_workers.cli.batch.tally import Progress, Tally
from tollway_workers.cli.run.watching.calls import Calls
from tollway_workers.cli.timeline import Timeline

#: Seconds between two lines where there is no terminal.
_LINE_EVERY = 3.0


class Screen:
    """Writes to one console. Without a terminal it writes plain lines, no control codes."""

    def __init__(self, console: Console, timeline: Timeline | None = None) -> None:
        """`timeline`: where the phases of the command go."""
        self._console = console
        self._timeline = timeline or Timeline()
        self._bar: Bar | None = None
        self._last_line = 0.0
        self._told: tuple[tuple[str, str], ...] = ()

    def tell(self, line: str) -> None:
        """Say one thing."""
        self._console.print(escape(line), highlight=False, soft_wrap=True)

    def phase(self, name: str, *, ago: float = 0.0) -> None:
        """From now on, or from `ago` seconds ago, the command's time goes to this."""
        self._timeline.begin(name, ago=ago)

    def tell_phases(self) -> None:
        """Where the time went, on stderr, if a person asked for it."""
        if self._timeline.told:
            sys.stderr.write("".join(f"{line}\n" for line in self._timeline.lines()))

    @contextmanager
    def showing(self, total: int) -> Iterator[None]:
        """Show progress for the time of the block."""
        if not self._console.is_terminal:
            yield
            return
        columns = (BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[facts]}"))
        with Bar(*columns, console=self._console) as self._bar:
            self._task = self._bar.add_task("", total=total, facts="")
            try:
                yield
            finally:
                self._bar = None

    def show(self, progress: Progress) -> None:
        """How far it is; at once where what it waits for is another."""
        look = progress.look
        if look.reasons != self._told:
            self._told = look.reasons
            for each in look.waits:
                self.tell(f"{each.of} {each.sentence}")
        if self._bar is not None:
            facts = escape(_facts(progress))
            self._bar.update(self._task, completed=progress.done, facts=facts)
            return
        now = time.monotonic()
        if now - self._last_line >= _LINE_EVERY and not self._console.is_terminal:
            self._last_line = now
            self.tell(f"{progress.done:,}/{progress.total:,}  {_facts(progress)}")

    def summary(self, tally: Tally, calls: Calls, seconds: float, out: str) -> None:
        """The table at the end."""
        table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
        rows = {
            "answered": f"{tally.answered:,}" + _counts(tally.rungs),
            "failed": f"{tally.failed:,}" + _detail(tally),
            **({"waited": _words(tally.waited)} if tally.waited else {}),
            "calls": calls.text,
            "tokens": f"{tally.input_tokens:,} in, {tally.output_tokens:,} out",
            "cost": cost_text(tally),
            "time": duration(seconds),
            "results": out,
        }
        for name, value in rows.items():
            table.add_row(name, escape(value))
        self._console.print(table, highlight=False, soft_wrap=True)


def cost_text(tally: Tally) -> str:
    """Dollars; unknown where any price is, never less than it may be without saying so."""
    dollars = f"${tally.cost / PICO_PER_USD:,.4f}"
    if not tally.unpriced:
        return dollars
    if tally.unpriced == tally.lines - tally.bad_lines:
        return "unknown (no prices)"
    return f"at least {dollars} ({tally.unpriced:,} jobs of unknown cost)"


def duration(seconds: float) -> str:
    """1.2 s, 3 m 04 s, 2 h 05 m."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(int(seconds), 60)
    if minutes < 60:
        return f"{minutes} m {rest:02} s"
    return f"{minutes // 60} h {minutes % 60:02} m"


def _facts(progress: Progress) -> str:
    tally = progress.tally
    facts = [f"{tally.answered:,} answered", f"{tally.failed:,} failed"]
    if progress.in_flight is not None:
        facts.append(f"{progress.in_flight:,} in flight")
    facts.append(f"{progress.rate:.1f} jobs/s")
    facts.append(f"{tally.input_tokens + tally.output_tokens:,} tokens")
    facts.append(f"cost {cost_text(tally)}" if tally.lines > tally.bad_lines else "cost $0")
    if progress.seconds_left is not None and progress.done < progress.total:
        facts.append(f"{duration(progress.seconds_left)} left")
    if progress.starting:
        facts.append("workers are starting")
    if progress.look.waits:
        facts.append(progress.look.text)
    return "  ".join(facts)


def _counts(counts: Mapping[str, int]) -> str:
    return f" ({_words(counts)})" if counts else ""


def _words(counts: Mapping[str, int]) -> str:
    """12 by fallback lane other, 3 by rule: the most first."""
    most_first = sorted(counts.items(), key=lambda each: (-each[1], each[0]))
    return ", ".join(f"{count:,} {kind}" for kind, count in most_first)


def _detail(tally: Tally) -> str:
    parts = []
    if tally.bad_lines:
        parts.append(f"{tally.bad_lines:,} invalid lines")
    if tally.dead_letters:
        parts.append(f"{tally.dead_letters:,} dead letters")
    return f" ({', '.join(parts)})" if parts else ""
