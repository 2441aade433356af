"""What known answers have to answer for: which calls were made that need not have been. Pure."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import inf
from typing import Any, TypeVar

from judge import Blow, Call, Ending
from report import Figure, exactly

#: Seconds until an answer of one worker is known to all others.
_SPREADS = 1.0
#: Seconds by which two clocks of one machine may seem to differ.
_CLOCKS = 0.05
#: Seconds that a call may be on its way to the simulator when its worker is killed.
_ARRIVES = 1.0

W = TypeVar("W")


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
    #: All replies, as they lie in their topic.
    endings: Sequence[Ending] = ()
    #: By job, when answers to it were written that stand in the cache's topic.
    stored: Mapping[str, Sequence[float]] = field(default_factory=dict)
    #: The partition of a job.
    partition_of: Callable[[str], int] = lambda job: 0


@dataclass(frozen=True, slots=True)
class Sorted:
    """The calls of a run, by why they were made."""

    #: The first of their question whose answer was stored.
    first: int
    #: A kill came before their answer was written, or before it was stored.
    in_flight: int
    #: Their question was being asked elsewhere, or had its reply less than a second before.
    beside: int
    #: None of these, with the seconds since their question was answered.
    needless: Sequence[tuple[Call, float]]


def sort_calls(told: Told) -> Sorted:
    """Why each call was made."""
    seen = _Seen(told)
    by_question: defaultdict[Question, list[Call]] = defaultdict(list)
    for call in sorted(told.calls, key=lambda call: call.started):
        by_question[told.questions[call.job_id]].append(call)
    first = in_flight = beside = 0
    needless: list[tuple[Call, float]] = []
    for calls in by_question.values():
        kept: list[Call] = []
        for call in calls:
            known = max(map(seen.known_at, kept), default=inf)
            if seen.is_lost(call):
                in_flight += 1
            elif not kept:
                first += 1
                kept.append(call)
            elif call.started < known + _SPREADS:
                beside += 1
                kept.append(call)
            else:
                needless.append((call, call.started - known))
    return Sorted(first, in_flight, beside, needless)


class _Seen:
    """What became of each call, by what stands in the topics of replies and of the cache.

    Nothing here goes by how long a worker took: on a busy machine it may take seconds.
    """

    def __init__(self, told: Told) -> None:
        self._told = told
        self._stored = {id(call) for call, _ in stored_calls(told)}
        written = [(each.job_id, each) for each in told.endings if not each.given]
        self._replies = {
            id(call): reply for call, reply in _matched(told, written, lambda each: each.at)
        }
        self._signs: defaultdict[str, list[float]] = defaultdict(list)
        for call in told.calls:
            self._signs[call.job_id].append(call.started)
        self._replied: defaultdict[int, list[Ending]] = defaultdict(list)
        for each in sorted(told.endings, key=lambda each: each.at):
            self._signs[each.job_id].append(each.at)
            self._replied[told.partition_of(each.job_id)].append(each)
        # A worker that stalls is as good as killed from the last answer on that it stored.
        storing = [
            (self._replies[id(call)].worker, at)
            for call, at in stored_calls(told)
            if id(call) in self._replies
        ]
        self._last_stored = [
            max((at for worker, at in storing if _is_of(blow, worker, at)), default=blow.born)
            for blow in told.blows
        ]

    def known_at(self, call: Call) -> float:
        """When it was answered: its reply stood in its topic."""
        reply = self._replies.get(id(call))
        return reply.at if reply is not None else call.ended or inf

    def is_lost(self, call: Call) -> bool:
        """Whether a kill of its worker explains that its answer was not stored."""
        if id(call) in self._stored:
            return False
        reply, since = self._replies.get(id(call)), call.started - _ARRIVES
        if reply is not None:
            return any(
                blow.worker == reply.worker
                and since <= blow.at
                and min(blow.at, last) < reply.at + _SPREADS
                for blow, last in zip(self._told.blows, self._last_stored, strict=True)
            )
        owner, until = self._owner(call), self._next_sign(call)
        return any(
            owner in (None, blow.worker) and since <= blow.at < until for blow in self._told.blows
        )

    def _next_sign(self, call: Call) -> float:
        """When its job was next called, or had its reply."""
        return min((at for at in self._signs[call.job_id] if at > call.started), default=inf)

    def _owner(self, call: Call) -> str | None:
        """Who replied to jobs of its partition just before, and just after, too; None where those
        are two: who took the partition over in between cannot be told.
        """
        replied = self._replied[self._told.partition_of(call.job_id)]
        before = [each.worker for each in replied if each.at <= call.started][-1:]
        after = [each.worker for each in replied if each.at > call.started][:1]
        return before[0] if before and before == after else None


def _is_of(blow: Blow, worker: str, at: float) -> bool:
    """Whether it was the process that was hit, by its name and by the time."""
    return blow.worker == worker and blow.born <= at <= blow.at


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


def stored_calls(told: Told) -> list[tuple[Call, float]]:
    """The calls whose answers were stored, and when each was."""
    written = [(job, at) for job, times in told.stored.items() for at in times]
    return _matched(told, written, lambda at: at)


def _matched(
    told: Told, written: Iterable[tuple[str, W]], at: Callable[[W], float]
) -> list[tuple[Call, W]]:
    """The call that brought what was written for its job: of one that was called twice, it may be
    either.
    """
    of_job: defaultdict[str, list[Call]] = defaultdict(list)
    for call in sorted(told.calls, key=lambda call: call.started):
        if call.ending == "ok":
            of_job[call.job_id].append(call)
    found: list[tuple[Call, W]] = []
    for job, each in written:
        before = [call for call in of_job[job] if (call.ended or inf) <= at(each) + _CLOCKS]
        found += [(call, each) for call in before[-1:]]
    return found


def repeated(jobs: Iterable[Question]) -> int:
    """How many ask what another has asked."""
    counts = Counter(jobs)
    return sum(counts.values()) - len(counts)
