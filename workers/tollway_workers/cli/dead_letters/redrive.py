"""`tollway dead-letters redrive`: publish dead letters again."""

import time
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any

import typer

from tollway import DeadLetters
from tollway.dead_letters.report import Canary, OnProgress, RedriveReport
from tollway.errors import InvalidJobs, UnknownTopic
from tollway_schemas import TollwayError, TopicNames
from tollway_workers.cli.dead_letters.choosing import Chosen
from tollway_workers.cli.dead_letters.consent import ask
from tollway_workers.cli.dead_letters.cost_bound import CostBound, cost_bound
from tollway_workers.cli.dead_letters.files import read_patch, read_schema
from tollway_workers.cli.dead_letters.reports import (
    name_text,
    redrive_facts,
    show_invalid,
    show_redrive,
)
from tollway_workers.cli.dead_letters.session import run
from tollway_workers.cli.shared.output import say, write_json
from tollway_workers.cli.shared.topic_scan import AsJson
from tollway_workers.cli.times import a_minute_in, seconds_in
from tollway_workers.errors import InputError
from tollway_workers.exit_status import COULD_NOT_RUN
from tollway_workers.topics.run_names import is_run_name

#: Exit status where nothing was done, or not all.
_NOT_ALL = 1
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask, however many they are.")]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Say what would happen, with counts; change nothing.")
]
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
    report = _done(wanted, dry_run=dry_run, yes=yes, as_json=as_json)
    # Where there is nothing to do the SDK's report is that of its survey.
    report.dry_run = dry_run
    _tell(report, chosen, as_json=as_json)
    if report.stopped or not report.redriven:
        raise typer.Exit(_NOT_ALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What is to be done, with the files read."""

    chosen: Chosen
    edit: dict[str, Any] | None
    schema: dict[str, Any] | None
    revalidate: bool
    only_revalidate: bool
    deadline: timedelta | None
    rate: float | None
    canary: Canary | None
    file: Path | None

    def check(self) -> None:
        """Raise InputError for options that cannot go together."""
        if self.file is None:
            return
        given = {
            "--edit": self.edit,
            "--schema": self.schema,
            "--revalidate": self.revalidate,
            "--only-revalidate": self.only_revalidate,
        }
        for name, value in given.items():
            if value:
                raise InputError(f"--from and {name} exclude each other: mend the jobs in the file")
        if self.chosen.filter.any:
            raise InputError("--from names its dead letters itself: give no filter with it")

    async def run(
        self, letters: DeadLetters, on_progress: OnProgress, *, dry_run: bool
    ) -> RedriveReport:
        """Do it, or say what it would come to."""
        if self.file is not None:
            return await letters.redrive_from(
                self.file,
                deadline=self.deadline,
                rate=self.rate,
                canary=self.canary,
                dry_run=dry_run,
                on_progress=on_progress,
            )
        return await letters.redrive(
            self.chosen.filter,
            edit=self.edit,
            schema=self.schema,
            revalidate=self.revalidate,
            only_revalidate=self.only_revalidate,
            deadline=self.deadline,
            rate=self.rate,
            canary=self.canary,
            dry_run=dry_run,
            on_progress=on_progress,
        )


def _canary(number: int | None, within: float | None) -> Canary | None:
    if number is None:
        if within is not None:
            raise InputError("--canary-within needs --canary N, which says how many go first")
        return None
    return Canary(count=number) if within is None else Canary(count=number, within=within)


def _asked_first(wanted: Wanted, *, dry_run: bool, yes: bool) -> RedriveReport:
    """What was done. Without `--yes` somebody is told first how many they are."""
    if dry_run or not yes:
        found = run(wanted.chosen, lambda letters, show: wanted.run(letters, show, dry_run=True))
        if found.invalid:
            named = [(name_text(each.letter), each.detail) for each in found.invalid_jobs]
            raise InvalidJobs(named, found.invalid, found.invalid + found.redriven)
        if dry_run:
            return found
        ask("redrive", found.redriven, yes=yes)
    return run(wanted.chosen, lambda letters, show: wanted.run(letters, show, dry_run=False))


def _done(wanted: Wanted, *, dry_run: bool, yes: bool, as_json: bool) -> RedriveReport:
    """The same, with what cannot be published named."""
    try:
        return _asked_first(wanted, dry_run=dry_run, yes=yes)
    except InvalidJobs as error:
        if as_json:
            named = [list(each) for each in error.invalid]
            write_json({"invalid": error.count, "invalid_jobs": named})
        show_invalid(error)
        raise typer.Exit(COULD_NOT_RUN) from None
    except UnknownTopic as error:
        raise _gone(error, TopicNames(wanted.chosen.kafka.prefix)) from None


def _tell(report: RedriveReport, chosen: Chosen, *, as_json: bool) -> None:
    bound = _bound(report, chosen)
    if as_json:
        write_json(redrive_facts(report, bound))
    elif not report.matched:
        say(f"no such dead letters in {TopicNames(chosen.kafka.prefix).dead_letters}")
    else:
        show_redrive(report, bound)


def _gone(error: UnknownTopic, names: TopicNames) -> TollwayError:
    """The same; of a route that a run brought itself, with what to do about that."""
    route = error.topic.removeprefix(f"{names.prefix}.jobs.").rpartition(".")[0]
    if not is_run_name(route):
        return error
    return InputError(
        f"the topics of {route!r} are gone: a `tollway run` brought that route itself, and took it "
        "along; give its command again with --retry-failed, or redrive to another route (--edit)"
    )


def _bound(report: RedriveReport, chosen: Chosen) -> CostBound | None:
    if not report.dry_run or chosen.fleet is None:
        return None
    return cost_bound(report.estimate, chosen.fleet, now=time.time())
