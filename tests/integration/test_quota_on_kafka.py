"""Limits follow shards on a real Kafka: a slice is used by one worker, and goes with its level."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from eventually import eventually
from samples import lane, lane_contract

from tollway_workers.clock import SystemClock
from tollway_workers.config.shape.contract import Contract
from tollway_workers.kafka.client_settings import SourceSettings
from tollway_workers.kafka.consume.source import KafkaSource
from tollway_workers.limits.call_cost import Cost
from tollway_workers.limits.quota import Quota
from tollway_workers.ownership.owned_partition import LEASE
from tollway_workers.ownership.sharding import ShardGroup

pytestmark = [pytest.mark.kafka, pytest.mark.slow]

_SHARDS = 4
#: The least that a broker allows.
_SESSION = 6.0


def contract(requests: float = 6_000.0) -> Contract:
    """So slow to refill that a level tells what was left of it."""
    return lane_contract(
        lane("l", requests_per_day=requests, concurrency=8, shards=_SHARDS, call_timeout=5.0)
    )


class Member:
    """A source with its quota, and its loop."""

    def __init__(self, settings: SourceSettings, books: "Books") -> None:
        self._clock = SystemClock()
        self.quota = Quota(contract(), self._clock.monotonic())
        self.source = KafkaSource(settings, self._clock, {"l": self.quota})
        self.books = books
        self._going = True

    async def start(self) -> None:
        await self.source.start()
        self.task = asyncio.create_task(self._work())

    async def _work(self) -> None:
        while self._going:
            await self.source.poll(10)
            self.books.look()
            await self.source.commit()

    def spend(self, calls: int) -> None:
        for _ in range(calls):
            self.quota.of("l").reserve(Cost())
            self.quota.of("l").free()

    @property
    def level(self) -> float:
        return self.quota.pools[0].level

    async def leave(self) -> None:
        """Drain, as a worker does that is told to stop."""
        self.source.drain()
        await eventually(lambda: not self.quota.joined)
        await self._stop()
        await self.source.leave()

    async def crash(self) -> None:
        """It says nothing more; as a static member, not even that it goes."""
        await self._stop()
        consumer, self.source._consumer = self.source._consumer, None
        assert consumer is not None
        await consumer.stop()
        await self.source.leave()

    async def _stop(self) -> None:
        self._going = False
        await self.task


class Books:
    """All members, and the most slices that were ever used at once."""

    def __init__(self, servers: str, group: ShardGroup) -> None:
        self._servers = servers
        self._group = group
        self.members: list[Member] = []
        self.most = 0

    async def join(self, name: str) -> Member:
        settings = SourceSettings(
            client={"bootstrap_servers": self._servers},
            topics=self._group.topics,
            group=self._group.name + self._group.ownership_topic,
            instance_id=name,
            session_timeout=_SESSION,
            groups=(self._group,),
        )
        member = Member(settings, self)
        await member.start()
        self.members.append(member)
        return member

    def look(self) -> None:
        self.most = max(self.most, sum(len(each.quota.joined) for each in self.members))

    async def close(self) -> None:
        for member in self.members:
            if not member.task.done():
                await member.leave()


def group_of(topic: str, the_contract: Contract, generation: int = 1) -> ShardGroup:
    return ShardGroup(
        name="l",
        shards=_SHARDS,
        ownership_topic=topic,
        topics=(topic,),
        generation=generation,
        limits=tuple(the_contract.amounts.items()),
    )


@pytest.fixture
async def topic(make_topic: Callable[..., Awaitable[str]]) -> str:
    return await make_topic(None, _SHARDS)


@pytest.fixture
async def books(bootstrap_servers: str, topic: str) -> AsyncIterator[Books]:
    books = Books(bootstrap_servers, group_of(topic, contract()))
    yield books
    await books.close()


def shares(*members: Member) -> list[int]:
    return [len(member.quota.joined) for member in members]


async def test_slices_are_shared_by_whoever_comes_and_never_used_twice(books: Books) -> None:
    one = await books.join("one")
    await eventually(lambda: shares(one) == [4])
    two = await books.join("two")
    await eventually(lambda: shares(one, two) == [2, 2])
    slots = [member.quota.of("l").most_calls for member in (one, two)]

    await one.leave()
    await eventually(lambda: shares(two) == [4])

    assert slots == [4, 4]
    assert books.most == _SHARDS


async def test_a_level_goes_with_its_shard_and_comes_back_with_it(books: Books) -> None:
    one = await books.join("one")
    await eventually(lambda: shares(one) == [4])
    full = one.level
    one.spend(400)

    two = await books.join("two")
    await eventually(lambda: shares(one, two) == [2, 2])
    together = one.level + two.level
    await one.leave()
    await eventually(lambda: shares(two) == [4])

    assert full == pytest.approx(1_500.0)
    assert together == pytest.approx(1_100.0, abs=5)
    assert two.level == pytest.approx(1_100.0, abs=10)


async def test_a_crash_empties_its_slices_and_they_are_used_one_lease_later(books: Books) -> None:
    one, two = await books.join("one"), await books.join("two")
    await eventually(lambda: shares(one, two) == [2, 2])
    level = one.level

    await two.crash()
    books.members.remove(two)
    await eventually(lambda: len(one.source.partitions) == _SHARDS)
    loop = asyncio.get_running_loop()
    owned = loop.time()
    await eventually(lambda: shares(one) == [4])

    assert loop.time() - owned > LEASE - 1.0
    assert one.level == pytest.approx(level, abs=5)


async def test_all_follow_the_limits_of_the_newest_configuration(books: Books, topic: str) -> None:
    one, two = await books.join("one"), await books.join("two")
    await eventually(lambda: shares(one, two) == [2, 2])
    rate = two.quota.pools[0].rate

    smaller = contract(3_000.0)
    one.quota.configure(smaller, SystemClock().monotonic())
    one.source.configure((group_of(topic, smaller, generation=2),))
    asked = asyncio.get_running_loop().time()
    half = pytest.approx(rate / 2, rel=0.01)
    await eventually(lambda: [each.quota.pools[0].rate for each in (one, two)] == [half, half])

    assert shares(one, two) == [2, 2]
    # Whoever keeps a shard that it has not worked on waits for no lease either.
    assert asyncio.get_running_loop().time() - asked < LEASE
