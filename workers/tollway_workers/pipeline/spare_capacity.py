"""What other lanes have left for jobs of ours: their free rates, and what we used of them."""

from collections.abc import Callable, Mapping, Sequence
from math import inf

from tollway_schemas.heartbeat import Heartbeat
from tollway_workers.clock import Clock
from tollway_workers.config.shape.route import RouteSettings
from tollway_workers.job.progress import JobProgress
from tollway_workers.lanes.free_rate import Allowance, FreeRate, Sent, free_rate, sharers_of
from tollway_workers.lanes.ladder import Capacity
from tollway_workers.limits.call_cost import Cost
from tollway_workers.pipeline.admit import Admission

#: What tells the last heartbeat of each live worker; None: none is known yet.
Beats = Callable[[], Sequence[Heartbeat] | None]


class SpareCapacity:
    """State: what we saved up of each lane's free rate, and what we sent there. And of the look at
    this moment: the heartbeats once somebody asks, the free rates by lane and whether the sender's
    lane is down, the lanes of whose rate nothing is left, and what the last job takes that may go.
    """

    def __init__(
        self,
        routes: Mapping[str, RouteSettings],
        admissions: Mapping[str, Admission],
        beats: Beats,
        clock: Clock,
    ) -> None:
        """`beats`: the last heartbeat of each live worker; None: not known yet."""
        self._read = beats
        self._admissions = admissions
        self._clock = clock
        self._allowances = {lane: Allowance() for lane in admissions}
        self._sent = {lane: Sent() for lane in admissions}
        #: Lanes whose jobs may come to a lane.
        self._sources = {
            lane: {
                other for route in routes.values() if lane in route.lanes for other in route.lanes
            }
            - {lane}
            for lane in admissions
        }
        self._beats: Sequence[Heartbeat] | None = None
        self._is_read = False
        self._rates: dict[tuple[str, bool], FreeRate | None] = {}
        self._spent: set[str] = set()
        self._asked: tuple[Cost, float] = Cost(), 0.0

    def look(self) -> None:
        """Begin anew: time has passed, and there may be other heartbeats."""
        self._is_read = False
        self._rates.clear()
        self._spent.clear()
        now = self._clock.monotonic()
        for allowance in self._allowances.values():
            allowance.save(now)

    def ask(self, lane: str, job: JobProgress, *, down: bool) -> Capacity:
        """What a lane has left for a job; `down`: whether the job's own is broken or parked."""
        if not self._is_read:
            self._beats, self._is_read = self._read(), True
        if (settled := self.settled(lane, down=down)) is not None:
            return settled
        admission = self._admissions[lane]
        cost = admission.estimate(job)
        rate = self._rate(lane, cost, down=down)
        if rate is None or admission.quota.beyond(cost) is not None:
            return Capacity.NONE
        seconds = rate.seconds(cost)
        if seconds == inf:
            return Capacity.NONE
        if not self._allowances[lane].has(seconds):
            self._spent.add(lane)
            return Capacity.SOON
        self._asked = cost, seconds
        return Capacity.FREE

    def settled(self, lane: str, *, down: bool) -> Capacity | None:
        """The answer to every job until the next look; None where that is not known."""
        if self._beats is None or lane in self._spent:
            return Capacity.SOON
        return Capacity.NONE if self._rates.get((lane, down), ...) is None else None

    def take(self, lane: str) -> None:
        """The job for which the last answer was `FREE` goes there."""
        cost, seconds = self._asked
        self._allowances[lane].spend(seconds)
        self._sent[lane].note(cost, self._clock.monotonic())

    def _rate(self, lane: str, cost: Cost, *, down: bool) -> FreeRate | None:
        if (lane, down) not in self._rates:
            beats = self._beats or ()
            sharers = sharers_of(self._sources[lane], beats, down=down)
            self._rates[lane, down] = free_rate(
                lane, beats, cost, self._sent[lane], sharers, self._clock.monotonic()
            )
        return self._rates[lane, down]
