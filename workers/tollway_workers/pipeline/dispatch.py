"""Who is called next, lane by lane: by priority, then fairly between tenants, then by age."""

from collections import deque
from collections.abc import Callable, Hashable, Iterable, Mapping
from typing import Protocol

from tollway_workers.clock import Clock
from tollway_workers.job.outcome import Decision
from tollway_workers.job.progress import JobProgress
from tollway_workers.pipeline.admit import Admission, Permit
from tollway_workers.pipeline.lookup import FOLLOWS, Following
from tollway_workers.pipeline.queue import Fairness, LaneQueue
from tollway_workers.pipeline.unpaid import Wait

#: Seconds between two looks for jobs whose deadline passed while they waited.
SWEEP_INTERVAL = 0.5


class JobOwner(Protocol):
    """Whose jobs a dispatcher holds: it is asked about each head, and takes what leaves."""

    def look(self, job: JobProgress, /) -> Decision | Following | None:
        """What is known of a job without a call: how it ends, or that it follows another."""
        ...

    def may_start(self, job: JobProgress, /) -> bool:
        """Whether the job is provably ours at this moment, and its lane is not paused."""
        ...

    def start(self, job: JobProgress, permit: Permit, /) -> None:
        """Call a job; this method then owns the permit."""
        ...

    def end(self, job: JobProgress, decision: Decision, /) -> None:
        """Write the outcome of a job that was not called."""
        ...

    def drop(self, job: JobProgress, /) -> None:
        """Its partition went to another worker before it was called."""
        ...

    def count_ahead(self, lane: str, /) -> None:
        """A lane with a tokenizer has started what it could: count the prompts of the next."""
        ...


