"""Sources that come and go while records stream: nothing is lost, little comes twice."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from tollway_workers.clock import SystemClock
from tollway_workers.errors import BrokerUnavailable
from tollway_workers.job.ports import OutgoingRecord
from tollway_workers.kafka.client_settings import SinkSettings, SourceSettings
from tollway_workers.kafka.consume.source import KafkaSource
from tollway_workers.kafka.produce.sink import KafkaSink

pytestmark = pytest.mark.kafka

_RECORDS = 600


class Crowd:
    """Members by name, and what they took together."""

    def __init__(self, servers: str, topic: str, group: str) -> None:
        self._client = {"bootstrap_servers": servers}
        self._topic, self._group = topic, group
        self._leaving: dict[str, asyncio.Event] = {}
        self.sink = KafkaSink(SinkSettings(client=self._client, most_bytes=100_000), SystemClock())
        self.taken: Counter[int] = Counter()
        self.all_taken = asyncio.Event()

    async def write(self, numbers: range) -> None:
        for number in numbers:
            value = str(number).encode()
            await (await self.sink.send(OutgoingRecord(self._topic, value, value, [])))

    async def member(self, name: str) -> None:
        """Take, complete and commit until told to leave."""
        leaving = self._leaving[name] = asyncio.Event()
        settings = SourceSettings(
            client=self._client,
            topics=(self._topic,),
            group=self._group,
            instance_id=name,
            session_timeout=15.0,
        )
        source = KafkaSource(settings, SystemClock())
        await source.start()
        while not leaving.is_set():
            for record in await source.poll(7):
                self.taken[int(record.value or b"")] += 1
                source.complete(record)
            if len(self.taken) == _RECORDS:
                self.all_taken.set()
            await source.commit()
        await source.leave()

    def leave(self, *names: str) -> None:
        for name in names:
            self._leaving[name].set()


@pytest.fixture
async def crowd(
    bootstrap_servers: str, topic_prefix: str, make_topic: Callable[..., Awaitable[str]]
) -> AsyncIterator[Crowd]:
    topic = await make_topic(f"{topic_prefix}.jobs", 6)
    crowd = Crowd(bootstrap_servers, topic, topic_prefix)
    await crowd.sink.start()
    yield crowd
    await crowd.sink.stop()


async def test_no_record_is_lost_while_members_come_and_go(crowd: Crowd) -> None:
    async with asyncio.timeout(60), asyncio.TaskGroup() as tasks:
        tasks.create_task(crowd.member("one"))
        await crowd.write(range(200))
        second = tasks.create_task(crowd.member("two"))
        await crowd.write(range(200, 400))
        crowd.leave("one")
        tasks.create_task(crowd.member("three"))
        await crowd.write(range(400, 500))
        crowd.leave("two")
        await second
        tasks.create_task(crowd.member("two"))
        await crowd.write(range(500, _RECORDS))
        await crowd.all_taken.wait()
        crowd.leave("two", "three")

    assert set(crowd.taken) == set(range(_RECORDS))
    # What was completed after the commit of a rebalance began and before it was over.
    assert crowd.taken.total() - _RECORDS <= 7 * 6 * 4


async def test_a_broker_that_is_not_there_is_one_sentence_and_leaving_is_no_error() -> None:
    settings = SourceSettings(
        client={"bootstrap_servers": "127.0.0.1:1"},
        topics=("jobs",),
        group="nobody",
        instance_id="one",
        session_timeout=6.0,
    )
    source = KafkaSource(settings, SystemClock())

    with pytest.raises(BrokerUnavailable, match=r"cannot use Kafka at 127\.0\.0\.1:1"):
        await source.start()
    await source.leave()

    assert repr(source) == "<KafkaSource one [0 partitions]>"
