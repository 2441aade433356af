"""What a run has to answer for, from what was seen outside of the workers. Pure.

The simulator's list of calls says who called what and when, Kafka's own topics say what was written
and when, and the harness knows what it did to whom. Times are unix seconds of one machine.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

#: Seconds that a call may be on its way to the simulator when its worker is killed or frozen.
ARRIVAL = 0.1
#: Seconds from when a worker hands a reply over to Kafka to when it has the acknowledgement.
ACKNOWLEDGEMENT = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One call, as the simulator's books have it."""

    worker: str
    job_id: str
    model: str
    started: float
    #: None while it runs.
    ended: float | None
    ending: str
    #: What its provider charged of the tokens a minute.
    tokens: float = 0.0
    #: The script's doing, where it is.
    fault: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """A reply or a dead letter, as it lies in its topic."""

    job_id: str
    worker: str
    #: `completed`, `failed`, `cancelled`, or a dead letter's failure class.
    status: str
    #: When its worker handed it over to Kafka.
    at: float
    #: Calls that its worker knew of: one that timed out at its provider was rightly made again.
    calls: int = 1
    #: Why it failed, where it did.
    message: str = ""
    #: It gives what was answered before: no call brought it.
    given: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Blow:
    """A kill or a freeze of a worker: what it had not committed may be called again."""

    worker: str
    kind: Literal["kill", "freeze"]
    at: float
    #: When the process that was hit began.
    born: float
    #: When the last commit that succeeded was sent; its birth if there was none.
    committed: float


@dataclass(frozen=True, slots=True)
class Exposed:
    """Jobs that one blow allows to be called once more."""

    #: Calls on their way.
    in_flight: frozenset[str]
    #: Answered, but the outcome was written after the last commit, or not at all.
    uncommitted: frozenset[str]


def lost(jobs: Collection[str], replies: Iterable[Ending]) -> set[str]:
    """Jobs that have no answer: one that failed or was given up counts as lost."""
    return set(jobs) - {reply.job_id for reply in replies if reply.status == "completed"}


def extra_calls(calls: Iterable[Call], endings: Iterable[Ending]) -> Counter[str]:
    """Calls that no ending of their job tells of, by job: made twice, not made again."""
    told: defaultdict[str, int] = defaultdict(lambda: 1)
    for ending in endings:
        told[ending.job_id] = max(told[ending.job_id], ending.calls)
    counts = Counter(call.job_id for call in calls)
    return Counter({job: n - told[job] for job, n in counts.items() if n > told[job]})


def exposed(
    blows: Iterable[Blow], calls: Iterable[Call], replies: Iterable[Ending]
) -> list[Exposed]:
    """What each blow excuses."""
    of_worker = defaultdict(list)
    for call in calls:
        of_worker[call.worker].append(call)
    written = {(reply.worker, reply.job_id): reply.at for reply in replies}
    return [_exposed(blow, of_worker[blow.worker], written) for blow in blows]


def _exposed(
    blow: Blow, calls: Iterable[Call], written: Mapping[tuple[str, str], float]
) -> Exposed:
    in_flight, uncommitted = set(), set()
    for call in calls:
        if not blow.born <= call.started <= blow.at + ARRIVAL:
            continue
        if call.ended is None or call.ended > blow.at:
            in_flight.add(call.job_id)
        elif written.get((blow.worker, call.job_id), blow.at) + ACKNOWLEDGEMENT >= blow.committed:
            uncommitted.add(call.job_id)
    return Exposed(frozenset(in_flight), frozenset(uncommitted))


def aborted_in_release(calls: Iterable[Call], blows: Iterable[Blow], bound: float) -> list[Call]:
    """Calls that a living worker gave up after the release bound (seconds)."""
    kills = defaultdict(list)
    for blow in blows:
        kills[blow.worker].append(blow.at)
    return [
        call
        for call in calls
        if call.ending == "client_gone"
        and call.ended is not None
        and call.ended - call.started >= bound
        and not any(abs(call.ended - at) < 1 for at in kills[call.worker])
    ]


