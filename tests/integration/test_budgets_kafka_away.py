"""Kafka goes away while granted blocks last: calls go on with those alone, and then none does."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import structlog
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from eventually import eventually
from freezing_broker import Broker
from ledger_process import CLAIM, POT, Process

from tollway_workers.budgets.lack import Lack, Short
from tollway_workers.local.kafka import LocalKafka

pytestmark = [pytest.mark.slow, pytest.mark.kafka]

TOPIC = "away.ledger"
COMPACTED = {"cleanup.policy": "compact", "message.timestamp.type": "LogAppendTime"}


@pytest.fixture
def broker(tmp_path: Path, kafka_jars: tuple[Path, ...]) -> Iterator[Broker]:
    kafka = LocalKafka(tmp_path / "kafka")
    found = Broker(kafka, kafka.start().bootstrap_servers)
    try:
        yield found
    finally:
        if found.frozen:
            found.thaw()
        kafka.stop(force=True)


@pytest.fixture
async def process(broker: Broker) -> AsyncIterator[Process]:
    admin = AIOKafkaAdminClient(bootstrap_servers=broker.servers)
    await admin.start()
    await admin.create_topics([NewTopic(TOPIC, 1, 1, topic_configs=COMPACTED)])
    await admin.close()
    process = Process(broker.servers, TOPIC, calls=2_000)
    await process.log.start()
    running = asyncio.create_task(process.log.run())
    try:
        yield process
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await process.log.stop()


@pytest.mark.timeout(240)
async def test_calls_go_on_as_far_as_granted_blocks_last_and_then_none_does_until_kafka_is_back(
    broker: Broker, process: Process
) -> None:
    with structlog.testing.capture_logs() as logs:
        calls = 0
        while calls < 40:
            await process.paid()
            calls += 1
        broker.freeze()
        granted = process.spending.ledger.pots[POT].counted
        calls += await process.spend_all(3.0)
        assert calls * CLAIM <= granted
        # Whatever is waited, and whichever client is opened anew: nothing without a grant.
        calls += await process.spend_all(50.0)
        assert calls * CLAIM <= granted
        lack = process.claim()
        assert isinstance(lack, Lack)
        assert lack.short in (Short.PENDING, Short.TIGHT)
        warned = [each["event"] for each in logs if each["log_level"] in ("warning", "error")]
        assert [said for said in warned if "ledger" in said] == [
            "Kafka takes no records of the ledger: budgeted calls go on with what is granted, and "
            "then wait until it is back"
        ]

        broker.thaw()
        await eventually(lambda: not isinstance(process.claim(), Lack))
        with contextlib.suppress(TimeoutError):
            await process.paid()
    assert sum(each.settled for each in process.spending.ledger.pots[POT].parts.values()) > 0
