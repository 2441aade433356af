"""Jobs that wait for the same: one is tried for all of them, and nobody else waits for it."""

from collections import Counter

import pytest
from dispatcher_desk import Desk, waiting
from samples import NOW, lane

from tollway_schemas.job import Priority
from tollway_workers.job.outcome import Decision
from tollway_workers.job.progress import JobProgress
from tollway_workers.pipeline.admit import Admission, Permit
from tollway_workers.pipeline.unpaid import Wait

_MOMENT = 0.05


class Money:
    """What calls of a tenant named "short" need one of each; others need none.

    State: how many there are, and how often each job was tried.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.left = 0
        self.tried: Counter[str] = Counter()
        self._admit = Admission.admit
        monkeypatch.setattr(Admission, "admit", lambda admission, each: self._paid(admission, each))

    def _paid(self, admission: Admission, each: JobProgress) -> Permit | Wait | Decision:
        self.tried[each.job.id] += 1
        short = (each.tenant or "").startswith("short")
        if short and not self.left:
            return Wait(_MOMENT, passed_over=True, line="the pot")
        leave = self._admit(admission, each)
        if short and isinstance(leave, Permit):
            self.left -= 1
        return leave


@pytest.fixture
def money(monkeypatch: pytest.MonkeyPatch) -> Money:
    return Money(monkeypatch)


def short(number: int, tenant: str = "short", priority: Priority = Priority.BULK) -> JobProgress:
    return waiting(f"{tenant}-{number}", priority, tenant=tenant)


def test_of_a_thousand_that_wait_for_the_same_one_is_tried(money: Money) -> None:
    desk = Desk(lane(concurrency=2_000))
    desk.offer(*(short(number) for number in range(1_000)))
    for _ in range(20):
        desk.clock.advance(_MOMENT)

    assert desk.order == []
    assert desk.dispatcher.held("main") == 1_000
    assert money.tried == Counter(f"short-{number}" for number in range(1_000)) + Counter(
        {"short-0": 20}
    )


def test_all_that_there_is_enough_for_go_at_once_and_in_order(money: Money) -> None:
    desk = Desk(lane(concurrency=2_000))
    desk.offer(*(short(number) for number in range(100)))

    money.left = 60
    desk.clock.advance(_MOMENT)

    assert desk.order == [f"short-{number}" for number in range(60)]
    assert sum(money.tried.values()) == 100 + 61


def test_who_waits_for_nothing_goes_before_them(money: Money) -> None:
    desk = Desk(lane(concurrency=1))
    desk.offer(short(0), short(1), waiting("a"), waiting("b"))
    desk.end()

    assert desk.order == ["a", "b"]


def test_where_the_lane_is_full_they_go_as_calls_end(money: Money) -> None:
    desk = Desk(lane(concurrency=1))
    desk.offer(*(short(number) for number in range(3)))

    money.left = 3
    desk.clock.advance(_MOMENT)
    desk.end()
    desk.end()

    assert desk.order == ["short-0", "short-1", "short-2"]


def test_their_tenants_take_turns_and_interactive_ones_go_first(money: Money) -> None:
    desk = Desk(lane(concurrency=10))
    first = [short(number, "short-a") for number in range(5)]
    desk.offer(*first, short(0, "short-b"), short(0, "short-c", priority=Priority.INTERACTIVE))

    # One that was tried for all of them is in front already.
    money.left = 4
    desk.clock.advance(_MOMENT)

    assert set(desk.order) >= {"short-b-0", "short-c-0"}


def test_where_the_one_that_is_tried_is_taken_out_the_next_is(money: Money) -> None:
    desk = Desk(lane(concurrency=1))
    desk.offer(waiting("a"), *(short(number) for number in range(3)))
    money.left = 1
    desk.end()
    money.left = 0
    desk.end()

    taken = desk.dispatcher.take(lambda each: each.job.id == "short-1")
    money.left = 1
    desk.clock.advance(_MOMENT)

    assert [each.job.id for each in taken] == ["short-1"]
    assert desk.order == ["a", "short-0", "short-2"]
    assert desk.dispatcher.waiting == 0


def test_they_expire_where_they_stand(money: Money) -> None:
    desk = Desk(lane(concurrency=1))
    desk.offer(*(short(number) for number in range(3)))

    expired = desk.dispatcher.take_expired(NOW + 600)
    desk.clock.advance(_MOMENT)

    assert [each.job.id for each in expired] == ["short-0", "short-1", "short-2"]
    assert desk.dispatcher.waiting == 0
    assert desk.dispatcher.bytes_besides == 0
