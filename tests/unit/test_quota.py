"""Slices of limits in several workers: never over the contract, nothing leaked, nobody starved."""

from dataclasses import dataclass, field, replace
from random import Random

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from samples import lane, lane_contract
from size import sized

from tollway_workers.config.shape.contract import Contract, Resource
from tollway_workers.limits.call_cost import Cost
from tollway_workers.limits.quota import LaneQuota, Quota, whole
from tollway_workers.ownership.owned_partition import LEASE

_PERIOD = 60.0
_SHARDS = 4
_REQUESTS, _TOKENS, _CALLS, _LARGEST = 24.0, 6_000.0, 6, 400.0


CONTRACT = lane_contract(
    lane(
        "l",
        requests_per_minute=_REQUESTS,
        tokens_per_minute=_TOKENS,
        concurrency=_CALLS,
        largest_request=_LARGEST,
        shards=_SHARDS,
    )
)


@dataclass(eq=False)
class Worker:
    """One worker's quota, and the calls that it has in flight."""

    quota: Quota
    lane: LaneQuota
    calls: list[Cost] = field(default_factory=list)
    releasing: set[int] = field(default_factory=set)

    def open(self) -> None:
        self.quota.open(self.quota.joined - self.releasing)


#: Draws which worker it is.
_PICK = st.integers(0, 2)


