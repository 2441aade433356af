"""Who owns which shard: properties that hold for every fleet, and a few told as stories."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tollway_workers.ownership.layout import merged
from tollway_workers.ownership.partition import Partition
from tollway_workers.ownership.shard_plan import Member, Plan, plan
from tollway_workers.ownership.sharding import ShardGroup, shard_of

_PARTITIONS = 12
#: More rounds than this to come to rest is flapping.
_ROUNDS = 6


def group(name: str, shards: int, topics: int = 2) -> ShardGroup:
    names = tuple(f"{name}-{n}" for n in range(topics))
    return ShardGroup(
        name=name, shards=shards, ownership_topic=names[0], topics=names, generation=1
    )


def partitions_of(groups: Sequence[ShardGroup]) -> dict[str, int]:
    return {topic: _PARTITIONS for each in groups for topic in each.topics}


def member(name: str, groups: Sequence[ShardGroup], **fields: object) -> Member:
    topics = frozenset(topic for each in groups for topic in each.topics)
    return replace(Member(name=name, topics=topics), **fields)  # type: ignore[arg-type]  # fields of Member, by name


def after(members: Sequence[Member], planned: Plan, epoch: int, *, release: bool) -> list[Member]:
    """The members as they join next: with what they were given, and all marks released or none."""
    return [
        replace(
            each,
            epoch=epoch,
            owned=planned.given[each.name],
            released=planned.marks[each.name] if release else frozenset(),
        )
        for each in members
    ]


def settled(
    members: Sequence[Member], groups: Sequence[ShardGroup], partitions: Mapping[str, int]
) -> tuple[list[Member], Plan]:
    """The plan in which nothing is marked any more."""
    for epoch in range(_ROUNDS):
        planned = plan(members, groups, partitions)
        if not any(planned.marks.values()):
            return list(members), planned
        members = after(members, planned, epoch, release=True)
    raise AssertionError("it does not come to rest")


def owned_shards(planned: Plan, groups: Sequence[ShardGroup]) -> dict[str, Counter[str]]:
    """Shards by member and group, told by the ownership topic alone."""
    by_topic = {each.ownership_topic: each for each in groups}
    return {
        name: Counter(
            by_topic[topic].name
            for topic, q in places
            if topic in by_topic and q < by_topic[topic].shards
        )
        for name, places in planned.given.items()
    }


_groups = st.lists(
    st.tuples(st.sampled_from([1, 2, 3, 4, 6, 12]), st.integers(1, 3)), min_size=1, max_size=6
).map(lambda each: [group(f"g{n}", shards, topics) for n, (shards, topics) in enumerate(each)])


@st.composite
def _fleets(draw: st.DrawFn) -> tuple[list[Member], list[ShardGroup]]:
    """Members that claim, have released and lack whatever they like."""
    groups = draw(_groups)
    places = [place for topic, n in partitions_of(groups).items() for place in _all(topic, n)]
    some = st.frozensets(st.sampled_from(places), max_size=30)
    members = [
        member(
            f"m{n}",
            draw(st.lists(st.sampled_from(groups), unique_by=lambda each: each.name)),
            epoch=draw(st.integers(-1, 5)),
            owned=(owned := draw(some)),
            released=draw(some) & owned,
            leaving=draw(st.booleans()),
            standby=draw(st.booleans()),
        )
        for n in range(draw(st.integers(1, 6)))
    ]
    return members, groups


def _all(topic: str, count: int) -> list[Partition]:
    return [(topic, q) for q in range(count)]


@given(_fleets())
def test_no_partition_has_two_owners_and_none_that_cannot_read_it(
    fleet: tuple[list[Member], list[ShardGroup]],
) -> None:
    members, groups = fleet

    planned = plan(members, groups, partitions_of(groups))

    times = Counter(place for places in planned.given.values() for place in places)
    assert set(times.values()) <= {1}
    for each in members:
        assert {topic for topic, _ in planned.given[each.name]} <= each.topics
        assert planned.marks[each.name] <= planned.given[each.name]


@given(_fleets())
def test_what_a_living_owner_has_not_released_stays_with_it(
    fleet: tuple[list[Member], list[ShardGroup]],
) -> None:
    members, groups = fleet

    planned = plan(members, groups, partitions_of(groups))

    newest: dict[Partition, Member] = {}
    for each in sorted(members, key=lambda each: (-each.epoch, each.name)):
        for place in each.owned:
            newest.setdefault(place, each)
    for place, owner in newest.items():
        if place not in owner.released and place[0] in owner.topics:
            assert place in planned.given[owner.name]


@given(_fleets())
def test_every_partition_that_somebody_who_stays_can_read_has_an_owner(
    fleet: tuple[list[Member], list[ShardGroup]],
) -> None:
    members, groups = fleet
    partitions = partitions_of(groups)

    planned = plan(members, groups, partitions)

    readable = {topic for each in members if not each.leaving for topic in each.topics}
    owned = {place for places in planned.given.values() for place in places}
    assert {place for topic in readable for place in _all(topic, partitions[topic])} <= owned


@given(_fleets())
def test_it_comes_to_rest_and_then_stays(fleet: tuple[list[Member], list[ShardGroup]]) -> None:
    members, groups = fleet
    partitions = partitions_of(groups)
    members = [each for each in members if not each.leaving] or [member("m", groups)]

    members, planned = settled(members, groups, partitions)
    again = plan(after(members, planned, 9, release=False), groups, partitions)

    assert again == planned


@given(_groups, st.integers(1, 8), st.randoms(use_true_random=False))
def test_at_rest_shards_are_balanced_in_number_and_over_groups(
    groups: list[ShardGroup], count: int, dice: object
) -> None:
    members = [member(f"m{n}", groups) for n in range(count)]

    _, planned = settled(members, groups, partitions_of(groups))

    shards = owned_shards(planned, groups)
    for each in groups:
        counts = [shards[name][each.name] for name in shards]
        assert max(counts) - min(counts) <= 1
        assert sum(counts) == each.shards
    totals = [counter.total() for counter in shards.values()]
    assert max(totals) - min(totals) <= 1


@given(_groups, st.integers(1, 5), st.integers(1, 3), st.integers(0, 2))
def test_balance_returns_after_joins_and_leaves_and_every_shard_stays_whole(
    groups: list[ShardGroup], count: int, joins: int, leaves: int
) -> None:
    partitions = partitions_of(groups)
    members, planned = settled([member(f"m{n}", groups) for n in range(count)], groups, partitions)
    members = after(members, planned, 1, release=False)[min(leaves, count - 1) :]
    members += [member(f"new{n}", groups) for n in range(joins)]

    _, planned = settled(members, groups, partitions)

    totals = [counter.total() for counter in owned_shards(planned, groups).values()]
    assert max(totals) - min(totals) <= 1
    owner = {place: name for name, places in planned.given.items() for place in places}
    for each in groups:
        for topic, q in (p for t in each.topics for p in _all(t, _PARTITIONS)):
            first = each.ownership_topic, shard_of(q, each.shards)
            assert owner[topic, q] == owner[first]


@given(_groups, st.integers(1, 5))
def test_a_join_moves_little_more_than_what_the_newcomer_gets(
    groups: list[ShardGroup], count: int
) -> None:
    partitions = partitions_of(groups)
    members, planned = settled([member(f"m{n}", groups) for n in range(count)], groups, partitions)
    members = [*after(members, planned, 1, release=False), member("new", groups)]

    marked = plan(members, groups, partitions).marks
    _, planned = settled(members, groups, partitions)

    first = {(each.ownership_topic, s) for each in groups for s in range(each.shards)}
    moved = sum(len(places & first) for places in marked.values())
    assert moved <= 2 * owned_shards(planned, groups)["new"].total()


def test_a_member_that_restarts_with_nothing_to_say_gets_shards_like_any_other() -> None:
    groups = [group("a", 4)]
    members = [member("m0", groups), Member(name="m1", topics=frozenset(groups[0].topics))]

    planned = plan(members, groups, partitions_of(groups))

    assert {name: len(places) for name, places in planned.given.items()} == {"m0": 12, "m1": 12}


def test_members_beyond_the_shards_get_nothing_and_nobody_minds() -> None:
    groups = [group("a", 2)]
    members = [member(f"m{n}", groups) for n in range(5)]

    _, planned = settled(members, groups, partitions_of(groups))

    assert sorted(map(len, planned.given.values())) == [0, 0, 0, 12, 12]


def test_groups_of_one_shard_do_not_all_sit_on_one_worker() -> None:
    groups = [group(f"g{n}", 1) for n in range(4)]
    members = [member(f"m{n}", groups) for n in range(4)]

    _, planned = settled(members, groups, partitions_of(groups))

    assert [c.total() for c in owned_shards(planned, groups).values()] == [1, 1, 1, 1]


def test_who_lacks_a_credential_gets_no_shard_of_that_group() -> None:
    groups = [group("a", 4), group("b", 4)]
    members = [member("both", groups), member("only-a", groups[:1])]

    _, planned = settled(members, groups, partitions_of(groups))

    shards = owned_shards(planned, groups)
    assert shards["only-a"] == {"a": 2}
    assert shards["both"] == {"a": 2, "b": 4}


def test_whoever_leaves_is_marked_with_all_it_has_and_gets_nothing_more() -> None:
    groups = [group("a", 4)]
    members, planned = settled(
        [member("m0", groups), member("m1", groups)],
        groups,
        {
            "a-0": 12,
            "a-1": 12,
        },
    )
    members = after(members, planned, 1, release=False)
    going = [replace(members[0], leaving=True), members[1]]

    planned = plan(going, groups, partitions_of(groups))

    assert planned.marks == {"m0": members[0].owned, "m1": frozenset()}
    assert planned.given["m0"] == members[0].owned


def test_all_may_leave_at_once_and_nobody_is_given_anything_new() -> None:
    groups = [group("a", 2)]
    members, planned = settled(
        [member("m0", groups), member("m1", groups)],
        groups,
        {
            "a-0": 12,
            "a-1": 12,
        },
    )
    members = [replace(m, leaving=True) for m in after(members, planned, 1, release=False)]
    members[0] = replace(members[0], released=members[0].owned)

    planned = plan(members, groups, partitions_of(groups))

    assert planned.given == {"m0": frozenset(), "m1": members[1].owned}


def test_a_released_shard_that_nobody_else_may_have_comes_back() -> None:
    groups = [group("a", 1)]
    alone = member("m0", groups, epoch=3, owned=(every := frozenset(_all("a-0", 12))))

    planned = plan([replace(alone, released=every)], groups, {"a-0": 12})

    assert planned == Plan({"m0": every}, {"m0": frozenset()})


def test_the_newer_of_two_claims_wins_even_if_it_has_been_released() -> None:
    groups = [group("a", 1, topics=1)]
    every = frozenset(_all("a-0", 12))
    frozen = member("frozen", groups, epoch=3, owned=every)
    owner = member("owner", groups, epoch=4, owned=every)

    kept = plan([frozen, owner], groups, {"a-0": 12})
    freed = plan([frozen, replace(owner, released=every, leaving=True)], groups, {"a-0": 12})

    assert kept.given == {"frozen": frozenset(), "owner": every}
    assert freed.given == {"frozen": every, "owner": frozenset()}


@pytest.mark.parametrize(("before", "now"), [(4, 2), (2, 4), (4, 3), (1, 12), (12, 1)])
def test_another_number_of_shards_moves_partition_by_partition(before: int, now: int) -> None:
    old, new = [group("a", before)], [group("a", now)]
    partitions = partitions_of(old)
    members, planned = settled([member(f"m{n}", old) for n in range(3)], old, partitions)
    members = after(members, planned, 1, release=False)

    first = plan(members, new, partitions)
    _, last = settled(members, new, partitions)

    assert {name: first.given[name] for name in first.given} == planned.given
    counts = [c.total() for c in owned_shards(last, new).values()]
    assert sum(counts) == now
    assert max(counts) - min(counts) <= 1
    owner = {place: name for name, places in last.given.items() for place in places}
    assert all(owner[topic, q] == owner["a-0", q % now] for topic, q in owner)


def test_new_partitions_go_to_the_owners_of_their_shards_and_nothing_is_marked() -> None:
    groups = [group("a", 4)]
    members, planned = settled(
        [member("m0", groups), member("m1", groups)],
        groups,
        {
            "a-0": 4,
            "a-1": 4,
        },
    )
    members = after(members, planned, 1, release=False)

    grown = plan(members, groups, {"a-0": 8, "a-1": 8})

    assert not any(grown.marks.values())
    assert all(planned.given[name] < grown.given[name] for name in grown.given)


def test_a_topic_that_only_old_workers_read_stays_with_them_whoever_owns_the_shard() -> None:
    old, new = group("a", 1, topics=2), group("a", 1, topics=1)
    layout = merged([[new], [old]], {"a-0": 2, "a-1": 2})
    older = member("older", [old], epoch=1, owned=frozenset(_all("a-1", 2)))
    newer = member("newer", [new], epoch=1, owned=frozenset(_all("a-0", 2)))

    planned = plan([older, newer], layout, {"a-0": 2, "a-1": 2})

    assert planned.given == {"older": older.owned, "newer": newer.owned}
    assert not any(planned.marks.values())


def test_what_a_leaving_member_owns_is_marked_only_where_somebody_stays() -> None:
    groups = [group("a", 2)]
    own = frozenset(_all("a-0", _PARTITIONS) + _all("a-1", _PARTITIONS))
    goes = member("goes", groups, epoch=1, owned=own, leaving=True)

    alone = plan([goes], groups, partitions_of(groups))
    with_another = plan([goes, member("stays", groups)], groups, partitions_of(groups))

    assert (alone.given["goes"], alone.marks["goes"]) == (own, frozenset())
    assert (with_another.given["goes"], with_another.marks["goes"]) == (own, own)


def test_a_standby_gets_what_nobody_else_can_have() -> None:
    both, one = group("a", 2), group("b", 1)
    standby = member("standby", [both, one], standby=True)
    other = member("other", [both])

    _, planned = settled([standby, other], [both, one], partitions_of([both, one]))
    _, alone = settled([standby], [both, one], partitions_of([both, one]))

    assert {topic for topic, _ in planned.given["standby"]} == set(one.topics)
    assert {topic for topic, _ in planned.given["other"]} == set(both.topics)
    assert {topic for topic, _ in alone.given["standby"]} == {*both.topics, *one.topics}


@pytest.mark.parametrize("names", ["ab", "abc"])
def test_of_what_all_have_released_only_that_moves_which_balance_asks_for(names: str) -> None:
    groups = [group("a", 4), group("b", 4)]
    topics = partitions_of(groups)
    mine = frozenset(
        (topic, q) for topic in topics for q in range(_PARTITIONS) if shard_of(q, 4) in (0, 3)
    )
    others = frozenset((t, q) for t in topics for q in range(_PARTITIONS)) - mine
    members = [
        member("a", groups, owned=mine, released=mine, epoch=1),
        member("b", groups, owned=others, released=others, epoch=1),
        *([member("c", groups)] if "c" in names else []),
    ]

    planned = plan(members, groups, topics)

    a_shard = 2 * _PARTITIONS // 4
    assert not any(planned.marks.values())
    assert len(mine - planned.given["a"]) <= (a_shard * 2 if "c" in names else 0)
    assert planned.given["a"] <= mine
    assert planned.given["b"] <= others
