"""The degradation ladder: which rung a job goes to, and that it never goes round in circles."""

from collections.abc import Callable
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from samples import NOW, job, progress

from tollway_schemas.failure import Failure, FailureClass
from tollway_schemas.job import Priority, Visit
from tollway_schemas.provenance import Provenance
from tollway_workers.config.shape.route import RouteSettings
from tollway_workers.job.outcome import DeadLettered, Forwarded, RetryLater, StandIn
from tollway_workers.job.progress import MOST_HOPS, JobProgress
from tollway_workers.lanes.ladder import (
    Capacity,
    at_last,
    attempts_here,
    given_up,
    lanes_to_go,
    may_leave,
    rung_below,
    untried,
)

_AT = datetime.fromtimestamp(NOW, UTC)
_LETTER = DeadLettered(Failure(failure_class=FailureClass.CONTEXT_LENGTH, message="too long"))


def waiting(
    *lanes: str, been: tuple[str, ...] = (), here: str = "", hops: int | None = None, **fields: Any
) -> JobProgress:
    """A job on lane `here`, the first if not named, that was on the lanes `been` before."""
    route = {name: fields.pop(name) for name in RouteSettings.model_fields if name in fields}
    visits = tuple(Visit(lane=lane, at=_AT) for lane in been)
    about = job(visits=visits, hops=len(been) if hops is None else hops, **fields)
    subject = progress(about, route=RouteSettings.model_validate({"lanes": lanes, **route}))
    subject.lane = here or lanes[0]
    return subject


def interactive(*lanes: str, **fields: Any) -> JobProgress:
    return waiting(*lanes, priority=Priority.INTERACTIVE, **fields)


def spare(**by_lane: Capacity) -> Callable[[str], Capacity]:
    return lambda lane: by_lane.get(lane, Capacity.NONE)


def test_interactive_jobs_leave_a_lane_that_is_down_and_bulk_jobs_do_not() -> None:
    assert may_leave(interactive("a", "b"), down=True, turn=NOW)
    assert not may_leave(interactive("a", "b"), down=False, turn=NOW + 10**6)
    assert not may_leave(waiting("a", "b"), down=True, turn=NOW)


def test_bulk_jobs_leave_once_their_deadline_would_pass_in_line() -> None:
    subject = waiting("a", "b", seconds=100)

    assert not may_leave(subject, down=True, turn=NOW + 99)
    assert may_leave(subject, down=False, turn=NOW + 101)


@pytest.mark.parametrize(
    ("fallback", "leaves"), [("eager", (True, False)), ("late", (False, True)), ("never", ())]
)
def test_a_route_says_when_its_jobs_leave(fallback: str, leaves: tuple[bool, ...]) -> None:
    for subject in (waiting("a", "b", fallback=fallback), interactive("a", "b", fallback=fallback)):
        down = may_leave(subject, down=True, turn=NOW)
        late = may_leave(subject, down=False, turn=NOW + 10**6)

        assert (down, late) == (leaves or (False, False))


def test_the_next_lane_is_the_first_with_room() -> None:
    subject = interactive("a", "b", "c")

    both = rung_below(subject, spare(b=Capacity.FREE, c=Capacity.FREE), NOW)
    third = rung_below(subject, spare(c=Capacity.FREE), NOW)
    beside = rung_below(subject, spare(b=Capacity.SOON, c=Capacity.FREE), NOW)

    assert (both, third, beside) == (
        Forwarded("b", "fallback"),
        Forwarded("c", "fallback"),
        Forwarded("c", "fallback"),
    )


def test_a_job_waits_for_the_free_rate_of_the_next_lane_before_its_rule_is_asked() -> None:
    subject = interactive("a", "b", rule="shop:answer")

    assert rung_below(subject, spare(b=Capacity.SOON), NOW) is None
    assert rung_below(subject, spare(), NOW) == StandIn(RetryLater(0.0, behind=True))


def test_without_another_rung_a_job_waits_as_lag() -> None:
    asked = interactive("a", "b", rule="shop:answer")
    asked.rule_asked = True

    assert rung_below(interactive("a", "b"), spare(), NOW) is None
    assert rung_below(asked, spare(), NOW) is None


def test_a_job_that_leaves_late_asks_its_rule_when_its_time_is_nearly_up() -> None:
    subject = waiting("a", "b", seconds=100, rule="shop:answer", rule_timeout=5)

    assert rung_below(subject, spare(), NOW + 50) is None
    assert isinstance(rung_below(subject, spare(), NOW + 94), StandIn)


def test_a_job_returns_to_a_lane_once_and_then_leaves_for_no_lane_that_it_knows() -> None:
    assert lanes_to_go(waiting("a", "b", been=("a",), here="b")) == ["a"]
    assert lanes_to_go(waiting("a", "b", been=("a", "b"), here="a")) == []
    assert lanes_to_go(waiting("a", "b", "c", been=("a",), here="b")) == ["c", "a"]
    assert lanes_to_go(waiting("a", "b", "c", been=("a", "b"), here="a")) == ["c"]
    assert lanes_to_go(waiting("a", "b", "c", been=("a", "b", "a"), here="c")) == []


