"""What befalls the ledger's topic on a real Kafka: nothing is spent without a grant, and each
trouble is one sentence.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterator, MutableMapping
from typing import Any

import pytest
import structlog
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from eventually import eventually
from ledger_process import CLAIM, POT, Process

from tollway_workers.budgets.lack import Lack, Short

pytestmark = pytest.mark.kafka

COMPACTED = {"cleanup.policy": "compact", "message.timestamp.type": "LogAppendTime"}
Logs = list[MutableMapping[str, Any]]
MakeTopic = Any


@pytest.fixture
def logs() -> Iterator[Logs]:
    with structlog.testing.capture_logs() as entries:
        yield entries


OpenProcess = Callable[..., Any]


@pytest.fixture
async def opened(bootstrap_servers: str, make_topic: MakeTopic) -> AsyncIterator[OpenProcess]:
    del make_topic  # Its topics go after the processes: who leaves writes its last record.
    async with contextlib.AsyncExitStack() as stack:

        async def open_process(topic: str, calls: int = 20) -> Process:
            process = Process(bootstrap_servers, topic, calls)
            await process.log.start()
            running = asyncio.create_task(process.log.run())
            stack.push_async_callback(process.log.stop)
            stack.push_async_callback(ended, running)
            return process

        yield open_process


async def ended(task: "asyncio.Task[None]") -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def said(logs: Logs, words: str) -> list[str]:
    return [each["event"] for each in logs if words in each["event"]]


async def test_a_foreign_record_is_ignored_and_said_once(
    opened: OpenProcess, make_topic: MakeTopic, bootstrap_servers: str, logs: Logs
) -> None:
    topic = await make_topic(config=COMPACTED)
    process = await opened(topic)
    async with AIOKafkaProducer(bootstrap_servers=bootstrap_servers) as producer:
        for key, value in (
            (b"what", b"ever"),
            (b'["entry","all",null,"total","w@1"]', b"{}"),
            (b'["entry","all",null,"total","w@1"]', b'{"budget": "other"}'),
            (b'["sum"]', b"\xff"),
            (b"[]", None),
        ):
            await producer.send_and_wait(topic, value, key, partition=0)

    assert await process.spend_all() == 20
    assert len(said(logs, "ignored a record of the ledger that is none")) == 1


async def test_one_partition_too_many_is_said_and_grants_no_more_than_one(
    opened: OpenProcess, make_topic: MakeTopic, logs: Logs
) -> None:
    topic = await make_topic(partitions=2, config=COMPACTED)
    one, two = await opened(topic), await opened(topic)

    assert sum(await asyncio.gather(one.spend_all(4.0), two.spend_all(4.0))) == 20
    assert len(said(logs, "one partition too many")) == 2


@pytest.mark.timeout(180)
async def test_a_deleted_ledger_grants_nothing_and_made_anew_forgets_nothing_of_those_who_are_there(
    opened: OpenProcess, make_topic: MakeTopic, bootstrap_servers: str, logs: Logs
) -> None:
    topic = await make_topic(config=COMPACTED)
    process = await opened(topic, calls=2_000)
    for _ in range(5):
        await process.paid()
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap_servers)
    await admin.start()
    await admin.delete_topics([topic])
    granted = process.spending.ledger.pots[POT].counted

    calls = await process.spend_all(4.0)
    assert (5 + calls) * CLAIM <= granted + CLAIM * 100
    lack = process.claim()
    assert isinstance(lack, Lack)
    assert lack.short in (Short.PENDING, Short.TIGHT)
    await eventually(lambda: said(logs, "does not exist") or said(logs, "cannot read the ledger"))

    await admin.create_topics([NewTopic(topic, 1, 1, topic_configs=COMPACTED)])
    await admin.close()
    await process.paid()
    # What it had settled under its first name stands in the new one.
    await eventually(lambda: process.spending.ledger.pots[POT].counted >= (6 + calls) * CLAIM)
