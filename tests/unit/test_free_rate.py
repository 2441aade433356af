"""The free rate of a lane, by workers' heartbeats, and that nobody spends more of it."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from samples import NOW

from tollway_schemas.heartbeat import MOST_COUNT, MOST_UNITS, Heartbeat, LaneBeat, LimitUse
from tollway_workers.job.envelopes import instant
from tollway_workers.lanes.free_rate import Allowance, FreeRate, Sent, free_rate, sharers_of
from tollway_workers.limits.call_cost import Cost


def use(name: str = "requests_per_minute", most: float = 600, used: float = 0) -> LimitUse:
    period = {"requests_per_minute": 60.0, "tokens_per_minute": 60.0, "requests_per_day": 86400.0}
    return LimitUse(name=name, most=most, used=used, period=period.get(name))


def lane(*limits: LimitUse, **fields: Any) -> LaneBeat:
    given_ = {"lane": "b", "group": "b", "state": "open", "limits": limits or (use(),), **fields}
    return LaneBeat(**given_)


def beat(*lanes: LaneBeat, worker: str = "one", **fields: Any) -> Heartbeat:
    shards = {each.group: 1 for each in lanes}
    return Heartbeat(
        **{
            "worker": worker,
            "started_at": instant(NOW),
            "release": "1",
            "shards": shards,
            "lanes": lanes,
            **fields,
        }
    )


_JOB = Cost()


def rate(*beats: Heartbeat, cost: Cost = _JOB, sent: Sent | None = None, sharers: int = 1) -> float:
    """Jobs a second; 0 where there is no free rate."""
    found = free_rate("b", beats, cost, sent or Sent(), sharers, 100.0)
    return 0.0 if found is None else 1.0 / found.seconds(cost)


def test_what_is_left_of_a_minute_is_free_over_a_minute() -> None:
    assert rate(beat(lane(use(used=300)))) == pytest.approx(5.0)


def test_the_limit_with_the_least_left_counts_in_what_a_job_costs() -> None:
    limits = (use(), use("tokens_per_minute", most=60_000, used=30_000))

    assert rate(beat(lane(*limits)), cost=Cost(1.0, 1000.0)) == pytest.approx(0.5)


def test_the_parts_of_all_workers_that_serve_it_count_together() -> None:
    assert rate(beat(lane()), beat(lane(), worker="two")) == pytest.approx(20.0)


def test_a_lane_that_nobody_serves_has_no_free_rate() -> None:
    assert rate() == 0.0
    assert rate(beat(lane(), shards={})) == 0.0


@pytest.mark.parametrize("state", ["broken", "parked", "paused", "probing"])
def test_a_lane_that_lets_nothing_through_has_none(state: str) -> None:
    held = {"state": state, "outstanding": 1, "reason": "no", "next_try": instant(NOW + 9)}

    assert rate(beat(lane(**held))) == 0.0


@pytest.mark.parametrize("state", ["parked", "probing"])
def test_a_lane_that_could_be_tried_and_has_no_job_is_tried_now_and_then(state: str) -> None:
    assert rate(beat(lane(state=state, reason="no"))) == pytest.approx(0.5)
    assert rate(beat(lane(state=state, reason="no", next_try=instant(NOW)))) == 0.0


def test_a_lane_with_more_than_ten_seconds_of_work_has_none() -> None:
    assert rate(beat(lane(outstanding=100))) > 0.0
    assert rate(beat(lane(outstanding=101))) == 0.0


def test_what_waits_there_is_spoken_for() -> None:
    assert rate(beat(lane(outstanding=90, in_flight=30))) == pytest.approx(9.0)


def test_free_slots_count_where_no_rate_is_limited() -> None:
    slots = use("concurrency", most=16)
    busy = {"outstanding": 12, "in_flight": 12}

    assert rate(beat(lane(slots, **busy))) == pytest.approx(4.0)
    assert rate(beat(lane(slots, call_seconds=4.0, **busy))) == pytest.approx(1.0)
    assert rate(beat(lane(slots, call_seconds=20.0, **busy))) == 0.0


def test_what_is_left_of_a_day_may_be_used_at_any_time() -> None:
    assert rate(beat(lane(use("requests_per_day", most=1000, used=940)))) == pytest.approx(1.0)
    assert rate(beat(lane(use("requests_per_day", most=1000, used=1000)))) == 0.0


def test_it_is_divided_by_those_whose_own_lane_is_down() -> None:
    down = [beat(lane(lane="a", group="a", state=state), worker=state) for state in ("broken", "x")]

    assert sharers_of({"a"}, down, down=True) == 1
    assert sharers_of({"a"}, down, down=False) == 2
    assert sharers_of({"other"}, down, down=False) == 1
    assert rate(beat(lane()), sharers=4) == pytest.approx(2.5)


def test_who_sends_is_not_slowed_by_what_it_sent_itself() -> None:
    sent = Sent()
    for second in range(41, 101):
        for _ in range(8):
            sent.note(Cost(), float(second))

    # All of it is used, 480 by what we sent and 120 by others: we go on as before.
    assert rate(beat(lane(use(used=600))), sent=sent) == pytest.approx(8.0)
    assert rate(beat(lane(use(used=480))), sent=sent) == pytest.approx(10.0)


def test_what_was_sent_is_forgotten_after_a_minute() -> None:
    sent = Sent()
    sent.note(Cost(), 0.0)
    sent.note(Cost(), 59.0)

    assert sent.within(60.0, 59.0).requests == 2
    assert sent.within(60.0, 61.0).requests == 1
    assert sent.within(1.0, 61.0).requests == 0


def test_a_job_that_takes_longer_than_can_be_saved_goes_and_the_next_waits_for_it() -> None:
    subject, went = Allowance(), []
    for tick in range(100):
        subject.save(tick / 10)
        if subject.has(2.0):
            subject.spend(2.0)
            went.append(tick / 10)

    assert went == pytest.approx([1.0, 3.0, 5.0, 7.0, 9.0], abs=0.11)


@given(
    st.lists(
        st.tuples(st.floats(0.0, 3.0), st.integers(0, 300), st.floats(0.5, 200.0)), max_size=40
    )
)
def test_nobody_sends_faster_than_the_free_rate(looks: list[tuple[float, int, float]]) -> None:
    subject, now, spent = Allowance(), 0.0, 0.0
    subject.save(now)
    for passed, wanted, jobs_a_second in looks:
        now += passed
        subject.save(now)
        seconds = FreeRate(jobs_a_second).seconds(Cost())
        for _ in range(wanted):
            if not subject.has(seconds):
                break
            subject.spend(seconds)
            spent += seconds

        # Of the time that passed, and one job that takes longer than can be saved.
        assert spent <= now + max(1.0, seconds) + 1e-6


def test_at_most_a_second_of_it_is_saved_up() -> None:
    subject, went = Allowance(), 0
    for now in (0.0, 100.0):
        subject.save(now)
    while subject.has(0.125):
        subject.spend(0.125)
        went += 1

    assert went == 8


_AMOUNTS = st.sampled_from([0.0, 5e-324, 1e-9, 1.0, 60.0, MOST_UNITS])
_USES = st.builds(
    LimitUse,
    name=st.sampled_from(["concurrency", "requests_per_minute", "tokens_per_minute", "x"]),
    most=_AMOUNTS,
    used=_AMOUNTS,
    period=st.sampled_from([None, 5e-324, 60.0, 86_400.0]),
)
_LANES = st.builds(
    LaneBeat,
    lane=st.just("b"),
    group=st.just("b"),
    state=st.sampled_from(["open", "broken", "parked", "none that is known"]),
    outstanding=st.sampled_from([0, 1, MOST_COUNT]),
    in_flight=st.sampled_from([0, 1, MOST_COUNT]),
    call_seconds=st.none() | _AMOUNTS,
    limits=st.lists(_USES, max_size=4).map(tuple),
)


@given(st.lists(_LANES, max_size=4), st.sampled_from([0.0, 5e-324, 1.0, 1e300]))
def test_whatever_strangers_say_of_a_lane_its_free_rate_is_a_number(
    lanes: list[LaneBeat], tokens: float
) -> None:
    """Anybody may write heartbeats, and an exception here would end the worker."""
    beats, cost = (beat(*lanes),), Cost(1.0, tokens)

    found = free_rate("b", beats, cost, Sent(), sharers_of({"b"}, beats, down=True), 100.0)

    assert found is None or found.seconds(cost) >= 0.0
