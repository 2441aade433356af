"""Topics of services that are deleted, were never made or take little: their own replies alone."""

import time
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from aiokafka.admin import AIOKafkaAdminClient
from live_fleet import LiveFleet, OpenFleet, by_job, fresh_job

from tollway_schemas.codec import decode
from tollway_schemas.dead_letter import DeadLetter
from tollway_schemas.failure import FailureClass
from tollway_schemas.job import Job, ReplyAddress
from tollway_schemas.reply import Reply
from tollway_workers.local.simulator import Simulator

pytestmark = pytest.mark.kafka

MakeTopic = Callable[..., Awaitable[str]]

#: Topics of services that the configuration names; `never` is not made.
_NAMES = ("well", "doomed", "never", "narrow")


class Services:
    """A fleet whose replies go to topics of services, made or not."""

    def __init__(self, fleet: LiveFleet, topics: dict[str, str]) -> None:
        self.fleet = fleet
        self.topics = topics

    def to(self, name: str, *numbers: int) -> list[Job]:
        """Jobs whose replies are to go there."""
        address = ReplyAddress(topic=self.topics[name], token=name)
        return [fresh_job(f"{name}-{n}", reply_to=address) for n in numbers]

    async def answered(self, name: str, expected: list[Job]) -> dict[str, Reply]:
        """The replies in its topic by job, once all that are expected have one."""
        return by_job(await self.fleet.until_answered(expected, self.topics[name]))

    async def delete(self, name: str) -> None:
        admin = AIOKafkaAdminClient(**self.fleet.client)
        await admin.start()
        await admin.delete_topics([self.topics[name]])
        await admin.close()


@pytest.fixture
async def services(
    live_fleet: OpenFleet, topic_prefix: str, make_topic: MakeTopic
) -> AsyncIterator[Services]:
    topics = {name: f"{topic_prefix}-{name}" for name in _NAMES}
    for name in ("well", "doomed"):
        await make_topic(topics[name], 2)
    await make_topic(topics["narrow"], 2, {"max.message.bytes": "700"})
    kafka = {"partitions": 2, "reply_topics": list(topics.values())}
    async with Simulator() as simulator:
        yield Services(await live_fleet(simulator.base_url, kafka=kafka), topics)


@pytest.mark.slow
async def test_a_topic_of_a_service_that_is_deleted_costs_nobody_else_anything(
    services: Services,
) -> None:
    fleet = services.fleet
    before = [*services.to("well", *range(10)), *services.to("doomed", *range(10))]
    await fleet.publish(*before)
    async with fleet.workers("one") as (worker,):
        await services.answered("well", before[:10])
        await services.answered("doomed", before[10:])
        await services.delete("doomed")
        doomed, well = services.to("doomed", *range(10, 60)), services.to("well", *range(10, 60))
        lost = [*doomed, *services.to("never", *range(20))]
        began = time.monotonic()
        await fleet.publish(*lost[:35], *well, *lost[35:])
        await services.answered("well", well)
        took = time.monotonic() - began
        elsewhere = by_job(await fleet.until_answered(lost))
    # Nothing of the service's is needed to start.
    more = services.to("well", *range(100, 110))
    async with fleet.workers("one") as (again,):
        await fleet.publish(*more)
        await services.answered("well", more)

    assert (worker.returncode, again.returncode) == (0, 0)
    assert took < 20.0
    assert {reply.status for reply in elsewhere.values()} == {"completed"}
    assert {each.id for each in lost} == elsewhere.keys()
    letters = [decode(DeadLetter, each) for each in await fleet.values(fleet.names.dead_letters)]
    assert {letter.job_id for letter in letters} == elsewhere.keys()
    assert {letter.failure.failure_class for letter in letters} == {
        FailureClass.REPLY_UNDELIVERABLE
    }
    assert all("does not exist" in letter.failure.message for letter in letters)
    log = fleet.log().read_text()
    assert "Kafka is away" not in log
    assert len(log.splitlines()) < 60, log


async def test_a_reply_that_is_too_large_for_its_topic_touches_no_other(
    services: Services,
) -> None:
    fleet = services.fleet
    narrow, well = services.to("narrow", *range(5)), services.to("well", *range(5))
    async with fleet.workers("one"):
        await fleet.publish(*narrow, *well)
        answered = await services.answered("well", well)
        found = await fleet.until_records(fleet.names.dead_letters, len(narrow))
    letters = [decode(DeadLetter, each.value) for each in found]

    assert {reply.status for reply in answered.values()} == {"completed"}
    assert {letter.job_id for letter in letters} == {each.id for each in narrow}
    # What was paid for is not lost with the reply that has no room.
    assert all(letter.bad_answers for letter in letters)
