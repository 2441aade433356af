"""The partitions that are ours: what they bring, what is committed of them, how they are released.

Two steps make a move: the leader marks a partition, and its owner stops, ends what runs, commits a
last word and says so; only then does the next plan give it to another. All marked partitions of a
shard go together, because their calls count against one slice of the limits.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

from tollway_workers.limits.quota import Quotas
from tollway_workers.ownership import commit_note
from tollway_workers.ownership.commit_note import CommitNote
from tollway_workers.ownership.custody import Custody, Terms
from tollway_workers.ownership.offsets import OffsetTracker
from tollway_workers.ownership.record import ReceivedRecord
from tollway_workers.ownership.shard_plan import Place
from tollway_workers.ownership.sharding import ShardGroup, ownership, shard_of
from tollway_workers.ownership.slices import Slices
from tollway_workers.ownership.user_data import Orders


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """Where a partition was left."""

    offset: int
    metadata: str = ""
    #: Nobody ever committed it.
    fresh: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Commit:
    """What is to be committed of one partition."""

    offset: int
    metadata: str
    note: CommitNote
    custody: Custody
    #: It is the last commit before the partition may go.
    release: bool


class Holdings:
    """What one member owns.

    Mutable state: `_custodies` (by partition), `_groups` (the limit group of each topic), `leaving`
    (all of it is being released, by our own decision), `released` (what is finished with and still
    ours), `_unclaimed` (what no commit of ours stands for yet), `_waiting` (partitions with records
    that may not begin yet).
    """

    def __init__(self, owner: int, quotas: Quotas = MappingProxyType({})) -> None:
        """`owner`: a number of this process. `quotas`: what it may use of each limit group."""
        self._owner = owner
        self._slices = Slices(quotas)
        self._custodies: dict[Place, Custody] = {}
        self._groups: dict[str, ShardGroup] = {}
        self._layout: tuple[ShardGroup, ...] = ()
        self._unserved: frozenset[str] = frozenset()
        self._unclaimed: set[Place] = set()
        self._waiting: set[Place] = set()
        self.leaving = False
        self.released: set[Place] = set()
        #: Topics whose lanes may start no call.
        self.resting: frozenset[str] = frozenset()

    def assign(self, found: Mapping[Place, Found], orders: Orders, now: float) -> None:
        """A rebalance is over: exactly these are ours; `now` is on the clock that counts suspend.

        What stays goes on as it was, unless others had it meanwhile, or we were done with it. Marks
        replace all earlier ones, so one that is gone ends its release.
        """
        self._layout = orders.layout
        self._groups = {topic: group for group in orders.layout for topic in group.topics}
        self._slices.arrange(orders.layout, now)
        for place in self._custodies.keys() - found.keys():
            self._drop(place, now)
        # A mark that is still there: the plan was made before we said that it is released.
        self.released &= orders.marks & found.keys()
        for place, left in found.items():
            custody = self._custodies.get(place)
            if custody is not None and self._continues(custody, left):
                custody.terms = self._terms(place)
            else:
                self._drop(place, now)
                self._custodies[place] = Custody(
                    (left.offset, left.metadata), self._terms(place), fresh=left.fresh, now=now
                )
                self._unclaimed.add(place)
        self._unclaimed -= self.released
        self._mark(orders.marks)
        self._slices.use(self._custodies, now)

    def drain(self) -> None:
        """Release all that is ours, and whatever else may come; there is no way back."""
        self.leaving = True
        self._mark(frozenset())

    def serves(self, topic: str) -> bool:
        """Whether a shard of the topic's limit group is ours, and stays."""
        return topic not in self._unserved

    def wanted(self, place: Place, now: float) -> bool:
        """Whether more of a partition's records are to be read."""
        custody = self._custodies[place]
        return custody.is_open(now) and custody.wanted

    def take(self, place: Place, records: Iterable[ReceivedRecord]) -> None:
        """Keep records that were read, until `begin`.

        Those of a partition that is released are not ours to begin: whoever has it next reads them.
        """
        custody = self._custodies[place]
        if custody.tracker.releasing:
            return
        for record in records:
            custody.take(record)
        self._waiting.add(place)

    def begin(self, now: float) -> list[ReceivedRecord]:
        """Hand over the records that may begin now, each once; use the limits that are ours now."""
        self._slices.use(self._custodies, now)
        begun: list[ReceivedRecord] = []
        for place in tuple(self._waiting):
            custody = self._custodies[place]
            if not custody.is_open(now) or self._rests(place):
                continue
            elsewhere = custody.suspicious and self._one_alone_but(custody)
            begun += custody.begin(alone_elsewhere=elsewhere)
            if not custody.waiting:
                self._waiting.discard(place)
        return begun

    def commits(self, positions: Mapping[Place, int | None], now: float) -> dict[Place, Commit]:
        """What to commit now; `positions` are the reader's own, where nothing is incomplete."""
        self._slices.use(self._custodies, now)
        ending = self._ending(now)
        return {
            place: self._commit(place, positions.get(place), now, release=place in ending)
            for place in self._custodies
            if place not in self.released
        }

    def written(self, commits: Mapping[Place, Commit]) -> None:
        """A commit has succeeded."""
        for place, commit in commits.items():
            custody = commit.custody
            if self._custodies.get(place) is custody:
                custody.written(commit.note)
                if commit.release and custody.tracker.releasing:
                    self.released.add(place)
                if custody.ours or place in self.released:
                    self._unclaimed.discard(place)
                else:
                    # The mark was withdrawn while our last word was on its way.
                    self._unclaimed.add(place)

    @property
    def unclaimed(self) -> bool:
        """Whether something is ours of which no commit of ours says so yet."""
        return bool(self._unclaimed)

    @property
    def waiting(self) -> bool:
        """Whether records were read that may not begin before something happens here."""
        return any(not self._rests(place) for place in self._waiting)

    def idle(self, place: Place) -> bool:
        """Whether nothing of a partition is incomplete, and it stays."""
        tracker = self.tracker(place)
        return not tracker.incomplete and not tracker.releasing

    def tracker(self, place: Place) -> OffsetTracker:
        """The tracker of a partition that is ours."""
        return self._custodies[place].tracker

    def trackers(self) -> Iterator[OffsetTracker]:
        """Those of all partitions that are ours."""
        return (custody.tracker for custody in self._custodies.values())

    @property
    def releasing(self) -> int:
        """Partitions that are finished with and still ours, or about to be."""
        return sum(custody.tracker.releasing for custody in self._custodies.values())

    def shards(self) -> dict[str, int]:
        """Shards that are ours, by limit group."""
        owned = {group.name: self._custodies.keys() & ownership(group) for group in self._layout}
        return {name: len(places) for name, places in owned.items() if places}

    def __contains__(self, place: Place) -> bool:
        return place in self._custodies

    def __iter__(self) -> Iterator[Place]:
        return iter(self._custodies)

    def __len__(self) -> int:
        return len(self._custodies)

    def __repr__(self) -> str:
        return f"<Holdings [{len(self)} partitions | {self.releasing} leave]>"

    def _one_alone_but(self, custody: Custody) -> bool:
        return any(
            each.alone and not self._rests(place)
            for place, each in self._custodies.items()
            if each is not custody
        )

    def _rests(self, place: Place) -> bool:
        return place[0] in self.resting and self._custodies[place].careful

    def _stays(self, place: Place) -> bool:
        custody = self._custodies.get(place)
        return custody is not None and not custody.tracker.releasing

    def _drop(self, place: Place, now: float) -> None:
        self._slices.lose(place, now)
        self._waiting.discard(place)
        self._unclaimed.discard(place)
        if (custody := self._custodies.pop(place, None)) is not None:
            custody.tracker.owned = False

    def _continues(self, custody: Custody, left: Found) -> bool:
        """Whether nobody else had a partition since we took it, and we were not done with it."""
        if custody.found == (left.offset, left.metadata):
            return True
        note = commit_note.read(left.offset, left.metadata)
        return note is not None and note.owner == self._owner and not note.final

    def _terms(self, place: Place) -> Terms:
        group = self._groups.get(place[0])
        if group is None:
            return Terms(self._owner, 0, 0)
        return Terms(self._owner, group.shards, group.generation)

    def _mark(self, marks: frozenset[Place]) -> None:
        for place, custody in self._custodies.items():
            custody.tracker.releasing = self.leaving or place in marks
            if custody.tracker.releasing:
                custody.unread()
                self._waiting.discard(place)
        self._unserved = frozenset(
            topic
            for group in self._layout
            if not any(self._stays(place) for place in ownership(group))
            for topic in group.topics
        )

    def _ending(self, now: float) -> set[Place]:
        """Partitions that are being released, of shards of which nothing runs any more.

        Nothing of an owner before us, either: a last word of ours would speak for it too. And not
        before the calls in flight fit into what stays: the next owner uses its slots at once.
        """
        shards: dict[tuple[str, int], list[Place]] = {}
        for place, custody in self._custodies.items():
            if custody.tracker.releasing:
                shards.setdefault(self._shard(place), []).append(place)
        return {
            place
            for (group, _), places in shards.items()
            if self._slices.fits(group) and all(self._custodies[each].ended(now) for each in places)
            for place in places
        }

    def _shard(self, place: Place) -> tuple[str, int]:
        topic, partition = place
        group = self._groups.get(topic)
        if group is None:
            return topic, partition
        return group.name, shard_of(partition, group.shards)

    def _commit(self, place: Place, position: int | None, now: float, *, release: bool) -> Commit:
        custody = self._custodies[place]
        note = custody.note(final=release)
        if release:
            custody.take_leave()
            self._unclaimed.add(place)
            note = replace(note, levels=self._slices.last_levels(place, custody, now))
        # What is given back would be passed over by the reader's position.
        passed = None if custody.tracker.releasing else position
        offset, metadata = custody.tracker.committable(passed, note)
        return Commit(offset=offset, metadata=metadata, note=note, custody=custody, release=release)
