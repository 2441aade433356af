"""Batches that no client makes and Kafka takes: they cost nobody else an answer, or a pause."""

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer, TopicPartition
from bad_ground import GOOD, TABLES, Bad, a_job, changed, done, write
from batch_bytes import PACK, batch, record
from eventually import PATIENCE
from live_fleet import LiveFleet, OpenFleet, by_job
from raw_produce import produce_raw

from tollway import JobProducer, NewJob
from tollway_schemas import headers
from tollway_schemas.codec import encode
from tollway_schemas.job import Priority
from tollway_schemas.keys import job_key
from tollway_schemas.reading.consumer import RecordConsumer, UnreadableRecord
from tollway_workers.clock import SystemClock
from tollway_workers.kafka.consume.open_transactions import OpenTransactions
from tollway_workers.local.simulator import Simulator

pytestmark = [pytest.mark.kafka, pytest.mark.slow]


@pytest.fixture
async def fleet(live_fleet: OpenFleet) -> AsyncIterator[LiveFleet]:
    async with Simulator() as simulator:
        yield await live_fleet(simulator.base_url, **TABLES)


def _hostile_batches() -> dict[str, bytes]:
    """Batches that Kafka takes, and what is said of the record in each."""
    megabytes = bytes(200 * 2**20)
    mistakes = changed("m").replace(b'"messages":[', b'"messages":[' + b"{}," * 340_000)
    named = [(b"mine", b"1"), (b"\xff\xfe", b"2")]
    return {
        **{
            f"whose name is not UTF-8, its number 2 {codec}": batch(
                0, record(0, encode(a_job("b")), headers=named), codec=codec
            )
            for codec in PACK
        },
        **{
            f"unpacks to more than 16,777,216 bytes {codec}": batch(
                0, record(0, megabytes), codec=codec
            )
            for codec in (1, 4)
        },
        "the job is 3,145,728 bytes long": batch(0, record(0, bytes(3 * 2**20)), codec=4),
        "request.messages[0].role: ": batch(0, record(0, mistakes), codec=4),
    }


async def test_batches_that_no_client_makes_cost_nobody_else_an_answer(fleet: LiveFleet) -> None:
    hostile = _hostile_batches()
    own, other = (fleet.names.jobs(route, Priority.BULK) for route in ("extract", "other"))
    good = [a_job(f"good-{number}") for number in range(GOOD)]
    beside = [a_job(f"beside-{number}", route="other") for number in range(GOOD)]
    await write(fleet, own, *(Bad(encode(each), job_key(each.id)) for each in good[::2]))
    for partition in range(4):
        errors = await produce_raw(fleet.servers, own, partition, *hostile.values())
        assert errors == [0] * len(hostile)
    await write(fleet, own, *(Bad(encode(each), job_key(each.id)) for each in good[1::2]))
    await write(fleet, other, *(Bad(encode(each), job_key(each.id)) for each in beside))

    await done(fleet)

    replies = by_job(await fleet.replies())
    assert {name for name, reply in replies.items() if reply.status == "completed"} == {
        each.id for each in (*good, *beside)
    }
    letters = await fleet.records(fleet.names.dead_letters)
    said = [dict(each.headers)[headers.FAILURE_MESSAGE].decode() for each in letters]
    for what in hostile:
        assert sum(what.rstrip("01234").rstrip() in each for each in said) >= 4, what
    assert len(letters) == 4 * len(hostile)
    # Only of batches that do not unpack nothing is left but their bytes.
    no_record = [each for each in letters if (headers.VALUE_OF, b"batch") in each.headers]
    assert len(no_record) == 4 * 2


async def test_a_reader_steps_over_hostile_batches_without_a_long_pause(
    fleet: LiveFleet, bootstrap_servers: str
) -> None:
    topic = fleet.names.replies
    hostile = [*_hostile_batches().values()]
    await produce_raw(bootstrap_servers, topic, 0, *hostile * 5, batch(0, record(0, b"last")))
    consumer = RecordConsumer(**fleet.client, auto_offset_reset="earliest")
    await consumer.start()
    consumer.assign([TopicPartition(topic, 0)])
    pauses: list[float] = []

    async def watch() -> None:
        while True:
            began = time.monotonic()
            await asyncio.sleep(0.01)
            pauses.append(time.monotonic() - began)

    watching = asyncio.create_task(watch())
    found: list[Any] = []
    while not found or found[-1].value != b"last":
        for records in (await consumer.getmany(timeout_ms=500, max_records=500)).values():
            found += records
    watching.cancel()
    await consumer.stop()

    bad = [each for each in found if isinstance(each, UnreadableRecord)]
    assert len(found) == 5 * len(hostile) + 1
    assert all(f"at offset {each.offset} of {topic}-0" in each.why for each in bad)
    assert len(bad) == 5 * (len(hostile) - 2)
    assert max(pauses) < 1.0


@pytest.mark.parametrize("topic", ["retry", "lane"])
async def test_batches_that_no_client_makes_do_not_stop_what_the_fleet_passes_on(
    fleet: LiveFleet, topic: str
) -> None:
    name = fleet.names.lane("main", Priority.BULK)
    if topic == "retry":
        name = fleet.names.retry(15.0)
    hostile = _hostile_batches()
    good = a_job("good")
    about = ((headers.ROUTE, b"extract"), (headers.LANE, b"main"))
    for partition in range(3):
        await produce_raw(fleet.servers, name, partition, *hostile.values())
    await write(fleet, name, Bad(encode(good), b"good", about))

    await done(fleet)

    assert by_job(await fleet.replies())["good"].status == "completed"
    letters = await fleet.records(fleet.names.dead_letters)
    assert len(letters) == 3 * len(hostile)


async def test_what_nobody_can_read_among_replies_and_commands_stops_neither(
    fleet: LiveFleet,
) -> None:
    poison = batch(0, record(0, b"{}", headers=[(b"\xff", b"")]))
    topics = [fleet.names.replies, fleet.names.commands, fleet.names.heartbeats]
    producing = JobProducer(fleet.servers, prefix=fleet.names.prefix)
    async with fleet.workers("one") as (worker,), producing as producer:
        for topic in topics:
            for place in await fleet.ends(topic):
                assert await produce_raw(fleet.servers, topic, place[1], poison) == [0]
        handle = await producer.enqueue(NewJob(route="extract", request=a_job("x").request))
        assert await handle.result(timeout=PATIENCE)
    assert worker.returncode == 0
    assert await fleet.records(fleet.names.commands) == []


async def test_a_partition_behind_an_open_transaction_of_a_stranger_is_noticed(
    fleet: LiveFleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tollway_workers.kafka.consume.open_transactions._LONG", 1.0)
    topic = fleet.names.jobs("extract", Priority.BULK)
    transactions = OpenTransactions(SystemClock())
    consumer = RecordConsumer(**fleet.client, isolation_level="read_committed")
    stranger = AIOKafkaProducer(**fleet.client, transactional_id=fleet.names.prefix)
    await stranger.start()
    await consumer.start()
    consumer.assign([TopicPartition(topic, 0)])
    try:
        async with stranger.transaction():
            await stranger.send_and_wait(topic, b"open", partition=0)
            while not transactions.stalled:
                assert await consumer.getmany(timeout_ms=100) == {}
                transactions.look(consumer)
            assert transactions.stalled.keys() == {(topic, 0)}
        while transactions.stalled:
            await consumer.getmany(timeout_ms=100)
            transactions.look(consumer)
    finally:
        await stranger.stop()
        await consumer.stop()
