"""Commands that look at dead letters and change nothing: list, show, groups, export."""

import base64
import sys
from pathlib import Path
from typing import Annotated, Any

import orjson
import typer

from tollway.dead_letters import Found, Overview
from tollway_schemas import TopicNames
from tollway_schemas.codec import encode
from tollway_workers.cli.dead_letters.choosing import Chosen
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


def list_(chosen: Chosen, limit: Limit = 20, as_json: AsJson = False) -> None:
    """List dead letters: their likely causes on top, the newest below. Shows no prompt."""
    found = run(
        chosen, lambda letters, show: letters.list(chosen.filter, limit=limit, on_progress=show)
    )
    if as_json:
        newest = [entry_facts(entry) for entry in found.newest()]
        write_json(_overview_facts(found, chosen) | {"dead_letters": newest})
    else:
        show_overview(found, _topic(chosen), filtered=chosen.filter.any)


def groups(chosen: Chosen, as_json: AsJson = False) -> None:
    """Show likely causes: how many of each, since when, what they cost, and what to do about it.

    Dead letters of one fingerprint are likely one mistake. Shows no prompt.
    """
    found = run(chosen, lambda letters, show: letters.groups(chosen.filter, on_progress=show))
    if as_json:
        write_json(_overview_facts(found, chosen))
    else:
        show_groups(found, _topic(chosen), filtered=chosen.filter.any)


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
        say(f"no dead letter {on_one_line(name)!r} in {_topic(chosen)}", to_stderr=True)
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


def export(chosen: Chosen, out: Out, as_json: AsJson = False) -> None:
    """Write dead letters to a file, one JSON object a line, with their prompts and answers.

    What could not be decoded is there as text, or in base64 where it is none. Mend the `job` of a
    line, or put one in the place of `text` or `base64`: `redrive --from FILE` publishes it.
    """
    report = run(chosen, lambda letters, show: letters.export(out, chosen.filter, on_progress=show))
    if as_json:
        write_json({"exported": report.exported, "cut": report.cut, "file": str(out)})
        return
    say(f"wrote {count(report.exported, 'dead letter')} to {on_one_line(str(out))}")
    if report.cut:
        say(f"  {report.cut:,} of them not whole: they were too large to be kept")
    if not report.exported:
        raise typer.Exit(_NOT_FOUND)


def _topic(chosen: Chosen) -> str:
    return TopicNames(chosen.kafka.prefix).dead_letters


def _overview_facts(found: Overview, chosen: Chosen) -> dict[str, Any]:
    return {
        "topic": _topic(chosen),
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
