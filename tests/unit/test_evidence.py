"""A job at fault ends soon; a sick lane ends none: simulated with the real rule."""

import heapq
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random

import pytest

from tollway_schemas.history import LaneTally
from tollway_workers.lanes.evidence import LaneEvidence, doubt_after, is_poison

_ATTEMPTS = 4
#: Seconds at most before the calls after the first, then what a retry tier takes.
_WAITS = (0.5, 1.0, 2.0)
_TIER = 15.0


@dataclass
class Life:
    """What became of the jobs of one lane, and how often poison was called."""

    good_ended: int = 0
    answered: int = 0
    waiting: int = 0
    poison_calls: list[int] = field(default_factory=list)


@dataclass
class _Job:
    poison: bool
    failures: int = 0
    doubt: float = 1.0
    seen: LaneTally | None = None


def live(
    *,
    rate: float,
    fails: Callable[[float], float],
    poison: float,
    seconds: float,
    seed: int,
) -> Life:
    """Jobs come at `rate` a second for `seconds`; a call fails with `fails(t)`, poison's always."""
    dice, evidence, life = Random(seed), LaneEvidence("main"), Life()
    events: list[tuple[float, int, _Job]] = []
    now = 0.0
    while now < seconds:
        now += dice.expovariate(rate)
        job = _Job(dice.random() < poison)
        heapq.heappush(events, (now + dice.uniform(0.3, 3.0), len(events), job))
    while events:
        now, number, job = heapq.heappop(events)
        if now > 4 * seconds + 600.0:
            life.waiting += 1
        elif not (job.poison or dice.random() < fails(now)):
            evidence.answered()
            life.answered += 1
        else:
            seen = evidence.failed()
            job.failures += 1
            job.doubt = doubt_after(job.doubt, job.seen, seen, lane_down=False)
            job.seen = seen
            if job.failures < _ATTEMPTS or not is_poison(job.doubt, job.failures):
                few = job.failures < _ATTEMPTS
                wait = dice.random() * _WAITS[job.failures - 1] if few else _TIER
                heapq.heappush(events, (now + wait + dice.uniform(0.3, 3.0), number, job))
            elif job.poison:
                life.poison_calls.append(job.failures)
            else:
                life.good_ended += 1
    return life


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
    assert life.waiting == 0
    assert max(life.poison_calls, default=0) <= 40
    if trouble.startswith("healthy"):
        assert max(life.poison_calls, default=0) <= 15


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
