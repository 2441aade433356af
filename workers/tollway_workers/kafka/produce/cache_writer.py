"""Publishes answers for the cache: its own producer, bounded, dropped when full, never awaited."""

import asyncio
from collections import deque
from typing import Any, NamedTuple

import structlog
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from tollway_schemas.cache import CacheEntry
from tollway_schemas.codec import encode
from tollway_workers.clock import Clock
from tollway_workers.errors import BrokerUnavailable
from tollway_workers.kafka.connect import started, stopped
from tollway_workers.safe_traceback import error_fields

log = structlog.get_logger(__name__)

#: Bytes of answers that wait for Kafka; what comes then is dropped.
MOST_WAITING = 8 * 2**20
#: Answers that are handed to the producer before it is waited for.
_AT_ONCE = 200
#: Seconds until the next try where Kafka takes none.
_AGAIN = 5.0
#: Seconds after which Kafka has taken none.
_PATIENCE = 10.0
#: Seconds that the last ones may take when a worker leaves.
_LAST = 1.0


class _Waiting(NamedTuple):
    key: bytes
    value: bytes
    #: The partition that its worker read; by its key where that is unknown.
    partition: int | None


class CacheWriter:
    """State: `_waiting` and its bytes, `dropped`, and `_failing`, which is logged once."""

    def __init__(self, client: dict[str, Any], topic: str, most_bytes: int, clock: Clock) -> None:
        """`client`: arguments that every aiokafka client takes; `most_bytes`: of one answer."""
        self._client = client
        self._topic = topic
        self._most_bytes = most_bytes
        self._clock = clock
        self._waiting: deque[_Waiting] = deque()
        self._bytes = 0
        self._woken = asyncio.Event()
        self._producer: AIOKafkaProducer | None = None
        self._failing = False
        #: Answers that were not written.
        self.dropped = 0

    def put(self, entry: CacheEntry, partition: int | None = None) -> None:
        """Write it, or drop it: returns at once, raises nothing."""
        value = encode(entry)
        if len(value) > self._most_bytes or self._bytes + len(value) > MOST_WAITING:
            self.dropped += 1
            return
        self._waiting.append(_Waiting(entry.key.encode(), value, partition))
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
                await self._some()

    async def stop(self) -> None:
        """Write what waits, within a moment, and disconnect; idempotent."""
        try:
            async with asyncio.timeout(_LAST):
                while self._waiting and self._producer is not None and not self._failing:
                    await self._some()
        except TimeoutError:
            pass
        self._drop_waiting()
        producer, self._producer = self._producer, None
        if producer is not None:
            await stopped(producer, _LAST)

    async def _some(self) -> None:
        some = [self._waiting.popleft() for _ in range(min(_AT_ONCE, len(self._waiting)))]
        self._bytes -= sum(len(each.value) for each in some)
        try:
            async with asyncio.timeout(_PATIENCE):
                await self._write(some)
        except Exception as error:  # noqa: BLE001 an answer that is not stored is called for again
            self.dropped += len(some)
            self._say(error)
            await self._disconnect()
            await self._clock.sleep(_AGAIN)
        else:
            self._failing = False

    async def _write(self, some: list[_Waiting]) -> None:
        if self._producer is None:
            producer = AIOKafkaProducer(
                **self._client,
                acks=1,
                linger_ms=5,
                max_request_size=2 * self._most_bytes,
                request_timeout_ms=int(_PATIENCE * 1000),
            )
            await started(producer, self._client)
            self._producer = producer
        acknowledged = [
            await self._producer.send(self._topic, each.value, each.key, partition=each.partition)
            for each in some
        ]
        for each in await asyncio.gather(*acknowledged, return_exceptions=True):
            if isinstance(each, BaseException):
                raise each

    async def _disconnect(self) -> None:
        producer, self._producer = self._producer, None
        if producer is not None:
            await stopped(producer, _LAST)

    def _drop_waiting(self) -> None:
        self.dropped += len(self._waiting)
        self._waiting.clear()
        self._bytes = 0

    def _say(self, error: Exception) -> None:
        if not self._failing:
            known = isinstance(error, BrokerUnavailable | KafkaError | TimeoutError)
            log.warning(
                "Kafka does not take answers for the cache: they are dropped, and jobs go on",
                error=type(error).__name__,
                **({} if known else error_fields(error)),
            )
        self._failing = True
