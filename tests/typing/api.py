"""The SDK's public API in every typed way. Checked by mypy and basedpyright, never run."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any, assert_type

from pydantic import BaseModel

from tollway import (
    BlockingJobProducer,
    ChatRequest,
    JobFailed,
    JobHandle,
    JobProducer,
    KafkaConnection,
    Message,
    NewJob,
    OutputSchema,
    Priority,
    ProducerError,
    Reply,
    ReplyTimeout,
    Security,
)
from tollway.testing import FakeFleet


class Invoice(BaseModel):
    number: str


async def token() -> str:
    return "t"


secure = KafkaConnection(
    "kafka:9093",
    Security(ca_file="ca.pem", mechanism="SCRAM-SHA-512", username="u", password="p"),
)
oauth = KafkaConnection("kafka:9093", security=Security(mechanism="OAUTHBEARER", token=token))
request = ChatRequest(messages=(Message(role="user", content="Hi"),), temperature=0.0)
typed = NewJob(route="extract", request=request, output=Invoice, deadline=timedelta(hours=1))
text = NewJob(route="extract", request="Hi", priority="interactive", labels={"a": "b"})
plain = NewJob(route="extract", request="Hi", output={"type": "object"}, priority=Priority.BULK)
named = NewJob(route="extract", request="Hi", output=OutputSchema(name="n"), id="1")
picky = NewJob(route="extract", request="Hi", accept=["live", "reasked"])

assert_type(typed, NewJob[Invoice])
assert_type(text, NewJob[Any])


async def asynchronous() -> None:
    async with JobProducer(secure, prefix="p", reply_topic="mine") as producer:
        handle = await producer.enqueue(typed)
        assert_type(handle, JobHandle[Invoice])
        assert_type(await handle.result(timeout=1), Invoice)
        assert_type(await handle.reply(), Reply)
        assert_type(handle.done(), bool)
        assert_type(await producer.ask("extract", "Hi"), str)
        assert_type(await producer.ask("extract", request, output=Invoice), Invoice)
        assert_type(producer.handle("1"), JobHandle[Any])
        assert_type(
            producer.handle("1", output=Invoice, since=datetime.now(UTC)), JobHandle[Invoice]
        )
        async for each in producer.enqueue_many([typed], unacknowledged=10):
            assert_type(each, JobHandle[Invoice])
        async for reply in producer.map(many(), window=10, idle_timeout=60):
            assert_type(reply, Reply)
        try:
            await producer.enqueue(plain)
        except (JobFailed, ReplyTimeout) as error:
            known: ProducerError = error
            raise known from None


async def many() -> AsyncIterator[NewJob[Invoice]]:
    yield typed


def synchronous() -> None:
    with BlockingJobProducer("kafka:9092") as producer:
        assert_type(producer.enqueue(typed).result(timeout=1), Invoice)
        assert_type(producer.ask("extract", "Hi", output=Invoice), Invoice)
        assert_type(producer.ask("extract", "Hi"), str)
        for reply in producer.map([typed]):
            assert_type(reply, Reply)


def faked() -> JobProducer:
    fleet = FakeFleet()
    fleet.answer("extract", Invoice(number="1"))
    fleet.answer("extract", lambda job: {"number": job.id}, provenance="rule")
    return fleet.producer()
