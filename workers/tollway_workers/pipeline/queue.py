"""The jobs that wait for one lane: its queue, retries that are not due, and those that follow."""

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import chain, islice
from math import inf

from tollway_workers.clock import Timer
from tollway_workers.job.progress import JobProgress
from tollway_workers.lanes.fairness import PriorityQueue
from tollway_workers.pipeline.admit import Admission


@dataclass(frozen=True, slots=True, kw_only=True)
class Fairness:
    """How calls are shared out."""

    #: By tenant; one for a tenant that is not named.
    weights: Mapping[str, float] = field(default_factory=dict)
    #: The part of a lane that bulk jobs get at least while interactive ones wait.
    bulk_floor: float = 0.05
    #: Bytes of jobs that may wait for one lane, of all its topics.
    lane_bytes: float = inf

    def weight(self, tenant: str | None) -> float:
        """A tenant's part, against the others' that wait."""
        return self.weights.get(tenant or "", 1.0)


@dataclass(slots=True, eq=False)
class Line:
    """The jobs that wait for one thing, which all of them may have to wait for again.

    State: `front` (the one that is in the lane's queue for all of them), and the `timer` that
    brings the next one there.
    """

    waiting: PriorityQueue[JobProgress]
    front: JobProgress | None = None
    timer: Timer | None = None


@dataclass(slots=True, eq=False)
class LaneQueue:
    """The jobs that wait for one lane.

    State besides: `later` (jobs that may not go yet for a reason of their own, with the timer that
    brings them back), `lines` (those that may not go yet for a reason of several, by what it is;
    `fronts` has the line of each front), `following` (those whose answer is on its way, in the
    order in which they came), `parts` (bytes of all of them, by topic), and `earliest` (no deadline
    among them is before it).
    """

    admission: Admission
    fairness: Fairness
    later: dict[JobProgress, Timer] = field(default_factory=dict)
    lines: dict[Hashable, Line] = field(default_factory=dict)
    fronts: dict[JobProgress, Hashable] = field(default_factory=dict)
    following: dict[JobProgress, None] = field(default_factory=dict)
    #: Brings the lane back once its limits may let the head through.
    timer: Timer | None = None
    parts: defaultdict[str, int] = field(default_factory=lambda: defaultdict(int))
    earliest: float = inf
    waiting: PriorityQueue[JobProgress] = field(init=False)

    def __post_init__(self) -> None:
        self.waiting = self._new_queue()

    @property
    def held(self) -> int:
        """Jobs that wait, whatever for."""
        in_lines = sum(len(line.waiting) for line in self.lines.values())
        return len(self.waiting) + len(self.later) + len(self.following) + in_lines

    @property
    def bytes_besides(self) -> int:
        """What it takes besides the jobs in it."""
        lines = sum(line.waiting.bytes_besides for line in self.lines.values())
        return self.waiting.bytes_besides + lines

    @property
    def bytes(self) -> int:
        """Bytes of the jobs that wait, and of the queue itself."""
        return sum(self.parts.values()) + self.bytes_besides

    def enter(self, job: JobProgress) -> None:
        """Count a job that waits here from now on."""
        record = job.record
        self.parts[record.topic] += record.size
        if job.deadline < self.earliest:
            self.earliest = job.deadline

    def leave(self, job: JobProgress) -> None:
        """Count a job that waits here no longer."""
        record = job.record
        self.parts[record.topic] -= record.size

    def queue(self, job: JobProgress, *, first: bool = False) -> None:
        """Add a job behind the others of its tenant, or before them."""
        self.waiting.add(job, job.tenant, interactive=job.interactive, first=first)

    @property
    def head(self) -> JobProgress | None:
        """The job that is called next."""
        return self.waiting.head(self.admission.tokens_of)

    def take_head(self, *, called: bool) -> JobProgress:
        """Remove and return the head; its tenant pays for it where it is called."""
        head = self.waiting.take_head(self.admission.tokens_of, called=called)
        self.leave(head)
        self._left_front(head)
        return head

    def stand_in_line(self, key: Hashable) -> Line:
        """Move the head to a line; the next of the line is not tried before `bring_front`."""
        head = self.waiting.take_head(self.admission.tokens_of, called=False)
        line = self.lines.get(key)
        if line is None:
            line = self.lines[key] = Line(self._new_queue())
        was_front = line.front is head
        if was_front:
            line.front = None
            del self.fronts[head]
        else:
            self._left_front(head)
        line.waiting.add(head, head.tenant, interactive=head.interactive, first=was_front)
        return line

    def bring_front(self, key: Hashable) -> None:
        """Have the first of a line wait for a call again, unless one of it does already."""
        line = self.lines.get(key)
        if line is None or line.front is not None:
            return
        if not len(line.waiting):
            del self.lines[key]
            return
        front = line.front = line.waiting.take_head(self.admission.tokens_of, called=False)
        self.fronts[front] = key
        self.queue(front, first=True)

    def _left_front(self, job: JobProgress) -> None:
        """Where a job was the front of a line the next one is, and may go at once."""
        if not self.fronts or (key := self.fronts.pop(job, None)) is None:
            return
        self.lines[key].front = None
        self.bring_front(key)

    def upcoming(self, most: int) -> list[JobProgress]:
        """The head, and jobs that will be called about then; none that may not go yet."""
        head = self.head
        first = () if head is None else (head,)
        coming = dict.fromkeys(chain(first, islice(self.waiting.upcoming(), most)))
        return list(islice(coming, most))

    def in_line(self) -> Iterator[JobProgress]:
        """Those that wait for a call of their own, about in the order in which they will go.

        Nothing may change while it is walked.
        """
        lines = (line.waiting.upcoming() for line in self.lines.values())
        return chain(self.later, self.waiting.upcoming(), *lines)

    def take(
        self,
        wanted: Callable[[JobProgress], bool],
        *,
        following: Callable[[JobProgress], bool] = lambda _: True,
    ) -> list[JobProgress]:
        """Remove and return the jobs that `wanted` says yes to; of those that follow, `following`
        too.
        """
        taken = self.waiting.take(wanted)
        for line in self.lines.values():
            taken += line.waiting.take(wanted)
        for job in [job for job in self.fronts if wanted(job)]:
            self._left_front(job)
        for job in [job for job in self.later if wanted(job)]:
            self.later.pop(job).cancel()
            taken.append(job)
        for job in [job for job in self.following if wanted(job) and following(job)]:
            del self.following[job]
            taken.append(job)
        for job in taken:
            self.leave(job)
        return taken

    def take_expired(self, now: float) -> list[JobProgress]:
        """Remove and return the jobs whose deadline has passed (`now`: seconds UTC)."""
        if self.earliest > now:
            return []
        taken = self.take(lambda job: job.deadline <= now and job.owned)
        self.earliest = min((job.deadline for job in self), default=inf)
        return taken

    def __iter__(self) -> Iterator[JobProgress]:
        lines = (line.waiting for line in self.lines.values())
        return chain(self.waiting, self.later, self.following, *lines)

    def _new_queue(self) -> PriorityQueue[JobProgress]:
        return PriorityQueue(self.fairness.weight, self.fairness.bulk_floor)
