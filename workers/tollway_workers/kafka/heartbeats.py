"""Heartbeats of workers: each writes its own, commands of the CLI read those of all.

They have a client of their own: what happens to them stops, slows and piles up nothing.
"""

import asyncio
from collections.abc import Callable
from typing import Any

import structlog
from aiokafka import AIOKafkaProducer

from tollway_schemas.codec import decode, encode
from tollway_schemas.errors import SchemaError
from tollway_schemas.heartbeat import Heartbeat
from tollway_workers.clock import Clock
from tollway_workers.kafka.connect import given_up_after, started
from tollway_workers.kafka.log_reader import LogReader

log = structlog.get_logger(__name__)

#: Seconds between two heartbeats.
INTERVAL = 1.0
#: Seconds after which one that Kafka did not take is dropped.
_PATIENCE = 3.0
#: Seconds that the last one of a worker may take.
_LAST_WORD = 1.0


class HeartbeatWriter:
    """Writes what `beat` says once a second, one after the other: what fails is dropped.

    State: `_failing`, whether the last one was dropped, which is logged once; `_due`, whether the
    next one is.
    """

    def __init__(
        self, client: dict[str, Any], topic: str, beat: Callable[[], Heartbeat], clock: Clock
    ) -> None:
        """`client`: arguments that every aiokafka client takes, servers and security."""
        self._client = client
        self._topic = topic
        self._beat = beat
        self._clock = clock
        self._producer: AIOKafkaProducer | None = None
        self._failing = False
        self._due = asyncio.Event()

    async def once(self) -> None:
        """Write one, or drop it."""
        try:
            await self._write(self._beat())
        except Exception as error:  # noqa: BLE001 a worker works, whether or not anybody sees it
            if not self._failing:
                log.info("a heartbeat was not written", error=type(error).__name__)
            self._failing = True
        else:
            self._failing = False

    async def run(self) -> None:
        """Write until cancelled."""
        while True:
            timer = self._clock.call_later(INTERVAL, self._due.set)
            try:
                await self._due.wait()
            finally:
                timer.cancel()
            self._due.clear()
            await self.once()

    def soon(self) -> None:
        """Somebody waits for the next one: do not wait for its time."""
        self._due.set()

    async def stop(self) -> None:
        """Say the last word and disconnect, within a moment; idempotent."""
        if self._producer is not None:
            await given_up_after(_LAST_WORD, self.once(), "the last heartbeat")
            producer, self._producer = self._producer, None
            await given_up_after(_LAST_WORD, producer.stop(), "the writer of heartbeats")

    async def _write(self, beat: Heartbeat) -> None:
        if self._producer is None:
            producer = AIOKafkaProducer(
                **self._client, acks=1, request_timeout_ms=int(_PATIENCE * 1000)
            )
            await started(producer, self._client)
            self._producer = producer
        await self._producer.send_and_wait(self._topic, encode(beat), beat.worker.encode())


class HeartbeatReader:
    """Reads heartbeats of all workers. `start` before use; one caller at a time."""

    def __init__(self, client: dict[str, Any], topic: str) -> None:
        """`client`: arguments that every aiokafka client takes, servers and security."""
        self._reader = LogReader(client)
        self._topic = topic

    async def start(self, since: float) -> list[tuple[float, Heartbeat]]:
        """Those that were written from `since` on until now, each with Kafka's time of it.

        Times are in seconds since 1970. Raises BrokerUnavailable.
        """
        await self._reader.start()
        ends = await self._reader.ends([self._topic])
        starts = await self._reader.starts(ends, since)
        records = self._reader.between(starts, ends)
        found = [(record.timestamp, record.value) async for record in records]
        self._reader.follow(ends)
        return _readable(found)

    async def read(self) -> list[tuple[float, Heartbeat]]:
        """The next ones; waits a moment. Never cancel it."""
        return _readable([(each.timestamp, each.value) for each in await self._reader.read()])

    async def stop(self) -> None:
        """Disconnect; idempotent."""
        await self._reader.stop()


def _readable(found: list[tuple[float, bytes | None]]) -> list[tuple[float, Heartbeat]]:
    """Anybody may have written what is none."""
    beats = []
    for at, value in found:
        try:
            beats.append((at, decode(Heartbeat, value)))
        except SchemaError:
            continue
    return beats