class Dispatcher:
    """Holds jobs in their lanes and starts each as soon as its lane admits it.

    Everything here is synchronous.
    """

    def __init__(
        self,
        admissions: Mapping[str, Admission],
        clock: Clock,
        owner: JobOwner,
        fairness: Fairness,
    ) -> None:
        self._lanes = {
            name: LaneQueue(admission, fairness) for name, admission in admissions.items()
        }
        turns = {each.quota.group: deque[LaneQueue]() for each in admissions.values()}
        for lane in self._lanes.values():
            turns[lane.admission.quota.group].append(lane)
        #: By lane: those that share limits with it, the one whose turn it is first.
        self._turns = {name: turns[each.quota.group] for name, each in admissions.items()}
        self._lane_bytes = fairness.lane_bytes
        self._clock = clock
        self._owner = owner
        self._stopped = False

    def offer(self, job: JobProgress) -> None:
        """Queue a job behind those of its tenant. Call `pump` after a batch."""
        lane = self._lanes[job.lane]
        lane.enter(job)
        lane.queue(job)

    def retry(self, job: JobProgress, delay: float) -> None:
        """Queue a job before the others of its tenant, after `delay` seconds."""
        lane = self._lanes[job.lane]
        lane.enter(job)
        if delay <= 0.0:
            lane.queue(job, first=True)
            return
        self._later(lane, job, delay)

    def follow(self, job: JobProgress) -> None:
        """Hold a job whose answer is on its way beside its lane's queue."""
        lane = self._lanes[job.lane]
        lane.enter(job)
        lane.following[job] = None

    def take_following(self, job: JobProgress) -> bool:
        """Remove a job that follows; False where it is no longer there."""
        lane = self._lanes[job.lane]
        if job not in lane.following:
            return False
        del lane.following[job]
        lane.leave(job)
        return True

    def resume(self, job: JobProgress, *, behind: bool = False) -> None:
        """Queue a job that followed before the others of its tenant, if it is still there; or
        `behind` them.
        """
        if not self.take_following(job):
            return
        if behind:
            self.offer(job)
        else:
            self.retry(job, 0.0)
        self.pump(job.lane)

    def pump(self, lane_name: str) -> None:
        """Start whatever is admitted now; called when a job came, a call ended, time passed.

        Lanes that share limits take turns, a call each.
        """
        turns = self._turns[lane_name]
        # A snapshot: ending a head may bring back a job that followed it, and pump in here.
        while (lane := self._start_next(tuple(turns))) is not None:
            if len(turns) > 1:
                turns.remove(lane)
                turns.append(lane)
        for lane in turns:
            if lane.admission.exact and not self._stopped:
                self._owner.count_ahead(lane.admission.lane.name)

    def upcoming(self, lane_name: str, most: int) -> list[JobProgress]:
        """The job that goes next, and those that will about then; no retries that are not due."""
        return self._lanes[lane_name].upcoming(most)

    def _start_next(self, turns: Iterable[LaneQueue]) -> LaneQueue | None:
        """Start one call of the first lane that may; returns the lane.

        One that waits for what all of them share is waited for: else those that ask for less would
        take what comes in before there is ever enough for it.
        """
        for lane in turns:
            # A lane that is full is the usual case: it costs no look at who waits.
            if self._stopped or lane.admission.quota.full:
                continue
            if self._start_head(lane):
                return lane
            if lane.admission.quota.group_binds:
                return None
        return None

    def _start_head(self, lane: LaneQueue) -> bool:
        """Start the lane's head, or the first job behind it that may go before it."""
        admission = lane.admission
        admission.quota.group_binds = False
        while (head := self._head(lane)) is not None:
            if not self._owner.may_start(head):
                # The partition's next owner will call it, or we once a commit has succeeded.
                return False
            leave = admission.admit(head)
            if isinstance(leave, Permit):
                self._owner.start(lane.take_head(called=True), leave)
                return True
            if not isinstance(leave, Wait):
                self._owner.end(lane.take_head(called=False), leave)
            elif leave.line is not None and leave.seconds is not None:
                self._stand_in_line(lane, leave.line, leave.seconds)
            elif leave.passed_over and leave.seconds is not None:
                self._later(lane, self._set_aside(lane), leave.seconds)
            else:
                if leave.seconds is not None:
                    self._wake_later(lane, leave.seconds)
                return False
        return False

    def take_expired(self, now: float) -> list[JobProgress]:
        """Remove and return the waiting jobs whose deadline has passed (`now`: seconds UTC)."""
        return [job for lane in self._lanes.values() for job in lane.take_expired(now)]

    def take(self, wanted: Callable[[JobProgress], bool]) -> list[JobProgress]:
        """Remove and return the waiting jobs that `wanted` says yes to, whatever they wait for."""
        return [job for lane in self._lanes.values() for job in lane.take(wanted)]

    def take_queued(self, wanted: Callable[[JobProgress], bool]) -> list[JobProgress]:
        """The same of those that follow no other job: their call, or the answers that they carry
        themselves, are what they wait for.
        """
        return [
            job
            for lane in self._lanes.values()
            for job in lane.take(wanted, following=lambda each: each.revalidated)
        ]

    def pump_all(self) -> None:
        """Start whatever all lanes admit: nothing could start for a while, and may now."""
        for lanes in {id(lanes): lanes for lanes in self._turns.values()}.values():
            self.pump(lanes[0].admission.lane.name)

    def stop(self) -> None:
        """Start nothing more, whatever ends or falls due; idempotent."""
        self._stopped = True

    def full_topics(self, lane_name: str) -> list[str]:
        """Topics of a lane of which no more may be read for now: they hold as much as it has left.

        So there is always room for a topic that comes later, whatever backlog another has, and all
        together stay below what the lane may hold. One that holds nothing is never among them.
        """
        lane = self._lanes[lane_name]
        left = self._lane_bytes - lane.bytes
        return [topic for topic, held in lane.parts.items() if 0 < held >= left]

    @property
    def bytes_besides(self) -> int:
        """What all queues take besides the jobs in them: each tenant that waits has its own."""
        return sum(lane.bytes_besides for lane in self._lanes.values())

    @property
    def queues(self) -> Mapping[str, LaneQueue]:
        """The jobs that wait, by lane."""
        return self._lanes

    def held(self, lane_name: str) -> int:
        """Jobs that wait in a lane."""
        return self._lanes[lane_name].held

    @property
    def waiting(self) -> int:
        """Jobs that wait in all lanes."""
        return sum(lane.held for lane in self._lanes.values())

    def _head(self, lane: LaneQueue) -> JobProgress | None:
        """The job that is next and has to be called; what need not be leaves on the way."""
        while (head := lane.head) is not None:
            if not head.owned:
                self._owner.drop(lane.take_head(called=False))
                continue
            known = self._owner.look(head)
            if known is None:
                return head
            if known is FOLLOWS:
                lane.following[self._set_aside(lane)] = None
            else:
                self._owner.end(lane.take_head(called=False), known)
        return None

    def _set_aside(self, lane: LaneQueue) -> JobProgress:
        """Remove the head from the queue; it goes on waiting in its lane."""
        head = lane.take_head(called=False)
        lane.enter(head)
        return head

    def _later(self, lane: LaneQueue, job: JobProgress, delay: float) -> None:
        lane.later[job] = self._clock.call_later(delay, lambda: self._due(lane, job))

    def _due(self, lane: LaneQueue, job: JobProgress) -> None:
        del lane.later[job]
        lane.queue(job, first=True)
        self.pump(job.lane)

    def _stand_in_line(self, lane: LaneQueue, key: Hashable, delay: float) -> None:
        # One timer for all, and one job that is tried: each on its own, thousands that wait for
        # the same would be tried again and again, and hold up those that wait for nothing.
        line = lane.stand_in_line(key)
        if line.timer is None:
            line.timer = self._clock.call_later(delay, lambda: self._front_due(lane, key))

    def _front_due(self, lane: LaneQueue, key: Hashable) -> None:
        line = lane.lines.get(key)
        if line is not None:
            line.timer = None
            lane.bring_front(key)
            self.pump(lane.admission.lane.name)

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
        for job in take_expired(clock.now()):
            expire(job)
