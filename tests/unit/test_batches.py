"""Records that travel together: who waits for them, and what becomes of them."""

import asyncio
from typing import Any

import pytest
from aiokafka.errors import KafkaError

from tollway_workers.clock import SystemClock
from tollway_workers.job.ports import OutgoingRecord
from tollway_workers.kafka.produce.batches import Batches
from tollway_workers.kafka.produce.topic_limits import TopicLimits

_PLACE = ("replies", 0)


class _Builder:
    """Takes three records, whatever their size."""

    def __init__(self) -> None:
        self.values: list[bytes] = []

    def append(self, *, timestamp: None, key: bytes, value: bytes, headers: object) -> object:
        if len(self.values) == 3:
            return None
        self.values.append(value)
        return object()


class _Producer:
    """Keeps each batch on its way until the test says how it ended."""

    def __init__(self) -> None:
        self.sent: list[tuple[list[bytes], asyncio.Future[None]]] = []
        self.news = asyncio.Event()

    def create_batch(self) -> _Builder:
        return _Builder()

    async def send_batch(
        self, builder: _Builder, topic: str, *, partition: int
    ) -> asyncio.Future[None]:
        assert (topic, partition) == _PLACE
        ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.sent.append((list(builder.values), ended))
        self.news.set()
        return ended

    async def next(self, count: int) -> tuple[list[bytes], asyncio.Future[None]]:
        while len(self.sent) < count:
            self.news.clear()
            await self.news.wait()
        return self.sent[count - 1]


@pytest.fixture
def producer() -> _Producer:
    return _Producer()


@pytest.fixture
def batches(producer: _Producer) -> Batches:
    untyped: Any = producer
    clock = SystemClock()
    return Batches(untyped, TopicLimits({}, 1_000, clock), clock)


def _record(value: int) -> OutgoingRecord:
    return OutgoingRecord("replies", b"k", b"%d" % value, [])


async def test_what_comes_while_a_batch_is_on_its_way_travels_in_the_next(
    producer: _Producer, batches: Batches
) -> None:
    first = batches.add(_PLACE, _record(0), 1)
    values, ended = await producer.next(1)
    later = [batches.add(_PLACE, _record(value), 1) for value in range(1, 6)]

    ended.set_result(None)
    await first
    second, second_ended = await producer.next(2)
    second_ended.set_result(None)
    third, third_ended = await producer.next(3)
    third_ended.set_result(None)
    await asyncio.gather(*later)

    assert (values, second, third) == ([b"0"], [b"1", b"2", b"3"], [b"4", b"5"])
    await batches.flush()
    assert len(producer.sent) == 3


async def test_one_who_is_cancelled_takes_nothing_from_the_others(
    producer: _Producer, batches: Batches
) -> None:
    async def acknowledged(value: int) -> int:
        await batches.add(_PLACE, _record(value), 1)
        return value

    waiting = [asyncio.create_task(acknowledged(value)) for value in range(3)]
    _, ended = await producer.next(1)
    waiting[1].cancel()
    await asyncio.gather(waiting[1], return_exceptions=True)

    ended.set_result(None)

    assert list(await asyncio.gather(waiting[0], waiting[2])) == [0, 2]


async def test_a_batch_that_failed_says_so_to_all_and_the_next_is_tried(
    producer: _Producer, batches: Batches
) -> None:
    first, second = batches.add(_PLACE, _record(0), 1), batches.add(_PLACE, _record(1), 1)
    _, ended = await producer.next(1)
    third = batches.add(_PLACE, _record(2), 1)

    ended.set_exception(KafkaError("no"))

    for batch in (first, second, first):
        with pytest.raises(KafkaError):
            await batch
    _, ended = await producer.next(2)
    ended.set_result(None)
    await third


async def test_where_writing_is_broken_off_nobody_waits_for_ever(
    producer: _Producer, batches: Batches
) -> None:
    first = batches.add(_PLACE, _record(0), 1)
    await producer.next(1)
    behind = [batches.add(_PLACE, _record(value), 1) for value in range(1, 6)]

    (writing,) = batches._writing
    writing.cancel()

    async with asyncio.timeout(5):
        for batch in (first, *behind):
            with pytest.raises(ConnectionAbortedError):
                await batch
    assert len(producer.sent) == 1
    assert batches.oldest is None