def test_where_no_hop_is_left_the_next_rung_is_taken() -> None:
    subject = interactive("a", "b", hops=MOST_HOPS, rule="shop:answer")

    assert isinstance(rung_below(subject, spare(b=Capacity.FREE), NOW), StandIn)
    assert given_up(interactive("a", "b", hops=MOST_HOPS), _LETTER) is _LETTER


@pytest.mark.parametrize("whose", ["accept", "job's own"])
def test_a_job_does_not_leave_for_a_lane_whose_answers_it_does_not_take(whose: str) -> None:
    live = (Provenance.LIVE,)
    said = {"accept": live} if whose == "accept" else {}
    subject = interactive("a", "b", **said)
    if not said:
        subject = interactive("a", "b")
        subject.job = subject.job.model_copy(update={"accept": live})

    assert rung_below(subject, spare(b=Capacity.FREE), NOW) is None
    assert given_up(subject, _LETTER) is _LETTER
    assert attempts_here(subject) == 4


def test_a_failure_that_another_lane_would_not_repeat_goes_to_each_other_lane_once() -> None:
    first = given_up(waiting("a", "b", "c"), _LETTER)
    second = given_up(waiting("a", "b", "c", been=("a",), here="b"), _LETTER)
    last = given_up(waiting("a", "b", "c", been=("a", "b"), here="c"), _LETTER)

    assert first == Forwarded("b", "context_length")
    assert second == Forwarded("c", "context_length")
    assert last is _LETTER


def test_with_no_lane_left_the_rule_is_asked_before_a_job_is_given_up() -> None:
    subject = waiting("a", rule="shop:answer")
    asked = waiting("a", rule="shop:answer")
    asked.rule_asked = True

    assert given_up(subject, _LETTER) == StandIn(_LETTER)
    assert at_last(subject, _LETTER) == StandIn(_LETTER)
    assert at_last(asked, _LETTER) is _LETTER


def test_one_charged_attempt_is_kept_for_each_lane_that_is_ahead() -> None:
    retry = {"max_attempts": 2}

    assert attempts_here(waiting("a")) == 4
    assert attempts_here(waiting("a", "b", "c")) == 2
    assert attempts_here(waiting("a", "b", "c", been=("a",), here="b")) == 3
    assert attempts_here(waiting("a", "b", "c", retry=retry)) == 1


_ACCEPTS = st.none() | st.sets(st.sampled_from(Provenance), min_size=1).map(tuple)
_STEPS = st.tuples(
    st.booleans(), st.booleans(), st.tuples(*[st.sampled_from(Capacity)] * len("abcd"))
)


class Travel:
    """A job on its way through the lanes of a route, and the rungs that it came to."""

    def __init__(self, subject: JobProgress) -> None:
        self.job = subject
        self.been = [subject.lane]
        self.asked = 0
        self.ended = False

    def meet(self, *, fails: bool, down: bool, spare: tuple[Capacity, ...]) -> None:
        """The job's call fails, or it waits for a lane that is down perhaps."""
        step: object = None
        if fails:
            step = given_up(self.job, _LETTER)
        elif may_leave(self.job, down=down, turn=NOW):
            step = rung_below(self.job, lambda lane: spare["abcd".index(lane)], NOW)
        match step:
            case Forwarded(lane):
                self._go(lane)
            case StandIn():
                self.asked += 1
                self.job.rule_asked = True
            case DeadLettered():
                assert untried(self.job) == []
                self.ended = True
            case _:
                assert not fails

    def _go(self, lane: str) -> None:
        about = self.job.job
        visits = (*about.visits, Visit(lane=self.job.lane, at=_AT))
        self.job.job = about.model_copy(update={"visits": visits, "hops": about.hops + 1})
        self.job.lane = lane
        self.been.append(lane)


@given(
    st.integers(1, 4),
    st.sampled_from(["auto", "eager", "late", "never"]),
    st.sampled_from(Priority),
    st.tuples(_ACCEPTS, _ACCEPTS),
    st.booleans(),
    st.lists(_STEPS, max_size=20),
)
def test_whatever_happens_a_job_goes_down_by_rungs_that_it_takes_and_never_in_circles(
    count: int,
    fallback: str,
    priority: Priority,
    accepts: tuple[tuple[Provenance, ...] | None, tuple[Provenance, ...] | None],
    has_rule: bool,
    history: list[tuple[bool, bool, tuple[Capacity, ...]]],
) -> None:
    rule = "m:f" if has_rule else None
    subject = waiting(*"abcd"[:count], priority=priority, fallback=fallback, rule=rule)
    subject.route = subject.route.model_copy(update={"accept": accepts[0]})
    subject.job = subject.job.model_copy(update={"accept": accepts[1]})
    takes = set(accepts[0] or Provenance) & set(accepts[1] or Provenance)

    travel = Travel(subject)
    for fails, down, spare in history:
        if not travel.ended:
            travel.meet(fails=fails, down=down, spare=spare)

    been = travel.been
    assert len(been) - 1 <= count
    assert all(been.count(lane) <= 2 for lane in been)
    assert sum(been.count(lane) == 2 for lane in set(been)) <= 1
    assert all(here != there for here, there in pairwise(been))
    assert Provenance.FALLBACK in takes or not set(been) & set("bcd")
    assert travel.asked <= (has_rule and Provenance.RULE in takes)
