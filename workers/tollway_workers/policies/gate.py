"""A lane's gate: open, slowed after rate limits, or parked until a probe gets through.

Slowed: the lane waits as long as the provider says, then lets few calls through and more with
every success (a full wave after a 429 would bring the next). Parked (bad key, quota spent, unknown
model, nobody listening): one job at a time tries, at growing intervals; nobody's job is given up
for what is the lane's fault.

An answer that no API gives is the job's fault or the address's. The address is doubted where it
has never answered as an API does, and where three jobs in a row got such an answer: then it counts
as a model that is not there, which parks the lane and costs no job anything. A job that alone gets
it among others that are answered is charged for it.
"""

from dataclasses import dataclass, field
from enum import StrEnum

from tollway_schemas.failure import FailureClass
from tollway_workers.policies.backoff import doubling
from tollway_workers.policies.failure_table import FAILURE_TABLE, Next

#: Seconds between a rate limit that names no wait and the next call; doubled each time in a row.
_FIRST_PAUSE = 1.0
_LONGEST_PAUSE = 30.0
#: The same where it names one: "at once" is what some say and do not mean.
_LEAST_PAUSE = 0.05
#: Calls in flight that a slowed lane starts again with; each answer allows one more.
_SLOW_START = 8.0
#: Seconds between a parked lane's probes; doubled each time in a row.
_FIRST_PROBE = 1.0
_LONGEST_PROBE = 300.0
#: Jobs in a row whose answers no API gives, at an address that had answered before.
_DOUBTING_JOBS = 3


class LaneState(StrEnum):
    """What a lane's gate does at the moment."""

    OPEN = "open"
    SLOWED = "slowed"
    PARKED = "parked"


@dataclass(slots=True)
class LaneGate:
    """Decides how many calls a lane may have in flight, and when the next may start.

    All state is here and changes in `on_failure` and `on_answer`: `_closed_until` (monotonic
    seconds), `_ceiling` (calls in flight while slowed; None: no bound), `_parked`, how often in
    a row the lane was refused or probed, whether it ever answered, and in `judge` the jobs that
    since then were answered as no API does.
    """

    _closed_until: float = 0.0
    _ceiling: float | None = None
    _parked: FailureClass | None = None
    _refusals: int = 0
    _probes: int = 0
    _answered: bool = False
    _strange: set[str] = field(default_factory=set)

    @property
    def state(self) -> LaneState:
        """The lane's state."""
        if self._parked is not None:
            return LaneState.PARKED
        return LaneState.OPEN if self._ceiling is None else LaneState.SLOWED

    @property
    def slowed(self) -> bool:
        """Whether it bounds the calls in flight."""
        return self._ceiling is not None

    @property
    def parked_by(self) -> FailureClass | None:
        """The failure that parked it."""
        return self._parked

    def wait(self, in_flight: int, now: float) -> float | None:
        """Seconds until a call may start: 0 at once, None when one that is in flight has ended."""
        if now < self._closed_until:
            return self._closed_until - now
        if self._parked is not None:
            return 0.0 if in_flight == 0 else None
        if self._ceiling is not None and in_flight >= self._ceiling:
            return None
        return 0.0

    def on_answer(self) -> None:
        """The provider answered a call: probes got through, and a slowed lane speeds up."""
        self._parked, self._probes, self._refusals = None, 0, 0
        self._answered = True
        self._strange.clear()
        if self._ceiling is not None:
            self._ceiling += 1.0

    def lift(self, concurrency: int | None, in_flight: int) -> None:
        """Forget the ceiling once it binds no longer."""
        if self._ceiling is None:
            return
        most = concurrency if concurrency is not None else 2 * in_flight + 16
        if self._ceiling >= most:
            self._ceiling = None

    def judge(self, failure_class: FailureClass, job_id: str) -> FailureClass:
        """The class of a job's failed call in view of what the lane answered to others."""
        if failure_class is not FailureClass.NO_COMPLETION:
            return failure_class
        if len(self._strange) < _DOUBTING_JOBS:
            self._strange.add(job_id)
        doubted = not self._answered or len(self._strange) == _DOUBTING_JOBS
        return FailureClass.MODEL_NOT_FOUND if doubted else failure_class

    def on_failure(
        self, failure_class: FailureClass, retry_after: float | None, in_flight: int, now: float
    ) -> None:
        """A call failed; `in_flight` counts it still."""
        row = FAILURE_TABLE[failure_class]
        if row.next is Next.PARK_LANE:
            self._park(failure_class, retry_after, now)
        elif row.slow_lane:
            self._slow(retry_after, in_flight, now)
        elif not row.lane_fault:
            self.on_answer()

    def _park(self, failure_class: FailureClass, retry_after: float | None, now: float) -> None:
        # Calls that were in flight when the lane was parked say nothing new.
        if self._parked is not None and now < self._closed_until:
            return
        self._parked = failure_class
        self._probes += 1
        wait = doubling(self._probes, initial=_FIRST_PROBE, longest=_LONGEST_PROBE)
        self._closed_until = now + max(wait, retry_after or 0.0)

    def _slow(self, retry_after: float | None, in_flight: int, now: float) -> None:
        wait = retry_after or 0.0
        if now >= self._closed_until:
            # One wave of refusals is one: slow down once, not once for each call of the wave.
            self._refusals += 1
            self._ceiling = max(1.0, min(in_flight / 2, _SLOW_START))
            first = _FIRST_PAUSE if retry_after is None else _LEAST_PAUSE
            wait = max(wait, doubling(self._refusals, initial=first, longest=_LONGEST_PAUSE))
        self._closed_until = max(self._closed_until, now + wait)
