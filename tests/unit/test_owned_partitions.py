"""What one member owns, from one assignment to the next."""

from collections.abc import Collection, Mapping
from dataclasses import replace

from tollway_workers.ownership import commit_note
from tollway_workers.ownership.owned_partition import LEASE
from tollway_workers.ownership.owned_partitions import Found, OwnedPartitions
from tollway_workers.ownership.partition import Partition
from tollway_workers.ownership.record import ReceivedRecord
from tollway_workers.ownership.sharding import ShardGroup
from tollway_workers.ownership.user_data import Orders

_NOW = 1_000.0
_A = ShardGroup(name="a", shards=2, ownership_topic="a", topics=("a", "jobs"), generation=7)
_B = ShardGroup(name="b", shards=1, ownership_topic="b", topics=("b",), generation=7)
#: The four partitions of shard 1 of group a, where topics have four.
_SHARD: tuple[Partition, ...] = (("a", 1), ("a", 3), ("jobs", 1), ("jobs", 3))


class Member:
    """A member, and what Kafka keeps for its group."""

    def __init__(self, owner: int = 1, kept: dict[Partition, Found] | None = None) -> None:
        self.partitions = OwnedPartitions(owner)
        self.kept = {} if kept is None else kept
        self.now = _NOW

    def assign(
        self,
        places: Collection[Partition],
        *,
        marks: Collection[Partition] = (),
        layout: tuple[ShardGroup, ...] = (_A, _B),
    ) -> None:
        fresh = Found(offset=0, fresh=True)
        found = {place: self.kept.get(place, fresh) for place in places}
        orders = Orders(marks=frozenset(marks), layout=layout, partitions={})
        self.partitions.assign(found, orders, self.now)

    def commit(self, positions: Mapping[Partition, int] | None = None) -> None:
        commits = self.partitions.commits(positions or {}, self.now)
        for place, each in commits.items():
            self.kept[place] = Found(offset=each.offset, metadata=each.metadata)
        self.partitions.written(commits)

    def take(self, place: Partition, count: int) -> list[ReceivedRecord]:
        tracker = self.partitions.tracker(place)
        first = tracker.next_offset
        self.partitions.take(
            place,
            [
                ReceivedRecord(*place, offset, None, b"", (), 0.0, tracker)
                for offset in range(first, first + count)
            ],
        )
        return self.partitions.begin(self.now)

    def final(self, place: Partition) -> bool:
        note = commit_note.read(self.kept[place].offset, self.kept[place].metadata)
        return note is not None and note.final


def offsets(records: Collection[ReceivedRecord]) -> list[int]:
    return [record.offset for record in records]


def test_nothing_begins_before_our_own_commit_stands() -> None:
    member = Member()
    member.assign(_SHARD)
    before = member.take(("a", 1), 3)
    was_unclaimed = member.partitions.unclaimed

    member.commit()

    assert (before, was_unclaimed, member.partitions.unclaimed) == ([], True, False)
    assert offsets(member.partitions.begin(_NOW)) == [0, 1, 2]


def test_a_shard_gets_its_last_word_when_nothing_of_any_of_its_partitions_runs() -> None:
    member = Member()
    member.assign(_SHARD)
    member.commit()
    (record,) = member.take(("jobs", 3), 1)

    member.assign(_SHARD, marks=_SHARD)
    member.commit()
    while_it_runs = [member.final(place) for place in _SHARD]
    record.tracker.finish(record.offset)
    member.commit()

    assert not any(while_it_runs)
    assert all(member.final(place) for place in _SHARD)
    assert member.partitions.released == set(_SHARD)
    assert member.kept["jobs", 3].offset == 1


def test_other_shards_do_not_wait_for_it() -> None:
    other: tuple[Partition, ...] = (("a", 0), ("a", 2), ("b", 0))
    member = Member()
    member.assign((*_SHARD, *other))
    member.commit()
    member.take(("a", 1), 1)

    member.assign((*_SHARD, *other), marks=(*_SHARD, *other))
    member.commit()

    assert member.partitions.released == set(other)


def test_what_was_read_and_has_not_begun_is_given_back_by_a_mark_and_read_again_later() -> None:
    member = Member()
    member.assign(_SHARD)
    member.take(("a", 1), 3)

    member.assign(_SHARD, marks=_SHARD)
    given_back = member.partitions.tracker(("a", 1)).next_offset
    while_marked = member.take(("a", 1), 3)
    member.assign(_SHARD)
    member.commit()

    assert (given_back, while_marked) == (0, [])
    assert offsets(member.take(("a", 1), 3)) == [0, 1, 2]


