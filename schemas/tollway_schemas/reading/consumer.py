"""aiokafka's consumer, with records that are read as this room reads them.

The one seam: of what aiokafka fetches, the bytes of the records are taken out before its own reader
sees them; all else (positions, rebalances, leaders, errors of Kafka) stays its work.
"""

import asyncio
from functools import partial
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.consumer.fetcher import READ_COMMITTED, Fetcher, FetchResult
from aiokafka.protocol.fetch import FetchRequest

from tollway_schemas.reading.fetched import Fetched, FetchedRecords, UnreadableRecord
from tollway_schemas.reading.unpack import MOST_UNPACKED

__all__ = ["RecordConsumer", "UnreadableRecord"]

#: Bytes that one poll looks at, unpacks and gives, before the event loop has its turn.
_MOST_WORK = 4 * 2**20
#: Bytes of the objects of a header and of a record, roughly: a megabyte of empty records may
#: stand in a kilobyte.
_HEADER_BYTES, _RECORD_BYTES = 150, 500


class RecordConsumer(AIOKafkaConsumer):  # type: ignore[misc]  # aiokafka is untyped
    """An AIOKafkaConsumer that no record stops.

    What cannot be read comes as an `UnreadableRecord`. `getmany` lets the event loop go on once at
    least, and gives about 4 MiB at most (one record always).
    """

    def __init__(self, *topics: str, most_unpacked: int = MOST_UNPACKED, **options: Any) -> None:
        self._most_unpacked = most_unpacked
        self._reading: _ReadingFetcher | None = None
        super().__init__(*topics, **options)

    def wake(self) -> None:
        """End the wait of a `getmany` that waits now: it gives nothing, and loses nothing."""
        if self._reading is not None:
            self._reading.wake()

    # aiokafka makes its fetcher in the middle of `start`. Changed there, before its task has run,
    # it has never read anything itself.
    @property
    def _fetcher(self) -> Any:
        return self._reading

    @_fetcher.setter
    def _fetcher(self, fetcher: Any) -> None:
        if fetcher is not None:
            fetcher.__class__ = _ReadingFetcher
            fetcher.read_within(self._most_unpacked)
        self._reading = fetcher


class _Client:
    """aiokafka's client, but for the records in what it fetches.

    State: `_kept`, what was taken out, by the request that it answers.
    """

    def __init__(self, client: Any) -> None:
        self._client = client
        self._kept: dict[FetchRequest, list[Fetched]] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    async def send(self, node_id: Any, request: Any, **options: Any) -> Any:
        """As aiokafka's."""
        response = await self._client.send(node_id, request, **options)
        if isinstance(request, FetchRequest):
            kept = self._kept[request] = []
            begins = {
                (topic, partition): begin
                for topic, parts in request.topics
                for partition, begin, *_ in parts
            }
            response.topics = [
                (topic, [_without_records(part, topic, begins, kept) for part in parts])
                for topic, parts in response.topics
            ]
        return response

    def take(self, request: FetchRequest) -> list[Fetched]:
        """What was taken out of the answer to a request; nothing where there was none."""
        return self._kept.pop(request, [])


class _ReadingFetcher(Fetcher):  # type: ignore[misc]  # aiokafka is untyped
    """aiokafka's fetcher, which buffers records that are read by us."""

    _client: _Client
    _most_unpacked: int
    _budget: "_Budget"
    _waiting: asyncio.Timeout | None = None

    def read_within(self, most_unpacked: int) -> None:
        """Begin. Batches may unpack to `most_unpacked` bytes."""
        self._client = _Client(self._client)
        self._most_unpacked = most_unpacked
        self._budget = _Budget()

    async def fetched_records(
        self,
        partitions: Any,
        timeout: Any = 0,  # noqa: ASYNC109 aiokafka's own parameter
        max_records: int | None = None,
    ) -> Any:
        """As aiokafka's, which goes on without a pause while there is something to give."""
        await asyncio.sleep(0)
        self._budget.left = _MOST_WORK
        # Records are taken behind the last await: whoever is woken before has taken none.
        waiting = self._waiting = asyncio.timeout(None)
        try:
            async with waiting:
                return await super().fetched_records(partitions, timeout, max_records)
        except TimeoutError:
            if not waiting.expired():
                raise
            return {}
        finally:
            self._waiting = None

    def wake(self) -> None:
        """End the wait of `fetched_records`, if it waits."""
        waiting, self._waiting = self._waiting, None
        if waiting is not None:
            waiting.reschedule(0.0)

    async def _proc_fetch_request(self, assignment: Any, node_id: Any, request: Any) -> bool:
        woken: bool = False
        try:
            woken = await super()._proc_fetch_request(assignment, node_id, request)
        finally:
            kept = self._client.take(request)
        if assignment.active:
            for fetched in kept:
                woken = self._buffer(assignment, fetched) or woken
        return woken

    def _buffer(self, assignment: Any, fetched: Fetched) -> bool:
        state = assignment.state_value(fetched.place)
        if not state.has_valid_position or state.position != fetched.begin:
            # The position was changed while Kafka answered: it is asked again.
            return False
        if self._isolation_level != READ_COMMITTED:
            fetched = Fetched(
                place=fetched.place,
                begin=fetched.begin,
                end=fetched.end,
                records=fetched.records,
            )
        reading = FetchedRecords(fetched, self._most_unpacked)
        result = FetchResult(
            fetched.place,
            partition_records=reading,
            assignment=assignment,
            backoff=self._prefetch_backoff,
        )
        # On the object: aiokafka takes a subclass for an error.
        result.getall = partial(_taken, result, reading, self._budget)
        self._records[fetched.place] = result
        return True


class _Budget:
    """What one poll may still look at, unpack and give."""

    left = 0


def _taken(
    result: Any, reading: FetchedRecords, budget: _Budget, max_records: int | None = None
) -> list[Any]:
    """At most so many of the next records, as far as the budget goes; as FetchResult.getall."""
    taken: list[Any] = []
    if not result.check_assignment(reading.place) or not result.has_more():
        return taken
    while budget.left > 0 and (max_records is None or len(taken) < max_records):
        record = next(reading, None)
        budget.left -= reading.work
        reading.work = 0
        if record is None:
            result._update_position()
            result._partition_records = None
            return taken
        taken.append(record)
        budget.left -= (
            len(record.value or b"") + _HEADER_BYTES * len(record.headers) + _RECORD_BYTES
        )
    result._update_position()
    return taken


def _without_records(
    part: tuple[Any, ...], topic: str, begins: dict[tuple[str, int], int], kept: list[Fetched]
) -> tuple[Any, ...]:
    """A partition's part of an answer without its records, which are kept if there are any."""
    partition, error, end, *middle, records = part
    if error or not records:
        return part
    # From version 4 on: the last stable offset, ..., transactions taken back; the follower to ask.
    aborted = middle[2] if len(middle) > 3 else middle[-1] if middle else ()
    kept.append(
        Fetched(
            place=TopicPartition(topic, partition),
            begin=begins[topic, partition],
            end=end,
            records=records,
            aborted=aborted or (),
        )
    )
    return (partition, error, end, *middle, b"")
