"""The owner of each shard. Pure: the group's leader plans, every other member follows its plan.

aiokafka is eager: a rebalance revokes every partition of every member. The plan makes that
harmless. A partition that a living member owns and has not released stays with it, even where
balance would move it. A partition that should move is *marked*: its owner finishes with it and
lists it as released, and the next plan moves it.
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from tollway_workers.ownership.partition import Partition
from tollway_workers.ownership.sharding import ShardGroup, shard_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A member's claim, as it joins."""

    name: str
    #: Topics whose partitions it may own.
    topics: frozenset[str]
    #: The group's generation in which it got what it owns: a newer claim wins.
    epoch: int = -1
    owned: frozenset[Partition] = frozenset()
    #: Owned, finished with, and free to move.
    released: frozenset[Partition] = frozenset()
    #: It is leaving the group: it gets nothing more.
    leaving: bool = False
    #: It cannot keep up: it gets only what no other member can own.
    standby: bool = False


@dataclass(frozen=True, slots=True)
class Plan:
    """The partitions of each member, and those of them that it should release, by its name."""

    given: Mapping[str, frozenset[Partition]]
    marks: Mapping[str, frozenset[Partition]]


@dataclass(frozen=True, slots=True)
class _Shard:
    group: str
    number: int
    partitions: tuple[Partition, ...]
    #: Names of the members that may own it.
    eligible: frozenset[str]


class _Loads:
    """Target owners of shards, while a plan is made.

    Mutable state: `held` (shards by owner and group) and `total` (shards by owner), both changed by
    `give` alone.
    """

    def __init__(self) -> None:
        self.held: defaultdict[tuple[str, str], set[_Shard]] = defaultdict(set)
        self.total: Counter[str] = Counter()

    def give(self, shard: _Shard, to: str, before: str | None = None) -> None:
        if before is not None:
            self.held[before, shard.group].remove(shard)
            self.total[before] -= 1
        self.held[to, shard.group].add(shard)
        self.total[to] += 1

    def of(self, member: str, group: str) -> tuple[int, int, str]:
        """A member's load for a group, to be compared; its name settles a tie."""
        return len(self.held[member, group]), self.total[member], member


def plan(
    members: Sequence[Member], groups: Iterable[ShardGroup], partitions: Mapping[str, int]
) -> Plan:
    """Assign every partition to at most one member: its living owner, until that has released it.

    `groups` name each topic at most once; `partitions` is the number that each topic has. Shards
    are balanced in number, and each group's shards over the members that may own them. Partitions
    that balance would move are marked, and so are a leaving member's, if another member stays.
    Planned again once all marked partitions are released, the plan no longer changes.
    """
    claimed = _claimed(members, partitions)
    owners = {
        partition: owner.name
        for partition, owner in claimed.items()
        if partition not in owner.released
    }
    staying = {member.name: member for member in members if not member.leaving}
    shards = [shard for group in groups for shard in _shards_of(group, staying, partitions)]
    targets = _targets(
        shards, owners, {partition: owner.name for partition, owner in claimed.items()}
    )
    given: dict[str, set[Partition]] = {member.name: set() for member in members}
    marks: dict[str, set[Partition]] = {member.name: set() for member in members}
    for shard in shards:
        for partition in shard.partitions:
            holder = owners.get(partition)
            heir = _heir(partition, targets.get(shard), holder, staying)
            if (to := holder or heir) is not None:
                given[to].add(partition)
            if holder is not None and heir not in (None, holder):
                marks[holder].add(partition)
    return Plan(
        {name: frozenset(each) for name, each in given.items()},
        {name: frozenset(each) for name, each in marks.items()},
    )


def _claimed(members: Iterable[Member], partitions: Mapping[str, int]) -> dict[Partition, Member]:
    """The living owner of each partition that has one, released by it or not."""
    newest: dict[Partition, Member] = {}
    for member in sorted(members, key=lambda each: (-each.epoch, each.name)):
        for partition in member.owned:
            newest.setdefault(partition, member)
    return {
        partition: member
        for partition, member in newest.items()
        if partition[0] in member.topics and partition[1] < partitions.get(partition[0], 0)
    }


