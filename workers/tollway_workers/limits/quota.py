"""This worker's quota of one limit group: the slices of its shards, pooled.

All slices share one level, so that a shard with many jobs may use what others leave; a slice that
leaves takes an equal part of the level along. So nothing is spent twice: a pool lets through what
its slices brought and what has refilled them since.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from tollway_workers.config.shape.contract import CallLimit, Contract, RateLimit
from tollway_workers.limits.call_cost import Cost
from tollway_workers.limits.pool import EPSILON, Pool


@dataclass(slots=True, eq=False)
class Slots:
    """Calls in flight. State: `most` that our shards allow, and how many there are."""

    limit: CallLimit
    most: int = 0
    used: int = 0
    #: Of the limit; the same whatever else that becomes.
    key: str = field(init=False)

    def __post_init__(self) -> None:
        self.key = self.limit.key


class Quota:
    """One limit group in this worker.

    State: the pools and slots, `_joined` (shards whose slices are in the pools), `_open` (shards
    whose slots may be used).
    """

    def __init__(self, contract: Contract, now: float) -> None:
        self._own = self.contract = contract
        self._amounts: Mapping[str, float] = {}
        self.pools = tuple(Pool(limit, contract.shards, now) for limit in contract.rates)
        self.slots = tuple(Slots(limit) for limit in contract.calls)
        self._joined: set[int] = set()
        self._open: frozenset[int] = frozenset()

    def adopt(self, shards: int, amounts: Mapping[str, float], now: float) -> bool:
        """Divide the group as the fleet does now; whether the number of shards has changed.

        Then no slice is ours any more: others may still use those of the old division.
        """
        changed = shards != self.contract.shards
        if changed:
            for shard in tuple(self._joined):
                self.leave(shard, now)
        self._amounts = amounts
        self._keep(self._own.at_most(amounts, shards), now)
        return changed

    def configure(self, contract: Contract, now: float) -> None:
        """Our own configuration has changed. What is lowered holds at once; what is raised, and
        another number of shards, when the fleet has heard of it. No level rises.

        Raises ValueError where limits came or went: calls in flight would not be counted.
        """
        if contract.amounts.keys() != self._own.amounts.keys():
            raise ValueError(f"the limits of {contract.group} are others")
        self._own = contract
        self._keep(contract.at_most(self._amounts, self.contract.shards), now)

    def join(self, shard: int, levels: Sequence[float], now: float) -> None:
        """Use a slice, with the levels that it was left with; empty where they are unknown."""
        known = len(levels) == len(self.pools)
        self._joined.add(shard)
        for index, pool in enumerate(self.pools):
            pool.join(levels[index] if known else 0.0, now)

    def leave(self, shard: int, now: float) -> tuple[float, ...]:
        """Use a slice no more; returns the levels that it takes along."""
        self._joined.remove(shard)
        self.open(self._open - {shard})
        return tuple(pool.leave(now) for pool in self.pools)

    def open(self, shards: Collection[int]) -> None:
        """Calls may be in flight for exactly these shards' slots."""
        if self._open != shards:
            self._open = frozenset(shards)
            self._count_slots()

    @property
    def joined(self) -> frozenset[int]:
        """Shards whose slices are in use."""
        return frozenset(self._joined)

    @property
    def fits(self) -> bool:
        """Whether no more calls are in flight than the open shards' slots allow."""
        return all(slots.used <= slots.most for slots in self.slots)

    def full_levels(self) -> tuple[float, ...]:
        """What a slice has that nobody ever used."""
        return tuple(pool.capacity for pool in self.pools)

    def of(self, lane: str) -> "LaneQuota":
        """The limits that a call to one lane meets."""
        # The lane's own come first: what they hold back holds up no other lane.
        places = (lane, None)
        return LaneQuota(
            self.contract.group,
            tuple(each for place in places for each in self.slots if each.limit.lane == place),
            tuple(pool for place in places for pool in self.pools if pool.limit.lane == place),
        )

    def _keep(self, contract: Contract, now: float) -> None:
        self.contract = contract
        for pool, rate in zip(self.pools, contract.rates, strict=True):
            pool.adopt(rate, contract.shards, now)
        for slots, calls in zip(self.slots, contract.calls, strict=True):
            slots.limit = calls
        self._count_slots()

    def _count_slots(self) -> None:
        shards = self.contract.shards
        for slots in self.slots:
            slots.most = sum(slots.limit.slots(shard, shards) for shard in self._open)

    def __repr__(self) -> str:
        shards = f"{len(self._joined)} of {self.contract.shards} shards"
        return f"<Quota {self.contract.group} [{shards}]>"