def test_a_position_past_what_was_given_back_is_not_committed() -> None:
    member = Member()
    member.assign(_SHARD)
    member.commit()
    member.assign(_SHARD, marks=_SHARD)
    member.take(("a", 1), 3)

    member.commit({("a", 1): 3})

    assert member.kept["a", 1].offset == 0


def test_what_stays_goes_on_with_what_runs() -> None:
    member = Member()
    member.assign(_SHARD)
    member.commit()
    (record,) = member.take(("a", 1), 1)
    member.commit()

    member.assign([("a", 1)])
    record.tracker.finish(record.offset)
    member.commit()

    assert record.tracker.owned
    assert member.kept["a", 1].offset == 1


def test_what_others_had_meanwhile_is_taken_over_anew() -> None:
    member = Member()
    member.assign(_SHARD)
    member.commit()
    (record,) = member.take(("a", 1), 1)
    other = Member(owner=2, kept=member.kept)
    other.assign(_SHARD)
    other.commit()

    member.assign(_SHARD)
    member.commit()

    assert not record.tracker.owned
    assert not member.partitions.wanted(("a", 1), _NOW)
    assert member.partitions.wanted(("a", 1), _NOW + LEASE)


def test_a_mark_that_crossed_our_release_leaves_it_released() -> None:
    member = Member()
    member.assign(_SHARD)
    member.commit()
    member.assign(_SHARD, marks=_SHARD)
    member.commit()

    member.assign(_SHARD, marks=_SHARD)
    member.commit()

    assert member.partitions.released == set(_SHARD)
    assert all(member.final(place) for place in _SHARD)
    assert not member.partitions.unclaimed


def test_what_we_released_and_get_back_is_ours_again_after_a_commit_that_is_not_final() -> None:
    member = Member()
    member.assign(_SHARD)
    member.commit()
    member.assign(_SHARD, marks=_SHARD)
    member.commit()

    member.assign(_SHARD)
    before = member.take(("a", 1), 1)
    member.commit()

    assert member.partitions.released == set()
    assert before == []
    assert not any(member.final(place) for place in _SHARD)
    assert offsets(member.partitions.begin(_NOW)) == [0]


def test_a_mark_that_is_withdrawn_while_our_last_word_is_on_its_way_is_no_release() -> None:
    member = Member()
    member.assign(_SHARD)
    member.commit()
    member.assign(_SHARD, marks=_SHARD)
    commits = member.partitions.commits({}, _NOW)
    member.assign(_SHARD)

    member.partitions.written(commits)
    before = member.take(("a", 1), 1)
    claimed_again = member.partitions.unclaimed
    member.commit()

    assert member.partitions.released == set()
    assert (before, claimed_again) == ([], True)
    assert offsets(member.partitions.begin(_NOW)) == [0]


def test_a_last_word_that_kafka_has_and_we_do_not_know_of_is_answered_by_a_claim() -> None:
    member = Member()
    member.assign(_SHARD)
    member.commit()
    member.assign(_SHARD, marks=_SHARD)
    for place, each in member.partitions.commits({}, _NOW).items():
        member.kept[place] = Found(offset=each.offset, metadata=each.metadata)

    member.assign(_SHARD)
    before = member.take(("a", 1), 1)
    member.commit()

    assert before == []
    assert offsets(member.partitions.begin(_NOW)) == [0]
    assert not any(member.final(place) for place in _SHARD)


def test_a_commit_that_another_owner_has_overtaken_is_no_claim() -> None:
    member = Member()
    member.assign(_SHARD)
    commits = member.partitions.commits({}, _NOW)

    theirs = Member(2, member.kept)
    theirs.assign(_SHARD)
    theirs.commit()
    member.assign(_SHARD)
    member.partitions.written(commits)

    assert member.partitions.unclaimed
    assert member.take(("a", 1), 1) == []


def test_after_its_last_word_nothing_more_is_said_of_a_partition() -> None:
    member = Member()
    member.assign([("a", 0), ("b", 0)])
    member.commit()
    member.assign([("a", 0), ("b", 0)], marks=[("a", 0)])
    member.commit()

    assert member.partitions.commits({}, _NOW).keys() == {("b", 0)}


def test_no_last_word_is_said_for_an_owner_whose_calls_may_still_run() -> None:
    dead = Member(owner=2)
    dead.assign(_SHARD)
    dead.commit()
    dead.take(("a", 1), 1)
    dead.commit()
    member = Member(kept=dead.kept)
    member.assign(_SHARD, marks=_SHARD)

    member.commit()
    early = [member.final(place) for place in _SHARD]
    member.now += LEASE
    member.commit()

    assert not any(early)
    assert all(member.final(place) for place in _SHARD)


