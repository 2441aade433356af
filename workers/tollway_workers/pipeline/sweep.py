"""Asks the ladder for jobs that wait: those of a lane that is broken or parked, and those whose
deadline would pass in line.
"""

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field, replace
from math import inf

from tollway_schemas.job import Priority
from tollway_workers.clock import Clock
from tollway_workers.config.shape.route import RouteSettings
from tollway_workers.job.accepted import may_stand_in
from tollway_workers.job.outcome import Decision, Forwarded
from tollway_workers.job.progress import JobProgress
from tollway_workers.lanes.holds import Holds, said
from tollway_workers.lanes.ladder import (
    RULE_MARGIN,
    Capacity,
    lanes_to_go,
    may_leave,
    rung_below,
)
from tollway_workers.lanes.lane_wait import Hold
from tollway_workers.lanes.line import Line, speed, usual
from tollway_workers.lanes.state import LaneState
from tollway_workers.pipeline.dispatch import Dispatcher
from tollway_workers.pipeline.queue import LaneQueue
from tollway_workers.pipeline.read import JobReader
from tollway_workers.pipeline.spare_capacity import Beats, SpareCapacity

#: Seconds between two looks.
INTERVAL = 0.5
#: Jobs that leave a lane at one look, at most: each is a record to be written.
_MOST_AT_ONCE = 2_000
#: How much longer than a walk along a line took nobody walks along it again: where thousands of
#: jobs all stay it takes a tenth of a second.
_REST = 10.0
#: Jobs whose mean cost tells how fast a line moves.
_SAMPLE = 8
_BY_OPERATOR = "an operator paused it"
_LATE = "late: its deadline would have passed in line"


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What the ladder knows of the world beyond this worker's memory."""

    #: The last heartbeat of each live worker; None: none is known yet.
    beats: Beats = tuple
    #: Records of this worker's partitions that are not finished, read or not, by topic.
    outstanding: Callable[[], Mapping[str, int]] = dict


