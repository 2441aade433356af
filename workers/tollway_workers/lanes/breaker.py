"""A lane's circuit breaker: it stops calls to a lane that fails, and brings it back by degrees.

Closed: every call counts, in a rolling window. It opens on a ratio of failed or of slow calls, or,
where there are few, on failures in a row. Open: nothing starts for a pause that grows with each
probe that fails. Half-open: few probes at a time. Ramping: a growing part of the calls in flight
that were usual before. What counts as a failure is decided by the caller: a 429 does not, nor does
an answer that breaks a schema, nor a job that fails wherever it is called.
"""

from collections import Counter, deque
from dataclasses import dataclass, field
from enum import StrEnum
from math import ceil, inf
from random import Random

from tollway_schemas.failure import FailureClass
from tollway_workers.config.shape.breaker import BreakerSettings
from tollway_workers.job.backoff import doubling
from tollway_workers.lanes.lane_wait import Hold
from tollway_workers.lanes.state import LaneState

#: Parts of the window; the oldest is forgotten as a whole.
_BUCKETS = 10
#: Part of a pause by which it is longer or shorter, so that workers do not probe at once.
_JITTER = 0.2
#: Parts of the usual calls in flight that a lane comes back with, in their order.
_RAMP = (0.1, 0.25, 0.5)
#: Failed probes beyond as many as were answered that say nothing yet: where a third of all calls
#: fail throughout, two of five recoveries would end at the first one, for twice as long.
_FLUKES = 1
#: Seconds without a probe in which suspects leave the next to others, and others a part of that.
_OTHERS_FIRST = 2.0
#: Seconds without an answer after which few failures in a row say enough.
_SILENT_FOR = 3.0
#: Failures in a row say something of the lane where they are of so many jobs.
_LEAST_JOBS = 2


