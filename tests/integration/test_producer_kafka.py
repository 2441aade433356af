"""The SDK against what only a real Kafka does."""

import asyncio
import logging
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from filelock import FileLock

from tollway import JobProducer, KafkaConnection, NewJob, Security
from tollway.errors import BrokerUnreachable, JobTooLarge, NotAcknowledged, UnknownTopic
from tollway.testing import reply_to
from tollway_schemas import Job, codec, headers, keys
from tollway_workers.local.kafka import LocalKafka

pytestmark = pytest.mark.kafka

EXAMPLES = Path(__file__).parents[2] / "producers" / "examples"
INVOICE = {"number": "A-17", "total": 42.5}

MakeTopic = Callable[..., Awaitable[str]]
CreateTopics = Callable[..., Awaitable[None]]

TOPICS = ("tollway.replies", "tollway.jobs.extract.bulk")
Answer = Callable[[Job], Awaitable[None]]


@pytest.fixture
async def route(make_topic: MakeTopic, topic_prefix: str) -> str:
    """The route `extract` of a fleet without workers; gives the prefix."""
    for priority in ("bulk", "interactive"):
        await make_topic(f"{topic_prefix}.jobs.extract.{priority}")
    await make_topic(f"{topic_prefix}.replies", 3)
    return topic_prefix


@pytest.fixture
async def records(bootstrap_servers: str) -> AsyncIterator[Any]:
    """A plain Kafka producer."""
    async with AIOKafkaProducer(bootstrap_servers=bootstrap_servers) as producer:
        yield producer


@pytest.fixture
async def jobs(bootstrap_servers: str, route: str) -> AsyncIterator[Any]:
    """A plain consumer of the route's topics."""
    topics = [f"{route}.jobs.extract.{each}" for each in ("bulk", "interactive")]
    consumer = AIOKafkaConsumer(
        *topics, bootstrap_servers=bootstrap_servers, auto_offset_reset="earliest"
    )
    async with consumer:
        yield consumer


def job(text: str = "x", **fields: Any) -> NewJob[Any]:
    return NewJob(route="extract", request=text, **fields)


async def test_a_record_says_in_its_headers_what_routing_needs(
    bootstrap_servers: str, route: str, jobs: Any
) -> None:
    trace = {"traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"}
    async with JobProducer(bootstrap_servers, prefix=route) as producer:
        await producer.enqueue(job(id="order-9", tenant="acme", run="r1", headers=trace))

    record = await jobs.getone()

    sent = codec.decode(Job, record.value)
    assert record.key == keys.job_key("order-9")
    assert dict(record.headers) == {
        headers.JOB_ID: b"order-9",
        headers.GENERATION: b"1",
        headers.DEADLINE: sent.deadline.isoformat().encode(),
        headers.ROUTE: b"extract",
        headers.PRIORITY: b"bulk",
        headers.TENANT: b"acme",
        headers.RUN: b"r1",
        headers.TRACEPARENT: trace["traceparent"].encode(),
    }


async def test_replies_that_cannot_be_read_are_skipped_with_a_word(
    bootstrap_servers: str, route: str, jobs: Any, records: Any, caplog: pytest.LogCaptureFixture
) -> None:
    async with JobProducer(bootstrap_servers, prefix=route) as producer:
        handle = await producer.enqueue(job())
        sent = codec.decode(Job, (await jobs.getone()).value)
        assert sent.reply_to is not None
        address = {"topic": sent.reply_to.topic, "partition": sent.reply_to.partition}
        key = keys.job_key(sent.id)
        for value in (b"the-answer-itself", None, b'{"version": 2}'):
            await records.send_and_wait(**address, value=value, key=key)
        await records.send_and_wait(**address, value=b"not ours", key=b"another")
        await records.send_and_wait(**address, value=codec.encode(reply_to(sent, "good")), key=key)
        assert await handle.result(timeout=10) == "good"

    warnings = [each.getMessage() for each in caplog.records if each.name == "tollway"]
    assert len(warnings) == 3
    assert "the-answer-itself" not in caplog.text


