"""Shards move in two steps on a real Kafka: each rule has a test, and nothing is begun twice."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest
from eventually import eventually

from tollway_workers.clock import SystemClock
from tollway_workers.job.ports import OutgoingRecord
from tollway_workers.kafka.client_settings import SinkSettings, SourceSettings
from tollway_workers.kafka.consume.source import KafkaSource
from tollway_workers.kafka.group.instance import InstanceIdInUse
from tollway_workers.kafka.produce.sink import KafkaSink
from tollway_workers.ownership.owned_partition import LEASE
from tollway_workers.ownership.partition import Partition
from tollway_workers.ownership.record import ReceivedRecord
from tollway_workers.ownership.sharding import ShardGroup

pytestmark = pytest.mark.kafka

_PARTITIONS = 4
#: The least that a broker allows.
_SESSION = 6.0
_PATIENCE = 45.0


class Member:
    """A worker without calls: what may start, starts, and ends at once unless it is to hang."""

    def __init__(self, source: KafkaSource, books: Counter[tuple[Partition, int]]) -> None:
        self.source = source
        self.books = books
        self.hangs: Callable[[ReceivedRecord], bool] = lambda record: False
        self.running: list[ReceivedRecord] = []
        self.began: list[ReceivedRecord] = []
        self.waiting: list[ReceivedRecord] = []
        self._going = True
        self.task = asyncio.create_task(self._work())

    async def _work(self) -> None:
        while self._going:
            self.waiting += await self.source.poll(100)
            for record in tuple(self.waiting):
                self._look_at(record)
            await self.source.commit()

    def _look_at(self, record: ReceivedRecord) -> None:
        if self.source.may_start(record):
            self.began.append(record)
            self.books[(record.topic, record.partition), record.offset] += 1
            if self.hangs(record):
                self.running.append(record)
            else:
                self.source.complete(record)
        elif record.tracker.releasing and record.tracker.owned:
            self.source.unread(record)
        elif record.tracker.owned:
            return
        self.waiting.remove(record)

    def end(self) -> None:
        """What hangs is done."""
        for record in self.running:
            self.source.complete(record)
        self.running.clear()
        self.hangs = lambda record: False

    @property
    def places(self) -> set[Partition]:
        """What is its own and stays."""
        partitions = self.source.partitions
        if not self.source.joined:
            return set()
        return {place for place in partitions if not partitions.tracker(place).releasing}

    async def stop(self) -> None:
        self._going = False
        with contextlib.suppress(InstanceIdInUse):
            await self.task

    async def leave(self) -> None:
        await self.stop()
        await self.source.leave()

    async def crash(self) -> None:
        """It says nothing more; as a static member, not even that it goes."""
        await self.stop()
        consumer, self.source._consumer = self.source._consumer, None
        assert consumer is not None
        await consumer.stop()
        await self.source.leave()


class World:
    """Two limit groups with topics on a broker, members by name, and what was begun how often."""

    def __init__(
        self, servers: str, prefix: str, make_topic: Callable[..., Awaitable[str]]
    ) -> None:
        self._client: dict[str, Any] = {"bootstrap_servers": servers}
        self._prefix = prefix
        self._make_topic = make_topic
        self.sink = KafkaSink(SinkSettings(client=self._client, most_bytes=100_000), SystemClock())
        self.groups = (self.group("alpha", 2), self.group("beta", 2))
        self.books: Counter[tuple[Partition, int]] = Counter()
        self.members: list[Member] = []
        self.written: set[tuple[Partition, int]] = set()
        self._offsets: Counter[Partition] = Counter()

    def group(self, name: str, shards: int) -> ShardGroup:
        owner = f"{self._prefix}.lanes.{name}"
        return ShardGroup(
            name=name,
            shards=shards,
            ownership_topic=owner,
            topics=(f"{self._prefix}.jobs.{name}", owner),
            generation=1,
        )

    async def open(self) -> None:
        for group in self.groups:
            for topic in group.topics:
                await self._make_topic(topic, _PARTITIONS)
        await self.sink.start()

    async def close(self) -> None:
        for member in self.members:
            await member.leave()
        await self.sink.stop()

    async def join(self, name: str, groups: tuple[ShardGroup, ...] | None = None) -> Member:
        groups = self.groups if groups is None else groups
        settings = SourceSettings(
            client=self._client,
            topics=tuple(topic for group in groups for topic in group.topics),
            group=self._prefix,
            instance_id=name,
            session_timeout=_SESSION,
            groups=groups,
        )
        source = KafkaSource(settings, SystemClock())
        await source.start()
        member = Member(source, self.books)
        self.members.append(member)
        return member

    async def write(self, each: int = 3) -> None:
        """So many records into every partition."""
        for group in self.groups:
            for topic in group.topics:
                for partition in range(_PARTITIONS):
                    for _ in range(each):
                        record = OutgoingRecord(topic, b"k", b"v", [], partition)
                        await (await self.sink.send(record))
                        place = (topic, partition)
                        self.written.add((place, self._offsets[place]))
                        self._offsets[place] += 1

    def all_begun(self) -> bool:
        return self.books.keys() == self.written

    def shard(self, name: str, number: int) -> set[Partition]:
        """All partitions of a shard, with two shards in a group."""
        group = next(each for each in self.groups if each.name == name)
        return {(topic, q) for topic in group.topics for q in range(number, _PARTITIONS, 2)}

    @property
    def everything(self) -> set[Partition]:
        return {(t, q) for group in self.groups for t in group.topics for q in range(_PARTITIONS)}


@pytest.fixture
async def world(
    bootstrap_servers: str, topic_prefix: str, make_topic: Callable[..., Awaitable[str]]
) -> AsyncIterator[World]:
    world = World(bootstrap_servers, topic_prefix, make_topic)
    await world.open()
    yield world
    await world.close()


def shared(world: World, *members: Member) -> bool:
    """Whether all is owned, by each about the same, and nothing is about to move."""
    owned = [member.places for member in members]
    even = max(map(len, owned)) - min(map(len, owned)) <= _PARTITIONS
    settled = not any(member.source.releasing for member in members)
    return settled and even and sum(map(len, owned)) == len(world.everything)


async def test_who_joins_an_idle_fleet_has_its_shards_after_that_one_rebalance(
    world: World,
) -> None:
    one = await world.join("one")
    await eventually(lambda: one.places == world.everything and not one.source.partitions.unclaimed)
    two = await world.join("two")

    await eventually(lambda: shared(world, one, two))

    assert [each.source._membership.assignor.claim.epoch for each in (one, two)] == [2, 2]
    await world.write()
    await eventually(world.all_begun)
    assert set(world.books.values()) == {1}


async def test_a_shard_waits_for_all_that_runs_in_any_of_its_partitions(world: World) -> None:
    one = await world.join("one")
    one.hangs = lambda record: record.partition in (2, 3) and ".jobs." in record.topic
    await world.write()
    await eventually(world.all_begun)

    two = await world.join("two")
    await eventually(lambda: one.source.releasing)
    await eventually(lambda: one.source.joined and two.source.joined)
    marked = set(one.source.partitions) - one.places
    while_it_runs = two.places
    one.end()
    await eventually(lambda: shared(world, one, two))

    assert while_it_runs == set()
    assert marked in (
        world.shard("alpha", a) | world.shard("beta", b) for a in (0, 1) for b in (0, 1)
    )
    assert two.places == marked
    await world.write()
    await eventually(world.all_begun)
    assert set(world.books.values()) == {1}


async def test_a_mark_that_is_withdrawn_ends_its_release(world: World) -> None:
    one = await world.join("one")
    one.hangs = lambda record: True
    await world.write()
    await eventually(world.all_begun)
    two = await world.join("two")
    await eventually(lambda: one.source.releasing)

    await two.leave()
    await eventually(lambda: one.places == world.everything)
    one.end()
    await world.write()
    await eventually(world.all_begun)

    assert set(world.books.values()) == {1}
    assert all(record.tracker.owned for record in one.began)


async def test_a_shard_that_comes_back_opens_at_once_after_a_last_word(world: World) -> None:
    one, two = await world.join("one"), await world.join("two")
    await eventually(lambda: shared(world, one, two))
    await world.write()
    await eventually(world.all_begun)

    await two.leave()
    await eventually(lambda: one.places == world.everything)
    asked = asyncio.get_running_loop().time()
    await world.write()
    await eventually(world.all_begun)

    assert set(world.books.values()) == {1}
    assert asyncio.get_running_loop().time() - asked < LEASE


async def test_what_a_crash_left_opens_one_lease_later_and_what_ran_is_begun_again(
    world: World,
) -> None:
    one, two = await world.join("one"), await world.join("two")
    await eventually(lambda: shared(world, one, two))
    two.hangs = lambda record: True
    await world.write()
    await eventually(world.all_begun)
    lost = {((r.topic, r.partition), r.offset) for r in two.running}

    await two.crash()
    before = len(one.began)
    await eventually(lambda: one.places == world.everything)
    loop = asyncio.get_running_loop()
    owned = loop.time()
    await eventually(lambda: len(one.began) > before)
    opened = loop.time()
    await eventually(lambda: len(one.began) == before + len(lost))

    assert opened - owned > LEASE - 1.0
    assert {key for key, count in world.books.items() if count == 2} == lost
    assert max(world.books.values()) == 2


@pytest.mark.slow
async def test_a_crash_while_a_shard_is_released_loses_nothing(world: World) -> None:
    one = await world.join("one")
    one.hangs = lambda record: record.offset == 1
    await world.write()
    await eventually(world.all_begun)
    two = await world.join("two")
    await eventually(lambda: one.source.releasing)
    lost = {((r.topic, r.partition), r.offset) for r in one.running}

    await one.crash()
    await eventually(lambda: {key for key, n in world.books.items() if n == 2} == lost)

    assert two.places == world.everything
    assert max(world.books.values()) == 2


async def test_a_request_that_is_lost_in_a_join_is_made_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = await world.join("one")
    # What has been worked on moves by a mark, not with the join itself.
    await world.write()
    await eventually(world.all_begun)
    consumer: Any = one.source._consumer
    ask = consumer._coordinator.request_rejoin
    lost: list[None] = []

    def lose_two() -> None:
        if one.source.partitions.released and len(lost) < 2:
            lost.append(None)
        else:
            ask()

    monkeypatch.setattr(consumer._coordinator, "request_rejoin", lose_two)
    two = await world.join("two")
    await eventually(lambda: shared(world, one, two))

    assert len(lost) == 2


@pytest.mark.parametrize("restarted", ["one", "two"])
async def test_a_restart_with_a_newer_configuration_is_planned_for(
    world: World, restarted: str
) -> None:
    few = world.groups[:1]
    members = {name: await world.join(name, few) for name in ("one", "two")}
    known = {(topic, q) for topic in few[0].topics for q in range(_PARTITIONS)}
    await eventually(lambda: set().union(*(m.places for m in members.values())) == known)

    await members[restarted].crash()
    again = await world.join(restarted)
    other = members["two" if restarted == "one" else "one"]
    await eventually(lambda: again.places | other.places == world.everything)

    assert {topic for topic, _ in other.places} <= set(few[0].topics)
    assert not again.places & other.places


@pytest.mark.slow
async def test_shards_that_change_in_number_move_only_once_they_are_released(world: World) -> None:
    one, two = await world.join("one"), await world.join("two")
    await eventually(lambda: shared(world, one, two))
    one.hangs = two.hangs = lambda record: True
    await world.write()
    await eventually(world.all_begun)

    halves = tuple(replace(group, shards=1, generation=2) for group in world.groups)
    two.end()
    await two.leave()
    three = await world.join("three", halves)
    await eventually(lambda: three.places != set() and one.source.releasing)
    ran = {(record.topic, record.partition) for record in one.running}
    kept = set(one.source.partitions)
    one.end()
    await eventually(lambda: shared(world, one, three) and not one.source.releasing)
    await world.write()
    await eventually(world.all_begun)

    assert ran <= kept
    assert set(world.books.values()) == {1}
    by_group = [{t for t, _ in m.places} for m in (one, three)]
    assert not by_group[0] & by_group[1]


async def test_of_two_processes_with_one_name_the_older_ends_and_says_so(world: World) -> None:
    older = await world.join("same")
    await eventually(lambda: older.places == world.everything)
    newer = await world.join("same")

    async with asyncio.timeout(_PATIENCE):
        with pytest.raises(InstanceIdInUse, match="started later has the instance id"):
            await older.task
    await older.source.leave()
    await eventually(lambda: newer.places == world.everything)
    await world.write()
    await eventually(world.all_begun)

    assert not newer.task.done()


async def test_a_member_that_stands_back_lets_the_others_have_all(world: World) -> None:
    one, two = await world.join("one"), await world.join("two")
    await eventually(lambda: shared(world, one, two))

    one.source.release_all()
    await eventually(lambda: two.places == world.everything)

    assert one.places == set()
    await two.leave()
    await eventually(lambda: one.places == world.everything)


async def test_a_member_that_stands_back_alone_goes_on(world: World) -> None:
    one = await world.join("one")
    await eventually(lambda: one.places == world.everything)

    one.source.release_all()
    await world.write()
    await eventually(world.all_begun)

    assert one.places == world.everything
