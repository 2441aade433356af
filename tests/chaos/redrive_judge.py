"""What a redrive has to answer for. Pure."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import quantiles
from typing import Any, Protocol

from judge import Call
from plants import Cause, right_answer
from report import Figure, exactly

#: Seconds that live jobs may lose at the 99th percentile.
_MOST_LOST = 1.0


class Replies(Protocol):
    """What was seen of replies."""

    replies: Mapping[str, Sequence[Mapping[str, Any]]]
    live: Sequence[tuple[float, float]]

    def generation(self, name: str) -> int:
        """The highest of a job that has a reply."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """How a command ended."""

    status: int
    said: str
    #: On stderr.
    sentence: str


@dataclass
class Told:
    """All that is known at the end. Mutable state: it is filled as the run goes on."""

    plants: Mapping[Cause, Sequence[str]]
    watch: Any
    groups: list[dict[str, Any]] = field(default_factory=list)
    commands: dict[str, Command] = field(default_factory=dict)
    kills: int = 0
    redrives_began: float = 0.0
    redrives_ended: float = 0.0
    calls_before: int = 0
    calls: Sequence[Call] = ()
    #: Job and generation of every planted job that lies on a topic.
    jobs: Sequence[tuple[str, int]] = ()
    #: Jobs of the cause that the canary met which were published then.
    canary_published: int = 0


def judged(told: Told, kills: int, canary: int) -> list[Figure]:
    """All figures."""
    return [
        *exactly("likely causes", len(told.groups), len(told.plants)),
        *_answers(told),
        *_revalidation(told),
        *exactly("SIGKILLs in the middle", told.kills, kills),
        *_commands(told, canary),
        *_live(told),
    ]


def _answers(told: Told) -> list[Figure]:
    ids = [name for names in told.plants.values() for name in names]
    last = [_last(told.watch.replies.get(name, ())) for name in ids]
    answered = sum(each is not None and each["status"] == "completed" for each in last)
    twice = sum(_completed(told.watch.replies.get(name, ())) > 1 for name in ids)
    copies = sum(number > 1 for number in Counter(told.jobs).values())
    return [
        *exactly("jobs answered", answered, len(ids), "the highest generation's reply counts"),
        Figure(name="jobs answered twice", value=twice, bound=0),
        Figure(name="generations that were published twice", value=copies, bound=0),
    ]


def _revalidation(told: Told) -> list[Figure]:
    ids = next(names for cause, names in told.plants.items() if cause.name == "schema")
    last = {name: _last(told.watch.replies.get(name, ())) for name in ids}
    right = sum(
        each is not None and (each.get("answer") or {}).get("parsed") == right_answer(name)
        for name, each in last.items()
    )
    known = set(ids)
    paid = sum(call.job_id in known for call in told.calls[told.calls_before :])
    return [
        *exactly("right answers by revalidation", right, len(ids)),
        Figure(name="calls for them", value=paid, bound=0),
    ]


def _commands(told: Told, canary: int) -> list[Figure]:
    statuses = {name: command.status for name, command in told.commands.items()}
    two = (told.commands["one"], told.commands["two"])
    fenced = [each for each in two if each.status == 2]
    # How far it is, a line every few seconds, is no error.
    lines = [line for each in fenced for line in each.sentence.splitlines()]
    sentences = sum(not line.startswith("redriving: ") for line in lines)
    # Nothing is left of what the two of them were at.
    failed = [name for name in statuses if name not in ("one", "two", "canary", "context")]
    return [
        *exactly("exit status of the canary that failed again", statuses["canary"], 1),
        *exactly("jobs that it published", told.canary_published, canary),
        *exactly("operators that were fenced, of two", len(fenced), 1),
        *exactly("lines that say so", sentences, 1, fenced[0].sentence if fenced else ""),
        Figure(name="commands that failed", value=sum(statuses[name] for name in failed), bound=0),
    ]


def _live(told: Told) -> list[Figure]:
    begin, end = told.redrives_began, told.redrives_ended
    before = [seconds for at, seconds in told.watch.live if at < begin]
    meanwhile = [seconds for at, seconds in told.watch.live if begin <= at < end]
    first, then = _p99(before), _p99(meanwhile)
    return [
        Figure(name="live jobs, seconds at p99 before", value=first),
        Figure(name="live jobs, seconds at p99 meanwhile", value=then, bound=first + _MOST_LOST),
    ]


def _p99(seconds: Sequence[float]) -> float:
    return quantiles(seconds, n=100)[98] if len(seconds) > 1 else 0.0


def _last(replies: Sequence[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    return max(replies, key=lambda each: int(each["generation"]), default=None)


def _completed(replies: Sequence[Mapping[str, Any]]) -> int:
    return sum(each["status"] == "completed" for each in replies)
