"""The partitions that this worker owns: their records, their commits and their release.

A partition moves in two steps. The leader marks it, and its owner stops, finishes its calls, makes
a final commit and lists it as released; only then does the next plan assign it to another member.
All marked partitions of a shard move together, because their calls use one slice of the limits.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

from tollway_workers.limits.quota import Quotas
from tollway_workers.ownership import commit_note
from tollway_workers.ownership.commit_note import CommitNote
from tollway_workers.ownership.offsets import OffsetTracker
from tollway_workers.ownership.owned_partition import OwnedPartition, Terms
from tollway_workers.ownership.partition import Partition
from tollway_workers.ownership.record import ReceivedRecord
from tollway_workers.ownership.sharding import ShardGroup, ownership, shard_of
from tollway_workers.ownership.slices import Slices
from tollway_workers.ownership.user_data import Orders


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """The last commit of a partition."""

    offset: int
    metadata: str = ""
    #: It was never committed.
    fresh: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Commit:
    """The next commit of one partition."""

    offset: int
    metadata: str
    note: CommitNote
    owned: OwnedPartition
    #: It is the final commit, after which the partition may move.
    release: bool


class OwnedPartitions:
    """All partitions of one member.

    Mutable state: `_owned` (by partition), `_groups` (the limit group of each topic), `leaving`
    (all are being released, because this worker leaves), `released` (finished with and still
    owned), `_unclaimed` (not yet in a commit of ours that succeeded), `_waiting` (with records that
    may not start yet), `_offered` (released by `offer_untouched` until the next assignment).
    """

    def __init__(self, owner: int, quotas: Quotas = MappingProxyType({})) -> None:
        """`owner`: a number of this process. `quotas`: what it may use of each limit group."""
        self._owner = owner
        self._slices = Slices(quotas)
        self._owned: dict[Partition, OwnedPartition] = {}
        self._groups: dict[str, ShardGroup] = {}
        self._layout: tuple[ShardGroup, ...] = ()
        self._unserved: frozenset[str] = frozenset()
        self._unclaimed: set[Partition] = set()
        self._waiting: set[Partition] = set()
        self._offered: set[Partition] = set()
        self.leaving = False
        #: Partitions that were owned and are not any more, or are owned anew; it only grows.
        self.lost = 0
        self.released: set[Partition] = set()
        #: Topics whose lanes may start no call.
        self.resting: frozenset[str] = frozenset()

    def assign(self, found: Mapping[Partition, Found], orders: Orders, now: float) -> None:
        """A rebalance is over: own exactly these; `now` is on the clock that counts suspend.

        A partition that stays keeps its state, unless another member owned it meanwhile or our
        final commit stands. Marks replace all earlier ones, so a withdrawn mark ends a release.
        """
        self._layout = orders.layout
        self._groups = {topic: group for group in orders.layout for topic in group.topics}
        self._slices.arrange(orders.layout, now)
        for partition in self._owned.keys() - found.keys():
            self._drop(partition, now)
        # A mark that stays: the plan was made before the partition was listed as released.
        self.released &= orders.marks & found.keys()
        for partition, left in found.items():
            owned = self._owned.get(partition)
            if owned is not None and self._continues(partition, owned, left):
                owned.terms = self._terms(partition)
                if not owned.ours:
                    self._unclaimed.add(partition)
            else:
                self._drop(partition, now)
                self._owned[partition] = OwnedPartition(
                    (left.offset, left.metadata), self._terms(partition), fresh=left.fresh, now=now
                )
                self._unclaimed.add(partition)
        self._unclaimed -= self.released
        self._offered.clear()
        self._mark(orders.marks)
        self._slices.use(self._owned, now)

    def drain(self) -> None:
        """Release every partition, also those still to be assigned; this cannot be undone."""
        self.leaving = True
        self._mark(frozenset())

    def offer_untouched(self, now: float) -> None:
        """A rebalance begins: shards of which nothing was begun are released by the next commit.

        A worker that comes to an idle fleet then gets its part by this rebalance, without a mark
        first. What nobody else is given comes back by the next assignment, and goes on as it was.
        """
        shards: dict[tuple[str, int], dict[Partition, OwnedPartition]] = {}
        for partition, owned in self._owned.items():
            shards.setdefault(self._shard(partition), {})[partition] = owned
        for shard in shards.values():
            if all(each.untouched and each.ended(now) for each in shard.values()):
                for partition, each in shard.items():
                    each.tracker.releasing = True
                    self._offered.add(partition)

    def serves(self, topic: str) -> bool:
        """Whether this worker owns, and keeps, a shard of the topic's limit group."""
        return topic not in self._unserved

    def wanted(self, partition: Partition, now: float) -> bool:
        """Whether more of a partition's records are to be read."""
        owned = self._owned[partition]
        return owned.is_open(now) and owned.wanted

    def take(self, partition: Partition, records: Iterable[ReceivedRecord]) -> None:
        """Keep records that were read, until `begin`.

        Those of a partition that is being released are left to its next owner, which reads them.
        """
        owned = self._owned[partition]
        if owned.tracker.releasing:
            return
        for record in records:
            owned.take(record)
        self._waiting.add(partition)

    def begin(self, now: float) -> list[ReceivedRecord]:
        """Hand over the records that may start now, each once, and use the slices owned now."""
        self._slices.use(self._owned, now)
        begun: list[ReceivedRecord] = []
        for partition in tuple(self._waiting):
            owned = self._owned[partition]
            if not owned.is_open(now) or self._rests(partition):
                continue
            elsewhere = owned.suspicious and self._one_alone_but(owned)
            begun += owned.begin(alone_elsewhere=elsewhere)
            if not owned.waiting:
                self._waiting.discard(partition)
        return begun

    def commits(
        self, positions: Mapping[Partition, int | None], now: float
    ) -> dict[Partition, Commit]:
        """The commits to make now; `positions` are the consumer's, where nothing is incomplete."""
        self._slices.use(self._owned, now)
        ending = self._ending(now)
        return {
            partition: self._commit(
                partition, positions.get(partition), now, release=partition in ending
            )
            for partition in self._owned
            if partition not in self.released
        }

    def written(self, commits: Mapping[Partition, Commit]) -> None:
        """A commit has succeeded."""
        for partition, commit in commits.items():
            owned = commit.owned
            if self._owned.get(partition) is owned:
                owned.written(commit.note)
                if commit.release and owned.tracker.releasing:
                    self.released.add(partition)
                if owned.ours or partition in self.released:
                    self._unclaimed.discard(partition)
                else:
                    # The mark was withdrawn while the final commit was on its way.
                    self._unclaimed.add(partition)

    @property
    def unclaimed(self) -> bool:
        """Whether a partition is not yet in a commit of ours that succeeded."""
        return bool(self._unclaimed)

    @property
    def waiting(self) -> bool:
        """Whether records were read that may not start before a commit or another job's end."""
        return bool(self._waiting) and not all(map(self._rests, self._waiting))

    def idle(self, partition: Partition) -> bool:
        """Whether a partition has no incomplete offset, and is not being released."""
        tracker = self.tracker(partition)
        return not tracker.incomplete and not tracker.releasing

    def tracker(self, partition: Partition) -> OffsetTracker:
        """The offset tracker of an owned partition."""
        return self._owned[partition].tracker

    @property
    def releasing(self) -> int:
        """How many partitions are being released, or are released and still owned."""
        return sum(owned.tracker.releasing for owned in self._owned.values())

    def shards(self) -> dict[str, int]:
        """How many shards this worker owns, by limit group."""
        owned = {group.name: self._owned.keys() & ownership(group) for group in self._layout}
        return {name: len(partitions) for name, partitions in owned.items() if partitions}

    def __contains__(self, partition: Partition) -> bool:
        return partition in self._owned

    def __iter__(self) -> Iterator[Partition]:
        return iter(self._owned)

    def __len__(self) -> int:
        return len(self._owned)

    def __repr__(self) -> str:
        return f"<OwnedPartitions [{len(self)} partitions | {self.releasing} leave]>"

    def _one_alone_but(self, owned: OwnedPartition) -> bool:
        return any(
            each.alone and not self._rests(partition)
            for partition, each in self._owned.items()
            if each is not owned
        )

    def _rests(self, partition: Partition) -> bool:
        return partition[0] in self.resting and self._owned[partition].careful

    def _stays(self, partition: Partition) -> bool:
        owned = self._owned.get(partition)
        return owned is not None and not owned.tracker.releasing

    def _drop(self, partition: Partition, now: float) -> None:
        self._slices.lose(partition, now)
        self._waiting.discard(partition)
        self._unclaimed.discard(partition)
        if (owned := self._owned.pop(partition, None)) is not None:
            owned.tracker.owned = False
            self.lost += 1

    def _continues(self, partition: Partition, owned: OwnedPartition, left: Found) -> bool:
        """Whether this worker has owned a partition without a break and without a final commit."""
        if owned.found == (left.offset, left.metadata):
            return True
        note = commit_note.read(left.offset, left.metadata)
        if note is None or note.owner != self._owner:
            return False
        return not note.final or partition in self._offered

    def _terms(self, partition: Partition) -> Terms:
        group = self._groups.get(partition[0])
        if group is None:
            return Terms(self._owner, 0, 0)
        return Terms(self._owner, group.shards, group.generation)

    def _mark(self, marks: frozenset[Partition]) -> None:
        for partition, owned in self._owned.items():
            owned.tracker.releasing = self.leaving or partition in marks
            if owned.tracker.releasing:
                owned.unread()
                self._waiting.discard(partition)
        self._unserved = frozenset(
            topic
            for group in self._layout
            if not any(self._stays(partition) for partition in ownership(group))
            for topic in group.topics
        )

    def _ending(self, now: float) -> set[Partition]:
        """Partitions to release now: those of shards of which no call runs any more.

        No call of the previous owner either, because our final commit speaks for it too. And not
        before the calls in flight fit the shards that stay: the next owner uses its slots at once.
        """
        shards: dict[tuple[str, int], list[Partition]] = {}
        for partition, owned in self._owned.items():
            if owned.tracker.releasing:
                shards.setdefault(self._shard(partition), []).append(partition)
        return {
            partition
            for (group, _), partitions in shards.items()
            if self._slices.fits(group) and all(self._owned[each].ended(now) for each in partitions)
            for partition in partitions
        }

    def _shard(self, partition: Partition) -> tuple[str, int]:
        topic, number = partition
        group = self._groups.get(topic)
        if group is None:
            return topic, number
        return group.name, shard_of(number, group.shards)

    def _commit(
        self, partition: Partition, position: int | None, now: float, *, release: bool
    ) -> Commit:
        owned = self._owned[partition]
        note = owned.note(final=release)
        if release:
            owned.final_commit_sent()
            self._unclaimed.add(partition)
            note = replace(note, levels=self._slices.last_levels(partition, owned, now))
        # The consumer's position would pass over records that are to be read again.
        passed = None if owned.tracker.releasing else position
        offset, metadata = owned.tracker.committable(passed, note)
        return Commit(offset=offset, metadata=metadata, note=note, owned=owned, release=release)
