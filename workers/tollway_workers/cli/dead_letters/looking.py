"""Commands that look at dead letters and change nothing: list, show, groups, export."""

import base64
import sys
from pathlib import Path
from typing import Annotated, Any

import orjson
import typer

from tollway.dead_letters import Found, Overview
from tollway.dead_letters.report import ExportReport
from tollway_schemas.codec import encode
from tollway_workers.cli.dead_letters.choosing import Chosen
from tollway_workers.cli.dead_letters.export_place import exported_to
from tollway_workers.cli.dead_letters.page import (
    entry_facts,
    group_facts,
    raw_text,
    show_entry,
    show_groups,
    show_overview,
)
from tollway_workers.cli.dead_letters.session import run
from tollway_workers.cli.shared.output import count, on_one_line, say, write_json
from tollway_workers.cli.shared.topic_scan import AsJson
from tollway_workers.errors import InputError

#: Exit status where nothing of that name is there.
_NOT_FOUND = 1

Limit = Annotated[int, typer.Option(min=1, max=10_000, help="Most that are listed.")]
Name = Annotated[
    str,
    typer.Argument(
        metavar="ID[/GENERATION]", help="The job; or topic-partition-offset it was read from."
    ),
]
Raw = Annotated[bool, typer.Option("--raw", help="The bytes of the record alone, as they are.")]
Out = Annotated[
    Path, typer.Option("--out", "-o", metavar="FILE", help="Where they go; it holds prompts.")
]
Overwrite = Annotated[
    bool, typer.Option("--overwrite", help="Take the place of a file that is there already.")
]


def list_(chosen: Chosen, limit: Limit = 20, as_json: AsJson = False) -> None:
    """List dead letters: their likely causes on top, the newest below. Shows no prompt."""
    found = run(
        chosen, lambda letters, show: letters.list(chosen.filter, limit=limit, on_progress=show)
    )
    if as_json:
        newest = [entry_facts(entry) for entry in found.newest()]
        write_json(_overview_facts(found, chosen) | {"dead_letters": newest})
    else:
        show_overview(found, chosen)


def groups(chosen: Chosen, as_json: AsJson = False) -> None:
    """Show likely causes: how many of each, since when, what they cost, and what to do about it.

    Dead letters of one fingerprint are likely one mistake. Shows no prompt.
    """
    found = run(chosen, lambda letters, show: letters.groups(chosen.filter, on_progress=show))
    if as_json:
        write_json(_overview_facts(found, chosen))
    else:
        show_groups(found, chosen)


def show(chosen: Chosen, name: Name, raw: Raw = False, as_json: AsJson = False) -> None:
    """Show everything about one dead letter: failure, calls, bad answers, the job and its prompt.

    Several routes and tenants may have a job of one id: the last one given up is shown, the others
    are named. Exit status 1 if there is none of that name.
    """
    wanted = chosen.filter
    if wanted.job_id is not None:
        raise InputError("--job: the job is named by the argument; leave one of them out")
    everything = run(
        chosen, lambda letters, _: letters.find(name, route=wanted.route, tenant=wanted.tenant)
    )
    found = [each for each in everything if wanted.match(each.entry)]
    if not found:
        say(f"no dead letter {on_one_line(name)!r} in {chosen.topic}", to_stderr=True)
        raise typer.Exit(_NOT_FOUND)
    first = found[0]
    if raw:
        sys.stdout.buffer.write(first.value)
        sys.stdout.buffer.flush()
    elif as_json:
        write_json(_facts(first))
    else:
        same = [each for each in found if each.entry.whose == first.entry.whose]
        others = [each.entry for each in found if each not in same]
        show_entry(first, sorted(each.entry.generation for each in same), others)


def export(chosen: Chosen, out: Out, overwrite: Overwrite = False, as_json: AsJson = False) -> None:
    """Write dead letters to a file, one JSON object a line, with their prompts and answers.

    What could not be decoded is there as text, or in base64 where it is none. Mend the `job` of a
    line, or put one in the place of `text` or `base64`: `redrive --from FILE` publishes it.
    Exit status 1 where nothing matched: then no file is written.
    """

    def write(path: Path) -> ExportReport:
        return run(
            chosen, lambda letters, show: letters.export(path, chosen.filter, on_progress=show)
        )

    report = exported_to(out, write, overwrite=overwrite)
    if as_json:
        file = str(out) if report.exported else None
        write_json({"exported": report.exported, "cut": report.cut, "file": file})
    else:
        _tell_export(report, chosen, out)
    if not report.exported:
        raise typer.Exit(_NOT_FOUND)


def _tell_export(report: ExportReport, chosen: Chosen, out: Path) -> None:
    if not report.exported:
        such = "such " if chosen.filter.any else ""
        say(f"no {such}dead letters in {chosen.topic}: nothing was written")
        return
    say(f"wrote {count(report.exported, 'dead letter')} to {on_one_line(str(out))}")
    if report.cut:
        say(f"  {report.cut:,} of them not whole: they were too large to be kept")


def _overview_facts(found: Overview, chosen: Chosen) -> dict[str, Any]:
    return {
        "topic": chosen.topic,
        "total": found.total,
        "groups": [group_facts(group) for group in found.groups],
        "ungrouped": found.ungrouped,
    }


def _facts(found: Found) -> dict[str, Any]:
    facts = entry_facts(found.entry) | {
        "marks": [orjson.loads(encode(each)) for each in (found.mark, found.ending) if each]
    }
    if found.letter is None:
        return facts | {
            "text": raw_text(found.value),
            "base64": base64.b64encode(found.value).decode(),
        }
    return facts | {"dead_letter": orjson.loads(encode(found.letter))}
