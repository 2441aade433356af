"""What a service may rely on, whether Kafka or a FakeFleet is behind its producer."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from eventually import eventually
from pydantic import BaseModel, field_validator

from tollway import JobFailed, JobHandle, JobProducer, NewJob, Reply, ReplyTimeout
from tollway.errors import (
    InvalidAnswer,
    InvalidNewJob,
    JobTooLarge,
    ProducerClosed,
    UnknownTopic,
)
from tollway.testing import FakeFleet, Script, Scripted, reply_to
from tollway_schemas import Failure, FailureClass, Job, Priority, codec, headers, keys


class Invoice(BaseModel):
    """An answer."""

    number: str
    total: float

    @field_validator("total")
    @classmethod
    def _not_negative(cls, total: float) -> float:
        if total < 0:
            raise ValueError("negative")
        return total


class Fleet(Protocol):
    """What the tests need of either fleet."""

    jobs: list[Job]

    def answer(self, route: str, script: Script) -> None: ...
    def hold(self, route: str) -> None: ...
    def reply(self, job: Job, scripted: Scripted) -> None: ...
    def publish(self, reply: Reply) -> None: ...
    def producer(self) -> JobProducer: ...


class EchoWorkers:
    """A fleet of twenty lines on a real Kafka: reads jobs, writes what its script says."""

    def __init__(self, servers: str, prefix: str) -> None:
        self._servers, self._prefix = servers, prefix
        self._scripts: dict[str, Script | None] = {}
        self._stack = AsyncExitStack()
        self._sends: set[asyncio.Task[Any]] = set()
        self.jobs: list[Job] = []

    def answer(self, route: str, script: Script) -> None:
        self._scripts[route] = script

    def hold(self, route: str) -> None:
        self._scripts[route] = None

    def reply(self, job: Job, scripted: Scripted) -> None:
        self.publish(reply_to(job, scripted))

    def publish(self, reply: Reply) -> None:
        job = next(job for job in self.jobs if job.id == reply.job_id)
        assert job.reply_to is not None
        value, key = codec.encode(reply), keys.job_key(job.id)
        send = self._producer.send(job.reply_to.topic, value, key, job.reply_to.partition)
        task = asyncio.create_task(send)
        self._sends.add(task)
        task.add_done_callback(self._sends.discard)

    def producer(self) -> JobProducer:
        return JobProducer(self._servers, prefix=self._prefix)

    async def __aenter__(self) -> "EchoWorkers":
        self._producer = AIOKafkaProducer(bootstrap_servers=self._servers)
        await self._stack.enter_async_context(self._producer)
        topics = [f"{self._prefix}.jobs.extract.{each.value}" for each in Priority]
        self._consumer = AIOKafkaConsumer(
            *topics, bootstrap_servers=self._servers, auto_offset_reset="earliest"
        )
        await self._stack.enter_async_context(self._consumer)
        self._task = asyncio.create_task(self._work())
        return self

    async def __aexit__(self, *error: object) -> None:
        self._task.cancel()
        await asyncio.wait([self._task])
        await self._stack.aclose()

    async def _work(self) -> None:
        async for record in self._consumer:
            job = codec.decode(Job, record.value)
            assert headers.get(record.headers, headers.JOB_ID) == job.id
            self.jobs.append(job)
            script = self._scripts[job.route]
            if script is not None:
                self.reply(job, script(job) if callable(script) else script)


@pytest.fixture
def fake_fleet(topic_prefix: str) -> Fleet:
    """The stand-in."""
    return FakeFleet(prefix=topic_prefix)


@pytest.fixture
async def kafka_fleet(
    bootstrap_servers: str, topic_prefix: str, make_topic: Callable[..., Awaitable[str]]
) -> AsyncIterator[Fleet]:
    """Workers on a real Kafka that serve the route `extract`."""
    for priority in Priority:
        await make_topic(f"{topic_prefix}.jobs.extract.{priority.value}", 2)
    await make_topic(f"{topic_prefix}.replies", 3)
    async with EchoWorkers(bootstrap_servers, topic_prefix) as workers:
        yield workers


@pytest.fixture(params=["fake_fleet", pytest.param("kafka_fleet", marks=pytest.mark.kafka)])
def fleet(request: pytest.FixtureRequest) -> Fleet:
    """Either, one after the other."""
    either: Fleet = request.getfixturevalue(request.param)
    return either


async def arrival(fleet: Fleet, number: int = 1) -> Job:
    """The last of `number` jobs to reach the fleet."""
    await eventually(lambda: len(fleet.jobs) >= number)
    return fleet.jobs[number - 1]


def job(text: str = "Invoice 17", **fields: Any) -> NewJob[Any]:
    return NewJob(route="extract", request=text, **fields)


BROKEN = Failure(failure_class=FailureClass.BAD_OUTPUT, message="no JSON")


async def test_a_text_job_gives_its_text(fleet: Fleet) -> None:
    fleet.answer("extract", "seventeen")

    async with fleet.producer() as producer:
        handle = await producer.enqueue(job())
        assert await handle.result(timeout=10) == "seventeen"

    assert handle.done()


async def test_a_model_class_gives_an_object_of_it(fleet: Fleet) -> None:
    fleet.answer("extract", {"number": "17", "total": 42.5})

    async with fleet.producer() as producer:
        assert await producer.ask("extract", "17?", output=Invoice) == Invoice(
            number="17", total=42.5
        )

    assert fleet.jobs[0].priority is Priority.INTERACTIVE
    assert fleet.jobs[0].output is not None and fleet.jobs[0].output.name == "Invoice"


async def test_a_json_schema_gives_plain_json(fleet: Fleet) -> None:
    fleet.answer("extract", {"n": None})

    async with fleet.producer() as producer:
        handle = await producer.enqueue(job(output={"type": "object"}))
        assert await handle.result(timeout=10) == {"n": None}


async def test_an_answer_its_own_validators_refuse_is_an_invalid_answer(fleet: Fleet) -> None:
    fleet.answer("extract", {"number": "17", "total": -1})

    async with fleet.producer() as producer:
        handle = await producer.enqueue(job(output=Invoice))
        with pytest.raises(InvalidAnswer, match="total") as caught:
            await handle.result(timeout=10)

    assert caught.value.reply.answer is not None


async def test_a_failed_job_raises_with_its_reply(fleet: Fleet) -> None:
    fleet.answer("extract", BROKEN)

    async with fleet.producer() as producer:
        handle = await producer.enqueue(job(labels={"order": "9"}))
        with pytest.raises(JobFailed, match="bad_output: no JSON") as caught:
            await handle.result(timeout=10)
        assert (await handle.reply()).failure == BROKEN

    assert caught.value.reply.labels == {"order": "9"}


async def test_a_timeout_leaves_the_job_running_and_it_can_be_awaited_again(fleet: Fleet) -> None:
    fleet.hold("extract")

    async with fleet.producer() as producer:
        handle = await producer.enqueue(job())
        with pytest.raises(ReplyTimeout, match=handle.id):
            await handle.result(timeout=0.05)
        fleet.reply(await arrival(fleet), "late but here")
        assert await handle.result(timeout=10) == "late but here"


async def test_a_reply_from_before_anybody_listened_is_found(fleet: Fleet) -> None:
    fleet.answer("extract", "early")

    async with fleet.producer() as producer:
        first = await producer.enqueue(job())
        await arrival(fleet)
        second = await producer.enqueue(job())
        await arrival(fleet, 2)
        assert [await first.result(10), await second.result(10)] == ["early", "early"]


async def test_duplicates_are_dropped_and_the_next_generation_wins(fleet: Fleet) -> None:
    fleet.hold("extract")

    async with fleet.producer() as producer:
        handle = await producer.enqueue(job())
        arrived = await arrival(fleet)
        fleet.reply(arrived, BROKEN)
        with pytest.raises(JobFailed):
            await handle.result(timeout=10)
        fleet.reply(arrived, "a duplicate")
        fleet.publish(reply_to(arrived, "redriven", generation=2))
        await eventually(lambda: "generation 2" in repr(handle))
        assert await handle.result() == "redriven"


async def test_a_job_is_found_again_by_id_after_a_restart(fleet: Fleet) -> None:
    fleet.answer("extract", {"number": "17", "total": 1})
    before = datetime.now(UTC)
    async with fleet.producer() as producer:
        ids = [(await producer.enqueue(job(output=Invoice))).id for _ in range(6)]
    await arrival(fleet, 6)

    async with fleet.producer() as restarted:
        whole = [restarted.handle(each, output=Invoice) for each in ids[:3]]
        dated = [restarted.handle(each, output=Invoice, since=before) for each in ids[3:]]
        results = [await handle.result(timeout=10) for handle in [*whole, *dated]]

    assert results == [Invoice(number="17", total=1)] * 6


async def test_a_job_answered_after_the_restart_is_found_too(fleet: Fleet) -> None:
    fleet.hold("extract")
    async with fleet.producer() as producer:
        job_id = (await producer.enqueue(job())).id

    async with fleet.producer() as restarted:
        handle: JobHandle[str] = restarted.handle(job_id)
        with pytest.raises(ReplyTimeout):
            await handle.result(timeout=0.05)
        fleet.reply(await arrival(fleet), "at last")
        assert await handle.result(timeout=10) == "at last"


async def test_everything_a_job_says_reaches_the_fleet(fleet: Fleet) -> None:
    fleet.hold("extract")
    deadline = datetime.now(UTC) + timedelta(hours=3)

    async with fleet.producer() as producer:
        await producer.enqueue(
            job(id="order-9", tenant="acme", run="r1", labels={"a": "b"}, deadline=deadline)
        )
        arrived = await arrival(fleet)

    assert (arrived.id, arrived.tenant, arrived.run) == ("order-9", "acme", "r1")
    assert (arrived.labels, arrived.deadline) == ({"a": "b"}, deadline)
    assert arrived.reply_to is not None and arrived.reply_to.partition is not None


async def test_handles_come_in_order_and_a_bad_job_comes_after_those_before_it(
    fleet: Fleet,
) -> None:
    fleet.answer("extract", lambda each: str(each.labels["n"]))
    jobs = [job(labels={"n": str(n)}) for n in range(50)]
    bad = NewJob[Any](route="Not A Route", request="x")
    handles: list[JobHandle[Any]] = []

    async with fleet.producer() as producer:
        with pytest.raises(InvalidNewJob, match="route"):
            async for handle in producer.enqueue_many([*jobs, bad, *jobs], unacknowledged=7):
                handles.append(handle)  # noqa: PERF401 the first fifty come before the error
        assert [await each.result(timeout=10) for each in handles] == [str(n) for n in range(50)]

    assert len(fleet.jobs) == 50


async def test_map_yields_every_reply_and_takes_no_more_than_its_window(fleet: Fleet) -> None:
    fleet.answer("extract", lambda each: str(each.labels["n"]))
    taken = 0
    answers: list[str] = []

    async def jobs() -> AsyncIterator[NewJob[Any]]:
        nonlocal taken
        for n in range(100):
            taken += 1
            yield job(labels={"n": str(n)})

    async with fleet.producer() as producer:
        async for reply in producer.map(jobs(), window=10, idle_timeout=10):
            # One more may have been taken and wait for room.
            assert taken <= len(answers) + 11
            assert reply.answer is not None and reply.answer.text is not None
            answers.append(reply.answer.text)

    assert sorted(answers, key=int) == [str(n) for n in range(100)]


async def test_map_can_be_left_early_and_says_when_nothing_comes(fleet: Fleet) -> None:
    fleet.hold("extract")

    async with fleet.producer() as producer:
        with pytest.raises(ReplyTimeout, match="any of the jobs"):
            async for _ in producer.map([job(), job()], idle_timeout=0.5):
                raise AssertionError("nothing was answered")
        mapping = producer.map([job(), job()])
        waiting = asyncio.ensure_future(anext(mapping))
        await arrival(fleet, 4)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        handle = await producer.enqueue(job())
        fleet.reply(await arrival(fleet, 5), "still here")
        assert await handle.result(timeout=10) == "still here"


@pytest.mark.parametrize(
    ("new", "error"),
    [
        (job(deadline=timedelta(0)), "deadline: has passed"),
        (job(deadline=timedelta(days=9)), "longest that topics surely keep"),
        (job(deadline=datetime(2100, 1, 1)), "time zone"),  # noqa: DTZ001 the point of the case
        (job(id="two words"), "id: "),
        (job(id=""), "id: "),
        (job(priority="urgent"), "priority"),
        (job(headers={"tollway-attempts": "0"}), "tollway-attempts"),
        (job(output=lambda: 1), "output"),
        (job("lone \ud800 surrogate"), "UTF-8"),
        (job(tenant="\ud800"), "tenant"),
    ],
)
async def test_a_bad_job_is_refused_before_it_is_sent(
    fleet: Fleet, new: NewJob[Any], error: str
) -> None:
    async with fleet.producer() as producer:
        with pytest.raises(InvalidNewJob, match=error):
            await producer.enqueue(new)


async def test_a_job_above_the_limit_is_refused_with_both_sizes(fleet: Fleet) -> None:
    async with fleet.producer() as producer:
        with pytest.raises(JobTooLarge, match=r"1,0\d\d,\d\d\d bytes encoded, the limit is 1,048,"):
            await producer.enqueue(job("x" * 1024 * 1024))


async def test_a_misspelt_route_names_those_there_are(fleet: Fleet) -> None:
    fleet.hold("extract")

    async with fleet.producer() as producer:
        with pytest.raises(UnknownTopic, match=r"jobs\.extrakt\.bulk.*there are extract"):
            await producer.enqueue(NewJob(route="extrakt", request="x"))


# It may close while its listener starts: aiokafka forgets the connection it begins with.
@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")
@pytest.mark.filterwarnings("ignore:loop is closed:ResourceWarning")
@pytest.mark.usefixtures("forgotten_connections")
async def test_a_closed_producer_says_so_to_all(fleet: Fleet) -> None:
    fleet.hold("extract")
    producer = fleet.producer()
    with pytest.raises(ProducerClosed, match="not open yet"):
        await producer.enqueue(job())

    async with producer:
        handle = await producer.enqueue(job())
        waiting = asyncio.ensure_future(handle.result())
        await arrival(fleet)
    with pytest.raises(ProducerClosed):
        await waiting
    calls: list[Callable[[], Any]] = [handle.result, lambda: producer.enqueue(job())]
    for call in calls:
        with pytest.raises(ProducerClosed, match="closed"):
            await call()
    await producer.close()
