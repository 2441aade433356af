"""What a written schedule leaves of a limit: too little would excuse a fleet that wastes it."""

from itertools import pairwise
from typing import Literal

import contract_schedule as written
import pytest
from attainable import Gap, Protocol, Slice, attainable, gaps
from schedule import Act, Step

PROTOCOL = Protocol(session=6.0, lease=5.0, heartbeat=1.0, restart=1.0, start=3.0)
SLICE = Slice(full=3.0, waiting=1.0, binds_since=0.0)


def step(at: float, act: Act, worker: str, seconds: float = 0.0) -> Step:
    return Step(at=at, act=act, worker=worker, seconds=seconds)


def left(*steps: Step, workers: int = 4, slice_: Slice = SLICE) -> float:
    """Shard-seconds of 400 that are lost."""
    found = gaps(steps, [f"w{n}" for n in range(workers)], 4, PROTOCOL)
    return 400.0 - attainable(found, slice_, shards=4, begin=0.0, end=100.0)


def test_where_nothing_happens_all_of_it_can_be_used() -> None:
    assert left() == 0


def test_a_crash_costs_the_restart_the_start_a_lease_and_what_was_held() -> None:
    assert left(step(10, Act.KILL, "w0")) == 1 + 3 + 5 + 1


def test_a_crash_of_who_has_two_shards_costs_both_but_only_one_call_was_waited_for() -> None:
    assert left(step(10, Act.KILL, "w0"), workers=2) == 2 * 9 + 1


def test_a_process_that_starts_slowly_loses_its_shards_to_others_once_its_session_is_over() -> None:
    slow = Protocol(session=6.0, lease=5.0, heartbeat=1.0, restart=1.0, start=30.0)

    (gap,) = gaps([step(10, Act.KILL, "w0")], ["w0", "w1", "w2", "w3"], 4, slow)

    assert (gap.begin, gap.end) == (10, 10 + 6 + 5)


def test_a_freeze_costs_only_what_its_slices_cannot_hold() -> None:
    assert left(step(10, Act.FREEZE, "w0", 2.0)) == 0
    assert left(step(10, Act.FREEZE, "w0", 5.0)) == 5 - (3 - 1)
    assert left(step(10, Act.FREEZE, "w0", 5.0), workers=2) == 2 * 5 - (2 * 3 - 1)


def test_a_freeze_as_long_as_the_session_is_another_matter() -> None:
    with pytest.raises(ValueError, match="longer than its session"):
        left(step(10, Act.FREEZE, "w0", 6.0))


def test_a_planned_move_costs_a_heartbeat_for_each_shard_that_moves() -> None:
    assert left(step(10, Act.LEAVE, "w0")) == 1
    assert left(step(10, Act.LEAVE, "w0"), workers=2) == 2
    assert left(step(10, Act.RESTART, "w0")) == 1 + 1
    assert left(step(10, Act.JOIN, "new"), workers=1) == 2
    assert left(step(10, Act.JOIN, "new"), workers=2) == 1
    assert left(step(10, Act.JOIN, "new"), workers=4) == 0


def test_shards_move_when_the_new_process_is_ready() -> None:
    (gap,) = gaps([step(10, Act.JOIN, "new")], ["w0"], 4, PROTOCOL)

    assert gap == Gap(shards=2, begin=13, end=14, kind="move")


def test_who_has_how_many_shards_follows_from_who_came_and_went() -> None:
    steps = [
        step(0, Act.JOIN, "w1"),
        step(10, Act.JOIN, "w2"),
        step(20, Act.JOIN, "w3"),
        step(30, Act.LEAVE, "w2"),
        step(40, Act.LEAVE, "w1"),
        step(50, Act.KILL, "w0"),
    ]

    assert [gap.shards for gap in gaps(steps, ["w0"], 4, PROTOCOL)] == [2, 1, 1, 1, 1, 2]


def test_an_act_that_cannot_be_is_refused() -> None:
    with pytest.raises(ValueError, match="new is not there"):
        left(step(10, Act.KILL, "new"))
    with pytest.raises(ValueError, match="w0 is there already"):
        left(step(10, Act.JOIN, "w0"))


def test_a_window_counts_what_happens_in_it() -> None:
    crash = Gap(shards=1, begin=8.0, end=16.0, kind="crash")
    freeze = Gap(shards=1, begin=8.0, end=12.0, kind="freeze")

    assert attainable([crash], SLICE, shards=4, begin=10.0, end=14.0) == 16 - 4
    assert attainable([freeze], SLICE, shards=4, begin=10.0, end=14.0) == 16 - 2 + 2
    assert attainable([freeze], SLICE, shards=4, begin=10.0, end=11.0) == 4 - 1


def test_what_was_saved_up_before_the_limit_bound_is_there_after_a_gap_but_not_after_a_crash() -> (
    None
):
    late = Slice(full=3.0, waiting=1.0, binds_since=11.0)

    def back(kind: Literal["crash", "freeze", "move"]) -> float:
        return Gap(shards=2, begin=10.0, end=13.0, kind=kind).given_back(late)

    assert (back("freeze"), back("move"), back("crash")) == (6, 6, 0)


def test_the_written_schedule_goes_from_one_to_four_to_two_to_four_by_an_act_every_5_s() -> None:
    times = [each.at for each in written.CHURN]
    assert times == [5.0 * n for n in range(15)] + [120.0 + 5.0 * n for n in range(15)]
    there, sizes = {"w0"}, [1]
    for each in written.CHURN:
        if each.act is Act.JOIN:
            there.add(each.worker)
        if each.act is Act.LEAVE:
            there.remove(each.worker)
        if len(there) != sizes[-1]:
            sizes.append(len(there))

    assert sizes == [1, 2, 3, 4, 3, 2, 3, 4, 3, 2, 3, 4]
    assert {each.act for each in written.CHURN} == set(Act)


def test_the_written_schedule_leaves_most_and_not_all() -> None:
    found = gaps(written.CHURN, ["w0"], 4, PROTOCOL)

    for binding, (begin, end) in written.UNDER_CHURN.items():
        could = attainable(found, written.slice_of(binding), shards=4, begin=begin, end=end)
        assert 0.7 < could / 4 / (end - begin) < 0.85


def test_no_worker_is_hit_while_it_is_away() -> None:
    for steps in (written.CHURN, written.FREEZES):
        busy: dict[str, float] = {}
        for each in steps:
            assert busy.get(each.worker, 0.0) <= each.at
            busy[each.worker] = each.at + max(each.seconds, 1.0)


def test_no_process_is_frozen_so_often_that_it_gives_its_shards_away() -> None:
    frozen: dict[str, float] = {}
    for each in written.CHURN:
        if each.act is Act.FREEZE:
            assert each.at - frozen.get(each.worker, -60.0) > 30.0
            frozen[each.worker] = each.at
        else:
            frozen.pop(each.worker, None)


def test_no_rebalance_waits_for_who_was_killed_and_then_for_who_is_frozen() -> None:
    for churn in (written.CHURN[:15], written.CHURN[15:]):
        assert (Act.KILL, Act.FREEZE) not in pairwise(each.act for each in churn)


def test_the_long_freezes_outlast_a_session() -> None:
    freezes = [each.seconds for each in written.FREEZES if each.act is Act.FREEZE]

    assert len(freezes) > 10
    assert min(freezes) > PROTOCOL.session + 1
