"""A third of the jobs ask what another of them asks: a queue that somebody filled twice."""

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

from examples.demo.act import Ended, Row, Side
from examples.demo.provider import Call

#: One job in so many repeats another.
SHARE = 3
#: What the id of a job that repeats another ends in.
AGAIN = "-again"


def first_asked(jobs: int) -> int:
    """How many of so many jobs ask something of their own."""
    return jobs - jobs // SHARE


def ask_again(jobs: Path, answers: Path, count: int) -> None:
    """Fill both files up to `count` jobs with repeats of those that are there, in mixed order."""
    for file in (jobs, answers):
        lines = [json.loads(line) for line in file.read_text().splitlines()]
        more = [{**line, "custom_id": line["custom_id"] + AGAIN} for line in lines]
        lines += more[: count - len(lines)]
        # In one order for both sides, and in every demo.
        lines.sort(key=lambda line: hashlib.sha256(line["custom_id"].encode()).digest())
        file.write_text("".join(f"{json.dumps(line)}\n" for line in lines))


def paid_for_repeats(side: Ended) -> list[Call]:
    """Good calls for a question that another job had answered."""
    by_question: defaultdict[str, list[Call]] = defaultdict(list)
    for call in side.calls:
        if call.billed and call.fault is None:
            by_question[call.job.removesuffix(AGAIN)].append(call)
    return [each for calls in by_question.values() for each in _of_others(calls)]


def _of_others(calls: list[Call]) -> Iterable[Call]:
    return (call for call in calls if call.job != calls[0].job)


class Repeats:
    """Nothing goes wrong; one side knows what it was answered."""

    faults = ""
    rows = (
        Row(
            name="calls for what another job was answered",
            figure=lambda side: len(paid_for_repeats(side)),
        ),
        Row(
            name="  USD billed for them",
            figure=lambda side: float(sum(call.usd for call in paid_for_repeats(side))),
            shown="{:.4f}".format,
        ),
    )

    def meanwhile(self, side: Side, answered: float) -> None:
        """Nothing: the jobs are all."""

    def told(self, side: Ended) -> str:
        """Nothing: the rows are all."""
        return ""
