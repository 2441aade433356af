"""Which slices of the limits are in use: from when their shard opens until our last word on it."""

from collections.abc import Collection
from dataclasses import replace

from tollway_workers.config.shape.contract import CallLimit, Contract, RateLimit, Resource
from tollway_workers.limits.call_cost import Cost
from tollway_workers.limits.quota import Quota
from tollway_workers.ownership import commit_note
from tollway_workers.ownership.owned_partition import LEASE
from tollway_workers.ownership.owned_partitions import Found, OwnedPartitions
from tollway_workers.ownership.partition import Partition
from tollway_workers.ownership.sharding import ShardGroup
from tollway_workers.ownership.user_data import Orders

_NOW = 1_000.0
_CALL_TIMEOUT = 30.0
_SEVEN = Cost(requests=7.0)
_PLACES: tuple[Partition, ...] = (("lane", 0), ("lane", 1), ("lane", 2), ("lane", 3))
#: The partitions of shard 0.
_ZERO, _ONE = (_PLACES[0], _PLACES[2]), (_PLACES[1], _PLACES[3])


def contract(shards: int = 2, *, requests: float = 1_200.0, withheld: float = 0.0) -> Contract:
    rate = RateLimit(
        name="requests_per_minute",
        lane=None,
        resource=Resource.REQUESTS,
        amount=requests,
        period=60.0,
        burst=0.05,
        largest=1.0,
    )
    return Contract(
        group="g",
        shards=shards,
        rates=(rate,),
        calls=(CallLimit(lane="lane", most=4),),
        withheld=withheld,
    )


def layout(shards: int = 2, generation: int = 7, requests: float = 1_200.0) -> ShardGroup:
    return ShardGroup(
        name="g",
        shards=shards,
        ownership_topic="lane",
        topics=("lane",),
        generation=generation,
        limits=((":requests_per_minute", requests),),
    )


class Member:
    """A member with a quota, and what Kafka keeps for its group."""

    def __init__(
        self, kept: dict[Partition, Found] | None = None, *, withheld: float = 0.0, owner: int = 1
    ) -> None:
        self.quota = Quota(contract(withheld=withheld), _NOW)
        self.lane = self.quota.of("lane")
        self.partitions = OwnedPartitions(owner, {"g": self.quota})
        self.kept = {} if kept is None else kept
        self.now = _NOW

    def assign(
        self,
        places: Collection[Partition],
        *,
        marks: Collection[Partition] = (),
        group: ShardGroup | None = None,
    ) -> None:
        fresh = Found(offset=0, fresh=True)
        found = {place: self.kept.get(place, fresh) for place in places}
        orders = Orders(marks=frozenset(marks), layout=(group or layout(),), partitions={})
        self.partitions.assign(found, orders, self.now)

    def commit(self, *, arrives: bool = True, answered: bool = True) -> None:
        commits = self.partitions.commits({}, self.now)
        if arrives:
            for place, each in commits.items():
                self.kept[place] = Found(offset=each.offset, metadata=each.metadata)
        if answered:
            self.partitions.written(commits)
        self.partitions.begin(self.now)

    @property
    def joined(self) -> set[int]:
        return set(self.quota.joined)

    @property
    def level(self) -> float:
        self.quota.pools[0].refill(self.now)
        return self.quota.pools[0].level


def told_levels(member: Member, place: Partition) -> tuple[float, ...]:
    found = member.kept[place]
    note = commit_note.read(found.offset, found.metadata)
    return () if note is None else note.levels


def holding(
    *places: Partition,
    kept: dict[Partition, Found] | None = None,
    withheld: float = 0.0,
    owner: int = 1,
) -> Member:
    member = Member(kept, withheld=withheld, owner=owner)
    member.assign(places)
    member.commit()
    return member


def test_a_slice_is_used_once_our_own_commit_stands() -> None:
    member = Member()
    member.assign(_ZERO)
    member.partitions.begin(_NOW)
    before = member.joined

    member.commit()

    assert (before, member.joined) == (set(), {0})
    assert member.lane.most_calls == 2


def test_only_the_first_partition_of_a_shard_brings_its_slice() -> None:
    assert holding(_PLACES[2]).joined == set()
    assert holding(_PLACES[0]).joined == {0}


def test_what_nobody_ever_used_is_full() -> None:
    member = holding(*_ZERO)

    assert member.level == member.quota.pools[0].capacity


def test_a_last_word_carries_the_level_and_the_next_owner_goes_on_with_it_at_once() -> None:
    member = holding(*_ZERO)
    member.lane.reserve(_SEVEN)
    member.lane.free()
    left = member.level

    member.assign(_ZERO, marks=_ZERO)
    member.commit()
    nobody, told = member.joined, told_levels(member, _PLACES[0])
    heir = holding(*_ZERO, kept=member.kept, owner=2)

    assert (nobody, told) == (set(), (left,))
    assert heir.joined == {0}
    assert heir.level == left


def test_what_a_crash_left_is_used_one_lease_later_and_empty() -> None:
    crashed = holding(*_ZERO)

    heir = holding(*_ZERO, kept=crashed.kept, owner=2)
    at_once = heir.joined
    heir.now += LEASE
    heir.commit()

    assert (at_once, heir.joined) == (set(), {0})
    assert heir.level == 0.0


