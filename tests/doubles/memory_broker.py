"""A broker in memory: topics, partitions, groups, commits with metadata. For tests alone.

It holds to what `tests/contract/test_broker_contract.py` demands of Kafka too; what is not there
(replication, transactions, sessions, leases, time) it does not have.
"""

import asyncio
from collections.abc import Collection
from dataclasses import dataclass, field
from itertools import count

from tollway_workers.job.duplicates import ReplyPlace
from tollway_workers.job.ports import OutgoingRecord, RecordTooLarge, TopicUnavailable
from tollway_workers.kafka.produce.partitioner import partition_of
from tollway_workers.ownership.layout import merged
from tollway_workers.ownership.offsets import OffsetTracker
from tollway_workers.ownership.owned_partitions import Found, OwnedPartitions
from tollway_workers.ownership.partition import Partition
from tollway_workers.ownership.record import ReceivedRecord
from tollway_workers.ownership.shard_plan import Member, plan
from tollway_workers.ownership.sharding import ShardGroup
from tollway_workers.ownership.user_data import Orders

#: There are no leases in memory: it is always late enough.
_NOW = float("inf")
#: A number for each source.
_OWNERS = count(1)
#: Seconds that a poll waits for records: real ones, whatever a test's clock says.
_POLL_WAIT = 0.01


@dataclass(slots=True)
class _Group:
    """Members in the order of their names, and what was committed."""

    members: dict[str, "MemorySource"] = field(default_factory=dict)
    committed: dict[Partition, tuple[int, str]] = field(default_factory=dict)


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

    def committed(self, group: str) -> dict[Partition, tuple[int, str]]:
        """Offset and metadata of each partition that a group has committed."""
        return dict(self._group(group).committed)

    async def append(self, record: OutgoingRecord) -> Partition:
        """Write a record where its key, or it itself, says.

        Raises RecordTooLarge beyond `most_bytes`, TopicUnavailable where there is no such topic.
        """
        headers = sum(len(name) + len(value or b"") for name, value in record.headers)
        if len(record.key or b"") + len(record.value) + headers > self.most_bytes:
            raise RecordTooLarge(f"a record for {record.topic} is too large")
        if (partitions := self.topics.get(record.topic)) is None:
            raise TopicUnavailable(record.topic, "does not exist")
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
        self.share(group)

    def leave(self, group: str, member: "MemorySource") -> None:
        """Let a member go and share what it had among the others."""
        members = self._group(group).members
        if members.get(member.instance_id) is member:
            del members[member.instance_id]
            self.share(group)

    def commit(
        self, group: str, member: "MemorySource", at: dict[Partition, tuple[int, str]]
    ) -> bool:
        """Keep offsets of partitions that are the member's; False if it is not one any more."""
        if self._group(group).members.get(member.instance_id) is not member:
            return False
        self._group(group).committed.update(at)
        return True

    def share(self, name: str) -> None:
        """A rebalance: all members write down what is complete, then each is given its part."""
        group = self._group(name)
        members = dict(sorted(group.members.items()))
        for member in members.values():
            member.write_down()
        partitions = {
            topic: len(self.topics[topic]) for each in members.values() for topic in each.topics
        }
        layout = merged([each.groups for each in members.values()], partitions)
        planned = plan([each.claim() for each in members.values()], layout, partitions)
        for instance_id, member in members.items():
            orders = Orders(marks=planned.marks[instance_id], layout=layout, partitions=partitions)
            found = {
                place: _left(group.committed.get(place))
                for place in sorted(planned.given[instance_id])
            }
            member.partitions.assign(found, orders, _NOW)

    def _group(self, name: str) -> _Group:
        return self._groups.setdefault(name, _Group())


def _left(committed: tuple[int, str] | None) -> Found:
    if committed is None:
        return Found(offset=0, fresh=True)
    return Found(offset=committed[0], metadata=committed[1])