class LaneQuota:
    """The limits that a call to one lane meets, reserved together or not at all."""

    __slots__ = ("binding", "counts_tokens", "group", "group_binds", "pools", "slots")

    def __init__(self, group: str, slots: tuple[Slots, ...], pools: tuple[Pool, ...]) -> None:
        self.group = group
        self.slots = slots
        self.pools = pools
        #: Whether a call's tokens matter, and so need to be estimated.
        self.counts_tokens = any(pool.limit.resource for pool in pools)
        #: The key of the limit that the last call that was looked at waits for; None: for none.
        self.binding: str | None = None
        #: Whether it waits for what all lanes of the group share, and for none of this lane's own.
        self.group_binds = False

    @property
    def most_calls(self) -> int | None:
        """Calls that may be in flight; None: any number."""
        return min((slots.most for slots in self.slots), default=None)

    @property
    def full(self) -> bool:
        """Whether no call may start before one that is in flight has ended."""
        for slots in self.slots:
            if slots.used >= slots.most:
                self.binding = slots.key
                self.group_binds = slots.limit.lane is None
                return True
        return False

    def wait(self, cost: Cost, now: float) -> float | None:
        """Seconds until `cost` could be reserved; 0 if it can be now.

        None: when a call has ended, or when shards or limits have changed.
        """
        if self.full:
            return None
        longest = 0.0
        self.binding, self.group_binds = None, True
        for pool in self.pools:
            wait = pool.wait(cost[pool.resource], now)
            if wait == 0.0:
                continue
            if pool.limit.lane is not None:
                self.group_binds = False
            if wait is None:
                self.binding = pool.key
                return None
            if wait > longest:
                self.binding = pool.key
                longest = wait
        return longest

    def reserve(self, cost: Cost) -> None:
        """Take `cost` and a slot; call it where `wait` just answered 0."""
        for slots in self.slots:
            slots.used += 1
        for pool in self.pools:
            amount = cost[pool.resource]
            pool.level -= amount
            pool.spent += amount

    def withdraw(self, cost: Cost, since: float, now: float) -> None:
        """Give back what was reserved at `since` for a call that was not sent.

        What has come back in the meantime is not given back twice: it may have filled a pool that
        would have been full in any case.
        """
        for pool in self.pools:
            back = max(0.0, cost[pool.resource] - (now - since) * pool.rate)
            pool.change(back)
            pool.spent -= cost[pool.resource]

    def free(self) -> None:
        """A call has ended: its slot is free."""
        for slots in self.slots:
            slots.used -= 1

    def correct(self, reserved: Cost, counted: Cost) -> RateLimit | None:
        """Replace what was reserved by what the provider has counted, as far as one call can have
        had it; returns a limit of which it says more.
        """
        doubted = None
        for pool in self.pools:
            had, said = reserved[pool.resource], counted[pool.resource]
            if pool.resource and said > max(had, pool.believable):
                doubted, said = pool.limit, max(had, pool.believable)
            if said != had:
                pool.change(had - said)
                pool.spent += said - had
        return doubted

    def beyond(self, cost: Cost) -> RateLimit | None:
        """The limit that never lets `cost` through; None without one."""
        for pool in self.pools:
            if cost[pool.resource] > pool.capacity + EPSILON:
                return pool.limit
        return None


#: What a worker may use, by limit group.
Quotas = Mapping[str, Quota]


def whole(contract: Contract, now: float) -> Quota:
    """All of a group in one worker, at rest: for a fleet of one process."""
    quota = Quota(contract, now)
    for shard in range(contract.shards):
        quota.join(shard, quota.full_levels(), now)
    quota.open(frozenset(range(contract.shards)))
    return quota
