"""The summary of a run, for people and for machines."""

import shlex
from collections.abc import Sequence
from dataclasses import asdict
from decimal import Decimal
from typing import Any

import orjson

from tollway_schemas.usage import PICO_PER_USD
from tollway_workers.cli.batch.line import BadLine
from tollway_workers.cli.run.dry_run import Estimate
from tollway_workers.cli.run.options import RunOptions
from tollway_workers.cli.run.session import Result
from tollway_workers.cli.run.watching.screen import Screen
from tollway_workers.cli.shared.output import count, on_one_line
from tollway_workers.lanes.lane_wait import span, waiting

#: Bad lines that are shown one by one.
_MOST_SHOWN = 20
#: Causes that are shown.
_MOST_CAUSES = 10


def show_result(
    screen: Screen, options: RunOptions, result: Result, *, own_kafka: bool = False
) -> None:
    """The table at the end, and how to go on if it is not the end.

    `own_kafka`: whether the run's Kafka ends with it, so that other commands need it started.
    """
    screen.summary(result.tally, result.played.calls, result.seconds, str(options.out))
    _show_causes(screen, options, result, "tollway kafka start && " if own_kafka else "")
    left = result.left
    if not left:
        if result.tally.failed > result.tally.bad_lines and not options.to_stdout:
            screen.tell("to ask again for what failed alone: the same command with --retry-failed")
        return
    for wait in result.played.look.waits:
        screen.tell(f"{wait.of} {waiting(wait.reason, None)}")
    stopped = f"stopped with {count(left, 'line')} left"
    if result.played.gave_up:
        stopped = (
            f"gave up with {count(left, 'line')} left, after {span(options.patience)} in which "
            "no lane let a call through"
        )
    how = "" if options.to_stdout else ": give the same command again and it goes on there"
    screen.tell(stopped + how)


def result_json(options: RunOptions, result: Result) -> bytes:
    """The same as one JSON object."""
    tally, calls = result.tally, result.played.calls
    return _line(
        {
            "run": result.run_id,
            "simulated": options.simulate,
            "input": str(options.source),
            "output": str(options.out),
            "lines": result.total,
            "answered": tally.answered,
            "rungs": dict(tally.rungs),
            "waited": dict(tally.waited),
            "failed": tally.failed,
            "bad_lines": tally.bad_lines,
            "dead_letters": tally.dead_letters,
            "left": result.left,
            "causes": [asdict(each) for each in result.causes],
            "waits": [{"for": each.of, "reason": each.reason} for each in result.played.look.waits],
            "gave_up": result.played.gave_up,
            "calls": calls.total,
            "calls_refused": calls.refused,
            "calls_unconnected": calls.unconnected,
            "input_tokens": tally.input_tokens,
            "output_tokens": tally.output_tokens,
            "cost_usd": None if tally.unpriced else _usd(tally.cost),
            "known_cost_usd": _usd(tally.cost),
            "seconds": round(result.seconds, 3),
            "exit_status": result.exit_status,
        }
    )


def show_estimate(screen: Screen, found: Estimate) -> None:
    """What a dry run found."""
    screen.tell(f"jobs           {found.jobs:,}")
    screen.tell(f"invalid lines  {len(found.bad_lines):,}")
    screen.tell(f"input tokens   {found.input_tokens:,} (estimated)")
    screen.tell(f"output tokens  {_at_most(found)}")
    screen.tell(f"cost           {_cost(found)}, for one call a job")
    _show_lines(screen, found.bad_lines)
    if found.inexpressible:
        screen.tell(f"no lane of their route can say {len(found.inexpressible):,} to its provider:")
        _show_lines(screen, found.inexpressible)


def _show_lines(screen: Screen, lines: Sequence[BadLine]) -> None:
    for bad in lines[:_MOST_SHOWN]:
        screen.tell(f"line {bad.line}: {bad.message}")
    if (rest := len(lines) - _MOST_SHOWN) > 0:
        screen.tell(f"and {rest:,} more")


def estimate_json(options: RunOptions, found: Estimate) -> bytes:
    """The same as one JSON object."""
    return _line(
        {
            "dry_run": True,
            "simulated": options.simulate,
            "input": str(options.source),
            "jobs": found.jobs,
            "bad_lines": _said_of(found.bad_lines),
            "inexpressible_lines": _said_of(found.inexpressible),
            "input_tokens": found.input_tokens,
            "most_output_tokens": found.output_tokens,
            "most_cost_usd": None if found.cost is None else _usd(found.cost),
        }
    )


def _said_of(lines: Sequence[BadLine]) -> list[dict[str, object]]:
    return [{"line": bad.line, "message": bad.message} for bad in lines]


def _show_causes(screen: Screen, options: RunOptions, result: Result, before: str) -> None:
    """Why lines failed, and which commands say more; `before` is to come before those."""
    for cause in result.causes[:_MOST_CAUSES]:
        example = f", such as {cause.custom_id!r}" if cause.custom_id is not None else ""
        screen.tell(f"{cause.count:,} {cause.failure_class}{example}: {on_one_line(cause.message)}")
    if (rest := len(result.causes) - _MOST_CAUSES) > 0:
        screen.tell(f"and {rest:,} more kinds of failure")
    if any(cause.dead_letters for cause in result.causes):
        command = ["tollway", "dead-letters", "groups", "--run", result.run_id, *options.place]
        screen.tell(f"why, and what to do: {before}{shlex.join(command)}")
    called = next((cause.job_id for cause in result.causes if cause.job_id is not None), None)
    if called is not None:
        command = ["tollway", "journal", called, *options.place]
        screen.tell(f"every call of one: {before}{shlex.join(command)}")


def _at_most(found: Estimate) -> str:
    if found.output_tokens is None:
        return f"unknown (no limit set by {count(found.unlimited, 'job')})"
    return f"at most {found.output_tokens:,}"


def _cost(found: Estimate) -> str:
    return "unknown" if found.cost is None else f"at most ${_usd(found.cost)}"


def _usd(pico: int) -> str:
    return f"{Decimal(pico) / PICO_PER_USD:.6f}"


def _line(item: dict[str, Any]) -> bytes:
    return orjson.dumps(item, option=orjson.OPT_APPEND_NEWLINE)
