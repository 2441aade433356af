"""Who is called next, lane by lane: interactive before bulk, retries before new jobs, then age."""

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from tollway_workers.admission import Admission, Permit
from tollway_workers.clock import Clock, Timer
from tollway_workers.policies.progress import JobProgress

#: Seconds between two looks for jobs whose deadline passed while they waited.
SWEEP_INTERVAL = 0.5

#: Jobs a lane holds in memory besides those in flight, so that it never runs dry between polls.
_LEAST_HELD = 1_000

MayStart = Callable[[JobProgress], bool]
Start = Callable[[JobProgress, Permit], None]
Forget = Callable[[JobProgress], None]
Expire = Callable[[JobProgress], None]


@dataclass(slots=True, eq=False)
class LaneQueue:
    """The jobs that wait for one lane: two queues by priority, and retries that are not due."""

    admission: Admission
    interactive: deque[JobProgress] = field(default_factory=deque)
    bulk: deque[JobProgress] = field(default_factory=deque)
    retries: dict[JobProgress, Timer] = field(default_factory=dict)
    timer: Timer | None = None

    @property
    def capacity(self) -> int:
        """Jobs it may hold before its topics are no longer read."""
        return max(_LEAST_HELD, 2 * (self.admission.quota.most_calls or 0))

    @property
    def held(self) -> int:
        """Jobs that wait, for a slot or for a retry."""
        return len(self.interactive) + len(self.bulk) + len(self.retries)

    def queue_of(self, progress: JobProgress) -> deque[JobProgress]:
        """The queue of its priority."""
        return self.interactive if progress.interactive else self.bulk


class Dispatcher:
    """Holds jobs in their lanes and starts each as soon as its lane admits it.

    `may_start` is asked last: whether the job is provably ours at this moment. `start` is called
    with the job and its permit, and must give the permit back; `forget` with a job whose partition
    went to another worker before it was called; `expire` with one whose deadline passed at the head
    of its queue. Everything here is synchronous.
    """

    def __init__(
        self,
        admissions: dict[str, Admission],
        clock: Clock,
        may_start: MayStart,
        start: Start,
        forget: Forget,
        expire: Expire,
    ) -> None:
        self._lanes = {name: LaneQueue(admission) for name, admission in admissions.items()}
        self._clock = clock
        self._may_start = may_start
        self._start = start
        self._forget = forget
        self._expire = expire
        self._stopped = False

    def offer(self, progress: JobProgress) -> None:
        """A new job: it waits behind those of its priority. Call `pump` after a batch."""
        self._lanes[progress.lane].queue_of(progress).append(progress)

    def retry(self, progress: JobProgress, delay: float) -> None:
        """A job to be called again after `delay` seconds, before new ones of its priority."""
        lane = self._lanes[progress.lane]
        if delay <= 0.0:
            lane.queue_of(progress).appendleft(progress)
            return
        lane.retries[progress] = self._clock.call_later(delay, lambda: self._due(lane, progress))

    def requeue(self, progress: JobProgress) -> None:
        """A job that met its lane's fault: behind the others, so that none uses up its calls."""
        self._lanes[progress.lane].queue_of(progress).append(progress)

    def pump(self, lane_name: str) -> None:
        """Start whatever the lane admits now; called when a job came, a call ended, time passed."""
        lane = self._lanes[lane_name]
        while not self._stopped and (queue := self._head(lane)) is not None:
            if not self._may_start(queue[0]):
                # Whoever has its partition next will, or we once a commit has succeeded.
                return
            leave = lane.admission.admit(queue[0])
            if isinstance(leave, Permit):
                self._start(queue.popleft(), leave)
            elif leave is None:
                return
            else:
                self._wake_later(lane, leave)
                return

    def take_expired(self, now: float) -> list[JobProgress]:
        """Remove and return the waiting jobs whose deadline has passed (`now`: seconds UTC)."""
        return self.take(lambda progress: progress.deadline <= now and progress.owned)

    def take(self, leaves: Callable[[JobProgress], bool]) -> list[JobProgress]:
        """Remove and return the waiting jobs that `leaves` says yes to, retries included."""
        taken: list[JobProgress] = []
        for lane in self._lanes.values():
            for queue in (lane.interactive, lane.bulk):
                if going := [progress for progress in queue if leaves(progress)]:
                    kept = [progress for progress in queue if not leaves(progress)]
                    queue.clear()
                    queue.extend(kept)
                    taken += going
            for progress in [progress for progress in lane.retries if leaves(progress)]:
                lane.retries.pop(progress).cancel()
                taken.append(progress)
        return taken

    def pump_all(self) -> None:
        """Start whatever all lanes admit: nothing could start for a while, and may now."""
        for name in self._lanes:
            self.pump(name)

    def stop(self) -> None:
        """Start nothing more, whatever ends or falls due; idempotent."""
        self._stopped = True

    def full_lanes(self) -> Iterator[str]:
        """Lanes that hold as many jobs as they may."""
        return (name for name, lane in self._lanes.items() if lane.held >= lane.capacity)

    def held(self, lane_name: str) -> int:
        """Jobs that wait in a lane."""
        return self._lanes[lane_name].held

    @property
    def waiting(self) -> int:
        """Jobs that wait in all lanes."""
        return sum(lane.held for lane in self._lanes.values())

    def _head(self, lane: LaneQueue) -> deque[JobProgress] | None:
        """The queue whose first job is next."""
        now = self._clock.now()
        for queue in (lane.interactive, lane.bulk):
            while queue:
                if not queue[0].owned:
                    self._forget(queue.popleft())
                elif queue[0].deadline <= now:
                    self._expire(queue.popleft())
                else:
                    return queue
        return None

    def _due(self, lane: LaneQueue, progress: JobProgress) -> None:
        del lane.retries[progress]
        lane.queue_of(progress).appendleft(progress)
        self.pump(progress.lane)

    def _wake_later(self, lane: LaneQueue, seconds: float) -> None:
        if lane.timer is not None:
            lane.timer.cancel()
        name = lane.admission.lane.name
        lane.timer = self._clock.call_later(seconds, lambda: self.pump(name))


async def answer_expired(dispatcher: Dispatcher, clock: Clock, expire: Expire) -> None:
    """Until cancelled, call `expire` with each waiting job soon after its deadline."""
    while True:
        await clock.sleep(SWEEP_INTERVAL)
        for progress in dispatcher.take_expired(clock.now()):
            expire(progress)