def _shards_of(
    group: ShardGroup, staying: Mapping[str, Member], partitions: Mapping[str, int]
) -> Iterator[_Shard]:
    eligible = _eligible(group, staying.values())
    of_shard: dict[int, list[Partition]] = {}
    for topic in group.topics:
        for number in range(partitions.get(topic, 0)):
            of_shard.setdefault(shard_of(number, group.shards), []).append((topic, number))
    for shard in sorted(of_shard):
        # The owner of the first partition owns the shard.
        of_shard[shard].sort(key=lambda partition: partition != (group.ownership_topic, shard))
        yield _Shard(group.name, shard, tuple(of_shard[shard]), eligible)


def _eligible(group: ShardGroup, staying: Collection[Member]) -> frozenset[str]:
    """The members that may own a group's shards: those that keep up, else the standbys.

    Workers with an older configuration may know only some of its topics.
    """
    topics = frozenset(group.topics)
    keen = [member for member in staying if not member.standby]
    whole = [{m.name for m in ms if group.ownership_topic in m.topics} for ms in (keen, staying)]
    parts = [{m.name for m in ms if topics & m.topics} for ms in (keen, staying)]
    return frozenset(next(filter(None, whole + parts), ()))


def _targets(
    shards: Sequence[_Shard], owners: Mapping[Partition, str], before: Mapping[Partition, str]
) -> dict[_Shard, str]:
    """The target owner of each shard: its present owner, unless balance moves it.

    `before`: owners, including those that released: such an owner gets back what no other needs.
    """
    loads = _Loads()
    free: list[_Shard] = []
    new: list[_Shard] = []
    for shard in shards:
        owner, former = _owner_of(shard, owners), _owner_of(shard, before)
        if owner in shard.eligible:
            loads.give(shard, owner)
            continue
        free.append(shard)
        if former in shard.eligible:
            loads.give(shard, former)
        elif shard.eligible:
            new.append(shard)
    for shard in new:
        loads.give(shard, min(shard.eligible, key=lambda m: loads.of(m, shard.group)))
    eligible = {shard.group: sorted(shard.eligible) for shard in shards if shard.eligible}
    _balance(loads, eligible, frozenset(free))
    return {shard: owner for (owner, _), held in loads.held.items() for shard in held}


def _owner_of(shard: _Shard, owners: Mapping[Partition, str]) -> str:
    """The owner of its first partition; without one, the owner of most of the others."""
    if shard.partitions[0] in owners:
        return owners[shard.partitions[0]]
    parts = Counter(owners[partition] for partition in shard.partitions if partition in owners)
    return min(parts, key=lambda name: (-parts[name], name), default="")


def _balance(loads: _Loads, eligible: Mapping[str, Sequence[str]], free: frozenset[_Shard]) -> None:
    """Move shards while that evens the loads: within each group first, then over all groups.

    It ends: the first step lowers the sum of squares of the loads per group; the second keeps that
    sum, and lowers the sum of squares of the total loads.
    """
    for group, members in eligible.items():
        while True:
            by_load = sorted(members, key=lambda m: loads.of(m, group))
            light, heavy = by_load[0], by_load[-1]
            if len(loads.held[heavy, group]) - len(loads.held[light, group]) < 2:
                break
            _move(loads, group, heavy, light, free)
    while (found := _uneven(loads, eligible)) is not None:
        _move(loads, *found, free)


def _uneven(loads: _Loads, eligible: Mapping[str, Sequence[str]]) -> tuple[str, str, str] | None:
    """A group, and two of its members between whom a shard can move to make all loads more equal
    and the group's no less."""
    names = {name for members in eligible.values() for name in members}
    by_load = sorted(names, key=lambda name: (loads.total[name], name))
    for heavy in reversed(by_load):
        for light in by_load:
            if loads.total[heavy] - loads.total[light] < 2:
                break
            for group, members in eligible.items():
                more = len(loads.held[heavy, group]) > len(loads.held[light, group])
                if more and light in members:
                    return group, heavy, light
    return None


def _move(loads: _Loads, group: str, heavy: str, light: str, free: frozenset[_Shard]) -> None:
    # A shard without an owner moves at no cost.
    shard = max(loads.held[heavy, group], key=lambda shard: (shard in free, shard.number))
    loads.give(shard, light, heavy)


def _heir(
    partition: Partition, target: str | None, holder: str | None, staying: Mapping[str, Member]
) -> str | None:
    """The final owner of a partition: its shard's target owner, if that reads the topic."""
    topic = partition[0]
    if target is not None and topic in staying[target].topics:
        return target
    if holder in staying:
        return holder
    return min((m.name for m in staying.values() if topic in m.topics), default=None)
