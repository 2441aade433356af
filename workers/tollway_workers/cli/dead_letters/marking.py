"""`tollway dead-letters discard` and `unmark`: what is not to be redriven, or is after all."""

from collections.abc import Awaitable, Callable
from typing import Annotated

import typer

from tollway import DeadLetters
from tollway.dead_letters.report import MarkReport, OnProgress
from tollway_workers.cli.dead_letters.choosing import Chosen
from tollway_workers.cli.dead_letters.consent import DryRun, Yes, consented
from tollway_workers.cli.dead_letters.reports import marks_facts, show_marks
from tollway_workers.cli.dead_letters.session import run
from tollway_workers.cli.shared.output import write_json
from tollway_workers.cli.shared.topic_scan import AsJson
from tollway_workers.errors import InputError

#: Exit status where nothing was done.
_NOTHING = 1

#: Marks them, or only counts them where the last argument says so.
Mark = Callable[[DeadLetters, OnProgress, bool], Awaitable[MarkReport]]
Why = Annotated[str, typer.Option("--why", help="The reason, which is kept in the mark.")]


def discard(
    chosen: Chosen,
    why: Why,
    dry_run: DryRun = False,
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """Mark dead letters as not worth it: no redrive takes them any more. Nothing is deleted.

    Exit status 1 where nothing matched.
    """
    if not why.strip():
        raise InputError("--why: say why they are discarded: whoever looks later wants to know")

    async def discarded(letters: DeadLetters, show: OnProgress, only_count: bool) -> MarkReport:
        return await letters.discard(chosen.filter, why=why, dry_run=only_count, on_progress=show)

    report = _marked(chosen, discarded, "discard", dry_run=dry_run, yes=yes)
    _tell(report, "discarded", "would discard", as_json=as_json)


def unmark(
    chosen: Chosen,
    dry_run: DryRun = False,
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """Take marks back: what was discarded, or redriven in vain, can be redriven.

    What was redriven and answered is called and paid for again if it is redriven again: choose by
    filter. Exit status 1 where nothing matched.
    """

    async def unmarked(letters: DeadLetters, show: OnProgress, only_count: bool) -> MarkReport:
        return await letters.unmark(chosen.filter, dry_run=only_count, on_progress=show)

    report = _marked(chosen, unmarked, "unmark", dry_run=dry_run, yes=yes)
    _tell(report, "unmarked", "would unmark", as_json=as_json)


def _marked(chosen: Chosen, mark: Mark, does: str, *, dry_run: bool, yes: bool) -> MarkReport:
    """What was done, or with `dry_run` would be."""

    def work(only_count: bool) -> MarkReport:
        return run(
            chosen, lambda letters, show: mark(letters, show, only_count), changes=not only_count
        )

    return consented(work, does, lambda report: report.marked, dry_run=dry_run, yes=yes)


def _tell(report: MarkReport, done: str, would: str, *, as_json: bool) -> None:
    if as_json:
        write_json(marks_facts(report))
    else:
        show_marks(report, done, would)
    if not report.marked:
        raise typer.Exit(_NOTHING)
