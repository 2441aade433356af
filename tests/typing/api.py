"""The SDK's public API in every typed way. Checked by mypy and basedpyright, never run."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any, assert_type

from pydantic import BaseModel

from tollway import (
    BlockingJobProducer,
    ChatRequest,
    DeadLetters,
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
from tollway.dead_letters import (
    Canary,
    Entry,
    ExportReport,
    Filter,
    Found,
    Group,
    MarkReport,
    Overview,
    Progress,
    RedriveReport,
    Skip,
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


async def repairing() -> None:
    def say(progress: Progress) -> None:
        assert_type((progress.stage, progress.done, progress.total), tuple[str, int, int])

    async with DeadLetters(secure, prefix="p", by="me@here", max_job_bytes=1_000) as letters:
        assert_type(letters, DeadLetters)
        wanted = Filter(route="extract", failure_class="bad_output", since=datetime.now(UTC))
        overview = await letters.groups(wanted, on_progress=say)
        assert_type(overview, Overview)
        assert_type(overview.groups, list[Group])
        assert_type((await letters.list(limit=5)).total, int)
        async for entry in letters.each(Filter(marked=False)):
            assert_type(entry, Entry)
        assert_type(await letters.find("1", route="extract"), tuple[Found, ...])
        report = await letters.redrive(
            wanted,
            edit={"route": "other"},
            schema=Invoice,
            revalidate=True,
            deadline=timedelta(hours=1),
            rate=600,
            canary=Canary(count=5, within=60),
            on_progress=say,
        )
        assert_type(report, RedriveReport)
        assert_type(report.skipped, dict[Skip, int])
        await letters.redrive(schema={"type": "object"}, only_revalidate=True, canary=5)
        await letters.redrive(dry_run=True)
        assert_type(await letters.redrive_from("letters.jsonl", dry_run=True), RedriveReport)
        assert_type(await letters.discard(wanted, why="of no use"), MarkReport)
        assert_type(await letters.unmark(wanted), MarkReport)
        assert_type(await letters.export("letters.jsonl", wanted), ExportReport)
