"""A broker in memory: topics, partitions, groups, commits with metadata. For tests alone.

It holds to what `tests/contract/test_broker_contract.py` demands of Kafka too; what is not there
(replication, transactions, sessions, time) it does not have.
"""

import asyncio
from collections.abc import Collection
from dataclasses import dataclass, field

from tollway_workers.kafka.partitioner import partition_of
from tollway_workers.kafka.ports import OutgoingRecord, RecordTooLarge
from tollway_workers.policies.offsets import OffsetTracker
from tollway_workers.policies.record import ReceivedRecord

#: A topic and one of its partitions.
Place = tuple[str, int]

#: Seconds that a poll waits for records: real ones, whatever a test's clock says.
_POLL_WAIT = 0.01


@dataclass(slots=True)
class _Group:
    """Members in the order of their names, what each owns, and what was committed."""

    members: dict[str, "MemorySource"] = field(default_factory=dict)
    committed: dict[Place, tuple[int, str]] = field(default_factory=dict)


class MemoryBroker:
    """Topics by name, each a list of partitions, each a list of records."""

    def __init__(self, *, most_bytes: int = 1_048_576, now: float = 1_700_000_000.0) -> None:
        """`most_bytes`: the largest record; `now`: the time of every record, seconds UTC."""
        self.topics: dict[str, list[list[OutgoingRecord]]] = {}
        self.most_bytes = most_bytes
        self.now = now
        self.news = asyncio.Condition()
        self._groups: dict[str, _Group] = {}

    def create_topic(self, name: str, partitions: int = 1) -> str:
        """Make an empty topic and return its name."""
        self.topics[name] = [[] for _ in range(partitions)]
        return name

    def records(self, topic: str) -> list[OutgoingRecord]:
        """All records of a topic, partition by partition."""
        return [record for partition in self.topics[topic] for record in partition]

    def committed(self, group: str) -> dict[Place, tuple[int, str]]:
        """Offset and metadata of each partition that a group has committed."""
        return dict(self._group(group).committed)

    async def append(self, record: OutgoingRecord) -> Place:
        """Write a record where its key, or it itself, says.

        Raises:
            RecordTooLarge: it is larger than `most_bytes`.
        """
        headers = sum(len(name) + len(value or b"") for name, value in record.headers)
        if len(record.key or b"") + len(record.value) + headers > self.most_bytes:
            raise RecordTooLarge(f"a record for {record.topic} is too large")
        partitions = self.topics[record.topic]
        partition = record.partition
        if partition is None or partition >= len(partitions):
            partition = partition_of(record.key, len(partitions))
        partitions[partition].append(record)
        async with self.news:
            self.news.notify_all()
        return record.topic, partition

    def join(self, group: str, member: "MemorySource") -> None:
        """Let a member in, in the place of an earlier one of its name, and share anew."""
        self._group(group).members[member.instance_id] = member
        self._share(group)

    def leave(self, group: str, member: "MemorySource") -> None:
        """Let a member go and share what it had among the others."""
        members = self._group(group).members
        if members.get(member.instance_id) is member:
            del members[member.instance_id]
            self._share(group)

    def commit(self, group: str, member: "MemorySource", at: dict[Place, tuple[int, str]]) -> bool:
        """Keep offsets of partitions that are the member's; False if it is not one any more."""
        if self._group(group).members.get(member.instance_id) is not member:
            return False
        self._group(group).committed.update(at)
        return True

    def _group(self, name: str) -> _Group:
        return self._groups.setdefault(name, _Group())

    def _share(self, name: str) -> None:
        """A rebalance: all members write down what is complete, then each is given its part."""
        group = self._group(name)
        members = [group.members[each] for each in sorted(group.members)]
        for member in members:
            group.committed.update(member.committable())
        topics = sorted({topic for member in members for topic in member.topics})
        places = [(topic, q) for topic in topics for q in range(len(self.topics[topic]))]
        for index, member in enumerate(members):
            member.assign(set(places[index :: len(members)]), group.committed)


