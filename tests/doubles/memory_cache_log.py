"""The cache's topic in memory."""

import asyncio
from collections.abc import Collection, Mapping
from typing import NamedTuple

from tollway_workers.cache.records import CacheRecord
from tollway_workers.errors import BrokerUnavailable

TOPIC = "tollway.cache"
Place = tuple[str, int]


class Logged(NamedTuple):
    """A record and where it lies."""

    partition: Place
    offset: int
    key: bytes | None
    value: bytes | None
    timestamp: float


class MemoryCacheTopic:
    """Records by partition. `missing`: the topic is not there."""

    def __init__(self, partitions: int = 2) -> None:
        self.records: list[list[CacheRecord]] = [[] for _ in range(partitions)]
        self.starts = [0] * partitions
        self.missing = False
        self.cluster = "cluster-1"
        #: Added to the time of records: another topic's differ.
        self.made_at = 1.0
        self.silent = False
        #: Offsets from which anybody began to read.
        self.begun: list[dict[int, int]] = []

    def write(self, *records: CacheRecord) -> None:
        """Append each to its partition, at the next offset."""
        for record in records:
            log = self.records[record.partition]
            log.append(record._replace(offset=len(log)))

    def remake(self) -> None:
        """Delete the topic and make it anew, empty."""
        self.records = [[] for _ in self.records]
        self.made_at += 1.0

    async def cluster_id(self) -> str:
        """As Kafka says it."""
        return self.cluster

    def reader(self) -> "MemoryCacheLog":
        """A consumer of it."""
        return MemoryCacheLog(self)


class MemoryCacheLog:
    """One consumer, as `LogReader` is one of Kafka's."""

    def __init__(self, topic: MemoryCacheTopic) -> None:
        self._topic = topic
        self._at: dict[Place, int] = {}
        self._polls = 0

    async def start(self) -> None:
        """Connect."""

    async def stop(self) -> None:
        """Disconnect."""

    async def ends(self, topics: Collection[str]) -> dict[Place, int]:
        """The offset behind the last record of every partition."""
        if self._topic.missing:
            raise BrokerUnavailable(f"the topic {TOPIC!r} does not exist")
        (topic,) = topics
        return {(topic, number): len(log) for number, log in enumerate(self._topic.records)}

    async def starts(self, ends: Mapping[Place, int], since: float | None) -> dict[Place, int]:
        """The first offset of each partition."""
        assert since is None
        return {at: self._topic.starts[at[1]] for at in ends}

    def follow(self, starts: Mapping[Place, int]) -> None:
        """Read on from there."""
        self._at = dict(starts)
        self._topic.begun.append({number: offset for (_, number), offset in starts.items()})

    async def read(self) -> list[Logged]:
        """The next records, three at most of each partition."""
        await asyncio.sleep(0)
        self._polls += not self._topic.silent
        found: list[Logged] = []
        for (topic, number), at in self._at.items():
            log = self._topic.records[number]
            # As the real one: an offset out of range leads to the beginning.
            at = at if at <= len(log) else 0
            found += [
                Logged((topic, number), each.offset, each.key, each.value, self._time(each))
                for each in log[at : at + 3]
            ]
            self._at[topic, number] = min(at + 3, len(log))
        return found

    async def position(self, partition: Place) -> int:
        """The offset that is read next."""
        return self._at[partition]

    def polled(self, partition: Place) -> int | None:
        """Another number with each answer."""
        del partition
        return self._polls

    def _time(self, record: CacheRecord) -> float:
        return self._topic.made_at * 1_000 + record.offset

    async def behind(self, partition: Place) -> int | None:
        """Offsets that are not read yet."""
        return len(self._topic.records[partition[1]]) - self._at[partition]