class Fleet(RuleBasedStateMachine):
    """Workers that reserve, settle, hand shards on, crash and are told other limits."""

    @initialize(workers=st.integers(1, 3))
    def start(self, workers: int) -> None:
        self.now = 0.0
        self.granted: list[tuple[float, Cost]] = []
        self.workers = []
        for _ in range(workers):
            quota = Quota(CONTRACT, 0.0)
            self.workers.append(Worker(quota, quota.of("l")))
        #: Shards that nobody uses: their levels, and when they may be used.
        self.free: dict[int, tuple[tuple[float, ...], float]] = {}
        for shard in range(_SHARDS):
            worker = self.workers[shard % workers]
            worker.quota.join(shard, worker.quota.full_levels(), 0.0)
            worker.open()

    @rule(seconds=st.sampled_from([0.1, 1.0, 4.0, 10.0, 70.0]))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @rule(
        pick=_PICK,
        tokens=st.sampled_from([1.0, 150.0, _LARGEST]),
        lasting=st.booleans(),
    )
    def a_worker_starts_all_that_it_may(self, pick: int, tokens: float, lasting: bool) -> None:
        worker, cost = self._one(pick, self.workers), Cost(tokens=tokens)
        while (wait := worker.lane.wait(cost, self.now)) == 0.0:
            assert worker.lane.binding is None
            worker.lane.reserve(cost)
            self.granted.append((self.now, cost))
            if lasting:
                worker.calls.append(cost)
            else:
                worker.lane.free()
        assert worker.lane.binding is not None
        assert wait is None or wait > 0.0

    @precondition(lambda self: any(worker.calls for worker in self.workers))
    @rule(pick=_PICK)
    def a_call_ends(self, pick: int) -> None:
        worker = self._one(pick, [w for w in self.workers if w.calls])
        worker.calls.pop(0)
        worker.lane.free()

    @rule(pick=_PICK, tokens=st.floats(1.0, _LARGEST))
    def a_call_is_never_sent(self, pick: int, tokens: float) -> None:
        worker = self._one(pick, self.workers)
        cost = Cost(tokens=tokens)
        if worker.lane.wait(cost, self.now) == 0.0:
            worker.lane.reserve(cost)
            worker.lane.correct(cost, Cost(requests=0.0))
            worker.lane.free()
            assert worker.lane.wait(cost, self.now) == 0.0

    @precondition(lambda self: any(w.quota.joined for w in self.workers))
    @rule(pick=_PICK)
    def a_shard_is_released_once_what_runs_fits(self, pick: int) -> None:
        worker = self._one(pick, [w for w in self.workers if w.quota.joined])
        shard = min(worker.quota.joined)
        worker.releasing.add(shard)
        worker.open()
        if worker.quota.fits:
            worker.releasing.remove(shard)
            self.free[shard] = worker.quota.leave(shard, self.now), self.now
            worker.open()

    @precondition(lambda self: self.free)
    @rule(pick=_PICK)
    def a_shard_is_taken(self, pick: int) -> None:
        shard = min(self.free)
        levels, opens_at = self.free[shard]
        if self.now < opens_at:
            return
        del self.free[shard]
        worker = self._one(pick, self.workers)
        worker.quota.join(shard, levels, self.now)
        worker.open()

    @rule(pick=_PICK)
    def a_worker_crashes_and_its_calls_end_with_it(self, pick: int) -> None:
        worker = self._one(pick, self.workers)
        for shard in tuple(worker.quota.joined):
            worker.quota.leave(shard, self.now)
            self.free[shard] = (), self.now + LEASE
        quota = Quota(CONTRACT, self.now)
        self.workers[self.workers.index(worker)] = Worker(quota, quota.of("l"))

    @rule(
        pick=_PICK,
        requests=st.sampled_from([_REQUESTS, 2 * _REQUESTS, _REQUESTS / 2]),
        pace=st.sampled_from([1.0, 1.0, 0.3]),
    )
    def limits_change_or_the_provider_slows(self, pick: int, requests: float, pace: float) -> None:
        worker = self._one(pick, self.workers)
        worker.quota.adopt(_SHARDS, {"l:requests_per_minute": requests}, self.now)
        for pool in worker.quota.pools:
            pool.slow(pace, self.now)

    def _one(self, pick: int, workers: list[Worker]) -> Worker:
        return workers[pick % len(workers)]

    @invariant()
    def no_window_passes_the_contract(self) -> None:
        for resource, most in ((Resource.REQUESTS, _REQUESTS), (Resource.TOKENS, _TOKENS)):
            seen = 0.0
            for at, cost in reversed(getattr(self, "granted", [])):
                if at <= self.now - _PERIOD:
                    break
                seen += cost[resource]
            assert seen <= most + 1e-6

    @invariant()
    def calls_in_flight_are_within_the_slots_that_planned_moves_leave(self) -> None:
        workers = getattr(self, "workers", [])
        assert sum(len(worker.calls) for worker in workers) <= _CALLS
        for worker in workers:
            assert [slots.used for slots in worker.quota.slots] == [len(worker.calls)]

    @invariant()
    def nobody_starves(self) -> None:
        largest = Cost(tokens=_LARGEST)
        for worker in getattr(self, "workers", []):
            if worker.quota.joined:
                waits = [pool.wait(largest[pool.resource], self.now) for pool in worker.quota.pools]
                assert None not in waits


Fleet.TestCase.settings = settings(max_examples=sized(20, 80), stateful_step_count=50)
TestFleet = Fleet.TestCase


@pytest.mark.parametrize("seed", range(20))
def test_a_long_life_of_a_fleet_stays_within_its_contract(seed: int) -> None:
    """Hypothesis finds short stories; what only adds up over minutes is found here."""
    dice = Random(seed)
    fleet = Fleet()
    fleet.start(workers=dice.randint(1, 3))
    for _ in range(400):
        fleet.time_passes(dice.choice([0.1, 1.0, 2.0, 4.0, 130.0]))
        for pick in range(3):
            fleet.a_worker_starts_all_that_it_may(
                pick, dice.choice([1.0, 1.0, _LARGEST]), dice.random() < 0.3
            )
            if any(worker.calls for worker in fleet.workers):
                fleet.a_call_ends(pick)
        if any(worker.quota.joined for worker in fleet.workers) and dice.random() < 0.3:
            fleet.a_shard_is_released_once_what_runs_fits(dice.randrange(3))
        if fleet.free and dice.random() < 0.9:
            fleet.a_shard_is_taken(dice.randrange(3))
        if dice.random() < 0.02:
            fleet.a_worker_crashes_and_its_calls_end_with_it(dice.randrange(3))
        if dice.random() < 0.1:
            fleet.limits_change_or_the_provider_slows(
                dice.randrange(3), dice.choice([_REQUESTS, _REQUESTS / 2]), dice.choice([1.0, 0.3])
            )
        fleet.no_window_passes_the_contract()
        fleet.calls_in_flight_are_within_the_slots_that_planned_moves_leave()
        fleet.nobody_starves()


