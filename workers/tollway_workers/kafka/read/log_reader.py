"""Reads partitions by offset, without a consumer group, for commands."""

from collections.abc import AsyncIterator, Collection, Mapping
from typing import Any, NamedTuple

import structlog
from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from tollway_schemas.headers import Headers
from tollway_schemas.reading.consumer import RecordConsumer, UnreadableRecord
from tollway_workers.errors import BrokerUnavailable
from tollway_workers.kafka.connect import started, stopped
from tollway_workers.kafka.topic_admin import existing_topics
from tollway_workers.ownership.partition import Partition

log = structlog.get_logger(__name__)

#: Milliseconds a read waits for records.
_WAIT = 200
#: Bytes that are fetched of a partition at once: what aiokafka fetches by itself.
_FETCHED = 1_048_576
#: Seconds until a consumer is asked again to stop.
_STOP_WAIT = 1.0


class LoggedRecord(NamedTuple):
    """A record and where it lies."""

    partition: Partition
    offset: int
    key: bytes | None
    value: bytes | None
    headers: Headers = ()
    #: Kafka's own time of the record, in seconds since 1970.
    timestamp: float = 0.0


async def cluster_id(client: Mapping[str, Any]) -> str:
    """The cluster's own name for itself, which outlives every change of address."""
    options = dict(client)
    admin = AIOKafkaAdminClient(**options)
    await started(admin, options)
    try:
        return str((await admin.describe_cluster())["cluster_id"])
    finally:
        await admin.close()


class LogReader:
    """One consumer. `start` before use; one caller at a time."""

    def __init__(self, client: Mapping[str, Any], fetched: int = _FETCHED) -> None:
        """`client`: arguments that every aiokafka client takes, servers and security; `fetched`:
        bytes that are fetched of a partition at once, one batch in any case.
        """
        self._client = dict(client)
        self._consumer = RecordConsumer(
            **self._client,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            isolation_level="read_committed",
            # What else is asked on the same connection waits for the answer.
            fetch_max_wait_ms=_WAIT,
            max_partition_fetch_bytes=fetched,
        )

    async def start(self) -> None:
        """Connect. Raises BrokerUnavailable."""
        await started(self._consumer, self._client)

    async def stop(self) -> None:
        """Disconnect, within moments; idempotent."""
        # aiokafka's fetcher misses a request to end while it turns to other partitions, and its
        # consumer then waits for ever; asked again, it ends.
        await stopped(self._consumer, _STOP_WAIT)

    async def ends(self, topics: Collection[str]) -> dict[Partition, int]:
        """The offset behind the last record of every partition. Raises BrokerUnavailable."""
        counts = await existing_topics(self._client)
        if missing := sorted(set(topics) - counts.keys()):
            raise BrokerUnavailable(
                f"the topic {missing[0]!r} does not exist, or this user may not see it: "
                "see `tollway topics plan`"
            )
        wanted = [
            TopicPartition(topic, number) for topic in topics for number in range(counts[topic])
        ]
        # Offsets are asked for where the client knows the leaders: of what it is assigned.
        self._consumer.assign(wanted)
        # Nothing of them is read: an answer would otherwise wait behind a read that finds nothing.
        self._consumer.pause(*wanted)
        found = await self._consumer.end_offsets(wanted)
        return {(at.topic, at.partition): end for at, end in found.items()}

    async def starts(
        self, ends: Mapping[Partition, int], since: float | None
    ) -> dict[Partition, int]:
        """The first offset of each partition of `ends`, or the first one written at `since`.

        `since` is in seconds since 1970. Raises BrokerUnavailable.
        """
        wanted = {TopicPartition(*partition): end for partition, end in ends.items()}
        try:
            if since is None:
                first = await self._consumer.beginning_offsets(list(wanted))
                return {(at.topic, at.partition): offset for at, offset in first.items()}
            times = dict.fromkeys(wanted, int(since * 1000))
            found = await self._consumer.offsets_for_times(times)
        except KafkaError as error:
            raise BrokerUnavailable(
                f"Kafka does not say where its topics begin ({type(error).__name__}): try again"
            ) from error
        return {
            (at.topic, at.partition): end if found.get(at) is None else found[at].offset
            for at, end in wanted.items()
        }

    async def between(
        self, starts: Mapping[Partition, int], ends: Mapping[Partition, int]
    ) -> AsyncIterator[LoggedRecord]:
        """Every record from its partition's start to before its end."""
        todo = {partition: end for partition, end in ends.items() if starts[partition] < end}
        if not todo:
            return
        self.follow({partition: starts[partition] for partition in todo})
        while todo:
            for record in await self.read():
                if record.offset < ends[record.partition]:
                    yield record
            for partition, end in list(todo.items()):
                # Positions pass transaction markers, the last record's offset does not.
                if await self._consumer.position(TopicPartition(*partition)) >= end:
                    del todo[partition]

    def follow(self, starts: Mapping[Partition, int]) -> None:
        """Read on from these offsets, and from nothing else, with `read`."""
        self._consumer.assign([TopicPartition(*partition) for partition in starts])
        for partition, offset in starts.items():
            self._consumer.seek(TopicPartition(*partition), offset)

    async def position(self, partition: Partition) -> int:
        """The offset that is read next, of a partition that is followed."""
        at: int = await self._consumer.position(TopicPartition(*partition))
        return at

    def polled(self, partition: Partition) -> int | None:
        """A number that differs from answer to answer of Kafka about a partition that is followed;
        None: none yet.
        """
        number: int | None = self._consumer.last_poll_timestamp(TopicPartition(*partition))
        return number

    async def behind(self, partition: Partition) -> int | None:
        """Offsets between what is read next and the end that Kafka last told; None: not told yet.

        Of a partition that is followed.
        """
        at = TopicPartition(*partition)
        end = self._consumer.last_stable_offset(at)
        return None if end is None else max(0, end - await self._consumer.position(at))

    async def answered(self, partition: Partition) -> int | None:
        """A number that differs from answer to answer of Kafka about a partition that is followed.

        None where it has not answered yet, or where what it told of is not all read.
        """
        at = TopicPartition(*partition)
        end = self._consumer.last_stable_offset(at)
        if end is None or await self._consumer.position(at) < end:
            return None
        number: int | None = self._consumer.last_poll_timestamp(at)
        return number

    async def read(self) -> list[LoggedRecord]:
        """The next records of what is followed; waits a moment. Never cancel it."""
        batches = await self._consumer.getmany(timeout_ms=_WAIT, max_records=1_000)
        return [
            LoggedRecord(
                (at.topic, at.partition),
                record.offset,
                record.key,
                record.value,
                record.headers,
                record.timestamp / 1000,
            )
            for at, records in batches.items()
            for record in records
            if not _is_unreadable(record)
        ]


def _is_unreadable(record: Any) -> bool:
    """Whether nobody can read it; that is logged, and what is behind it is read."""
    if not isinstance(record, UnreadableRecord):
        return False
    log.warning("skipped a record that cannot be read", why=record.why)
    return True
