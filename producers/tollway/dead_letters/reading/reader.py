"""Reads topics from beginning to end, without a consumer group."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from aiokafka import TopicPartition
from aiokafka.errors import KafkaError

from tollway.connection import KafkaConnection
from tollway.errors import BrokerUnreachable, UnknownTopic
from tollway.quiet import quieten_aiokafka
from tollway.reach import why_unreachable
from tollway_schemas.bounds import MOST_OFFSET
from tollway_schemas.headers import Headers
from tollway_schemas.reading.consumer import RecordConsumer, UnreadableRecord

#: Topic and number.
Partition = tuple[str, int]

#: Milliseconds that a read waits for records, and records that it gives at most.
_WAIT, _BATCH = 200, 500
#: Seconds for a first contact, for an answer, and without any progress.
_START, _ANSWER, _PATIENCE = 10.0, 20.0, 30.0
#: Seconds for a consumer to stop: aiokafka's may wait for ever.
_STOP = 2.0


@dataclass(frozen=True, slots=True)
class TopicRecord:
    """A record and where it lies."""

    partition: Partition
    offset: int
    key: bytes | None
    value: bytes | None
    headers: Headers = ()
    timestamp: float = 0.0
    """Kafka's own time of the record, in seconds since 1970."""


class TopicReader:
    """One consumer; `async with` opens it. One caller at a time.

    Each call raises BrokerUnreachable where Kafka does not answer, within half a minute.
    """

    def __init__(self, connection: KafkaConnection, *, committed: bool = True) -> None:
        """`committed`: nothing of a transaction that is open, or was taken back, is seen."""
        quieten_aiokafka()
        self._connection = connection
        self._consumer = RecordConsumer(
            **connection.client_options(),
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            isolation_level="read_committed" if committed else "read_uncommitted",
            fetch_max_wait_ms=_WAIT,
            retry_backoff_ms=20,
        )

    async def __aenter__(self) -> Self:
        try:
            async with asyncio.timeout(_START):
                await self._consumer.start()
        except (KafkaError, OSError) as error:
            await self._stop()
            raise await self._away() from error
        except BaseException:
            await self._stop()
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._stop()

    async def partitions(self) -> dict[str, int]:
        """How many partitions each topic has that we may see."""
        metadata = await self._answer(self._consumer._client.fetch_all_metadata())
        return {topic: len(metadata.partitions_for_topic(topic)) for topic in metadata.topics()}

    async def ends(self, topic: str) -> dict[Partition, int]:
        """The offset behind the last record of each partition. Raises UnknownTopic."""
        count = (await self.partitions()).get(topic)
        if not count:
            raise UnknownTopic(topic, "see `tollway topics plan`")
        return await self._ends_of([TopicPartition(topic, number) for number in range(count)])

    async def _ends_of(self, wanted: list[TopicPartition]) -> dict[Partition, int]:
        # Offsets are asked for where the client knows the leaders: of what it is assigned.
        self._consumer.assign(wanted)
        # Nothing of them is read: an answer would otherwise wait behind a read that finds nothing.
        self._consumer.pause(*wanted)
        found = await self._answer(self._consumer.end_offsets(wanted))
        return {(at.topic, at.partition): end for at, end in found.items()}

    async def starts(
        self, ends: Mapping[Partition, int], since: float | None = None
    ) -> dict[Partition, int]:
        """The first offset of each partition of `ends`, or the first one written at `since`.

        `since` is in seconds since 1970.
        """
        wanted = {TopicPartition(*partition): end for partition, end in ends.items()}
        if since is None:
            first = await self._answer(self._consumer.beginning_offsets(list(wanted)))
            return {(at.topic, at.partition): offset for at, offset in first.items()}
        times = dict.fromkeys(wanted, max(int(since * 1000), 0))
        found = await self._answer(self._consumer.offsets_for_times(times))
        return {
            (at.topic, at.partition): end if found.get(at) is None else found[at].offset
            for at, end in wanted.items()
        }

    async def between(
        self, starts: Mapping[Partition, int], ends: Mapping[Partition, int]
    ) -> AsyncIterator[TopicRecord]:
        """Every record from its partition's start to before its end."""
        todo = {partition: end for partition, end in ends.items() if starts[partition] < end}
        if not todo:
            return
        self.follow({partition: starts[partition] for partition in todo})
        loop = asyncio.get_running_loop()
        moved, positions = loop.time(), dict[Partition, int]()
        while todo:
            for record in await self.read():
                if record.offset < ends[record.partition]:
                    yield record
            # Positions pass the marks of transactions, the last record's offset does not.
            now = {each: await self.position(each) for each in todo}
            if now != positions:
                moved, positions = loop.time(), now
            elif loop.time() - moved > _PATIENCE:
                raise await self._away()
            todo = {each: end for each, end in todo.items() if now[each] < end}

    def follow(self, starts: Mapping[Partition, int]) -> None:
        """Read on from these offsets, and from nothing else, with `read`."""
        self._consumer.assign([TopicPartition(*partition) for partition in starts])
        for partition, offset in starts.items():
            self._consumer.seek(TopicPartition(*partition), offset)

    async def position(self, partition: Partition) -> int:
        """The offset that is read next, of a partition that is followed."""
        at: int = await self._answer(self._consumer.position(TopicPartition(*partition)))
        return at

    async def read(self) -> list[TopicRecord]:
        """The next records of what is followed; waits a moment. Never cancel it."""
        batches = await self._consumer.getmany(timeout_ms=_WAIT, max_records=_BATCH)
        return [
            TopicRecord(
                (at.topic, at.partition),
                record.offset,
                record.key,
                record.value,
                record.headers,
                record.timestamp / 1000,
            )
            for at, records in batches.items()
            for record in records
            if not isinstance(record, UnreadableRecord)
        ]

    async def one(self, partition: Partition, offset: int) -> TopicRecord | None:
        """The record at that place; None where it is gone, or never was.

        A dead letter says where it came from, and anybody may have written it.
        """
        topic, number = partition
        if not 0 <= number < (await self.partitions()).get(topic, 0):
            return None
        if not 0 <= offset < MOST_OFFSET:
            return None
        # Behind the end a read would wait for what is not written yet.
        end = (await self._ends_of([TopicPartition(topic, number)]))[partition]
        first = (await self.starts({partition: end}))[partition]
        if not first <= offset < end:
            return None
        only = {partition: offset}, {partition: offset + 1}
        found = [each async for each in self.between(*only)]
        return next((each for each in found if each.offset == offset), None)

    async def _answer(self, asked: Any) -> Any:
        try:
            async with asyncio.timeout(_ANSWER):
                return await asked
        except (KafkaError, OSError) as error:
            raise await self._away() from error

    async def _away(self) -> BrokerUnreachable:
        reason = await why_unreachable(self._connection)
        return BrokerUnreachable(self._connection.bootstrap_servers, reason)

    async def _stop(self) -> None:
        # While its broker is away, aiokafka's consumer waits for ever, or ends as if it had been
        # cancelled: that is no cancellation of ours.
        stopping = asyncio.ensure_future(self._consumer.stop())
        done, _ = await asyncio.wait([stopping], timeout=_STOP)
        if not done:
            stopping.cancel()
            await asyncio.wait([stopping], timeout=_STOP)
        if not done or stopping.cancelled() or stopping.exception() is not None:
            await self._consumer._client.close()


def count_between(starts: Mapping[Partition, int], ends: Mapping[Partition, int]) -> int:
    """How many records there are at most."""
    return sum(max(0, end - starts[partition]) for partition, end in ends.items())
