"""Publishes answers for the cache: its own producer, bounded, dropped when full, never awaited."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Sequence
from functools import partial
from typing import Any, Protocol

import structlog
from aiokafka.errors import KafkaError

from tollway_workers.cache.kept import Kept
from tollway_workers.clock import Clock
from tollway_workers.errors import BrokerUnavailable
from tollway_workers.job.ports import OutgoingRecord, RecordTooLarge, TopicUnavailable
from tollway_workers.kafka.client_settings import SinkSettings
from tollway_workers.kafka.produce.batches import Producing
from tollway_workers.kafka.produce.isolated_topic import IsolatedTopic
from tollway_workers.kafka.produce.sink import open_producer, size_of
from tollway_workers.kafka.produce.topic_limits import TopicLimits
from tollway_workers.kafka.topic_admin import MISSING
from tollway_workers.safe_traceback import error_fields

log = structlog.get_logger(__name__)

#: Bytes of answers that wait for Kafka; what comes then is dropped.
MOST_WAITING = 8 * 2**20
#: Answers that are handed over before it is waited for.
_AT_ONCE = 200
#: Seconds between two writes: a batch of one answer costs twenty times what one of many does. Far
#: less than a call takes, as a killed worker loses what waits.
_GATHERED = 0.025
#: Seconds until the next try where Kafka takes none.
_AGAIN = 5.0
#: Seconds after which Kafka has taken none.
_PATIENCE = 10.0
#: Seconds that the last ones may take when a worker leaves.
_LAST = 1.0


class CacheTopic(Protocol):
    """What an IsolatedTopic can do."""

    async def open(self) -> None:
        """Connect."""
        ...

    async def send_all(
        self, records: Sequence[tuple[OutgoingRecord, int]], /
    ) -> Sequence[Awaitable[object]]:
        """Hand records over with their sizes; what is returned of each is done once it is written,
        and is one for all that are written together.
        """
        ...

    def abandon(self) -> None:
        """Give up what is on its way."""
        ...

    async def stop(self, seconds: float, /) -> None:
        """Disconnect; idempotent."""
        ...


class CacheWriter:
    """State: `_waiting` and its bytes, `dropped`, and `_failing`, which is logged once."""

    def __init__(self, name: str, topic: CacheTopic, most_bytes: int, clock: Clock) -> None:
        """`most_bytes`: of one answer."""
        self._name = name
        self._topic = topic
        self._most_bytes = most_bytes
        self._clock = clock
        self._waiting: deque[OutgoingRecord] = deque()
        self._bytes = 0
        self._woken = asyncio.Event()
        self._failing = False
        #: Answers that were not written.
        self.dropped = 0

    def put(self, kept: Kept, partition: int | None) -> None:
        """Write an answer; see `put_record`."""
        self.put_record(kept.key.encode(), kept.value, partition)

    def put_record(self, key: bytes, value: bytes, partition: int | None) -> None:
        """Write it, or drop it: also where its partition is not known, as an answer has one place.
        Returns at once, raises nothing.
        """
        has_room = len(value) <= self._most_bytes and self._bytes + len(value) <= MOST_WAITING
        if partition is None or not has_room:
            self.dropped += 1
            return
        self._waiting.append(OutgoingRecord(self._name, key, value, [], partition))
        self._bytes += len(value)
        self._woken.set()

    async def run(self) -> None:
        """Write until cancelled."""
        # Connected before the first answer comes: until it is written, a killed worker loses it.
        await self._some()
        while True:
            await self._woken.wait()
            self._woken.clear()
            while self._waiting:
                # The first to come after a pause goes at once.
                await self._some()
                await asyncio.sleep(_GATHERED)

    async def stop(self) -> None:
        """Write what waits, within a moment, and disconnect; idempotent."""
        try:
            async with asyncio.timeout(_LAST):
                while self._waiting and not self._failing:
                    await self._some()
        except TimeoutError:
            pass
        self.dropped += len(self._waiting)
        self._waiting.clear()
        self._bytes = 0
        await self._topic.stop(_LAST)

    async def _some(self) -> None:
        some = [self._waiting.popleft() for _ in range(min(_AT_ONCE, len(self._waiting)))]
        self._bytes -= sum(len(each.value) for each in some)
        try:
            async with asyncio.timeout(_PATIENCE):
                await self._write(some)
        except Exception as error:  # noqa: BLE001 an answer that is not stored is called for again
            self.dropped += len(some)
            self._say(error)
            self._topic.abandon()
            await self._clock.sleep(_AGAIN)
        else:
            self._failing = False

    async def _write(self, some: list[OutgoingRecord]) -> None:
        await self._topic.open()
        on_its_way = await self._topic.send_all([(each, size_of(each)) for each in some])
        for each in dict.fromkeys(on_its_way):
            try:
                await each
            except RecordTooLarge:
                self.dropped += 1

    def _say(self, error: Exception) -> None:
        # Whoever reads the topic says that it is not there.
        is_missing = isinstance(error, TopicUnavailable) and error.why == MISSING
        if not self._failing and not is_missing:
            known = isinstance(error, BrokerUnavailable | KafkaError | OSError | TopicUnavailable)
            log.warning(
                "Kafka does not take answers for the cache: they are dropped, and jobs go on",
                error=str(error) if isinstance(error, TopicUnavailable) else type(error).__name__,
                **({} if known else error_fields(error)),
            )
        self._failing = True


def cache_topic(name: str, client: dict[str, Any], most_bytes: int, clock: Clock) -> IsolatedTopic:
    """The topic with a producer of its own, for records of so many bytes at most."""
    limits = TopicLimits(client, most_bytes, clock)
    # Its batches are small and many, and zstd clears about a megabyte of tables for each.
    settings = SinkSettings(client=client, most_bytes=most_bytes, compression="snappy")
    new_producer = partial(open_producer, settings)

    async def opened() -> Producing:
        await limits.ask([name])
        return await new_producer(limits, clock)

    return IsolatedTopic(name, client, clock, opened)
