"""How partitions move between members: two steps on every broker, the double and the real one."""

import asyncio
import time

from two_brokers import Broker, Open, complete, quiet, take, together, turn, values

from tollway_workers.ownership.record import ReceivedRecord


async def test_a_partition_moves_only_when_its_owner_has_ended_what_it_took(
    broker: Broker, opened: Open
) -> None:
    topic = await broker.make_topic("jobs", 4)
    for partition in range(4):
        await opened.write(topic, range(10 * partition, 10 * partition + 5), partition)
    first = await opened.source("one", topic)
    before = await take(first, 20)

    second = await opened.source("two", topic)
    early = await together(first, second, lambda: first.releasing)
    leaving = {record.partition for record in before if record.tracker.releasing}
    stopped = [record for record in before if not first.may_start(record)]
    early += await together(first, second, turns=8)
    ended = [record for record in before if record.partition in leaving]
    complete(first, ended)
    for partition in range(4):
        await opened.write(topic, range(10 * partition + 5, 10 * partition + 10), partition)
    after = await together(first, second, lambda: not first.releasing)
    after += await together(first, second, turns=12)

    assert len(leaving) == 2
    assert {record.partition for record in stopped} == leaving
    assert early == []
    assert values(after) == sorted(10 * p + n for p in range(4) for n in range(5, 10))
    assert {r.partition for r in before if r.tracker.owned} == {0, 1, 2, 3} - leaving
    assert all(first.may_start(r) for r in before if r.tracker.owned)


async def test_what_was_taken_and_not_begun_goes_with_its_partition(
    broker: Broker, opened: Open
) -> None:
    topic = await broker.make_topic("jobs", 2)
    for partition in range(2):
        await opened.write(topic, range(10 * partition, 10 * partition + 5), partition)
    first = await opened.source("one", topic)
    before = await take(first, 10)

    second = await opened.source("two", topic)
    await together(first, second, lambda: first.releasing)
    for record in before:
        if record.tracker.releasing:
            first.unread(record)
    after = await together(first, second, lambda: not first.releasing)
    after += await together(first, second, turns=12)

    moved = {record.partition for record in before if not record.tracker.owned}
    assert len(moved) == 1
    assert values(after) == values([r for r in before if r.partition in moved])


async def test_a_source_that_drains_gives_away_each_shard_as_it_ends_and_takes_no_other(
    broker: Broker, opened: Open
) -> None:
    topic = await broker.make_topic("jobs", 2)
    for partition in range(2):
        await opened.write(topic, range(10 * partition, 10 * partition + 5), partition)
    first = await opened.source("one", topic)
    before = await take(first, 10)
    runs = [record for record in before if record.partition == 1]
    second = await opened.source("two", topic)

    first.drain()
    complete(first, [record for record in before if record.partition == 0])
    await together(first, second, lambda: not all(r.tracker.owned for r in before))
    kept = {record.partition for record in before if record.tracker.owned}
    complete(first, runs)
    after = await together(first, second, turns=12)

    assert kept == {1}
    assert after == []
    assert not any(record.tracker.owned for record in before)


async def test_all_members_may_drain_and_leave_at_once(broker: Broker, opened: Open) -> None:
    topic = await broker.make_topic("jobs", 4)
    await opened.write(topic, range(20))
    first = await opened.source("one", topic)
    second = await opened.source("two", topic)
    taken: list[ReceivedRecord] = []
    while len(taken) < 20:
        for source in (first, second):
            some = await turn(source)
            complete(source, some)
            taken += some

    first.drain()
    second.drain()
    await asyncio.gather(first.leave(), second.leave())
    third = await opened.source("three", topic)
    after = await quiet(third, 8)

    assert values(taken) == list(range(20))
    assert after == []


async def test_leaving_gives_the_partitions_to_others_at_once(broker: Broker, opened: Open) -> None:
    topic = await broker.make_topic("jobs", 4)
    first = await opened.source("one", topic)
    second = await opened.source("two", topic)
    await together(first, second, turns=8)
    await first.leave()
    started = time.monotonic()

    for partition in range(4):
        await opened.write(topic, range(partition, partition + 1), partition)
    taken = await take(second, 4)

    assert values(taken) == [0, 1, 2, 3]
    assert time.monotonic() - started < 5.0
