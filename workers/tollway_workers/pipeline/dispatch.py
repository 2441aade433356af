"""Who is called next, lane by lane: by priority, then fairly between tenants, then by age."""

from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from itertools import chain, islice
from math import inf
from typing import NamedTuple

from tollway_workers.clock import Clock, Timer
from tollway_workers.job.progress import JobProgress
from tollway_workers.lanes.fairness import PriorityQueue
from tollway_workers.pipeline.admit import Admission, Permit

#: Seconds between two looks for jobs whose deadline passed while they waited.
SWEEP_INTERVAL = 0.5


class Reactions(NamedTuple):
    """What a dispatcher asks and tells."""

    #: Asked last: whether the job is provably ours at this moment.
    may_start: Callable[[JobProgress], bool]
    #: The job is called: whoever is told gives the permit back.
    start: Callable[[JobProgress, Permit], None]
    #: Its partition went to another worker before it was called.
    forget: Callable[[JobProgress], None]
    #: Its deadline passed at the head of its queue.
    expire: Callable[[JobProgress], None]
    #: A lane with a tokenizer has started what it could: the prompts of the next are to be counted.
    look_ahead: Callable[[str], None] = lambda lane: None


@dataclass(frozen=True, slots=True, kw_only=True)
class Fairness:
    """How calls are shared out."""

    #: By tenant; one for whoever is not named.
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
    """The jobs that wait for one lane, and retries that are not due.

    State besides: `parts` (their bytes, by topic), and `earliest` (no deadline among them is before
    it).
    """

    admission: Admission
    waiting: PriorityQueue[JobProgress]
    retries: dict[JobProgress, Timer] = field(default_factory=dict)
    timer: Timer | None = None
    parts: defaultdict[str, int] = field(default_factory=lambda: defaultdict(int))
    earliest: float = inf

    @property
    def held(self) -> int:
        """Jobs that wait, for a slot or for a retry."""
        return len(self.waiting) + len(self.retries)

    def enter(self, progress: JobProgress) -> None:
        """It waits here from now on."""
        record = progress.record
        self.parts[record.topic] += record.size
        if progress.deadline < self.earliest:
            self.earliest = progress.deadline

    def leave(self, progress: JobProgress) -> None:
        """It waits here no longer."""
        record = progress.record
        self.parts[record.topic] -= record.size

    def queue(self, progress: JobProgress, *, first: bool = False) -> None:
        """Behind the others of its tenant, or before them."""
        self.waiting.add(progress, progress.tenant, interactive=progress.interactive, first=first)

    def take_head(self, *, called: bool) -> JobProgress:
        """Who goes next goes."""
        head = self.waiting.take_head(self.admission.tokens_of, called=called)
        self.leave(head)
        return head

    @property
    def head(self) -> JobProgress | None:
        """Who goes next."""
        return self.waiting.head(self.admission.tokens_of)


