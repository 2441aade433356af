"""`tollway dead-letters redrive`: publish dead letters again."""

import time
from datetime import timedelta
from pathlib import Path
from typing import Annotated

import typer

from tollway.dead_letters.report import Canary, RedriveReport
from tollway.errors import UnknownTopic
from tollway_schemas import TollwayError, TopicNames
from tollway_workers.cli.dead_letters.choosing import Chosen
from tollway_workers.cli.dead_letters.consent import DryRun, Yes, consented
from tollway_workers.cli.dead_letters.cost_bound import CostBound, cost_bound
from tollway_workers.cli.dead_letters.files import read_patch, read_schema
from tollway_workers.cli.dead_letters.redriving import NonePublished, Redriving, Wanted
from tollway_workers.cli.dead_letters.reports import (
    invalid_facts,
    redrive_facts,
    show_invalid,
    show_redrive,
)
from tollway_workers.cli.shared.output import say, write_json
from tollway_workers.cli.shared.topic_scan import AsJson
from tollway_workers.cli.times import a_minute_in, seconds_in
from tollway_workers.errors import InputError
from tollway_workers.exit_status import COULD_NOT_RUN
from tollway_workers.topics.run_names import is_run_name

#: Exit status where nothing was done, or not all.
_NOT_ALL = 1
Edit = Annotated[
    Path | None,
    typer.Option(
        metavar="PATCH.json",
        help='JSON merge patch on each job, such as {"route": "other"} or '
        '{"request": {"max_output_tokens": 900}}.',
    ),
]
Revalidate = Annotated[
    bool,
    typer.Option(
        "--revalidate",
        help="Hold the stored answers to the schema first: what passes is the reply, free.",
    ),
]
Schema = Annotated[
    Path | None,
    typer.Option(metavar="SCHEMA.json", help="JSON Schema that takes the place of the jobs' own."),
]
OnlyRevalidate = Annotated[
    bool,
    typer.Option(
        "--only-revalidate", help="The same, and what does not pass stays a dead letter: no call."
    ),
]
Deadline = Annotated[
    float | None,
    typer.Option(
        parser=seconds_in,
        metavar="TIME",
        help="Time that each job has from now. Default: what it was given at first.",
    ),
]
Rate = Annotated[
    float | None,
    typer.Option(parser=a_minute_in, metavar="N/min", help="So many a minute: 600/min, 10/s."),
]
CanaryCount = Annotated[
    int | None,
    typer.Option(
        "--canary", min=1, metavar="N", help="The first N alone; the rest if these are answered."
    ),
]
CanaryWithin = Annotated[
    float | None,
    typer.Option(
        parser=seconds_in,
        metavar="TIME",
        help="Time in which the canary must have ended.",
        show_default="5m",
    ),
]
FromFile = Annotated[
    Path | None,
    typer.Option("--from", metavar="FILE", help="Jobs as `export` wrote them, mended since."),
]


def redrive(
    chosen: Chosen,
    edit: Edit = None,
    revalidate: Revalidate = False,
    schema: Schema = None,
    only_revalidate: OnlyRevalidate = False,
    deadline: Deadline = None,
    rate: Rate = None,
    canary: CanaryCount = None,
    canary_within: CanaryWithin = None,
    from_file: FromFile = None,
    dry_run: DryRun = False,
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """Publish dead letters again: each once, however often this is interrupted and repeated.

    Each becomes the next generation of its job, with a fresh attempt budget. The workers of its
    route answer it; this command calls no provider. Exit status 1 where nothing matched, or a
    canary stopped it; 2 where nothing could be done.
    """
    wanted = Wanted(
        chosen=chosen,
        edit=None if edit is None else read_patch(edit),
        schema=None if schema is None else read_schema(schema),
        revalidate=revalidate,
        only_revalidate=only_revalidate,
        deadline=None if deadline is None else timedelta(seconds=deadline),
        rate=rate,
        canary=_canary(canary, canary_within),
        file=from_file,
    )
    wanted.check()
    try:
        report = _done(wanted, dry_run=dry_run, yes=yes)
    except NonePublished as none:
        _refuse(none.found, from_file, as_json=as_json)
        raise typer.Exit(COULD_NOT_RUN) from None
    # Where there is nothing to do the SDK's report is that of its survey.
    report.dry_run = dry_run
    _tell(report, wanted, as_json=as_json)
    if report.stopped or not report.redriven:
        raise typer.Exit(_NOT_ALL)


def _canary(number: int | None, within: float | None) -> Canary | None:
    if number is None:
        if within is not None:
            raise InputError("--canary-within needs --canary N, which says how many go first")
        return None
    return Canary(count=number) if within is None else Canary(count=number, within=within)


def _done(wanted: Wanted, *, dry_run: bool, yes: bool) -> RedriveReport:
    """What was done, or with `dry_run` would be. Raises NonePublished."""
    try:
        return consented(
            Redriving(wanted).work,
            "redrive",
            lambda found: found.redriven,
            dry_run=dry_run,
            yes=yes,
        )
    except UnknownTopic as error:
        raise _gone(error, TopicNames(wanted.chosen.kafka.prefix)) from None


def _tell(report: RedriveReport, wanted: Wanted, *, as_json: bool) -> None:
    bound = _bound(report, wanted)
    if as_json:
        write_json(redrive_facts(report, bound))
    elif not report.matched:
        say(f"no such dead letters in {wanted.chosen.topic}")
    else:
        show_redrive(report, wanted, bound)


def _refuse(found: RedriveReport, file: Path | None, *, as_json: bool) -> None:
    if as_json:
        write_json(invalid_facts(found))
    show_invalid(found, file)


def _gone(error: UnknownTopic, names: TopicNames) -> TollwayError:
    """The same; of a route that a run brought itself, with what to do about that."""
    route = error.topic.removeprefix(f"{names.prefix}.jobs.").rpartition(".")[0]
    if not is_run_name(route):
        return error
    return InputError(
        f"the topics of {route!r} are gone: a `tollway run` brought that route itself, and took it "
        "along; give its command again with --retry-failed, or redrive to another route (--edit)"
    )


def _bound(report: RedriveReport, wanted: Wanted) -> CostBound | None:
    if not report.dry_run:
        return None
    if wanted.only_revalidate:
        return CostBound(0)
    fleet = wanted.chosen.fleet
    return None if fleet is None else cost_bound(report.estimate, fleet, now=time.time())
