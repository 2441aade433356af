"""The jobs that wait for one lane: its queue, retries that are not due, and those that follow."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
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
class LaneQueue:
    """The jobs that wait for one lane.

    State besides: `later` (jobs that may not go yet for a reason of their own, with the timer that
    brings them back), `following` (those whose answer is on its way, in the order in which they
    came), `parts` (bytes of all of them, by topic), and `earliest` (no deadline among them is
    before it).
    """

    admission: Admission
    waiting: PriorityQueue[JobProgress]
    later: dict[JobProgress, Timer] = field(default_factory=dict)
    following: dict[JobProgress, None] = field(default_factory=dict)
    #: Brings the lane back once its limits may let the head through.
    timer: Timer | None = None
    parts: defaultdict[str, int] = field(default_factory=lambda: defaultdict(int))
    earliest: float = inf

    @property
    def held(self) -> int:
        """Jobs that wait, whatever for."""
        return len(self.waiting) + len(self.later) + len(self.following)

    @property
    def bytes(self) -> int:
        """Bytes of the jobs that wait, and of the queue itself."""
        return sum(self.parts.values()) + self.waiting.bytes_besides

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
        return head

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
        return chain(self.later, self.waiting.upcoming())

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
        return chain(self.waiting, self.later, self.following)