class MemorySource:
    """A `RecordSource` over a `MemoryBroker`. State as in `KafkaSource`."""

    def __init__(
        self,
        broker: MemoryBroker,
        topics: Collection[str],
        *,
        group: str,
        instance_id: str,
        groups: tuple[ShardGroup, ...] = (),
    ) -> None:
        self.topics = tuple(topics)
        self.groups = groups
        self.instance_id = instance_id
        self.partitions = OwnedPartitions(next(_OWNERS))
        self._broker = broker
        self._group = group
        self._held_back: frozenset[str] = frozenset()

    async def start(self) -> None:
        """Join the group."""
        self._broker.join(self._group, self)

    async def poll(self, most: int) -> list[ReceivedRecord]:
        """About `most` new records, each once while its partition is ours; waits a moment."""
        if self.partitions.unclaimed or self.partitions.waiting:
            await self.commit()
        taken = self._take(most)
        if not taken:
            try:
                async with asyncio.timeout(_POLL_WAIT), self._broker.news:
                    await self._broker.news.wait()
            except TimeoutError:
                pass
            taken = self._take(most)
        return taken

    def hold_back(self, topics: Collection[str], resting: Collection[str] = ()) -> None:
        """Read nothing more from exactly these topics; no call may start for the resting ones."""
        self._held_back, self.partitions.resting = frozenset(topics), frozenset(resting)

    def may_start(self, record: ReceivedRecord) -> bool:
        """Whether a call for it may start now."""
        return record.tracker.owned and not record.tracker.releasing

    @property
    def lost(self) -> int:
        """Partitions that this worker has owned and does not any more; it only grows."""
        return self.partitions.lost

    def serves(self, topic: str) -> bool:
        """Whether a shard of the topic's limit group is ours."""
        return self.partitions.serves(topic)

    def complete(self, record: ReceivedRecord) -> None:
        """The outcome of a record is safely written: it never comes again."""
        record.tracker.finish(record.offset)

    def unread(self, record: ReceivedRecord) -> None:
        """A record was not begun: it comes again, to whoever has its partition next."""
        record.tracker.unread(record.offset)

    async def commit(self) -> None:
        """Write down what is complete; what is released then goes to others."""
        self.write_down()
        if self.partitions.released:
            self._broker.share(self._group)

    def drain(self) -> None:
        """Release all that is ours, shard by shard as they end, and want nothing more."""
        self.partitions.drain()

    async def leave(self) -> None:
        """Commit, and give the partitions to others at once; idempotent."""
        self.partitions.drain()
        self.write_down()
        self._broker.leave(self._group, self)
        self.forget()

    def forget(self) -> None:
        """Nothing is ours any more: what a crash leaves of a process."""
        self.partitions.assign({}, Orders(partitions={}), _NOW)

    @property
    def releasing(self) -> bool:
        """Whether something of ours is about to go."""
        return self.partitions.releasing > 0

    @property
    def owned(self) -> int:
        """Partitions that are ours now."""
        return len(self.partitions)

    def claim(self) -> Member:
        """What it says of itself when it joins."""
        return Member(
            name=self.instance_id,
            topics=frozenset(self.topics),
            epoch=0,
            owned=frozenset(self.partitions),
            released=frozenset(self.partitions.released),
            leaving=self.partitions.leaving,
        )

    def write_down(self) -> None:
        """Commit what is complete."""
        commits = self.partitions.commits({}, _NOW)
        at = {place: (each.offset, each.metadata) for place, each in commits.items()}
        if self._broker.commit(self._group, self, at):
            self.partitions.written(commits)

    def _take(self, most: int) -> list[ReceivedRecord]:
        left = most
        for place in self.partitions:
            topic, partition = place
            if topic in self._held_back or not self.partitions.wanted(place, _NOW):
                continue
            tracker = self.partitions.tracker(place)
            log = self._broker.topics[topic][partition]
            offsets = range(tracker.next_offset, min(len(log), tracker.next_offset + left))
            left -= len(offsets)
            self.partitions.take(place, [self._received(place, at, tracker) for at in offsets])
        return self.partitions.begin(_NOW) if most > 0 else []

    def _received(self, place: Partition, offset: int, tracker: OffsetTracker) -> ReceivedRecord:
        topic, partition = place
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
        return f"<MemorySource {self.instance_id} [{len(self.partitions)} partitions]>"


class MemorySink:
    """A `RecordSink` over a `MemoryBroker`.

    While `failures` is above zero each write takes one off and fails: half of them once written.
    """

    def __init__(self, broker: MemoryBroker) -> None:
        self._broker = broker
        self.failures = 0
        self.recoveries = 0
        self.stopped = False

    async def start(self) -> None:
        """Nothing to connect."""

    async def send(self, record: OutgoingRecord) -> asyncio.Future[object]:
        """Hand a record over. Raises RecordTooLarge, TopicUnavailable."""
        acknowledged: asyncio.Future[object] = asyncio.get_running_loop().create_future()
        if self.failures > 0:
            self.failures -= 1
            if self.failures % 2:
                await self._broker.append(record)
            raise ConnectionError("the broker is away, as the test asked")
        topic, q = await self._broker.append(record)
        acknowledged.set_result(ReplyPlace(topic, q, len(self._broker.topics[topic][q]) - 1))
        return acknowledged

    async def recover(self) -> None:
        """Make the next writes possible again: there is nothing to do."""
        self.recoveries += 1

    async def stop(self) -> None:
        """Nothing to disconnect; idempotent."""
        self.stopped = True