class Dispatcher:
    """Holds jobs in their lanes and starts each as soon as its lane admits it.

    Everything here is synchronous.
    """

    def __init__(
        self,
        admissions: Mapping[str, Admission],
        clock: Clock,
        reactions: Reactions,
        fairness: Fairness,
    ) -> None:
        self._lanes = {
            name: LaneQueue(admission, PriorityQueue(fairness.weight, fairness.bulk_floor))
            for name, admission in admissions.items()
        }
        turns = {each.quota.group: deque[LaneQueue]() for each in admissions.values()}
        for lane in self._lanes.values():
            turns[lane.admission.quota.group].append(lane)
        #: By lane: those that share limits with it, who is next first.
        self._turns = {name: turns[each.quota.group] for name, each in admissions.items()}
        self._lane_bytes = fairness.lane_bytes
        self._clock = clock
        self._may_start, self._start, self._forget, self._expire, self._look_ahead = reactions
        self._stopped = False

    def offer(self, progress: JobProgress) -> None:
        """A new job: it waits behind those of its tenant. Call `pump` after a batch."""
        lane = self._lanes[progress.lane]
        lane.enter(progress)
        lane.queue(progress)

    def retry(self, progress: JobProgress, delay: float) -> None:
        """A job to be called again after `delay` seconds, before new ones of its tenant."""
        lane = self._lanes[progress.lane]
        lane.enter(progress)
        if delay <= 0.0:
            lane.queue(progress, first=True)
            return
        lane.retries[progress] = self._clock.call_later(delay, lambda: self._due(lane, progress))

    def requeue(self, progress: JobProgress) -> None:
        """A job that met its lane's fault: behind the others, so that none uses up its calls."""
        self.offer(progress)

    def pump(self, lane_name: str) -> None:
        """Start whatever is admitted now; called when a job came, a call ended, time passed.

        Lanes that share limits take turns, a call each.
        """
        turns = self._turns[lane_name]
        # A snapshot: a job that is dropped on the way may have a copy of it started, in here.
        while (lane := self._start_next(tuple(turns))) is not None:
            if len(turns) > 1:
                turns.remove(lane)
                turns.append(lane)
        for lane in turns:
            if lane.admission.exact and not self._stopped:
                self._look_ahead(lane.admission.lane.name)

    def upcoming(self, lane_name: str, most: int) -> list[JobProgress]:
        """The job that goes next, and those that will about then; no retries that are not due."""
        lane = self._lanes[lane_name]
        head = lane.head
        first = () if head is None else (head,)
        return list(
            islice(dict.fromkeys(chain(first, islice(lane.waiting.upcoming(), most))), most)
        )

    def _start_next(self, turns: Iterable[LaneQueue]) -> LaneQueue | None:
        """Start one call of the first lane that may; returns the lane.

        One that waits for what all of them share is waited for: else those that ask for less would
        take what comes in before there is ever enough for it.
        """
        for lane in turns:
            admission = lane.admission
            # A lane that is full is the usual case: it costs no look at who waits.
            if self._stopped or admission.quota.full or (head := self._head(lane)) is None:
                continue
            if not self._may_start(head):
                # Whoever has its partition next will, or we once a commit has succeeded.
                continue
            leave = admission.admit(head)
            if isinstance(leave, Permit):
                self._start(lane.take_head(called=True), leave)
                return lane
            if leave is not None:
                self._wake_later(lane, leave)
            if admission.quota.group_binds:
                return None
        return None

    def take_expired(self, now: float) -> list[JobProgress]:
        """Remove and return the waiting jobs whose deadline has passed (`now`: seconds UTC)."""
        taken: list[JobProgress] = []
        for lane in self._lanes.values():
            if lane.earliest > now:
                continue
            taken += self._take(lane, lambda each: each.deadline <= now and each.owned)
            waiting = (*lane.waiting, *lane.retries)
            lane.earliest = min((each.deadline for each in waiting), default=inf)
        return taken

    def take(self, leaves: Callable[[JobProgress], bool]) -> list[JobProgress]:
        """Remove and return the waiting jobs that `leaves` says yes to, retries included."""
        return [each for lane in self._lanes.values() for each in self._take(lane, leaves)]

    def pump_all(self) -> None:
        """Start whatever all lanes admit: nothing could start for a while, and may now."""
        for lanes in {id(lanes): lanes for lanes in self._turns.values()}.values():
            self.pump(lanes[0].admission.lane.name)

    def stop(self) -> None:
        """Start nothing more, whatever ends or falls due; idempotent."""
        self._stopped = True

    def full_topics(self) -> list[str]:
        """Topics of which no more may be read for now: they hold as much as their lane has left.

        So there is always room for a topic that comes later, whatever backlog another has, and all
        together stay below what the lane may hold. One that holds nothing is never among them.
        """
        full: list[str] = []
        for lane in self._lanes.values():
            left = self._lane_bytes - sum(lane.parts.values()) - lane.waiting.bytes_besides
            full += [topic for topic, held in lane.parts.items() if 0 < held >= left]
        return full

    @property
    def bytes_besides(self) -> int:
        """What all queues take besides the jobs in them: each tenant that waits has its own."""
        return sum(lane.waiting.bytes_besides for lane in self._lanes.values())

    def held(self, lane_name: str) -> int:
        """Jobs that wait in a lane."""
        return self._lanes[lane_name].held

    @property
    def waiting(self) -> int:
        """Jobs that wait in all lanes."""
        return sum(lane.held for lane in self._lanes.values())

    def _head(self, lane: LaneQueue) -> JobProgress | None:
        """The job that is next; what is not ours any more, or too late, goes on the way."""
        now = self._clock.now()
        while (head := lane.head) is not None:
            if not head.owned:
                self._forget(lane.take_head(called=False))
            elif head.deadline <= now:
                self._expire(lane.take_head(called=False))
            else:
                return head
        return None

    def _take(self, lane: LaneQueue, leaves: Callable[[JobProgress], bool]) -> list[JobProgress]:
        taken = lane.waiting.take(leaves)
        for progress in [progress for progress in lane.retries if leaves(progress)]:
            lane.retries.pop(progress).cancel()
            taken.append(progress)
        for progress in taken:
            lane.leave(progress)
        return taken

    def _due(self, lane: LaneQueue, progress: JobProgress) -> None:
        del lane.retries[progress]
        lane.queue(progress, first=True)
        self.pump(progress.lane)

    def _wake_later(self, lane: LaneQueue, seconds: float) -> None:
        if lane.timer is not None:
            lane.timer.cancel()
        name = lane.admission.lane.name
        lane.timer = self._clock.call_later(seconds, lambda: self.pump(name))


async def answer_expired(
    take_expired: Callable[[float], Iterable[JobProgress]],
    clock: Clock,
    expire: Callable[[JobProgress], None],
) -> None:
    """Until cancelled, call `expire` with each waiting job soon after its deadline."""
    while True:
        await clock.sleep(SWEEP_INTERVAL)
        for progress in take_expired(clock.now()):
            expire(progress)