class BreakerState(StrEnum):
    """What a breaker does at the moment."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half-open"
    RAMPING = "ramping"


@dataclass(slots=True)
class _Bucket:
    """Calls that ended within a part of the window, or became slow."""

    begins: float
    calls: int = 0
    slow: int = 0
    failures: Counter[FailureClass] = field(default_factory=Counter)


@dataclass(slots=True, eq=False)
class BreakerCall:
    """One call, from when it started: what it says of the lane, it says once."""

    #: Monotonic seconds.
    started: float
    probe: bool
    slow: bool = False
    ended: bool = False


class Breaker:
    """Decides how many calls of a lane may be in flight. Times are monotonic seconds.

    State: the window's buckets, failures in a row and their jobs, `_valid_from` (calls that started
    before it say nothing), `_state` and since when it is so, how often in a row it opened, probes
    in flight, when the last one ended and what they brought, the calls in flight and the most there
    were (what is usual), since when it is not closed, the last answer, how often it opened and
    nobody was told, and `reason`, why it opened last.
    """

    def __init__(self, settings: BreakerSettings, rng: Random) -> None:
        self._settings = settings
        self._rng = rng
        self._buckets: deque[_Bucket] = deque()
        self._row: set[str] = set()
        self._in_row = 0
        self._state = BreakerState.CLOSED
        self._since = self._valid_from = -inf
        self._until = 0.0
        self._opened = 0
        self._broke_at = self._answered_at = self._probed_at = -inf
        self._probing = self._answered = self._failed = 0
        self._in_flight = 0
        self._usual = 0.0
        self._untold = 0
        self.reason = ""

    def take_opened(self) -> int:
        """How often it opened since this was asked last."""
        opened, self._untold = self._untold, 0
        return opened

    def state(self, now: float) -> BreakerState:
        """The state at this moment: a pause and a step of the ramp end by themselves."""
        if self._state is BreakerState.OPEN and now >= self._until:
            self._state, self._since = BreakerState.HALF_OPEN, now
            self._probing = self._answered = self._failed = 0
        elif self._state is BreakerState.RAMPING and self._share(now) >= 1.0:
            self._state, self._since = BreakerState.CLOSED, now
        return self._state

    def wait(self, now: float) -> float | None:
        """Seconds until a call may start: 0 at once, None once one in flight has ended."""
        match self.state(now):
            case BreakerState.CLOSED:
                return 0.0
            case BreakerState.OPEN:
                return self._until - now
            case BreakerState.HALF_OPEN:
                return 0.0 if self._probing < self._settings.probes else None
            case BreakerState.RAMPING:
                if self._in_flight < self.most_calls(now):
                    return 0.0
                return self._next_step(now) - now

    def most_calls(self, now: float) -> float:
        """Calls that may be in flight while it is ramping; at least one."""
        return max(1.0, ceil(self._share(now) * self._usual))

    def others_first(self, now: float, patience: float = 1.0) -> float:
        """Seconds for which a job that may itself be at fault leaves the probes to others, as long
        as others come; `patience`: the part of the time that it does.
        """
        if self.state(now) is not BreakerState.HALF_OPEN:
            return 0.0
        return max(0.0, max(self._since, self._probed_at) + patience * _OTHERS_FIRST - now)

    def hold(self, now: float) -> Hold | None:
        """Why it lets nothing or little through; None while it is closed."""
        match state := self.state(now):
            case BreakerState.CLOSED:
                return None
            case BreakerState.RAMPING:
                word, next_try = LaneState.PROBING, self._next_step(now)
            case _:
                broken = state is BreakerState.OPEN
                word, next_try = (LaneState.BROKEN if broken else LaneState.PROBING), self._until
        return Hold(reason=self.reason, since=self._broke_at, next_try=next_try, state=word)

    def start(self, now: float) -> BreakerCall:
        """A call starts: `wait` has just said that it may."""
        probe = self.state(now) is BreakerState.HALF_OPEN
        self._probing += probe
        self._in_flight += 1
        if self._state is BreakerState.CLOSED:
            self._usual = max(self._usual * 0.999, float(self._in_flight))
        return BreakerCall(now, probe)

    def slow(self, call: BreakerCall, now: float) -> None:
        """A call has no first token yet, and should have."""
        if call.slow or call.ended or not self._speaks(call):
            return
        call.slow = True
        bucket = self._bucket(now)
        bucket.calls += 1
        bucket.slow += 1
        self._judge(now)

    def answered(self, call: BreakerCall, now: float) -> None:
        """A call brought an answer, whatever that is worth."""
        if not self._end(call, now) or call.started < self._valid_from:
            return
        if not call.slow:
            self._bucket(now).calls += 1
        self._in_row = 0
        self._row.clear()
        self._answered_at = now
        if call.probe and self.state(now) is BreakerState.HALF_OPEN:
            self._answered += 1
            if self._answered >= self._settings.answers:
                self._begin_ramp(now)

    def failed(
        self,
        call: BreakerCall,
        failure_class: FailureClass,
        job_id: str,
        now: float,
        retry_after: float | None = None,
    ) -> None:
        """A call failed by the lane's fault. `retry_after`: what the provider asks for, seconds."""
        if not self._end(call, now) or not self._speaks(call):
            return
        bucket = self._bucket(now)
        if not call.slow:
            bucket.calls += 1
        bucket.failures[failure_class] += 1
        self._in_row += 1
        if len(self._row) < _LEAST_JOBS:
            self._row.add(job_id)
        state = self.state(now)
        if state is BreakerState.HALF_OPEN and call.probe:
            self._failed += 1
            if self._failed > self._answered + _FLUKES:
                self._open(now, self._words(failure_class), retry_after)
        else:
            self._judge(now, retry_after)

    def ignored(self, call: BreakerCall, now: float) -> None:
        """A call ended in a way that says nothing of the lane, or was never sent."""
        self._end(call, now)

    def force_open(self, seconds: float, now: float) -> None:
        """An operator breaks the lane for so long, whatever its calls say."""
        self._open(now, "an operator broke it", None)
        self._until = now + seconds

    def close(self, now: float) -> None:
        """An operator lets the lane go on, whatever its calls said."""
        self._reset(now)
        self._state, self._since, self._opened = BreakerState.CLOSED, now, 0

    def _end(self, call: BreakerCall, now: float) -> bool:
        if call.ended:
            return False
        call.ended = True
        self._in_flight -= 1
        if call.probe and call.started >= self._since:
            self._probing -= 1
            self._probed_at = now
        return True

    def _speaks(self, call: BreakerCall) -> bool:
        """Whether a call started since the breaker last opened or closed: older ones say nothing
        that is not known.
        """
        return call.started >= self._valid_from

    def _judge(self, now: float, retry_after: float | None = None) -> None:
        """Open, where what the window holds is enough."""
        if self.state(now) not in (BreakerState.CLOSED, BreakerState.RAMPING):
            return
        given = self._settings
        calls = sum(bucket.calls for bucket in self._buckets)
        slow = sum(bucket.slow for bucket in self._buckets)
        failures = sum((bucket.failures for bucket in self._buckets), Counter[FailureClass]())
        failed = failures.total()
        if calls >= given.min_calls and failed >= given.failure_ratio * calls:
            most = failures.most_common(1)[0][0].value.replace("_", " ")
            words = f"{failed} of {calls} calls failed in {given.window:g} s, mostly {most}"
            self._open(now, words, retry_after)
        elif calls >= given.min_calls and slow >= given.slow_ratio * calls:
            self._open(now, f"{slow} of {calls} calls were slow in {given.window:g} s", retry_after)
        elif self._fail_in_row(calls, now):
            self._open(now, f"{self._in_row} calls in a row failed", retry_after)

    def _fail_in_row(self, calls: int, now: float) -> bool:
        """Whether what failed in a row says enough: five failures where calls are few or none was
        answered for a while, else as many as a ratio needs. A window full of good calls would hide
        an outage for half of its length, and longer where the gate has calls slowed down.
        """
        given = self._settings
        if self._in_row < given.failures_in_row or len(self._row) < _LEAST_JOBS:
            return False
        return (
            calls < given.min_calls
            or self._in_row >= given.min_calls
            or now - self._answered_at >= _SILENT_FOR
        )

    def _words(self, failure_class: FailureClass) -> str:
        return f"a probe failed: {failure_class.value.replace('_', ' ')}"

    def _open(self, now: float, reason: str, retry_after: float | None) -> None:
        given = self._settings
        if self._state in (BreakerState.CLOSED, BreakerState.RAMPING):
            self._broke_at = now
        match self._state:
            case BreakerState.CLOSED:
                self._opened = 1
            case BreakerState.RAMPING:
                # It was there for a moment: no pause longer than the last.
                self._opened = max(self._opened, 1)
            case _:
                self._opened += 1
        self._untold += 1
        pause = doubling(self._opened, initial=given.pause, longest=given.longest_pause)
        pause *= 1.0 + self._rng.uniform(-_JITTER, _JITTER)
        asked = min(retry_after or 0.0, given.longest_pause)
        self._reset(now)
        self._state, self._since, self._until = BreakerState.OPEN, now, now + max(pause, asked)
        self.reason = reason

    def _begin_ramp(self, now: float) -> None:
        self._reset(now)
        self._state, self._since = BreakerState.RAMPING, now

    def _reset(self, now: float) -> None:
        """What was before says nothing of what comes."""
        self._valid_from = now
        self._buckets.clear()
        self._row.clear()
        self._in_row = 0

    def _share(self, now: float) -> float:
        step = self._settings.ramp
        at = int((now - self._since) / step) if step else len(_RAMP)
        return _RAMP[at] if at < len(_RAMP) else 1.0

    def _next_step(self, now: float) -> float:
        step = self._settings.ramp
        return self._since + (int((now - self._since) / step) + 1) * step

    def _bucket(self, now: float) -> _Bucket:
        width = self._settings.window / _BUCKETS
        while self._buckets and self._buckets[0].begins <= now - self._settings.window:
            self._buckets.popleft()
        if not self._buckets or now >= self._buckets[-1].begins + width:
            self._buckets.append(_Bucket(now))
        return self._buckets[-1]

    def __repr__(self) -> str:
        calls = sum(bucket.calls for bucket in self._buckets)
        return f"<Breaker [{self._state} | {calls} calls in the window | {self._in_flight} now]>"