class MemorySource:
    """A `RecordSource` over a `MemoryBroker`. State as in `KafkaSource`."""

    def __init__(
        self, broker: MemoryBroker, topics: Collection[str], *, group: str, instance_id: str
    ) -> None:
        self.topics = tuple(topics)
        self.instance_id = instance_id
        self._broker = broker
        self._group = group
        self._trackers: dict[Place, OffsetTracker] = {}
        self._held_back: frozenset[str] = frozenset()

    async def start(self) -> None:
        """Join the group."""
        self._broker.join(self._group, self)

    async def poll(self, most: int) -> list[ReceivedRecord]:
        """At most `most` new records, each once while its partition is ours; waits a moment."""
        taken = self._take(most)
        if not taken:
            try:
                async with asyncio.timeout(_POLL_WAIT), self._broker.news:
                    await self._broker.news.wait()
            except TimeoutError:
                pass
            taken = self._take(most)
        return taken

    def hold_back(self, topics: Collection[str]) -> None:
        """Read nothing more from exactly these topics, until told otherwise."""
        self._held_back = frozenset(topics)

    def complete(self, record: ReceivedRecord) -> None:
        """The outcome of a record is safely written: it never comes again."""
        record.tracker.finish(record.offset)

    async def commit(self) -> None:
        """Write down what is complete."""
        self._broker.commit(self._group, self, self.committable())

    async def leave(self) -> None:
        """Commit, and give the partitions to others at once; idempotent."""
        await self.commit()
        self._broker.leave(self._group, self)
        self._trackers.clear()

    @property
    def owned(self) -> int:
        """Partitions that are ours now."""
        return len(self._trackers)

    def committable(self) -> dict[Place, tuple[int, str]]:
        """What is complete, by partition."""
        return {place: tracker.committable() for place, tracker in self._trackers.items()}

    def assign(self, places: set[Place], committed: dict[Place, tuple[int, str]]) -> None:
        """The group's new part for us: what stays goes on, the rest starts where it was left."""
        for place in self._trackers.keys() - places:
            self._trackers.pop(place).owned = False
        for place in sorted(places - self._trackers.keys()):
            self._trackers[place] = OffsetTracker(*committed.get(place, (0, "")))

    def _take(self, most: int) -> list[ReceivedRecord]:
        taken: list[ReceivedRecord] = []
        for (topic, partition), tracker in self._trackers.items():
            if topic in self._held_back:
                continue
            log = self._broker.topics[topic][partition]
            while len(taken) < most and tracker.next_offset < len(log) and tracker.has_room:
                offset = tracker.next_offset
                if tracker.start(offset, self._broker.now):
                    taken.append(self._received(topic, partition, offset, tracker))
        return taken

    def _received(
        self, topic: str, partition: int, offset: int, tracker: OffsetTracker
    ) -> ReceivedRecord:
        record = self._broker.topics[topic][partition][offset]
        return ReceivedRecord(
            topic,
            partition,
            offset,
            record.key,
            record.value,
            record.headers,
            self._broker.now,
            tracker,
        )

    def __repr__(self) -> str:
        return f"<MemorySource {self.instance_id} [{len(self._trackers)} partitions]>"


class MemorySink:
    """A `RecordSink` over a `MemoryBroker`.

    While `failures` is above zero, each write fails with ConnectionError and takes one off it:
    half of them before the record is there, half after, as with a real broker.
    """

    def __init__(self, broker: MemoryBroker) -> None:
        self._broker = broker
        self.failures = 0
        self.recoveries = 0
        self.stopped = False

    async def start(self) -> None:
        """Nothing to connect."""

    async def send(self, record: OutgoingRecord) -> asyncio.Future[object]:
        """Hand a record over. Raises RecordTooLarge."""
        acknowledged: asyncio.Future[object] = asyncio.get_running_loop().create_future()
        if self.failures > 0:
            self.failures -= 1
            if self.failures % 2:
                await self._broker.append(record)
            raise ConnectionError("the broker is away, as the test asked")
        acknowledged.set_result(await self._broker.append(record))
        return acknowledged

    async def recover(self) -> None:
        """Make the next writes possible again: there is nothing to do."""
        self.recoveries += 1

    async def stop(self) -> None:
        """Nothing to disconnect; idempotent."""
        self.stopped = True
