"""Answers for the cache are written beside all else: bounded, dropped when full, never awaited."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from typing import Any

import pytest
import structlog
from aiokafka.errors import KafkaConnectionError
from cache_samples import cache_entry, kept
from eventually import eventually
from manual_clock import ManualClock

from tollway_schemas.codec import encode
from tollway_workers.job.ports import OutgoingRecord, RecordTooLarge, TopicUnavailable
from tollway_workers.kafka.produce import isolated_topic as isolated_module
from tollway_workers.kafka.produce import sink as sink_module
from tollway_workers.kafka.produce import topic_limits as limits_module
from tollway_workers.kafka.produce.cache_writer import CacheWriter, cache_topic
from tollway_workers.kafka.topic_admin import MISSING

NAME = "tollway.cache"


class Topic:
    """Takes records, or fails."""

    def __init__(self) -> None:
        self.fails: Exception | None = None
        #: Bytes of a record that is too large for it alone.
        self.most = 1_000_000
        self.written: list[tuple[bytes | None, bytes, int | None]] = []
        self.abandoned = 0
        #: How often anything was written.
        self.opened = 0
        self.stopped = False

    async def open(self) -> None:
        """Connected."""
        self.opened += 1

    async def send_all(self, records: Sequence[tuple[OutgoingRecord, int]]) -> list[Any]:
        """As an IsolatedTopic's."""
        return [self._sent(*each) for each in records]

    def _sent(self, record: OutgoingRecord, size: int) -> Any:
        acknowledged: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if self.fails is not None:
            acknowledged.set_exception(self.fails)
        elif size > self.most:
            acknowledged.set_exception(RecordTooLarge())
        else:
            self.written.append((record.key, record.value, record.partition))
            acknowledged.set_result(None)
        return acknowledged

    def abandon(self) -> None:
        self.abandoned += 1

    async def stop(self, _: float) -> None:
        self.stopped = True


class Stage:
    """A writer that runs, and its topic."""

    def __init__(self) -> None:
        self.topic, self.clock = Topic(), ManualClock()
        self.writer = CacheWriter(NAME, self.topic, 100_000, self.clock)
        self.running = asyncio.create_task(self.writer.run())

    async def fails(self, error: Exception) -> None:
        """Until three answers were dropped."""
        self.topic.fails = error

        def dropped_three() -> bool:
            self.clock.advance(5)
            self.writer.put(kept(cache_entry("a")), 0)
            return self.writer.dropped >= 3

        await eventually(dropped_three)


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    stage = Stage()
    yield stage
    stage.running.cancel()
    with suppress(asyncio.CancelledError):
        await stage.running
    await stage.writer.stop()
    assert stage.topic.stopped


async def test_an_answer_is_written_under_its_key(stage: Stage) -> None:
    entry = cache_entry("a")

    stage.writer.put(kept(entry), 3)

    await eventually(lambda: stage.topic.written)
    assert stage.topic.written == [(entry.key.encode(), encode(entry), 3)]


async def test_what_comes_soon_after_an_answer_is_written_together(stage: Stage) -> None:
    stage.writer.put(kept(cache_entry("first")), 0)
    await eventually(lambda: stage.topic.written)
    for number in range(20):
        stage.writer.put(kept(cache_entry(f"{number}")), 0)
        await asyncio.sleep(0)

    await eventually(lambda: len(stage.topic.written) == 21)

    # To connect, for the first, for another first where the test was slow, and for all that came.
    assert stage.topic.opened <= 4


async def test_what_is_too_large_or_finds_no_room_is_dropped_and_counted() -> None:
    writer = CacheWriter(NAME, Topic(), 100_000, ManualClock())
    large = kept(cache_entry("a", answer={"text": "x" * 90_000}))

    writer.put(kept(cache_entry("b", answer={"text": "x" * 100_001})), 0)
    assert writer.dropped == 1

    for _ in range(200):
        writer.put(large, 0)
    assert writer.dropped > 100


async def test_an_answer_that_the_topic_finds_too_large_is_dropped_alone(stage: Stage) -> None:
    stage.topic.most = 5_000

    stage.writer.put(kept(cache_entry("a", answer={"text": "x" * 10_000})), 0)
    stage.writer.put(kept(cache_entry("b")), 0)

    await eventually(lambda: stage.topic.written)
    await eventually(lambda: stage.writer.dropped == 1)
    assert stage.topic.abandoned == 0


async def test_a_kafka_that_takes_none_is_said_once_and_stops_nothing(stage: Stage) -> None:
    def written() -> bool:
        stage.clock.advance(5)
        return bool(stage.topic.written)

    with structlog.testing.capture_logs() as logs:
        await stage.fails(KafkaConnectionError())
        stage.topic.fails = None
        stage.writer.put(kept(cache_entry("b")), 0)
        await eventually(written)

    assert [line["log_level"] for line in logs] == ["warning"]
    # What is on its way to a Kafka that is away would else grow without a bound.
    assert stage.topic.abandoned >= 3


async def test_a_topic_that_is_missing_is_said_by_its_reader_alone(stage: Stage) -> None:
    with structlog.testing.capture_logs() as logs:
        await stage.fails(TopicUnavailable(NAME, MISSING))

    assert logs == []


async def test_small_batches_are_packed_with_what_begins_at_no_cost(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    said: dict[str, Any] = {}

    class Producer:
        def __init__(self, **options: Any) -> None:
            said.update(options)

        async def start(self) -> None:
            """Connected."""

        async def stop(self) -> None:
            """Disconnected."""

    async def exists(*_: object) -> int:
        return 1

    async def no_limits(*_: object) -> dict[str, int]:
        return {}

    monkeypatch.setattr(sink_module, "AIOKafkaProducer", Producer)
    monkeypatch.setattr(isolated_module, "topic_state", exists)
    monkeypatch.setattr(limits_module, "topic_limits", no_limits)
    topic = cache_topic(NAME, {}, 100_000, ManualClock())

    await topic.open()
    await topic.stop(1.0)

    assert said["compression_type"] == "snappy"
