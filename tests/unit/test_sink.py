"""The sink: what it does when Kafka takes its time, or a producer of its breaks."""

import asyncio
from collections.abc import Awaitable
from typing import Any

import pytest
from aiokafka.errors import OutOfOrderSequenceNumber
from manual_clock import ManualClock

from tollway_workers.job.ports import OutgoingRecord
from tollway_workers.kafka.client_settings import SinkSettings
from tollway_workers.kafka.produce import sink as sink_module
from tollway_workers.kafka.produce import topic_limits as limits_module
from tollway_workers.kafka.produce.sink import KafkaSink


class _Builder:
    """Takes one record."""

    def __init__(self) -> None:
        self._full = False

    def append(self, **_: object) -> object | None:
        full, self._full = self._full, True
        return None if full else object()


class _Producer:
    """Keeps each batch on its way until the test says how it ended, and stops when all have."""

    def __init__(self, **_: object) -> None:
        self.sent: list[asyncio.Future[None]] = []
        self.news = asyncio.Event()
        self.stopped = asyncio.Event()

    async def start(self) -> None:
        """Connected."""

    async def stop(self) -> None:
        await asyncio.gather(*self.sent, return_exceptions=True)
        self.stopped.set()

    async def partitions_for(self, topic: str) -> set[int]:
        return {0}

    def create_batch(self) -> _Builder:
        return _Builder()

    async def send_batch(self, *_: object, **__: object) -> asyncio.Future[None]:
        sent: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.sent.append(sent)
        self.news.set()
        return sent

    async def next(self, count: int) -> asyncio.Future[None]:
        """The batch of that number, once it is on its way."""
        while len(self.sent) < count:
            self.news.clear()
            await self.news.wait()
        return self.sent[count - 1]


class Stage:
    """A sink, and the producers that it has made."""

    def __init__(self) -> None:
        self.producers: list[_Producer] = []
        self.clock = ManualClock()
        self.sink = KafkaSink(SinkSettings(client={}, most_bytes=1_000), self.clock)

    def produce(self, **options: object) -> Any:
        self.producers.append(_Producer(**options))
        return self.producers[-1]

    async def send(self, topic: str = "replies") -> Awaitable[object]:
        return await self.sink.send(OutgoingRecord(topic, b"k", b"v", []))

    async def break_producer(self) -> None:
        """Have a write of the present producer fail."""
        producer = self.producers[-1]
        broken = await self.send("broken")
        (await producer.next(len(producer.sent) + 1)).set_exception(OutOfOrderSequenceNumber())
        with pytest.raises(OutOfOrderSequenceNumber):
            await broken


async def _no_limits(client: object, topics: object) -> dict[str, int]:
    return {}


@pytest.fixture
async def stage(monkeypatch: pytest.MonkeyPatch) -> Stage:
    stage = Stage()
    monkeypatch.setattr(sink_module, "AIOKafkaProducer", stage.produce)
    monkeypatch.setattr(limits_module, "topic_limits", _no_limits)
    monkeypatch.setattr(sink_module, "STOP_TIMEOUT", 0.1)
    monkeypatch.setattr(sink_module, "_DISCONNECT_TIMEOUT", 0.05)
    await stage.sink.start()
    return stage


async def test_a_broken_producer_is_replaced_while_its_other_records_are_still_on_their_way(
    stage: Stage,
) -> None:
    early = await stage.send()
    on_its_way = await stage.producers[0].next(1)
    await stage.break_producer()

    async with asyncio.timeout(5):
        await stage.sink.recover()
        late = await stage.send()
        (await stage.producers[1].next(1)).set_result(None)
        await late
    assert not stage.producers[0].stopped.is_set()
    on_its_way.set_result(None)

    await early
    await asyncio.wait_for(stage.producers[0].stopped.wait(), 5)


async def test_records_that_wait_behind_others_are_told_when_their_producer_is_replaced(
    stage: Stage,
) -> None:
    await stage.send()
    on_its_way = await stage.producers[0].next(1)
    behind = await stage.send()
    await stage.break_producer()

    await stage.sink.recover()
    on_its_way.set_result(None)

    with pytest.raises(ConnectionAbortedError):
        await behind
    assert len(stage.producers[0].sent) == 2


async def test_a_producer_whose_writes_succeed_is_never_replaced(stage: Stage) -> None:
    written = await stage.send()
    (await stage.producers[0].next(1)).set_result(None)
    await written

    await stage.sink.recover()
    await stage.break_producer()
    await asyncio.gather(*(stage.sink.recover() for _ in range(20)))
    stage.clock.advance(60.0)
    await stage.sink.recover()

    assert len(stage.producers) == 2


async def test_stopping_is_bounded_while_kafka_acknowledges_nothing(stage: Stage) -> None:
    await stage.send()
    await stage.producers[0].next(1)
    await stage.break_producer()
    await stage.sink.recover()
    await stage.send()
    await stage.producers[1].next(1)

    async with asyncio.timeout(5):
        await stage.sink.stop()
        await stage.sink.stop()


async def test_the_sink_says_since_when_an_acknowledgement_is_owed(stage: Stage) -> None:
    start = stage.clock.monotonic()
    nothing_sent = stage.sink.waiting_since
    first, second = await stage.send("one"), await stage.send("two")
    await stage.producers[0].next(2)
    stage.clock.advance(30.0)
    third = await stage.send("three")
    await stage.producers[0].next(3)
    both = stage.sink.waiting_since

    for sent in stage.producers[0].sent[:2]:
        sent.set_result(None)
    await first
    await second
    last = stage.sink.waiting_since
    stage.producers[0].sent[2].set_result(None)
    await third

    assert (nothing_sent, both, last) == (None, start, start + 30.0)
    assert stage.sink.waiting_since is None
