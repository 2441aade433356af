"""The room that other lanes have for jobs of ours: their free rates, and what we used of them."""

from collections.abc import Mapping, Sequence
from math import inf

from tollway_schemas.heartbeat import Heartbeat
from tollway_workers.clock import Clock
from tollway_workers.config.shape.route import RouteSettings
from tollway_workers.job.progress import JobProgress
from tollway_workers.lanes.free_rate import Allowance, FreeRate, Sent, free_rate, sharers_of
from tollway_workers.lanes.ladder import Room
from tollway_workers.limits.call_cost import Cost
from tollway_workers.pipeline.admit import Admission


class Rooms:
    """State: what we saved up of each lane's free rate, and what we sent there. And of the look at
    this moment: the heartbeats, the free rates by lane and whether the sender's lane is down, the
    lanes of whose rate nothing is left, and the last job for which there was room.
    """

    def __init__(
        self,
        routes: Mapping[str, RouteSettings],
        admissions: Mapping[str, Admission],
        clock: Clock,
    ) -> None:
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
        self._rates: dict[tuple[str, bool], FreeRate | None] = {}
        self._spent: set[str] = set()
        self._asked: tuple[Cost, float] = Cost(), 0.0

    def look(self, beats: Sequence[Heartbeat] | None) -> None:
        """Begin anew with these heartbeats, the last of each live worker; None: not known yet."""
        self._beats = beats
        self._rates.clear()
        self._spent.clear()
        now = self._clock.monotonic()
        for allowance in self._allowances.values():
            allowance.save(now)

    def ask(self, lane: str, job: JobProgress, *, down: bool) -> Room:
        """Whether a lane has room for a job; `down`: whether the job's own is broken or parked."""
        if self._beats is None or lane in self._spent:
            return Room.SOON
        admission = self._admissions[lane]
        if (lane, down) in self._rates and self._rates[lane, down] is None:
            return Room.NONE
        cost = admission.estimate(job)
        rate = self._rate(lane, cost, down=down)
        if rate is None or admission.quota.beyond(cost) is not None:
            return Room.NONE
        seconds = rate.seconds(cost)
        if seconds == inf:
            return Room.NONE
        if not self._allowances[lane].has(seconds):
            self._spent.add(lane)
            return Room.SOON
        self._asked = cost, seconds
        return Room.FREE

    def is_settled(self, lane: str, *, down: bool) -> bool:
        """Whether the answer is the same for every job, until the next look."""
        unknown = self._beats is None or lane in self._spent
        return unknown or self._rates.get((lane, down), ...) is None

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