def test_a_shard_with_all_the_jobs_may_use_what_others_leave() -> None:
    quota = whole(CONTRACT, 0.0)
    lane, now, granted = quota.of("l"), 0.0, 0
    while now < 600.0:
        wait = lane.wait(Cost(tokens=10.0), now)
        assert wait is not None
        if wait == 0.0:
            lane.reserve(Cost(tokens=10.0))
            lane.free()
            granted += 1
        now += wait

    assert granted >= 10 * CONTRACT.rates[0].share(_SHARDS) * _REQUESTS


def test_a_large_call_waits_a_bounded_time_and_is_named_with_its_limit() -> None:
    lane = whole(CONTRACT, 0.0).of("l")
    for _ in range(4):
        assert lane.wait(Cost(tokens=_LARGEST), 0.0) == 0.0
        lane.reserve(Cost(tokens=_LARGEST))

    wait = lane.wait(Cost(tokens=_LARGEST), 0.0)

    share = CONTRACT.rates[1].share(_SHARDS)
    assert wait == pytest.approx(_LARGEST / (share * _TOKENS / _PERIOD))
    assert lane.binding == "l:tokens_per_minute"


def test_a_slice_takes_its_part_of_the_level_along_and_nothing_for_the_time_between() -> None:
    one, other = whole(CONTRACT, 0.0), Quota(CONTRACT, 0.0)
    one.of("l").reserve(Cost(requests=4.0, tokens=4_000.0))

    levels = one.leave(3, 0.0)
    other.join(3, levels, 1_000.0)

    requests, tokens = (rate.capacity(_SHARDS) for rate in CONTRACT.rates)
    assert levels == (requests - 1.0, tokens - 1_000.0)
    assert [pool.level for pool in other.pools] == list(levels)
    assert [pool.slices for pool in one.pools] == [3, 3]


def test_our_own_lower_limit_holds_at_once_and_a_higher_one_when_the_fleet_knows() -> None:
    quota = whole(CONTRACT, 0.0)
    quota.adopt(_SHARDS, CONTRACT.amounts, 0.0)
    rate = quota.pools[0].rate

    quota.configure(_with_requests(_REQUESTS / 2), 0.0)
    lowered = quota.pools[0].rate
    quota.configure(_with_requests(_REQUESTS * 2), 0.0)
    waiting = quota.pools[0].rate
    level = quota.pools[0].level
    quota.adopt(_SHARDS, _with_requests(_REQUESTS * 2).amounts, 0.0)

    assert lowered < rate * 0.6
    assert waiting == rate
    assert quota.pools[0].rate > 2 * rate
    assert quota.pools[0].level == level


def test_limits_that_come_or_go_take_a_restart() -> None:
    quota = whole(CONTRACT, 0.0)

    with pytest.raises(ValueError, match="the limits of l are others"):
        quota.configure(replace(CONTRACT, calls=()), 0.0)


def _with_requests(amount: float) -> Contract:
    return replace(CONTRACT, rates=(replace(CONTRACT.rates[0], amount=amount), CONTRACT.rates[1]))


def test_another_number_of_shards_takes_all_slices_away() -> None:
    quota = whole(CONTRACT, 0.0)

    changed = quota.adopt(2, CONTRACT.amounts, 0.0)

    assert changed
    assert quota.joined == frozenset()
    assert quota.of("l").wait(Cost(tokens=1.0), 1_000.0) is None


