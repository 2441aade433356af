"""Why a job waited, and when it would be its turn in the line for its lane."""

import pytest
from manual_clock import ManualClock
from samples import admission_of, lane

from tollway_workers.lanes.holds import Holds
from tollway_workers.lanes.lane_wait import Hold
from tollway_workers.lanes.line import Line, speed, usual
from tollway_workers.lanes.state import LaneState
from tollway_workers.limits.call_cost import Cost


def hold(reason: str = "no", *, since: float, state: LaneState = LaneState.BROKEN) -> Hold:
    return Hold(reason=reason, since=since, next_try=since + 60.0, state=state)


def test_a_job_waited_for_what_held_its_lane_up_meanwhile() -> None:
    subject = Holds()
    subject.look(hold(since=10.0), 10.5)
    during = subject.why(5.0, 20.0)
    subject.look(None, 30.0)

    assert during == "broken: no"
    assert subject.why(5.0, 40.0) == "broken: no"
    assert subject.why(30.0, 40.0) is None


def test_a_job_that_waited_less_than_a_second_for_it_did_not_wait() -> None:
    subject = Holds()
    subject.look(hold(since=10.0), 10.0)
    subject.look(None, 30.0)

    assert subject.why(29.5, 31.0) is None
    assert subject.why(28.5, 31.0) == "broken: no"


def test_the_usual_pause_after_a_rate_limit_is_none() -> None:
    subject = Holds()
    brief = Hold(reason="the rate", since=10.0, next_try=11.0)
    subject.look(brief, 10.5)

    assert subject.why(0.0, 12.0) is None


def test_of_several_reasons_the_longest_counts() -> None:
    subject = Holds()
    subject.look(hold("first", since=0.0), 0.0)
    subject.look(hold("second", since=0.0, state=LaneState.PARKED), 20.0)
    subject.look(None, 25.0)

    assert subject.why(0.0, 30.0) == "broken: first"
    assert subject.why(18.0, 30.0) == "parked: second"


def test_times_of_one_reason_count_together() -> None:
    subject = Holds()
    for began in (0.0, 10.0):
        subject.look(hold("often", since=began), began)
        subject.look(None, began + 4.0)
    subject.look(hold("once", since=20.0), 20.0)
    subject.look(None, 26.0)

    assert subject.why(0.0, 30.0) == "broken: often"


def test_bulk_jobs_wait_for_interactive_ones_too_and_for_what_is_not_read_yet() -> None:
    line = Line(speed=10.0, unread_interactive=20, unread_bulk=50)
    first = line.turn(interactive=True), line.turn(interactive=False)
    line.ahead += 30

    assert first == (2.0, 7.0)
    assert (line.turn(interactive=True), line.turn(interactive=False)) == (5.0, 10.0)
    assert line.longest(30) == 10.0


def test_a_lane_of_which_no_shard_is_here_says_nothing_of_a_turn() -> None:
    assert Line(speed=0.0, unread_interactive=1, unread_bulk=1).turn(interactive=False) == 0.0


def test_a_line_moves_as_fast_as_the_tightest_limit_lets_calls_of_that_cost() -> None:
    config = lane(requests_per_minute=600, tokens_per_minute=60_000, concurrency=4)
    quota = admission_of(config, ManualClock()).quota

    assert speed(quota, Cost(1.0, 10.0), 0.1) == pytest.approx(9.5)
    assert speed(quota, Cost(1.0, 1000.0), 0.1) == pytest.approx(0.95)
    assert speed(quota, Cost(1.0, 10.0), 8.0) == pytest.approx(0.5)
    assert usual([Cost(1.0, 10.0), Cost(1.0, 30.0)]).tokens == 20.0