def unexplained(extra: Mapping[str, int], excuses: Iterable[Collection[str]]) -> Counter[str]:
    """Calls too many that no blow explains, by job; each blow explains one call of a job."""
    explained = Counter(job for excuse in excuses for job in excuse)
    return Counter(extra) - explained


def thrown_away(calls: Iterable[Call], replies: Iterable[Ending]) -> Counter[str]:
    """Whole answers that were paid for and never written, by job."""
    paid = Counter(call.job_id for call in calls if call.ending == "ok")
    return paid - Counter(reply.job_id for reply in replies if reply.status == "completed")


def rate(times: Iterable[float], begin: float, end: float) -> float:
    """Events a second in [begin, end)."""
    return sum(begin <= at < end for at in times) / (end - begin)


def seconds_to_full_speed(
    times: Sequence[float], since: float, full: float, *, window: float = 2.0
) -> float | None:
    """From `since` to the end of the first window that is as fast as `full` (events a second).

    None where there was no such window.
    """
    last = max(times, default=since)
    step = window / 4
    for number in range(max(0, int((last - since - window) / step)) + 1):
        begin = since + number * step
        if rate(times, begin, begin + window) >= full:
            return begin + window - since
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Ownership:
    """The lanes that a worker said it owned shards of, at a moment."""

    worker: str
    at: float
    lanes: frozenset[str]


def calls_without_shard(calls: Iterable[Call], seen: Iterable[Ownership]) -> list[Call]:
    """Calls on a lane that its worker owned nothing of, neither just before nor just after.

    Models have their lanes' names here. What lies between two looks cannot be told, so that a call
    counts only if both say no.
    """
    looks = defaultdict(list)
    for look in sorted(seen, key=lambda look: look.at):
        looks[look.worker].append(look)
    return [
        call for call in calls if not _may_have_owned(call.started, call.model, looks[call.worker])
    ]


def _may_have_owned(at: float, lane: str, looks: Sequence[Ownership]) -> bool:
    before = [look for look in looks if look.at <= at][-1:]
    after = [look for look in looks if look.at > at][:1]
    around = before + after
    return len(around) < 2 or any(lane in look.lanes for look in around)


def longest_pause(times: Sequence[float], begin: float, end: float) -> float:
    """The longest time without an event between `begin` and `end`; `times` ascend."""
    marks = [begin, *(at for at in times if begin < at < end), end]
    return max(later - earlier for earlier, later in pairwise(marks))


def most_in_flight(calls: Iterable[Call], begin: float, end: float) -> int:
    """Most calls that ran at once in that time, counted where one starts, and at its beginning."""
    ran = [call for call in calls if call.started < end and (call.ended or end) > begin]
    return max(
        (
            sum(other.started <= at < (other.ended or end) for other in ran)
            for at in (max(begin, call.started) for call in ran)
        ),
        default=0,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Commit:
    """A commit of a partition, as Kafka has it: who committed last owns it."""

    partition: int
    #: A number of the process that made it.
    owner: int
    #: When Kafka had written it.
    at: float
    #: Nothing of it runs any more.
    final: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Wake:
    """A worker that was frozen until others had its partitions goes on."""

    worker: str
    owner: int
    at: float
    #: When it was frozen again, or the run ended.
    until: float


def calls_by_right(
    wake: Wake, calls: Iterable[Call], commits: Iterable[Commit], partition_of: Callable[[str], int]
) -> tuple[list[Call], list[Call]]:
    """The calls that a woken worker started by right, and those that it started without.

    By right is a call of a job whose partition was last committed by that worker, after it woke and
    before the call. `commits` are in Kafka's order; a job's partition goes by its id.
    """
    history: defaultdict[int, list[Commit]] = defaultdict(list)
    for commit in commits:
        history[commit.partition].append(commit)
    right: list[Call] = []
    without: list[Call] = []
    for call in calls:
        if call.worker != wake.worker or not wake.at <= call.started < wake.until:
            continue
        last = _last(history[partition_of(call.job_id)], call.started)
        is_own = last is not None and last.owner == wake.owner and last.at > wake.at
        (right if is_own else without).append(call)
    return right, without


def _last(commits: Sequence[Commit], before: float) -> Commit | None:
    return next((each for each in reversed(commits) if each.at <= before), None)
