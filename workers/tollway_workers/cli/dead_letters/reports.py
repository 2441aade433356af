"""What a redrive, a discard or an unmark did, or would do: for people and for machines."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any

from tollway.dead_letters.report import (
    MarkReport,
    RedriveReport,
    RouteEstimate,
    Skip,
    Skipped,
)
from tollway.errors import InvalidJobs
from tollway_schemas import LetterName
from tollway_workers.cli.dead_letters.cost_bound import CostBound
from tollway_workers.cli.shared.output import count, dollars, on_one_line, say
from tollway_workers.cli.shared.whose import whose_text

#: Dead letters that are named one by one.
_MOST_NAMED = 20


def show_redrive(report: RedriveReport, bound: CostBound | None = None) -> None:
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
    for line in _details(report):
        say(f"  {line}")
    if report.dry_run and report.estimate:
        for line in _estimate(report.estimate, bound):
            say(f"  {line}")
    _show_skipped(report.skipped, report.examples)
    if report.stopped:
        say(f"stopped: {on_one_line(report.stopped)}", style="bold")
    if report.dry_run:
        say("nothing was published: the same command without --dry-run does it")
    elif report.redriven:
        say("how each ends: tollway dead-letters list --marked")


def show_invalid(error: InvalidJobs) -> None:
    """Which jobs would be invalid, one a line, and that none was published."""
    for name, problem in error.invalid[:_MOST_NAMED]:
        say(f"{on_one_line(name)}: {on_one_line(problem)}", to_stderr=True)
    if (rest := error.count - _MOST_NAMED) > 0:
        say(f"and {rest:,} more (--json names up to 1,000)", to_stderr=True)
    jobs = count(error.count, "job")
    say(
        f"{jobs} would be invalid: none was published; mend the edit, or leave these out by a "
        "filter",
        to_stderr=True,
    )


def show_marks(report: MarkReport, done: str, would: str) -> None:
    """What a discard or an unmark came to."""
    say(
        f"{would if report.dry_run else done} {report.marked:,} of "
        f"{count(report.matched, 'dead letter')}",
        style="bold",
    )
    _show_skipped(report.skipped, ())


def redrive_facts(report: RedriveReport, bound: CostBound | None = None) -> dict[str, Any]:
    """The same for machines."""
    facts = asdict(report) | {
        "skipped": _by_reason(report.skipped),
        "examples": [_skipped_facts(each) for each in report.examples],
        "invalid_jobs": [_skipped_facts(each) for each in report.invalid_jobs],
        "estimate": {route: asdict(each) for route, each in report.estimate.items()},
        "cost_before": str(report.cost_before),
        "complete": report.is_complete,
    }
    if report.dry_run:
        facts["most_cost"] = None if bound is None or bound.pico is None else str(bound.pico)
    return facts


def marks_facts(report: MarkReport) -> dict[str, Any]:
    """The same for machines."""
    return asdict(report) | {"skipped": _by_reason(report.skipped)}


def name_text(letter: LetterName) -> str:
    """A dead letter's whole name: an id alone is nobody's."""
    generation = f"/{letter.generation}" if letter.generation > 1 else ""
    return f"{on_one_line(letter.job_id)}{generation} ({_of(letter)})"


def _of(letter: LetterName) -> str:
    return whose_text(letter.route or None, letter.tenant, None)


def _details(report: RedriveReport) -> Iterable[str]:
    if report.with_answers:
        yield (
            f"{report.with_answers:,} with stored answers: one that satisfies the schema is the "
            "reply, without a call"
        )
    if report.answers_cut:
        yield (
            f"{report.answers_cut:,} with an answer that was cut when it was stored and is not in "
            "the journal (any more): it cannot be revalidated"
        )
    if report.canary_answered or report.canary_failed:
        yield f"canary: {report.canary_answered:,} answered, {report.canary_failed:,} failed again"
    if report.dry_run and (report.cost_before or report.cost_unknown):
        unknown = f", and {report.cost_unknown:,} jobs of unknown cost"
        more = unknown if report.cost_unknown else ""
        yield f"what they cost so far: {dollars(report.cost_before)}{more}"


def _estimate(estimate: Mapping[str, RouteEstimate], bound: CostBound | None) -> Iterable[str]:
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


def _show_skipped(skipped: Mapping[Skip, int], examples: Iterable[Skipped]) -> None:
    named = {each.why: each for each in reversed(list(examples))}
    for why, number in skipped.items():
        example = named.get(why)
        such = "" if example is None else f" (such as {name_text(example.letter)})"
        say(f"  {number:,} not: {why.value}{such}")


def _by_reason(skipped: Mapping[Skip, int]) -> dict[str, int]:
    return {why.name.lower(): number for why, number in skipped.items()}


def _skipped_facts(each: Skipped) -> dict[str, Any]:
    return {
        "letter": each.letter.model_dump(mode="json"),
        "why": each.why.name.lower(),
        "detail": each.detail,
    }
