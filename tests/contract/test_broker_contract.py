"""What every broker must do for a worker: one suite, over the double and over the real thing."""

from typing import Any

import pytest
from two_brokers import MOST_BYTES, Broker, Open, complete, quiet, take, values

from tollway_workers.job.ports import OutgoingRecord, RecordTooLarge
from tollway_workers.ownership import offset_map
from tollway_workers.ownership.record import ReceivedRecord


async def test_each_record_comes_once_with_all_it_says(broker: Broker, opened: Open) -> None:
    topic = await broker.make_topic("jobs", 3)
    await opened.write(topic, range(50))
    await (
        await opened.sink.send(OutgoingRecord(topic, b"k", b"50", [("a", b"1"), ("a", b"2")], 2))
    )
    source = await opened.source("one", topic)

    taken = await take(source, 51) + await quiet(source)

    assert values(taken) == list(range(51))
    last = next(record for record in taken if record.value == b"50")
    assert (last.topic, last.partition, last.key) == (topic, 2, b"k")
    assert list(last.headers) == [("a", b"1"), ("a", b"2")]
    assert last.timestamp > 1_600_000_000


async def test_a_poll_brings_no_more_than_it_was_asked_for(broker: Broker, opened: Open) -> None:
    topic = await broker.make_topic("jobs", 2)
    await opened.write(topic, range(20))
    source = await opened.source("one", topic)
    first = await take(source, 1, most=1)

    taken = [await source.poll(3) for _ in range(5)]
    none = await source.poll(0)

    assert len(first) == 1
    assert max(map(len, taken)) <= 3
    assert none == []


async def test_what_was_completed_behind_a_running_record_survives_a_crash(
    broker: Broker, opened: Open
) -> None:
    topic = await broker.make_topic("jobs", 1)
    await opened.write(topic, range(10))
    source = await opened.source("one", topic)
    taken = await take(source, 10)
    complete(source, [record for record in taken if record.value not in (b"3", b"7")])
    await source.commit()

    await broker.crash(source)
    again = await opened.source("one", topic)
    after = await take(again, 2) + await quiet(again)

    assert values(after) == [3, 7]


async def test_what_was_not_committed_comes_again_after_a_crash(
    broker: Broker, opened: Open
) -> None:
    topic = await broker.make_topic("jobs", 2)
    await opened.write(topic, range(10))
    source = await opened.source("one", topic)
    taken: list[ReceivedRecord] = []
    while len(taken) < 10:
        taken += await source.poll(100)
    complete(source, taken)

    await broker.crash(source)
    again = await opened.source("one", topic)

    assert values(await take(again, 10)) == list(range(10))


async def test_an_idle_partition_commits_its_end(broker: Broker, opened: Open) -> None:
    topic = await broker.make_topic("jobs", 2)
    await opened.write(topic, range(4), partition=1)
    source = await opened.source("one", topic)
    complete(source, await take(source, 4))
    await quiet(source, 1)

    await source.commit()

    committed = await broker.committed()
    assert {place: offset for place, (offset, _) in committed.items()} == {
        (topic, 0): 0,
        (topic, 1): 4,
    }


async def test_the_map_can_be_read_back_from_outside(broker: Broker, opened: Open) -> None:
    topic = await broker.make_topic("jobs", 1)
    await opened.write(topic, range(6))
    source = await opened.source("one", topic)
    complete(source, [r for r in await take(source, 6) if r.offset in (0, 2, 4, 5)])

    await source.commit()

    offset, metadata = (await broker.committed())[topic, 0]
    assert (offset, offset_map.decode(offset, metadata)) == (1, {2, 4, 5})


async def test_a_topic_that_is_held_back_waits_and_the_other_goes_on(
    broker: Broker, opened: Open
) -> None:
    busy, free = await broker.make_topic("busy", 1), await broker.make_topic("free", 1)
    await opened.write(busy, range(100, 105))
    source = await opened.source("one", busy, free)
    await take(source, 5)

    source.hold_back([busy])
    await opened.write(busy, range(105, 110))
    await opened.write(free, range(5))
    while_held = await take(source, 5) + await quiet(source)
    source.hold_back([busy, free])
    all_held = await quiet(source, 2)
    source.hold_back([])
    released = await take(source, 5)

    assert values(while_held) == list(range(5))
    assert all_held == []
    assert values(released) == list(range(105, 110))


async def test_a_record_over_the_limit_is_refused_and_the_sink_goes_on(
    broker: Broker, opened: Open
) -> None:
    topic = await broker.make_topic("replies", 1)
    source = await opened.source("one", topic)

    with pytest.raises(RecordTooLarge):
        await opened.sink.send(OutgoingRecord(topic, b"k", b"x" * MOST_BYTES, []))
    await opened.write(topic, range(1))

    assert values(await take(source, 1)) == [0]


async def test_a_record_goes_to_the_partition_it_names_or_to_that_of_its_key(
    broker: Broker, opened: Open
) -> None:
    topic = await broker.make_topic("replies", 5)
    source = await opened.source("one", topic)
    to: list[tuple[bytes, int | None]] = [(b"1", 4), (b"1", None), (b"1", 17), (b"1", None)]

    for value, (key, partition) in enumerate(to):
        record = OutgoingRecord(topic, key, str(value).encode(), [], partition)
        await (await opened.sink.send(record))
    where = {int(r.value or b""): r.partition for r in await take(source, 4)}

    assert where[0] == 4
    assert where[1] == where[2] == where[3]


async def test_leaving_twice_and_stopping_twice_is_no_error(broker: Broker, opened: Open) -> None:
    source: Any = await opened.source("one", await broker.make_topic("jobs", 1))

    await source.leave()
    await source.leave()
    await opened.sink.stop()
    await opened.sink.stop()

    assert source.owned == 0