async def test_an_unreachable_broker_is_said_in_seconds() -> None:
    began = time.monotonic()

    with pytest.raises(BrokerUnreachable, match=r"127\.0\.0\.1:1: connection refused") as caught:
        async with JobProducer("127.0.0.1:1"):
            raise AssertionError("opened")

    assert time.monotonic() - began < 5
    assert "check the address" in str(caught.value)


async def test_an_address_that_is_no_kafka_is_said_within_the_timeout() -> None:
    async def never_answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    async with await asyncio.start_server(never_answer, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(BrokerUnreachable, match="did not let this client in as PLAINTEXT"):
            await JobProducer(f"127.0.0.1:{port}", start_timeout=0.5).start()


async def test_a_missing_reply_topic_is_said_at_the_start(
    bootstrap_servers: str, topic_prefix: str
) -> None:
    with pytest.raises(UnknownTopic, match=f"{topic_prefix}.replies.*topics apply"):
        await JobProducer(bootstrap_servers, prefix=topic_prefix).start()


async def test_a_job_the_broker_itself_refuses_harms_no_later_one(
    bootstrap_servers: str, make_topic: MakeTopic, topic_prefix: str
) -> None:
    small = {"max.message.bytes": "2000"}
    await make_topic(f"{topic_prefix}.jobs.extract.bulk", config=small)
    await make_topic(f"{topic_prefix}.replies")
    noise = "".join(chr(0x4E00 + n * 7919 % 20000) for n in range(3000))

    async with JobProducer(bootstrap_servers, prefix=topic_prefix) as producer:
        # From now on the broker expects an unbroken sequence of this producer.
        await producer.enqueue(job())
        with pytest.raises(JobTooLarge, match="more than its topic takes"):
            await producer.enqueue(job(noise))
        async with asyncio.timeout(10):
            for _ in range(3):
                await producer.enqueue(job())


@pytest.mark.slow
async def test_tls_and_scram_let_the_right_client_in_and_no_other(
    secure_kafka: Any, create_topics: CreateTopics
) -> None:
    def secured(password: str) -> KafkaConnection:
        security = Security(
            ca_file=str(secure_kafka.ca_file),
            mechanism="SCRAM-SHA-512",
            username=secure_kafka.username,
            password=password,
        )
        return KafkaConnection(secure_kafka.bootstrap_servers, security)

    right, wrong = secured(secure_kafka.password), secured("battery-staple")
    await create_topics(*TOPICS, **right.client_options())

    async with JobProducer(right) as producer:
        handle = await producer.enqueue(job())
        async with AIOKafkaProducer(**right.client_options()) as workers:
            reply = reply_to(answered(handle.id), "secret")
            await workers.send_and_wait(
                "tollway.replies", codec.encode(reply), key=keys.job_key(handle.id)
            )
        assert await handle.result(timeout=10) == "secret"
    with pytest.raises(BrokerUnreachable, match="as SASL_SSL; check") as caught:
        await JobProducer(wrong, start_timeout=5).start()
    assert "battery-staple" not in f"{caught.value} {wrong!r}"


def answered(job_id: str) -> Job:
    """A job with that id, as a worker would have read it."""
    return codec.decode(
        Job,
        f'{{"id": "{job_id}", "route": "extract", "created_at": "2026-01-01T00:00:00Z", '
        '"request": {"messages": [{"role": "user"}]}, "deadline": "2026-01-01T00:00:00Z"}'.encode(),
    )


@pytest.mark.slow
# aiokafka's own: AIOKafkaClient._get_conn forgets a connection whose broker is gone.
@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")
@pytest.mark.usefixtures("forgotten_connections")
async def test_a_broker_restart_is_a_pause_for_producer_and_listener(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, create_topics: CreateTopics
) -> None:
    kafka = LocalKafka(tmp_path / "kafka")
    broker = await asyncio.to_thread(kafka.start)
    servers = broker.bootstrap_servers
    try:
        await create_topics(*TOPICS, bootstrap_servers=servers)
        async with JobProducer(servers, acknowledge_timeout=0.5) as producer:
            first = await producer.enqueue(job())
            waiting = asyncio.ensure_future(first.result())
            await asyncio.to_thread(kafka.stop)
            with pytest.raises(NotAcknowledged, match="with the same id"):
                await producer.enqueue(job(id="while-away"))
            await asyncio.to_thread(kafka.start)
            async with AIOKafkaProducer(bootstrap_servers=servers) as workers:
                reply = codec.encode(reply_to(answered(first.id), "after all"))
                await workers.send_and_wait("tollway.replies", reply, key=keys.job_key(first.id))
            async with asyncio.timeout(60):
                assert await waiting == "after all"
    finally:
        await asyncio.to_thread(kafka.stop, force=True)
    noise = [each for each in caplog.records if each.name.startswith("aiokafka")]
    assert len([each for each in noise if each.levelno >= logging.ERROR]) < 20


@pytest.fixture
def default_prefix(run_folder: Path) -> Iterator[None]:
    """One test at a time has the topics of the default prefix."""
    with FileLock(run_folder / "default-prefix.lock"):
        yield


@pytest.mark.usefixtures("default_prefix")
@pytest.mark.parametrize(
    ("example", "count", "printed"),
    [
        ("twelve_lines.py", 1, "number='A-17' total=42.5\n"),
        ("blocking.py", 1, "A-17 is over 42.50\n"),
        ("many.py", 2000, "2000 answered, 0 failed\n"),
    ],
)
async def test_the_examples_run_as_they_are(
    bootstrap_servers: str, make_topic: MakeTopic, example: str, count: int, printed: str
) -> None:
    # The examples use the default prefix: made here, and left if somebody else made them.
    names = [f"tollway.jobs.extract.{each}" for each in ("bulk", "interactive")]
    for name in [*names, "tollway.replies"]:
        await make_topic(name, 3)
    consumer = AIOKafkaConsumer(*names, bootstrap_servers=bootstrap_servers)
    async with consumer, AIOKafkaProducer(bootstrap_servers=bootstrap_servers) as workers:
        await consumer.seek_to_end()
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            str(EXAMPLES / example),
            stdout=subprocess.PIPE,
            env={"TOLLWAY_BOOTSTRAP_SERVERS": bootstrap_servers, "PATH": ""},
        )
        for _ in range(count):
            sent = codec.decode(Job, (await consumer.getone()).value)
            assert sent.reply_to is not None
            value, key = codec.encode(reply_to(sent, INVOICE)), keys.job_key(sent.id)
            await workers.send(sent.reply_to.topic, value, key, sent.reply_to.partition)
        output, _ = await process.communicate()

    assert output.decode() == printed
    assert process.returncode == 0


def test_the_twelve_line_example_has_twelve_lines() -> None:
    lines = (EXAMPLES / "twelve_lines.py").read_text().split('"""')[2].splitlines()

    assert len([line for line in lines if line.strip()]) <= 12


_FORKING = """
import os, signal, sys
from tollway import BlockingJobProducer, NewJob
from tollway.errors import OpenedElsewhere

producer = BlockingJobProducer(sys.argv[1], prefix=sys.argv[2])
producer.start()
handle = producer.enqueue(NewJob(route="extract", request="x"))
child = os.fork()
if child == 0:
    signal.alarm(30)
    for call in (lambda: producer.enqueue(NewJob(route="extract", request="x")), handle.result):
        try:
            call()
        except OpenedElsewhere:
            pass
        else:
            os._exit(3)
    sys.exit(0)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
# What the child's end closed was not ours.
producer.enqueue(NewJob(route="extract", request="x"))
producer.close()
"""


def test_a_forked_child_is_refused_and_its_end_does_not_disturb_its_parent(
    bootstrap_servers: str, route: str
) -> None:
    ended = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", _FORKING, bootstrap_servers, route],
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert (ended.returncode, ended.stderr) == (0, "")
