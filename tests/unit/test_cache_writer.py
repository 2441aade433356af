"""Answers for the cache are written beside all else: bounded, dropped when full, never awaited."""

import asyncio
from contextlib import suppress
from typing import Any

import pytest
import structlog
from aiokafka.errors import KafkaConnectionError
from cache_samples import cache_entry
from eventually import eventually
from manual_clock import ManualClock

from tollway_schemas.codec import encode
from tollway_workers.kafka.produce import cache_writer
from tollway_workers.kafka.produce.cache_writer import CacheWriter


class Producer:
    """Takes records, or does not."""

    def __init__(self, **_: Any) -> None:
        self.fails = False
        self.written: list[tuple[bytes, bytes, int | None]] = []
        self.stopped = False

    async def start(self) -> None:
        """Connect."""

    async def stop(self) -> None:
        """Disconnect."""
        self.stopped = True

    async def send(self, _: str, value: bytes, key: bytes, partition: int | None) -> Any:
        """As aiokafka's."""
        acknowledged: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if self.fails:
            acknowledged.set_exception(KafkaConnectionError())
        else:
            self.written.append((key, value, partition))
            acknowledged.set_result(None)
        return acknowledged


@pytest.fixture
def producer(monkeypatch: pytest.MonkeyPatch) -> Producer:
    made = Producer()
    monkeypatch.setattr(cache_writer, "AIOKafkaProducer", lambda **_: made)
    return made


def new_writer() -> CacheWriter:
    return CacheWriter({}, "tollway.cache", 100_000, ManualClock())


async def test_an_answer_is_written_under_its_key(producer: Producer) -> None:
    writer, entry = new_writer(), cache_entry("a")
    task = asyncio.create_task(writer.run())

    writer.put(entry, 3)

    await eventually(lambda: producer.written)
    assert producer.written == [(entry.key.encode(), encode(entry), 3)]
    task.cancel()
    await writer.stop()
    assert producer.stopped


async def test_what_is_too_large_or_finds_no_room_is_dropped_and_counted() -> None:
    writer, large = new_writer(), cache_entry("a", answer={"text": "x" * 90_000})

    writer.put(cache_entry("b", answer={"text": "x" * 100_001}))
    assert writer.dropped == 1

    for _ in range(200):
        writer.put(large)
    assert writer.dropped > 100


async def test_a_kafka_that_takes_none_is_said_once_and_stops_nothing(producer: Producer) -> None:
    clock = ManualClock()
    writer = CacheWriter({}, "tollway.cache", 100_000, clock)
    producer.fails = True
    task = asyncio.create_task(writer.run())

    def dropped_three() -> bool:
        clock.advance(5)
        writer.put(cache_entry("a"))
        return writer.dropped >= 3

    def written() -> bool:
        clock.advance(5)
        return bool(producer.written)

    with structlog.testing.capture_logs() as logs:
        await eventually(dropped_three)
        producer.fails = False
        clock.advance(5)
        await eventually(written)

    assert [line["log_level"] for line in logs] == ["warning"]
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    await writer.stop()
