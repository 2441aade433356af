"""`tollway dead-letters discard` and `unmark`: what is not to be redriven, or is after all."""

from typing import Annotated

import typer

from tollway.dead_letters.report import MarkReport
from tollway_workers.cli.dead_letters.choosing import Chosen
from tollway_workers.cli.dead_letters.consent import ask
from tollway_workers.cli.dead_letters.redrive import DryRun, Yes
from tollway_workers.cli.dead_letters.reports import marks_facts, show_marks
from tollway_workers.cli.dead_letters.session import run
from tollway_workers.cli.shared.output import write_json
from tollway_workers.cli.shared.topic_scan import AsJson
from tollway_workers.errors import InputError

#: Exit status where nothing was done.
_NOTHING = 1

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
    if dry_run or not yes:
        found = run(
            chosen,
            lambda letters, show: letters.discard(
                chosen.filter, why=why, dry_run=True, on_progress=show
            ),
        )
        if dry_run:
            _tell(found, "discarded", "would discard", as_json=as_json)
            return
        ask("discard", found.marked, yes=yes)
    done = run(
        chosen, lambda letters, show: letters.discard(chosen.filter, why=why, on_progress=show)
    )
    _tell(done, "discarded", "would discard", as_json=as_json)


def unmark(
    chosen: Chosen,
    dry_run: DryRun = False,
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """Take marks back: what was discarded or redriven by mistake can be redriven again.

    Exit status 1 where nothing matched.
    """
    if dry_run or not yes:
        found = run(
            chosen,
            lambda letters, show: letters.unmark(chosen.filter, dry_run=True, on_progress=show),
        )
        if dry_run:
            _tell(found, "unmarked", "would unmark", as_json=as_json)
            return
        ask("unmark", found.marked, yes=yes)
    done = run(chosen, lambda letters, show: letters.unmark(chosen.filter, on_progress=show))
    _tell(done, "unmarked", "would unmark", as_json=as_json)


def _tell(report: MarkReport, done: str, would: str, *, as_json: bool) -> None:
    if as_json:
        write_json(marks_facts(report))
    else:
        show_marks(report, done, would)
    if not report.marked:
        raise typer.Exit(_NOTHING)
