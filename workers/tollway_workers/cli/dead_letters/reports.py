"""What a redrive, a discard or an unmark did, or would do: for people and for machines."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tollway.dead_letters.report import (
    MarkReport,
    RedriveReport,
    RouteEstimate,
    Skip,
    Skipped,
)
from tollway_schemas import LetterName
from tollway_workers.cli.dead_letters.cost_bound import CostBound
from tollway_workers.cli.dead_letters.redriving import Wanted
from tollway_workers.cli.shared.output import count, dollars, on_one_line, say
from tollway_workers.cli.shared.whose import whose_text
from tollway_workers.topics.run_names import is_run_name

#: Dead letters that are named one by one.
_MOST_NAMED = 20


def show_redrive(report: RedriveReport, wanted: Wanted, bound: CostBound | None = None) -> None:
    """What became of the dead letters that were meant."""
    routes = ", ".join(
        f"{on_one_line(name)} ({jobs:,})" for name, jobs in sorted(report.by_route.items())
    )
    done = "would redrive" if report.dry_run else "redrove"
    to = f", to {routes}" if routes else ""
    say(
        f"{done} {report.redriven:,} of {count(report.matched, 'dead letter')}{to}",
        style="bold",
    )
    for line in _details(report, wanted):
        say(f"  {line}")
    if report.dry_run and report.estimate:
        for line in _estimate(report.estimate, wanted, bound):
            say(f"  {line}")
    _show_skipped(report.skipped, report.examples)
    if report.stopped:
        say(f"stopped: {on_one_line(report.stopped)}", style="bold")
    for line in _next_steps(report, wanted):
        say(line)


def show_invalid(found: RedriveReport, file: Path | None = None) -> None:
    """Which jobs would be invalid, one a line, and that none was published.

    `file`: where they were read from.
    """
    for each in found.invalid_jobs[:_MOST_NAMED]:
        where = "" if file is None else f"{on_one_line(str(file))}, line {each.line:,}: "
        problem = on_one_line(each.detail)
        say(f"{where}{name_text(each.letter)}: {problem}", to_stderr=True)
    if (rest := found.invalid - _MOST_NAMED) > 0:
        say(f"and {rest:,} more (--json names up to 1,000)", to_stderr=True)
    advice = "mend the edit, or leave these out by a filter"
    if file is not None:
        those = "that line" if found.invalid == 1 else "those lines"
        advice = f"mend or take out {those} of {on_one_line(str(file))}"
    jobs = count(found.invalid, "job")
    say(f"{jobs} would be invalid: none was published; {advice}", to_stderr=True)


def show_marks(report: MarkReport, done: str, would: str) -> None:
    """What a discard or an unmark came to."""
    say(
        f"{would if report.dry_run else done} {report.marked:,} of "
        f"{count(report.matched, 'dead letter')}",
        style="bold",
    )
    for why, number in report.skipped.items():
        say(f"  {number:,} not: {why.value}")


def redrive_facts(report: RedriveReport, bound: CostBound | None = None) -> dict[str, Any]:
    """The same for machines."""
    facts = asdict(report) | {
        "skipped": _by_reason(report.skipped),
        "examples": [_skipped_facts(each) for each in report.examples],
        "invalid_jobs": [_skipped_facts(each) for each in report.invalid_jobs],
        "estimate": {route: asdict(each) for route, each in report.estimate.items()},
        "cost_before_pico_usd": str(report.cost_before),
        "complete": report.is_complete,
    }
    del facts["cost_before"]
    if report.dry_run:
        most = None if bound is None else bound.pico
        facts["most_cost_pico_usd"] = None if most is None else str(most)
    return facts


def invalid_facts(found: RedriveReport) -> dict[str, Any]:
    """Jobs that would be invalid, for machines; of a file with their lines."""
    jobs = [_skipped_facts(each) for each in found.invalid_jobs]
    return {"invalid": found.invalid, "invalid_jobs": jobs}


def marks_facts(report: MarkReport) -> dict[str, Any]:
    """The same for machines."""
    return asdict(report) | {"skipped": _by_reason(report.skipped)}


def name_text(letter: LetterName) -> str:
    """A dead letter's whole name: an id alone is nobody's."""
    generation = f"/{letter.generation}" if letter.generation > 1 else ""
    return f"{on_one_line(letter.job_id)}{generation} ({_of(letter)})"


def _of(letter: LetterName) -> str:
    return whose_text(letter.route or None, letter.tenant, None)


def _details(report: RedriveReport, wanted: Wanted) -> Iterable[str]:
    if report.with_answers:
        others = "; the others are dead letters again" if wanted.only_revalidate else ""
        yield (
            f"{report.with_answers:,} with stored answers: one that satisfies the schema is the "
            f"reply, without a call{others}"
        )
    if report.answers_cut:
        yield (
            f"{report.answers_cut:,} with an answer that was cut when it was stored and is not in "
            "the journal (any more): it cannot be revalidated"
        )
    if report.canary_answered or report.canary_failed:
        yield f"canary: {report.canary_answered:,} answered, {report.canary_failed:,} failed again"
    if report.dry_run and (report.cost_before or report.cost_unknown):
        unknown = f", and {count(report.cost_unknown, 'job')} of unknown cost"
        more = unknown if report.cost_unknown else ""
        yield f"what they cost so far: {dollars(report.cost_before)}{more}"


def _estimate(
    estimate: Mapping[str, RouteEstimate], wanted: Wanted, bound: CostBound | None
) -> Iterable[str]:
    if wanted.only_revalidate:
        yield "no call for any: what they may cost is nothing"
        return
    prompts = sum(each.prompt_tokens for each in estimate.values())
    answers = sum(each.answer_tokens for each in estimate.values())
    unlimited = sum(each.unlimited for each in estimate.values())
    more = f", and of {count(unlimited, 'job')} without a limit" if unlimited else ""
    yield (
        f"one call for each: at most {prompts:,} prompt tokens and {answers:,} answer tokens{more}"
    )
    if bound is None:
        yield "what that may cost: unknown (name the fleet's prices with --config)"
    elif bound.pico is None:
        yield f"what that may cost: unknown ({bound.why})"
    else:
        yield f"what that may cost: at most {dollars(bound.pico)}, by the dearest lane of its route"


def _next_steps(report: RedriveReport, wanted: Wanted) -> Iterable[str]:
    """What is to be done, or looked at, from here on."""
    chosen = wanted.chosen
    if report.dry_run:
        yield "nothing was published: the same command without --dry-run does it"
        return
    of_runs = [name for name in sorted(report.by_route) if is_run_name(name)]
    for name in of_runs:
        yield (
            f"only a `tollway run` has workers for {on_one_line(name)}: give the command of that "
            "run again, which brings them and waits for the answers"
        )
    if report.stopped and not report.canary_failed and len(of_runs) < len(report.by_route):
        yield f"whether workers of its route are alive: {chosen.fleet_command('workers')}"
    if report.redriven:
        yield f"how each ends: {chosen.command('list', marked=True)}"


def _show_skipped(skipped: Mapping[Skip, int], examples: Iterable[Skipped]) -> None:
    named = {each.why: each for each in reversed(list(examples))}
    for why, number in skipped.items():
        example = named.get(why)
        such = "" if example is None else f" (such as {name_text(example.letter)})"
        say(f"  {number:,} not: {why.value}{such}")


def _by_reason(skipped: Mapping[Skip, int]) -> dict[str, int]:
    return {why.name.lower(): number for why, number in skipped.items()}


def _skipped_facts(each: Skipped) -> dict[str, Any]:
    facts = {
        "letter": each.letter.model_dump(mode="json"),
        "why": each.why.name.lower(),
        "detail": each.detail,
    }
    return facts if each.line is None else facts | {"line": each.line}