class Sweep:
    """State: by lane when and why it was held of late, and when it is looked at again; and the
    spare capacity of the others.
    """

    def __init__(
        self,
        dispatcher: Dispatcher,
        reader: JobReader,
        surroundings: Surroundings,
        clock: Clock,
        *,
        paused: Callable[[str], bool],
        end: Callable[[JobProgress, Decision], object],
    ) -> None:
        """`paused`: whether an operator paused a lane, which moves no job; `end` begins to write
        what is decided of a job that was not called.
        """
        self._dispatcher = dispatcher
        self._reader = reader
        self._around = surroundings
        self._clock = clock
        self._paused = paused
        self._end = end
        self._queues = dispatcher.queues
        self._holds = {lane: Holds() for lane in self._queues}
        admissions = {lane: queue.admission for lane, queue in self._queues.items()}
        self._spare = SpareCapacity(reader.routes, admissions, surroundings.beats, clock)
        self._next_look: dict[str, float] = {}
        routes = reader.routes.values()
        several = [route for route in routes if len(route.lanes) > 1 or _has_stand_in(route)]
        #: Lanes of whose jobs some may leave.
        self._asked = sorted({lane for route in several for lane in route.lanes})
        self._rule_time = RULE_MARGIN + max(
            (route.rule_timeout for route in routes if _has_stand_in(route)), default=0.0
        )

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            await self._clock.sleep(INTERVAL)
            self.look()

    def look(self) -> None:
        """Ask for all that may leave their lane now."""
        now = self._clock.monotonic()
        for lane, queue in self._queues.items():
            self._holds[lane].look(self._hold(lane, queue), now)
        self._spare.look()
        waiting = [
            lane
            for lane in self._asked
            if self._queues[lane].held and now >= self._next_look.get(lane, 0.0)
        ]
        outstanding = self._around.outstanding() if waiting else {}
        for lane in waiting:
            queue = self._queues[lane]
            down = queue.admission.down and not self._paused(lane)
            line = self._line(lane, queue, outstanding)
            if down or self._is_anyone_late(queue, line):
                self._sweep(queue, _Walk(lane, down, line, self._why(queue, down=down)))

    def why_waited(self, job: JobProgress) -> str | None:
        """What held up its lane while a job waited here, or what held it up elsewhere."""
        return self._holds[job.lane].why(job.came, self._clock.monotonic()) or job.waited

    def _hold(self, lane: str, queue: LaneQueue) -> Hold | None:
        if not self._paused(lane):
            return queue.admission.hold
        now = self._clock.monotonic()
        return Hold(reason=_BY_OPERATOR, since=now, next_try=inf, state=LaneState.PAUSED)

    def _why(self, queue: LaneQueue, *, down: bool) -> str:
        hold = queue.admission.hold
        return said(hold) if down and hold is not None else _LATE

    def _line(self, lane: str, queue: LaneQueue, outstanding: Mapping[str, int]) -> Line:
        admission = queue.admission
        costs = (job.cost or admission.estimate(job) for job in queue.upcoming(_SAMPLE))
        interactive, bulk = (
            sum(outstanding.get(topic, 0) for topic in self._reader.topics_of(lane, priority))
            for priority in (Priority.INTERACTIVE, Priority.BULK)
        )
        read = queue.waiting.interactive
        return Line(
            speed=speed(admission.quota, usual(costs), admission.call_seconds),
            unread_interactive=max(0, interactive - read),
            unread_bulk=max(0, bulk - (queue.held - read)),
        )

    def _is_anyone_late(self, queue: LaneQueue, line: Line) -> bool:
        """Whether the job with the nearest deadline would be, if it were the last in line."""
        longest = max(line.longest(queue.held), self._rule_time)
        return queue.earliest < self._clock.now() + longest

    def _sweep(self, queue: LaneQueue, walk: "_Walk") -> None:
        began = self._clock.monotonic()
        leaving = self._leaving(queue, walk)
        if leaving:
            for job in queue.take(lambda each: each in leaving, following=lambda _: False):
                if walk.down or isinstance(leaving[job], Forwarded):
                    job.waited = walk.why
                self._end(job, leaving[job])
            self._dispatcher.pump(walk.lane)
        now = self._clock.monotonic()
        self._next_look[walk.lane] = now + _REST * (now - began)

    def _leaving(self, queue: LaneQueue, walk: "_Walk") -> dict[JobProgress, Decision]:
        leaving: dict[JobProgress, Decision] = {}
        for job in queue.in_line():
            decided = self._ask(job, walk)
            if decided is None:
                walk.line.ahead += 1
                continue
            leaving[job] = decided
            if len(leaving) == _MOST_AT_ONCE:
                break
        return leaving

    def _ask(self, job: JobProgress, walk: "_Walk") -> Decision | None:
        """What the ladder says of a job, which takes the room that it is given."""
        now, down = self._clock.now(), walk.down
        turn = now + walk.line.turn(interactive=job.interactive)
        leaves = job.owned and not job.record.tracker.releasing
        if not leaves or not may_leave(job, down=down, turn=turn):
            return None
        kind = _kind(job)
        if kind in walk.staying:
            return None
        spare = self._spare
        decided = rung_below(job, lambda lane: spare.ask(lane, job, down=down), now)
        if isinstance(decided, Forwarded):
            spare.take(decided.lane)
            return replace(decided, why=walk.why)
        if decided is not None:
            return decided
        settled = [spare.settled(lane, down=down) for lane in lanes_to_go(job)]
        if None not in settled and (Capacity.SOON in settled or not may_stand_in(job)):
            walk.staying.add(kind)
        return None


@dataclass(slots=True)
class _Walk:
    """Along the line of one lane. State: the kinds of jobs that stay, which are not asked again."""

    lane: str
    down: bool
    line: Line
    #: Why jobs leave.
    why: str
    staying: set[Hashable] = field(default_factory=set)


def _has_stand_in(route: RouteSettings) -> bool:
    return route.rule is not None or route.cache.has_stale


def _kind(job: JobProgress) -> Hashable:
    """Equal for jobs to which the ladder says the same, but for their cost and their deadline."""
    about = job.job
    been = tuple(visit.lane for visit in about.visits)
    return id(job.route), about.priority, about.accept, been, about.hops, may_stand_in(job)