def test_the_slots_of_a_crash_may_be_withheld_until_its_calls_have_ended() -> None:
    crashed = holding(*_ZERO)
    heir = holding(*_ZERO, kept=crashed.kept, owner=2, withheld=_CALL_TIMEOUT)
    heir.now += LEASE
    heir.commit()
    meanwhile = (heir.joined, heir.lane.most_calls)

    heir.now += _CALL_TIMEOUT
    heir.commit()

    assert meanwhile == ({0}, 0)
    assert heir.lane.most_calls == 2


def test_a_shard_that_is_to_go_has_no_slots_and_waits_for_calls_that_do_not_fit() -> None:
    member = holding(*_PLACES)
    for _ in range(3):
        member.lane.reserve(_SEVEN)

    member.assign(_PLACES, marks=_ONE)
    member.commit()
    while_they_run = (member.lane.most_calls, set(member.partitions.released))
    member.lane.free()
    member.commit()

    assert while_they_run == (2, set())
    assert member.partitions.released == set(_ONE)
    assert member.joined == {0}


def test_a_partition_that_is_taken_from_us_takes_its_slice_along() -> None:
    member = holding(*_PLACES)

    member.assign(_ONE)

    assert member.joined == {1}
    assert member.level == member.quota.pools[0].capacity


def test_a_last_word_of_which_we_do_not_know_that_it_arrived_ends_the_slice_all_the_same() -> None:
    member = holding(*_ZERO)
    member.assign(_ZERO, marks=_ZERO)
    member.commit(answered=False)

    member.assign(_ZERO)
    member.partitions.begin(_NOW)
    before = member.joined
    member.commit()

    assert (before, member.joined) == (set(), {0})
    assert member.level == member.quota.pools[0].capacity


def test_a_last_word_that_may_have_arrived_ends_the_slice_until_another_commit_stands() -> None:
    member = holding(*_ZERO)
    member.assign(_ZERO, marks=_ZERO)
    member.commit(arrives=False, answered=False)

    member.assign(_ZERO)
    member.partitions.begin(_NOW)
    before = (member.joined, member.partitions.unclaimed)
    member.commit()

    assert before == (set(), True)
    assert member.joined == {0}


def test_after_a_planned_move_no_slot_is_withheld() -> None:
    member = holding(*_ZERO)
    member.assign(_ZERO, marks=_ZERO)
    member.commit()

    heir = holding(*_ZERO, kept=member.kept, owner=2, withheld=_CALL_TIMEOUT)

    assert heir.lane.most_calls == 2


def test_where_another_topic_says_who_owns_a_shard_its_slice_begins_anew() -> None:
    member = holding(*_PLACES)
    elsewhere = replace(layout(), ownership_topic="other", topics=("lane", "other"))

    member.assign((*_PLACES, ("other", 0)), group=elsewhere)
    member.commit()
    at_once = member.joined
    member.now += LEASE
    member.commit()

    assert (at_once, member.joined, member.level) == (set(), {0}, 0.0)


def test_a_last_word_that_failed_is_said_again_with_the_same_level() -> None:
    member = holding(*_ZERO)
    member.lane.reserve(_SEVEN)
    member.lane.free()
    left = member.level
    member.assign(_ZERO, marks=_ZERO)
    member.commit(arrives=False, answered=False)

    member.now += 100.0
    member.commit()

    assert told_levels(member, _PLACES[0]) == (left,)


def test_another_number_of_shards_begins_one_lease_later_with_nothing() -> None:
    member = holding(*_PLACES)

    member.assign(_PLACES, group=layout(shards=4, generation=8))
    member.commit()
    at_once = member.joined
    member.now += LEASE
    member.commit()

    assert (at_once, member.joined) == (set(), {0, 1, 2, 3})
    assert member.level == 0.0


def test_a_lower_limit_of_others_holds_for_us_too_and_ours_when_it_is_the_lower() -> None:
    member = holding(*_PLACES)
    full = member.quota.pools[0].rate

    member.assign(_PLACES, group=layout(generation=8, requests=600.0))
    lowered = member.quota.pools[0].rate
    member.assign(_PLACES, group=layout(generation=9, requests=9_999.0))

    assert lowered == full / 2
    assert member.quota.pools[0].rate == full


def test_levels_of_other_limits_are_not_taken_for_ours() -> None:
    member = holding(*_ZERO)
    member.assign(_ZERO, marks=_ZERO)
    member.commit()

    heir = Member(member.kept, owner=2)
    heir.assign(_ZERO, group=layout(generation=8))
    heir.commit()
    at_once = heir.joined
    heir.now += LEASE
    heir.commit()

    assert (at_once, heir.joined, heir.level) == (set(), {0}, 0.0)


def test_a_drain_gives_up_all_slices_with_their_levels() -> None:
    member = holding(*_PLACES)
    capacity = member.quota.pools[0].capacity

    member.partitions.drain()
    member.commit()

    assert member.joined == set()
    assert [told_levels(member, place) for place in _PLACES[:2]] == [(capacity,)] * 2
