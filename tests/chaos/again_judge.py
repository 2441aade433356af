"""What known answers have to answer for: which calls were made that need not have been. Pure."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from judge import Blow, Call
from report import Figure, exactly

#: Seconds until an answer of one worker is known to all others.
_SPREADS = 1.0
#: Seconds from when an answer is whole to when it stands in the cache's topic, at most.
_STORED = 1.0
#: Seconds by which two clocks of one machine may seem to differ.
_CLOCKS = 0.05
#: Seconds between a kill and the moment at which the simulator notices.
_NOTICED = 1.0


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked, and for whom: one of these is one call."""

    tenant: str
    number: int


@dataclass
class Told:
    """All that is known at the end. Mutable state: it is filled as the run goes on."""

    #: By job.
    questions: Mapping[str, Question]
    replies: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    #: Of the run itself, without those of a cold worker.
    calls: Sequence[Call] = ()
    blows: Sequence[Blow] = ()
    #: By job, when answers to it were written that stand in the cache's topic.
    stored: Mapping[str, Sequence[float]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Sorted:
    """The calls of a run, by why they were made."""

    #: The first of their question whose answer was stored.
    first: int
    #: Broken off by a kill, or answered within moments of one and never stored.
    in_flight: int
    #: Their question was being asked elsewhere, or its answer was younger than a second.
    beside: int
    #: None of these, with the seconds since their question was answered.
    needless: Sequence[tuple[Call, float]]


def sort_calls(told: Told) -> Sorted:
    """Why each call was made."""
    stored = set(map(id, stored_calls(told)))
    by_question: defaultdict[Question, list[Call]] = defaultdict(list)
    for call in sorted(told.calls, key=lambda call: call.started):
        by_question[told.questions[call.job_id]].append(call)
    first = in_flight = beside = 0
    needless: list[tuple[Call, float]] = []
    for calls in by_question.values():
        kept: list[Call] = []
        for call in calls:
            if id(call) not in stored and _met_a_kill(call, told.blows):
                in_flight += 1
            elif not kept:
                first += 1
                kept.append(call)
            elif any(_is_beside(call, each) for each in kept):
                beside += 1
                kept.append(call)
            else:
                known = max(each.ended or each.started for each in kept)
                needless.append((call, call.started - known))
    return Sorted(first, in_flight, beside, needless)


def judged(told: Told, *, alone: bool) -> list[Figure]:
    """All figures of one fleet; `alone`: it is one worker, whose calls nobody makes beside it."""
    unique = len(set(told.questions.values()))
    calls, why = len(told.calls), sort_calls(told)
    beside = 0 if alone else why.beside
    bound = unique + why.in_flight + beside
    note = f"{unique:,} questions, {why.in_flight} in flight at kills" + (
        "" if alone else f", {beside} asked elsewhere within a second"
    )
    return [
        Figure(name="jobs", value=len(told.questions)),
        Figure(name="kills", value=len(told.blows)),
        Figure(name="jobs without an answer", value=len(_unanswered(told)), bound=0),
        *(
            exactly("calls", calls, bound, note)
            if alone
            else [Figure(name="calls", value=calls, bound=bound, note=note)]
        ),
        Figure(
            name="calls whose answer was known",
            value=len(why.needless) + (why.beside if alone else 0),
            bound=0,
            note=", ".join(f"{call.job_id} after {age:.1f} s" for call, age in why.needless[:9]),
        ),
        *_given(told),
    ]


def _given(told: Told) -> list[Figure]:
    """What is to be said of the answers that were given again."""
    again = {job: reply for job, reply in told.replies.items() if reply.get("cached_from")}
    sources = {job: reply["cached_from"] for job, reply in again.items()}
    strange = sum(
        told.questions[job].tenant != source.get("tenant") for job, source in sources.items()
    )
    wrong = sum(
        told.questions[job] != told.questions.get(source["job_id"])
        for job, source in sources.items()
    )
    return [
        Figure(name="answers given again", value=len(again)),
        Figure(name="of another tenant", value=strange, bound=0),
        Figure(name="to another question", value=wrong, bound=0),
    ]


def cold_figures(told: Told, calls: int) -> list[Figure]:
    """Of a worker that began with nothing, and was asked all questions once more."""
    again = sum(bool(reply.get("cached_from")) for reply in told.replies.values())
    return [
        *exactly("cold: answers given again", again, len(told.questions)),
        Figure(name="cold: calls", value=calls, bound=0),
        *(
            Figure(name=f"cold: {each.name}", value=each.value, bound=each.bound)
            for each in _given(told)[1:2]
        ),
    ]


def _unanswered(told: Told) -> set[str]:
    done = {job for job, reply in told.replies.items() if reply["status"] == "completed"}
    return set(told.questions) - done


def stored_calls(told: Told) -> list[Call]:
    """The calls whose answers were stored: of a job that was called twice, it may be either."""
    of_job: defaultdict[str, list[Call]] = defaultdict(list)
    for call in told.calls:
        if call.ending == "ok":
            of_job[call.job_id].append(call)
    found = []
    for job, written in told.stored.items():
        for at in written:
            before = [call for call in of_job[job] if (call.ended or at) <= at + _CLOCKS]
            found += sorted(before, key=lambda call: call.started)[-1:]
    return found


def _met_a_kill(call: Call, blows: Iterable[Blow]) -> bool:
    """Whether a kill broke it off, or came before its answer was stored."""
    ended = call.ended
    return ended is None or any(-_STORED <= ended - blow.at <= _NOTICED for blow in blows)


def _is_beside(call: Call, other: Call) -> bool:
    """Whether it began when another of its question had no answer, or one that was new."""
    return other.ended is None or call.started < other.ended + _SPREADS


def repeated(jobs: Iterable[Question]) -> int:
    """How many ask what another has asked."""
    counts = Counter(jobs)
    return sum(counts.values()) - len(counts)
