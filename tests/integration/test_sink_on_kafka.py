"""Records for topics that take less than ours: refused before they break the producer."""

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaError, MessageSizeTooLargeError
from samples import job, progress

from tollway_schemas.codec import decode
from tollway_schemas.failure import FailureClass
from tollway_schemas.job import ReplyAddress
from tollway_schemas.provenance import Provenance
from tollway_schemas.reply import Answer, Reply
from tollway_schemas.topics import TopicNames
from tollway_workers.clock import SystemClock
from tollway_workers.job.outcome import Completed
from tollway_workers.job.ports import OutgoingRecord, RecordTooLarge
from tollway_workers.kafka.client_settings import SinkSettings
from tollway_workers.kafka.produce.sink import KafkaSink
from tollway_workers.kafka.read.log_reader import LogReader
from tollway_workers.pipeline.publish import OutcomePublisher, PublisherSettings

pytestmark = pytest.mark.kafka

MakeTopic = Callable[..., Awaitable[str]]
_LIMIT = 20_000


class Sink:
    """A sink, and what a topic holds."""

    def __init__(self, servers: str) -> None:
        self._client: dict[str, Any] = {"bootstrap_servers": servers}
        self.sink = KafkaSink(SinkSettings(client=self._client, most_bytes=500_000), SystemClock())

    async def write(self, topic: str, size: int) -> Awaitable[object]:
        """Bytes that no compression makes fewer."""
        return await self.sink.send(OutgoingRecord(topic, b"key", os.urandom(size), []))

    async def write_for_long(self, topic: str, size: int) -> None:
        """Write as a worker does: again, however often Kafka refuses."""
        while True:
            try:
                await (await self.write(topic, size))
            except (KafkaError, ConnectionError):
                await self.sink.recover()
            else:
                return

    async def lower_limit(self, topic: str, most: int) -> None:
        """Return once the broker holds to it: the admin client is answered before that."""
        config = {"max.message.bytes": str(most)}
        admin = AIOKafkaAdminClient(**self._client)
        await admin.start()
        await admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic, config)])
        await admin.close()
        async with AIOKafkaProducer(**self._client) as other, asyncio.timeout(20):
            with pytest.raises(MessageSizeTooLargeError):
                while True:
                    await other.send_and_wait(topic, os.urandom(most + 1_000))

    async def sizes(self, topic: str) -> list[int]:
        return sorted(map(len, await self.values(topic)))

    async def values(self, topic: str) -> list[bytes]:
        reader = LogReader(self._client)
        await reader.start()
        try:
            ends = await reader.ends([topic])
            starts = dict.fromkeys(ends, 0)
            return [each.value or b"" async for each in reader.between(starts, ends)]
        finally:
            await reader.stop()


@pytest.fixture
async def kafka(bootstrap_servers: str) -> AsyncIterator[Sink]:
    opened = Sink(bootstrap_servers)
    await opened.sink.start()
    yield opened
    await opened.sink.stop()


async def test_what_a_topic_does_not_take_is_refused_before_it_is_sent(
    kafka: Sink, make_topic: MakeTopic
) -> None:
    small = await make_topic(None, 1, {"max.message.bytes": str(_LIMIT)})
    large = await make_topic(None, 1, {"max.message.bytes": "600000"})

    with pytest.raises(RecordTooLarge):
        await kafka.write(small, _LIMIT)
    await (await kafka.write(large, _LIMIT))
    # Together they are too large for one batch: a batch counts as one record.
    for written in [await kafka.write(small, 5_000 + n) for n in range(40)]:
        await written

    assert await kafka.sizes(small) == [5_000 + n for n in range(40)]
    assert await kafka.sizes(large) == [_LIMIT]


async def test_a_limit_that_was_lowered_since_is_learned_from_what_kafka_refuses(
    kafka: Sink, make_topic: MakeTopic
) -> None:
    topic = await make_topic(None, 1, {"max.message.bytes": "600000"})
    await kafka.write_for_long(topic, 1)
    await kafka.lower_limit(topic, _LIMIT)

    async with asyncio.timeout(30):
        ended = await asyncio.gather(
            *(kafka.write_for_long(topic, size) for size in (5_000, 8_000, 30_000, 9_000)),
            return_exceptions=True,
        )

    assert [type(each) for each in ended if each is not None] == [RecordTooLarge]
    assert isinstance(ended[2], RecordTooLarge)
    assert {5_000, 8_000, 9_000} <= set(await kafka.sizes(topic))


async def test_an_answer_that_a_services_topic_does_not_take_ends_as_a_dead_letter(
    kafka: Sink, make_topic: MakeTopic, topic_prefix: str
) -> None:
    names = TopicNames(topic_prefix)
    for ours in (names.replies, names.dead_letters):
        await make_topic(ours)
    theirs = await make_topic(None, 2, {"max.message.bytes": "4000"})
    settings = PublisherSettings(
        topics=names, worker="w-0", reply_topics=frozenset({theirs}), most_bytes=500_000
    )
    publisher = OutcomePublisher(kafka.sink, settings, SystemClock())
    answer = Completed(Answer(text="x" * 5_000), Provenance.LIVE, "main", None)

    async with asyncio.timeout(20):
        large = progress(job("large", reply_to=ReplyAddress(topic=theirs, partition=1)))
        await publisher.publish(large, answer, None)
        small = progress(job("small", reply_to=ReplyAddress(topic=theirs, partition=1)))
        await publisher.publish(small, answer._replace(answer=Answer(text="yes")), None)

    replies = {reply.job_id: reply for reply in map(_reply, await kafka.values(theirs))}
    assert len(await kafka.values(names.dead_letters)) == 1
    assert replies["small"].status == "completed"
    failure = replies["large"].failure
    assert failure is not None
    assert failure.failure_class is FailureClass.REPLY_TOO_LARGE


def _reply(value: bytes) -> Reply:
    return decode(Reply, value)
