"""A lane's gate: open, slowed after rate limits, or parked until a probe gets through.

Slowed: the lane waits as long as the provider says, then lets few calls through, and more with
every success (a full wave after a 429 would bring the next 429). Parked (bad key, quota spent,
unknown model, no server): one job at a time probes, at growing intervals, and no job is given up
for the lane's fault. Where a provider asks for a wait of more than minutes, one call every few
minutes probes it: the wait may be a mistake, or over.

An answer that no API gives is the fault of the job or of the address. It is the address's where
that has never answered as an API does, and where three jobs in a row got such an answer: then it
counts as an unknown model, which parks the lane and is not charged to a job. Otherwise it is
charged to the job that got it.
"""

from dataclasses import dataclass, field
from math import inf

from tollway_schemas.failure import FailureClass
from tollway_workers.job.backoff import doubling
from tollway_workers.job.failure_table import FAILURE_TABLE, Next
from tollway_workers.lanes.lane_wait import Hold, reason_of_class
from tollway_workers.lanes.state import LaneState

#: Seconds between a rate limit that names no wait and the next call; doubled each time in a row.
_FIRST_PAUSE = 1.0
_LONGEST_PAUSE = 30.0
#: The same where it names one: "at once" is what some say and do not mean.
_LEAST_PAUSE = 0.05
#: Calls in flight that a slowed lane starts again with; each answer allows one more.
_SLOW_START = 8.0
#: Seconds between a parked lane's probes; doubled each time in a row.
_FIRST_PROBE = 1.0
LONGEST_PROBE = 300.0
#: Jobs in a row whose answers no API gives, at an address that had answered before.
_DOUBTING_JOBS = 3


@dataclass(slots=True)
class LaneGate:
    """Decides how many calls a lane may have in flight, and when the next may start.

    All state is here and changes in `on_failure`, `on_answer`, `unpark` and `reopen` (times are
    monotonic seconds): `_closed_until`, `_asked_until` (until when the provider asked to be left
    alone: one call at a time before it), `_ceiling` (calls in flight while slowed; None: no bound),
    `_parked`, how often in a row the lane was refused or probed, of the last refusal why, when, and
    since when there was no other answer, whether it ever answered, and in `judge` the jobs that
    since then were answered as no API does.
    """

    _closed_until: float = 0.0
    _asked_until: float = 0.0
    _ceiling: float | None = None
    _parked: FailureClass | None = None
    _refusals: int = 0
    _probes: int = 0
    _answered: bool = False
    _strange: set[str] = field(default_factory=set)
    _reason: str = ""
    _refused_at: float = -inf
    _since: float = 0.0

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

    def hold(self, now: float) -> Hold | None:
        """Why the lane lets nothing through; None where the last call was answered."""
        until = max(self._closed_until, self._asked_until)
        if self._parked is None and not self._refusals and now >= until:
            return None
        return Hold(
            reason=self._reason,
            since=self._since,
            next_try=self._closed_until,
            asked_until=self._asked_until,
            state=LaneState.SLOWED if self._parked is None else LaneState.PARKED,
        )

    def wait(self, in_flight: int, now: float) -> float | None:
        """Seconds until a call may start: 0 at once, None when one that is in flight has ended."""
        if now < self._closed_until:
            return self._closed_until - now
        if self._parked is not None or now < self._asked_until:
            return 0.0 if in_flight == 0 else None
        if self._ceiling is not None and in_flight >= self._ceiling:
            return None
        return 0.0

    def on_answer(self, started: float = inf) -> None:
        """The provider answered a call that was started then: a probe got through, and a slowed
        lane speeds up. One that was started before the last refusal opens nothing.
        """
        self._refusals = 0
        self._answered = True
        self._strange.clear()
        if self._ceiling is not None:
            self._ceiling += 1.0
        if started >= self._refused_at:
            self._parked, self._probes = None, 0
            self._asked_until = min(self._asked_until, self._closed_until)

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
        self,
        failure_class: FailureClass,
        retry_after: float | None,
        in_flight: int,
        now: float,
        reason: str = "",
    ) -> None:
        """A call failed; `in_flight` counts it still. `reason`: in a sentence without prompts."""
        row = FAILURE_TABLE[failure_class]
        if row.about_job:
            self.on_answer()
            return
        if row.next is not Next.PARK_LANE and not row.slows(retry_after):
            return
        if self.hold(now) is None:
            self._since = now
        if row.next is Next.PARK_LANE:
            self._park(failure_class, retry_after, now)
        else:
            self._slow(retry_after, in_flight, now)
        self._reason, self._refused_at = reason or reason_of_class(failure_class), now

    def ask_again(self, reason: str, since: float, now: float) -> None:
        """Let one call at a time through until one is answered: the refusal may be over."""
        self._reason, self._since, self._refused_at = reason, since, now
        self._closed_until, self._asked_until = now, inf

    def reopen(self) -> None:
        """Forget every refusal of the provider, at an operator's command."""
        self._closed_until = self._asked_until = 0.0
        self._ceiling = self._parked = None
        self._refusals = self._probes = 0

    def unpark(self) -> None:
        """What parked it has passed, as another lane of the account found."""
        self._closed_until = self._asked_until = 0.0
        self._parked, self._probes = None, 0

    def _park(self, failure_class: FailureClass, retry_after: float | None, now: float) -> None:
        # Calls that were in flight when the lane was parked say nothing new.
        if self._parked is not None and now < self._closed_until:
            return
        self._parked = failure_class
        self._probes += 1
        wait = doubling(self._probes, initial=_FIRST_PROBE, longest=LONGEST_PROBE)
        self._asked_until = now + max(wait, retry_after or 0.0)
        self._closed_until = now + max(wait, min(retry_after or 0.0, LONGEST_PROBE))

    def _slow(self, retry_after: float | None, in_flight: int, now: float) -> None:
        wait = retry_after or 0.0
        if now >= self._closed_until:
            # Calls refused in one wave slow the lane down once, not once each.
            self._refusals += 1
            self._ceiling = max(1.0, min(in_flight / 2, _SLOW_START))
            first = _FIRST_PAUSE if retry_after is None else _LEAST_PAUSE
            wait = max(wait, doubling(self._refusals, initial=first, longest=_LONGEST_PAUSE))
            # A probe's answer is newer than an earlier Retry-After.
            self._asked_until = 0.0
        self._asked_until = max(self._asked_until, self._closed_until, now + wait)
        self._closed_until = min(self._asked_until, now + LONGEST_PROBE)
