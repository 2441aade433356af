"""Transactions on a real Kafka: what was taken back is no job, and their marks stop nobody."""

from collections.abc import AsyncIterator

import pytest
from aiokafka import AIOKafkaProducer
from bad_ground import TABLES, done, unfinished
from live_fleet import LiveFleet, OpenFleet, by_job, fresh_job

from tollway_schemas.codec import encode
from tollway_schemas.job import Job, Priority
from tollway_schemas.keys import job_key
from tollway_workers.local.simulator import Simulator

pytestmark = pytest.mark.kafka


@pytest.fixture
async def simulator() -> AsyncIterator[Simulator]:
    async with Simulator() as simulator:
        yield simulator


@pytest.fixture
async def fleet(live_fleet: OpenFleet, simulator: Simulator) -> LiveFleet:
    return await live_fleet(simulator.base_url, **TABLES)


class Transactions:
    """A producer of transactions on one topic."""

    def __init__(self, fleet: LiveFleet, name: str, topic: str) -> None:
        self._producer = AIOKafkaProducer(
            **fleet.client, transactional_id=f"{fleet.names.prefix}-{name}"
        )
        self._topic = topic

    async def __aenter__(self) -> "Transactions":
        await self._producer.start()
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._producer.stop()

    async def begin(self, *jobs: Job) -> None:
        """Write jobs in a new transaction, each in a batch of its own."""
        await self._producer.begin_transaction()
        for each in jobs:
            await self._producer.send_and_wait(self._topic, encode(each), job_key(each.id))

    async def commit(self) -> None:
        await self._producer.commit_transaction()

    async def abort(self) -> None:
        await self._producer.abort_transaction()


def jobs_of(name: str, count: int = 12) -> list[Job]:
    return [fresh_job(f"{name}-{number}") for number in range(count)]


async def test_a_worker_answers_what_was_committed_and_calls_for_nothing_that_was_taken_back(
    fleet: LiveFleet, simulator: Simulator
) -> None:
    topic = fleet.names.jobs("extract", Priority.BULK)
    kept, plain = [*jobs_of("kept"), *jobs_of("kept-too")], jobs_of("plain")
    async with Transactions(fleet, "a", topic) as one, Transactions(fleet, "b", topic) as other:
        # Two at once in every partition, ordinary records between them, in both orders of ending.
        await one.begin(*jobs_of("back"))
        await other.begin(*kept[:12])
        await fleet.publish(*plain)
        await one.abort()
        await other.commit()
        await other.begin(*jobs_of("back-too"))
        await one.begin(*kept[12:])
        await one.commit()
        await other.abort()

    await done(fleet)

    replies = by_job(await fleet.replies())
    assert replies.keys() == {each.id for each in (*kept, *plain)}
    assert all(reply.status == "completed" for reply in replies.values())
    assert len(simulator.calls) == len(kept) + len(plain)
    assert await fleet.records(fleet.names.dead_letters) == []


async def test_a_partition_that_ends_in_what_was_taken_back_has_no_lag(fleet: LiveFleet) -> None:
    topic = fleet.names.jobs("extract", Priority.BULK)
    async with Transactions(fleet, "a", topic) as one:
        for _ in range(3):
            await one.begin(*jobs_of("back", 40))
            await one.abort()

    await done(fleet)

    assert await unfinished(fleet) == 0
    assert await fleet.replies() == []


async def test_what_reads_for_operators_sees_nothing_that_was_taken_back(fleet: LiveFleet) -> None:
    topic = fleet.names.dead_letters
    async with Transactions(fleet, "a", topic) as one:
        await one.begin(*jobs_of("back"))
        await one.abort()
        await one.begin(*jobs_of("kept"))
        await one.commit()

    found = await fleet.records(topic)

    assert {each.key for each in found} == {job_key(each.id) for each in jobs_of("kept")}
