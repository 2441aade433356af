"""After a crash, jobs of a lane that may start no call wait: not accused, holding up nobody."""

from collections.abc import Collection

from tollway_workers.ownership import commit_note
from tollway_workers.ownership.commit_note import CommitNote
from tollway_workers.ownership.owned_partition import LEASE
from tollway_workers.ownership.owned_partitions import Found, OwnedPartitions
from tollway_workers.ownership.partition import Partition
from tollway_workers.ownership.record import ReceivedRecord
from tollway_workers.ownership.sharding import ShardGroup
from tollway_workers.ownership.user_data import Orders

_GROUP = ShardGroup(
    name="g", shards=1, ownership_topic="paused", topics=("paused", "open"), generation=7
)
PAUSED: Partition = ("paused", 0)
OPEN: Partition = ("open", 0)


class Owners:
    """One after the other owns two partitions; each dies without a last word."""

    def __init__(self) -> None:
        self.kept: dict[Partition, Found] = {}
        self.now = 1_000.0
        self.number = 0
        self.next()

    def next(self, resting: Collection[str] = ()) -> None:
        """Another owner takes over, a lease later, and reads 100 records of each."""
        self.number += 1
        self.now += 2 * LEASE
        self.partitions = OwnedPartitions(self.number)
        self.partitions.resting = frozenset(resting)
        fresh = Found(offset=0, fresh=True)
        found = {place: self.kept.get(place, fresh) for place in (PAUSED, OPEN)}
        orders = Orders(layout=(_GROUP,), partitions={})
        self.partitions.assign(found, orders, self.now)
        self.now += 2 * LEASE
        self.commit()
        for place in (PAUSED, OPEN):
            tracker = self.partitions.tracker(place)
            records = [
                ReceivedRecord(*place, offset, None, b"", (), 0.0, tracker)
                for offset in range(tracker.lowest, 100)
            ]
            self.partitions.take(place, records)

    def commit(self) -> None:
        commits = self.partitions.commits({}, self.now)
        for place, each in commits.items():
            self.kept[place] = Found(offset=each.offset, metadata=each.metadata)
        self.partitions.written(commits)

    def begin(self) -> dict[Partition, int]:
        """How many of each begin, before or after a commit says so."""
        begun = self.partitions.begin(self.now)
        self.commit()
        begun += self.partitions.begin(self.now)
        self.commit()
        return {
            place: sum((each.topic, each.partition) == place for each in begun)
            for place in (PAUSED, OPEN)
        }

    def note(self, place: Partition) -> CommitNote:
        found = commit_note.read(self.kept[place].offset, self.kept[place].metadata)
        assert found is not None
        return found


def test_while_nobody_died_what_rests_begins_and_waits_in_its_lane() -> None:
    owners = Owners()
    owners.partitions.resting = frozenset({"paused"})

    assert owners.begin() == {PAUSED: 100, OPEN: 100}


def test_crashes_while_a_lane_rests_are_not_held_against_its_jobs() -> None:
    owners = Owners()
    owners.begin()
    for _ in range(5):
        owners.next(resting={"paused"})
        begun = owners.begin()

        assert (begun[PAUSED], owners.note(PAUSED).takeovers) == (0, 1)
        assert owners.note(PAUSED).named is None
    owners.partitions.resting = frozenset()

    assert owners.begin()[PAUSED] == 64


def test_what_rests_holds_up_no_suspect_of_another_lane() -> None:
    owners = Owners()
    owners.begin()
    owners.next()
    owners.begin()
    owners.next()
    first = owners.begin()
    assert sum(first.values()) == 1
    (alone,) = (place for place, count in first.items() if count)
    other = OPEN if alone == PAUSED else PAUSED

    owners.partitions.resting = frozenset({alone[0]})

    assert owners.begin()[other] == 1


def test_a_poll_does_not_wait_for_what_rests() -> None:
    owners = Owners()
    owners.begin()
    owners.next(resting={"paused", "open"})
    rests = owners.partitions.waiting

    owners.partitions.resting = frozenset()

    assert (rests, owners.partitions.waiting) == (False, True)
