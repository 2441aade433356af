"""A job at fault ends soon; a sick lane ends none: simulated with the real rule."""

import heapq
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count
from random import Random
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tollway_schemas.failure import FailureClass
from tollway_schemas.history import LaneTally
from tollway_workers.config.shape.breaker import BreakerSettings
from tollway_workers.lanes.breaker import Breaker, BreakerCall, BreakerState
from tollway_workers.lanes.evidence import (
    LaneEvidence,
    accuse,
    doubt_after,
    is_poison,
    is_suspect,
    patience,
    rest_after,
)

_ATTEMPTS = 4
#: Seconds at most before the calls after the first.
_WAITS = (0.5, 1.0, 2.0)


@dataclass
class Life:
    """What became of the jobs of one lane, and how often poison was called."""

    good_ended: int = 0
    answered: int = 0
    waiting: int = 0
    good_waiting: int = 0
    poison_calls: list[int] = field(default_factory=list)


@dataclass(eq=False)
class _Job:
    """What evidence looks at of a job."""

    name: str
    poison: bool
    doubt: float = 1.0
    lane_failures: int = 0
    tally: LaneTally | None = None


class _Lane:
    """A lane with the real rule and the real breaker; state besides: what is to happen, by time."""

    def __init__(self, fails: Callable[[float], float], seed: int) -> None:
        self.life = Life()
        self._fails, self._dice = fails, Random(seed)
        self._evidence = LaneEvidence("main")
        self._breaker = Breaker(BreakerSettings(), Random(seed))
        self._events: list[tuple[float, int, _Job, BreakerCall | None]] = []
        self._count = count()

    def come(self, job: _Job, at: float, call: BreakerCall | None = None) -> None:
        heapq.heappush(self._events, (at, next(self._count), job, call))

    def live(self, until: float) -> Life:
        while self._events:
            now, _, job, call = heapq.heappop(self._events)
            if now > until:
                self.life.waiting += 1
                self.life.good_waiting += not job.poison
            elif call is None:
                self._start(job, now)
            else:
                self._end(job, call, now)
        return self.life

    def _start(self, job: _Job, now: float) -> None:
        wait = self._breaker.wait(now)
        if wait == 0.0 and (left_to := patience(cast("Any", job))):
            wait = self._breaker.others_first(now, left_to)
        if wait == 0.0:
            call = self._breaker.start(now)
            self.come(job, now + self._dice.uniform(0.3, 3.0), call)
        else:
            self.come(job, now + (wait or 0.5))

    def _end(self, job: _Job, call: BreakerCall, now: float) -> None:
        if not (job.poison or self._dice.random() < self._fails(now)):
            self._evidence.answered()
            self._breaker.answered(call, now)
            self.life.answered += 1
            return
        down = self._breaker.state(now) in (BreakerState.OPEN, BreakerState.HALF_OPEN)
        accuse(cast("Any", job), self._evidence.failed(), lane_down=down)
        if is_suspect(cast("Any", job)):
            self._breaker.ignored(call, now)
        else:
            self._breaker.failed(call, FailureClass.TRANSIENT, job.name, now)
        if job.lane_failures < _ATTEMPTS:
            self.come(job, now + self._dice.random() * _WAITS[job.lane_failures - 1])
        elif not is_poison(job.doubt, job.lane_failures):
            self.come(job, now + rest_after(job.lane_failures, _ATTEMPTS))
        elif job.poison:
            self.life.poison_calls.append(job.lane_failures)
        else:
            self.life.good_ended += 1


def live(
    *, rate: float, fails: Callable[[float], float], poison: float, seconds: float, seed: int
) -> Life:
    """Jobs come at `rate` a second for `seconds`; a call fails with `fails(t)`, poison's always."""
    lane, dice, now = _Lane(fails, seed), Random(seed), 0.0
    while now < seconds:
        now += dice.expovariate(rate)
        lane.come(_Job(f"job-{now}", dice.random() < poison), now)
    return lane.live(100_000.0)


def tally(calls: int, failures: int, source: str = "main") -> LaneTally:
    return LaneTally(source=source, calls=calls, failures=failures)


def outage(begin: float, end: float, during: float = 1.0) -> Callable[[float], float]:
    return lambda now: during if begin < now < end else 0.0


TROUBLES = {
    "healthy": (20.0, lambda now: 0.01, 0.01, 100.0),
    "healthy, few jobs": (0.2, lambda now: 0.01, 0.05, 300.0),
    "a few jobs at once": (40.0, lambda now: 0.0, 0.1, 0.5),
    "30 % fail": (20.0, lambda now: 0.3, 0.005, 100.0),
    "50 % fail": (20.0, lambda now: 0.5, 0.005, 100.0),
    "half of them for a while": (20.0, outage(30.0, 70.0, 0.5), 0.005, 100.0),
    "an outage": (20.0, outage(30.0, 70.0), 0.005, 100.0),
    "an outage, few jobs": (0.5, outage(100.0, 160.0), 0.02, 300.0),
    "an outage at the end": (20.0, outage(98.0, 200.0), 0.005, 100.0),
    "flapping": (20.0, lambda now: 1.0 if now % 6 < 2 else 0.0, 0.005, 100.0),
}


@pytest.mark.parametrize("trouble", TROUBLES)
@pytest.mark.parametrize("seed", [1, 2])
def test_no_good_job_ends_and_poison_does_within_fifteen_calls(trouble: str, seed: int) -> None:
    rate, fails, poison, seconds = TROUBLES[trouble]

    life = live(rate=rate, fails=fails, poison=poison, seconds=seconds, seed=seed)

    assert life.good_ended == 0
    assert life.good_waiting == 0
    assert max(life.poison_calls, default=0) <= 15
    # One that nobody was called after speaks for nothing: its deadline ends it.
    assert life.waiting <= (2 if "few jobs" in trouble else 0)


def test_a_failure_among_answers_makes_a_job_a_suspect() -> None:
    doubt = doubt_after(1.0, tally(10, 1), tally(13, 2), lane_down=False)

    assert doubt == pytest.approx(1 / 4)


@pytest.mark.parametrize("before", [None, tally(10, 1)])
def test_nothing_is_learned_at_a_first_failure_or_on_a_lane_that_is_down(
    before: LaneTally | None,
) -> None:
    assert doubt_after(0.7, before, tally(30, 2), lane_down=before is not None) == 0.7


def test_where_all_others_failed_too_the_lane_is_at_fault() -> None:
    assert doubt_after(1.0, tally(0, 0), tally(6, 6), lane_down=False) == 1.0


@given(
    st.floats(0.0, 1.0),
    *(st.integers(0, 2**53 - 1) for _ in range(4)),
)
def test_whatever_tally_came_with_a_job_its_doubt_is_no_more_than_it_was(
    doubt: float, calls: int, failures: int, before_calls: int, before_failures: int
) -> None:
    """It stands in a header, and is believed where only the fleet should write."""
    after = doubt_after(
        doubt, tally(before_calls, before_failures), tally(calls, failures), lane_down=False
    )

    assert 0.0 <= after <= doubt
