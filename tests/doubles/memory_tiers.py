"""Retry topics of a `MemoryBroker`, as a relay reads them."""

from collections import defaultdict, deque
from collections.abc import Callable, Collection

from memory_broker import MemoryBroker, MemorySource

from tollway_workers.kafka.consume.tier_reader import take_due
from tollway_workers.ownership.partition import Partition
from tollway_workers.ownership.record import ReceivedRecord

#: Records read by one poll at most.
_MOST_READ = 100


class MemoryTierSource:
    """A `TierSource` over a `MemoryBroker`. State: `_heads`, what was read and not taken."""

    def __init__(
        self, broker: MemoryBroker, topics: Collection[str], *, group: str, instance_id: str
    ) -> None:
        self._broker = broker
        self._topics = tuple(topics)
        self._group = group
        self._instance_id = instance_id
        self._source = self._new_source()
        self._left = False
        self._heads: defaultdict[Partition, deque[ReceivedRecord]] = defaultdict(deque)

    async def start(self) -> None:
        """Join the group, as a new member after it was left."""
        if self._left:
            self._source, self._left = self._new_source(), False
            self._heads.clear()
        await self._source.start()

    async def poll(self) -> None:
        """Read on; waits a moment."""
        for place, head in tuple(self._heads.items()):
            if head and (head[0].tracker.releasing or not head[0].tracker.owned):
                for record in self._heads.pop(place):
                    self._source.unread(record)
        for record in await self._source.poll(_MOST_READ):
            self._heads[record.topic, record.partition].append(record)

    def wake(self) -> None:
        """A poll hardly waits here."""

    def take(self, due: Callable[[ReceivedRecord], bool], most: int) -> list[ReceivedRecord]:
        """At most `most` records that are due, from the head of each partition on."""
        return take_due(self._heads.values(), due, most)

    async def commit(self, taken: Collection[ReceivedRecord]) -> None:
        """What was taken is safely written elsewhere."""
        for record in taken:
            self._source.complete(record)
        await self._source.commit()

    async def leave(self) -> None:
        """Give the partitions to others at once; idempotent."""
        self._left = True
        await self._source.leave()

    @property
    def owned(self) -> int:
        """Partitions that are ours now."""
        return self._source.owned

    def crash(self) -> None:
        """Be gone as a killed process is: nothing is committed any more."""
        self._broker.leave(self._group, self._source)
        self._source.forget()
        self._heads.clear()

    def _new_source(self) -> MemorySource:
        return MemorySource(
            self._broker, self._topics, group=self._group, instance_id=self._instance_id
        )