def test_the_smaller_limit_holds_while_configurations_differ() -> None:
    quota = Quota(CONTRACT, 0.0)

    quota.adopt(_SHARDS, {"l:requests_per_minute": 14.0, "l:tokens_per_minute": 1e9}, 0.0)

    assert quota.contract.amounts["l:requests_per_minute"] == 14.0
    assert quota.contract.amounts["l:tokens_per_minute"] == _TOKENS


def test_without_a_shard_nothing_starts() -> None:
    quota = Quota(CONTRACT, 0.0)

    assert quota.of("l").wait(Cost(tokens=1.0), 0.0) is None
    assert repr(quota) == "<Quota l [0 of 4 shards]>"


def test_a_slice_that_is_handed_on_and_on_brings_nothing_new() -> None:
    one, other, granted = whole(CONTRACT, 0.0), Quota(CONTRACT, 0.0), 0
    one.of("l").correct(Cost(requests=0.0), Cost(requests=2.0))
    for giver, taker in [(one, other), (other, one)] * 20:
        taker.join(0, giver.leave(0, 0.0), 0.0)
        taker.open(taker.joined)
    for limits in (one.of("l"), other.of("l")):
        while limits.wait(Cost(tokens=1.0), 0.0) == 0.0:
            limits.reserve(Cost(tokens=1.0))
            limits.free()
            granted += 1

    assert granted == _SHARDS * CONTRACT.rates[0].capacity(_SHARDS) - 2


def test_an_empty_pool_refills_by_its_slices_part_of_the_limit() -> None:
    quota = Quota(CONTRACT, 0.0)
    for shard in (0, 1):
        quota.join(shard, (0.0, -200.0), 0.0)

    for pool in quota.pools:
        pool.refill(2.0)

    requests, tokens = (rate.share(_SHARDS) for rate in CONTRACT.rates)
    assert quota.pools[0].level == pytest.approx(2.0 * requests * _REQUESTS / 2 / _PERIOD)
    assert quota.pools[1].level == pytest.approx(-400.0 + 2.0 * tokens * _TOKENS / 2 / _PERIOD)


def test_a_slice_of_which_nobody_knows_the_level_is_empty() -> None:
    quota = Quota(CONTRACT, 0.0)

    quota.join(0, (), 0.0)
    quota.join(1, (5.0,), 0.0)

    assert [pool.level for pool in quota.pools] == [0.0, 0.0]


def test_slots_go_with_their_shard_and_it_waits_for_the_calls_that_are_in_them() -> None:
    quota = whole(CONTRACT, 0.0)
    lane = quota.of("l")
    for _ in range(2):
        assert lane.wait(Cost(tokens=1.0), 0.0) == 0.0
        lane.reserve(Cost(tokens=1.0))

    for _ in range(4):
        assert lane.wait(Cost(tokens=1.0), 60.0) == 0.0
        lane.reserve(Cost(tokens=1.0))
    assert lane.wait(Cost(tokens=1.0), 120.0) is None
    assert lane.binding == "l:concurrency"
    for _ in range(4):
        lane.free()
    quota.open(frozenset({3}))
    full = (lane.most_calls, quota.fits)
    lane.free()
    quota.leave(2, 0.0)

    assert full == (1, False)
    assert (lane.most_calls, quota.fits) == (1, True)
    quota.leave(3, 0.0)
    assert lane.most_calls == 0


def test_a_limit_that_lets_nothing_through_as_things_are_is_named() -> None:
    quota = Quota(CONTRACT, 0.0)
    quota.join(0, quota.full_levels(), 0.0)
    quota.open(quota.joined)
    lane = quota.of("l")

    assert lane.wait(Cost(tokens=_LARGEST + 1.0), 0.0) is None
    assert lane.binding == "l:tokens_per_minute"
    assert lane.beyond(Cost(tokens=_LARGEST + 1.0)) is quota.pools[1].limit
