"""Lanes that share limits: they take turns, and none starves another."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from job_owner import JobOwnerDouble
from manual_clock import ManualClock
from samples import NOW, job, progress

from tollway_schemas.failure import FailureClass
from tollway_workers.config.shape.fleet import FleetSettings, resolve_lane
from tollway_workers.config.shape.groups import contract_of, limit_groups
from tollway_workers.limits.call_cost import Cost
from tollway_workers.limits.quota import whole
from tollway_workers.pipeline.admit import Admission, Permit
from tollway_workers.pipeline.dispatch import Dispatcher
from tollway_workers.pipeline.queue import Fairness


class Account:
    """Two lanes, `a` and `b`, of one account, and the calls that were started."""

    def __init__(self, account: dict[str, Any], **lanes: dict[str, Any]) -> None:
        settings = FleetSettings.model_validate(
            {
                "providers": {"p": {"base_url": "http://127.0.0.1/v1"}},
                "limit_groups": {"account": account | {"shards": 1}},
                "lanes": {
                    name: {"provider": "p", "model": name, "limit_group": "account"}
                    | lanes.get(name, {})
                    for name in ("a", "b")
                },
                "routes": {name: {"lanes": [name]} for name in ("a", "b")},
            }
        )
        self.clock = ManualClock(NOW)
        (group,) = limit_groups(settings)
        self.quota = whole(contract_of(group, settings), self.clock.monotonic())
        self.lanes = {
            name: Admission(resolve_lane(name, settings), self.quota.of(name), self.clock)
            for name in ("a", "b")
        }
        self.barred = ""
        self.owner = JobOwnerDouble(may=lambda each: each.lane != self.barred)
        self.dispatcher = Dispatcher(
            self.lanes,
            self.clock,
            self.owner,
            Fairness(),
        )

    @property
    def started(self) -> list[tuple[str, Permit]]:
        """Lane and permit of each call."""
        return [(each.lane, permit) for each, permit in self.owner.started]

    def offer(self, lane: str, count: int, tokens: float = 0.0) -> None:
        """So many jobs for a lane, each of so many tokens."""
        for number in range(count):
            waits = replace(progress(job(f"{lane}-{number}")), lane=lane)
            waits.cost = Cost(tokens=tokens)
            self.dispatcher.offer(waits)
        self.dispatcher.pump(lane)

    def end_one(self) -> None:
        """The oldest call ends."""
        lane, permit = next((lane, each) for lane, each in self.started if each._open)
        permit.release()
        self.dispatcher.pump(lane)

    def until(self, true: Callable[[], bool], seconds: float) -> None:
        """Let time pass until something is true; seconds at most."""
        end = self.clock.monotonic() + seconds
        while not true():
            assert self.clock.monotonic() < end, self.order
            self.clock.advance(0.1)

    @property
    def order(self) -> str:
        """The lanes of the calls, as they were started."""
        return "".join(lane for lane, _ in self.started)


def test_lanes_take_turns_where_their_account_has_few_requests() -> None:
    account = Account({"requests_per_minute": 60, "burst": 2.0})
    account.offer("a", 20)
    account.offer("b", 20)

    account.until(lambda: len(account.started) == 12, 20.0)

    assert account.order == "aa" + "ab" * 5 or account.order == "aa" + "ba" * 5


def test_a_large_call_of_one_lane_is_made_while_another_keeps_asking_for_small_ones() -> None:
    account = Account({"tokens_per_minute": 60_000, "largest_request": 8_000})
    account.offer("b", 500, tokens=200.0)
    before = len(account.started)

    account.offer("a", 1, tokens=8_000.0)
    account.until(lambda: "a" in account.order, 10.0)

    assert 0 < before < 500
    assert account.order.index("a") <= before + 1
    assert account.lanes["a"].quota.binding is None


def test_a_slot_that_an_account_has_free_again_goes_to_the_lane_whose_turn_it_is() -> None:
    account = Account({"concurrency": 1})
    account.offer("a", 3)
    account.offer("b", 3)

    for _ in range(5):
        account.end_one()

    assert account.order == "ababab"


def test_a_lane_that_waits_for_a_limit_of_its_own_holds_up_no_other() -> None:
    account = Account({"concurrency": 4}, a={"requests_per_minute": 20})
    account.offer("a", 3)
    account.offer("b", 2)

    assert account.order == "abb"
    assert (account.lanes["a"].quota.binding, account.lanes["a"].quota.group_binds) == (
        "a:requests_per_minute",
        False,
    )


def test_a_lane_that_is_slowed_or_barred_holds_up_no_other() -> None:
    account = Account({"requests_per_minute": 60, "burst": 1.0})
    account.offer("b", 1)
    account.offer("a", 2)
    account.offer("b", 2)
    waits_for_all = account.lanes["a"].quota.group_binds

    account.lanes["a"].on_failure(FailureClass.RATE_LIMIT, 30.0, account.clock.monotonic())
    account.until(lambda: account.order == "bb", 2.0)
    account.barred = "a"
    account.until(lambda: account.order == "bbb", 2.0)

    assert waits_for_all


def test_a_lane_that_comes_back_has_its_turn_before_those_that_were_called_meanwhile() -> None:
    account = Account({"requests_per_minute": 60, "burst": 1.0})
    account.barred = "a"
    account.offer("a", 2)
    account.offer("b", 9)
    account.until(lambda: account.order == "bbb", 5.0)

    account.barred = ""
    account.until(lambda: len(account.order) == 5, 5.0)

    assert account.order == "bbbab"