def test_a_partition_whose_call_was_broken_off_goes_without_a_last_word() -> None:
    member = Member()
    member.assign(_SHARD)
    member.commit()
    (record,) = member.take(("a", 1), 1)
    member.assign(_SHARD, marks=_SHARD)

    record.tracker.aborted = True
    record.tracker.unread(record.offset)
    member.commit()

    assert [place for place in _SHARD if not member.final(place)] == [("a", 1)]
    assert member.partitions.released == set(_SHARD)


def test_a_drain_releases_all_and_what_comes_later_too() -> None:
    member = Member()
    member.assign([("a", 0)])
    member.commit()

    member.partitions.drain()
    member.commit()
    member.assign([("a", 1)])
    member.commit()

    assert member.final(("a", 0))
    assert member.partitions.released == {("a", 1)}
    assert not member.partitions.wanted(("a", 1), _NOW + LEASE)


def test_a_lane_is_served_where_a_shard_of_its_group_is_ours_and_stays() -> None:
    member = Member()
    member.assign([("a", 1), ("jobs", 1), ("jobs", 0)])
    with_a_shard = [member.partitions.serves(topic) for topic in ("a", "jobs", "b", "unknown")]
    shards = member.partitions.shards()

    member.assign([("a", 1), ("jobs", 1), ("jobs", 0)], marks=[("a", 1)])
    marked = member.partitions.serves("jobs")
    member.assign([("jobs", 1), ("a", 3)])
    without = member.partitions.serves("jobs")

    assert with_a_shard == [True, True, False, True]
    assert shards == {"a": 1}
    assert (marked, without) == (False, False)


def test_other_shards_and_limits_hold_for_what_stays_from_the_next_commit_on() -> None:
    member = Member()
    member.assign([("a", 1)])
    member.commit()

    member.assign([("a", 1)], layout=(replace(_A, shards=4, generation=8), _B))
    member.commit()

    note = commit_note.read(member.kept["a", 1].offset, member.kept["a", 1].metadata)
    assert note is not None
    assert (note.shards, note.generation) == (4, 8)


def test_a_rebalance_begins_with_the_release_of_shards_of_which_nothing_was_begun() -> None:
    other: tuple[Partition, ...] = (("a", 0), ("a", 2), ("b", 0))
    member = Member()
    member.assign((*_SHARD, *other))
    member.commit()
    member.take(("b", 0), 1)

    member.partitions.offer_untouched(_NOW)
    member.commit()

    assert member.partitions.released == {*_SHARD, ("a", 0), ("a", 2)}
    assert not member.final(("b", 0))


def test_a_shard_of_which_anything_was_read_or_may_still_run_is_not_offered() -> None:
    crashed = Member(owner=2)
    crashed.assign((("b", 0),))
    crashed.commit()
    member = Member(kept=crashed.kept)
    member.assign((*_SHARD, ("a", 0), ("b", 0)))
    member.partitions.offer_untouched(_NOW)
    unclaimed = [member.partitions.tracker(("a", 0)).releasing]
    member.commit()
    (done,) = member.take(("jobs", 3), 1)
    done.tracker.finish(done.offset)

    member.partitions.offer_untouched(_NOW)
    member.commit()

    assert unclaimed == [False]
    assert member.partitions.released == {("a", 0)}


def test_an_offered_shard_that_comes_back_opens_with_our_next_commit_and_all_its_level() -> None:
    member = Member()
    member.assign((("b", 0),))
    member.commit()
    member.partitions.offer_untouched(_NOW)
    member.commit()

    member.assign((("b", 0),))
    before = member.take(("b", 0), 1)
    member.commit()

    assert (before, member.partitions.released) == ([], set())
    assert offsets(member.partitions.begin(_NOW)) == [0]


def test_an_offered_shard_that_comes_back_under_other_limits_waits_for_no_lease() -> None:
    member = Member()
    member.assign((("b", 0),))
    member.commit()
    member.partitions.offer_untouched(_NOW)
    member.commit()

    member.assign((("b", 0),), layout=(_A, replace(_B, generation=8)))
    member.commit()

    assert offsets(member.take(("b", 0), 1)) == [0]


def test_an_offered_shard_that_another_had_meanwhile_is_taken_over_anew() -> None:
    member = Member()
    member.assign((("b", 0),))
    member.commit()
    member.partitions.offer_untouched(_NOW)
    member.commit()
    other = Member(owner=2, kept=member.kept)
    other.assign((("b", 0),))
    other.commit()

    member.assign((("b", 0),))
    member.commit()

    assert member.take(("b", 0), 1) == []
    member.now = _NOW + LEASE
    # After a crash what is to begin is named in a commit first.
    assert member.partitions.begin(member.now) == []
    member.commit()
    assert offsets(member.partitions.begin(member.now)) == [0]
