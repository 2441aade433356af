"""Records that nobody should write, on every topic that a worker reads: each comes to an end."""

import asyncio
import os
import random
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import pytest
from aiokafka import AIOKafkaProducer, TopicPartition
from batch_bytes import PACK, batch, record
from raw_produce import produce_raw

from tollway import JobProducer, NewJob
from tollway_schemas import headers
from tollway_schemas.codec import decode, encode
from tollway_schemas.job import Job, Priority
from tollway_schemas.keys import job_key
from tollway_schemas.reading.consumer import RecordConsumer, UnreadableRecord
from tollway_schemas.reply import Reply
from tollway_schemas.request import ChatRequest, Message
from tollway_schemas.topics import TopicNames
from tollway_workers.config.load import load_fleet
from tollway_workers.kafka.log_reader import LoggedRecord, LogReader
from tollway_workers.kafka.unfinished import unfinished_records
from tollway_workers.local.simulator import Simulator
from tollway_workers.policies.topic_specs import wanted_topics
from tollway_workers.testing.samples import NOW, job

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(150)]

MakeTopic = Callable[..., Awaitable[str]]
_PATIENCE = 60.0
#: Stands in records, and must stand in no log.
_SECRET = "hunter2-sesame"
_BAD, _GOOD = 200, 100


@dataclass(frozen=True)
class Bad:
    """A record that holds no job, or none that can be worked on."""

    value: bytes | None
    key: bytes | None = b"bad"
    headers: tuple[tuple[str, bytes], ...] = ()


def a_job(name: str, **fields: Any) -> Job:
    """A job of now that can be answered, with the secret in its prompt."""
    request = ChatRequest(messages=(Message(role="user", content=_SECRET),))
    return job(name, **{"seconds": time.time() - NOW + 3_600, "request": request, **fields})


def changed(name: str, **fields: Any) -> bytes:
    """A job whose JSON says something else in these fields."""
    return orjson.dumps({**orjson.loads(encode(a_job(name))), **fields})


def without_a_job() -> list[Bad]:
    """Values that nobody can read a job from."""
    dice = random.Random(7)
    text = _SECRET.encode()
    nested = b"[" * 400 + b"]" * 400
    return [
        Bad(None),
        Bad(b""),
        Bad(b"\x00" * 64 + text),
        Bad(b'{"id": "\xff\xfe' + text + b'"}'),
        Bad(b'"' + text + b'"'),
        Bad(b"[1, 2]"),
        Bad(b"null"),
        Bad(b"NaN"),
        Bad(b'{"request": ' + nested + b"}"),
        Bad(b"[" * 100_000),
        Bad(b'{"request": 1' + b"0" * 5_000 + b"}"),
        Bad(b"x" * 600_000),
        Bad(text, key=None),
        Bad(text, key=b"\xff\xfe" * 300),
        Bad(text, headers=(("mine", b"\xff\xfe"), ("mine", text), ("", b""))),
        Bad(changed("b", request=_SECRET)),
        Bad(changed("b", request={"messages": []})),
        Bad(changed("b", request={"messages": [{"role": _SECRET, "content": 1}]})),
        Bad(changed("b", route=_SECRET)),
        Bad(changed("b", version=99)),
        Bad(changed("b", version=_SECRET)),
        Bad(changed("b", deadline=_SECRET)),
        Bad(changed("b", deadline=1e300)),
        Bad(changed("b", generation=-1)),
        Bad(changed("b", id="x" * 10_000)),
        Bad(changed("b", priority=_SECRET)),
        *(Bad(dice.randbytes(dice.randrange(1, 2_000))) for _ in range(40)),
    ]


def refused() -> dict[str, Bad]:
    """Jobs that end in a failure reply, by their id."""
    values = {
        "past": changed("past", deadline="1990-01-01T00:00:00Z"),
        "schema": changed("schema", output={"json_schema": {"$ref": "file:///etc/passwd"}}),
        "type": changed("type", output={"json_schema": {"type": _SECRET}}),
        "address": changed("address", reply_to={"topic": "no-such-topic"}),
    }
    return {name: Bad(value, name.encode()) for name, value in values.items()}


#: Headers that only the fleet may write, forged.
_NAMES = (headers.HOPS, headers.ATTEMPTS, headers.DUE, headers.NOT_BEFORE, headers.HISTORY)
_VALUES = (b"9" * 400, b"\xff\xfe", b'{"attempts": 1}')
_FORGED = (
    *((name, value) for name in _NAMES for value in _VALUES),
    (headers.JOB_ID, b"forged"),
    (headers.JOB_ID, b"twice"),
    (headers.LANE, b"elsewhere"),
)


class Ground:
    """Topics of a fleet, a way in that takes anything, and one worker process."""

    def __init__(self, servers: str, prefix: str, folder: Path, base_url: str) -> None:
        self.servers = servers
        self.names = TopicNames(prefix)
        self.client: dict[str, Any] = {"bootstrap_servers": servers}
        self.log = folder / "worker.log"
        self._folder = folder
        self._producer = AIOKafkaProducer(**self.client, max_request_size=2_000_000)
        self._reader = LogReader(self.client)
        self._config = folder / "fleet.toml"
        self._config.write_text(
            f"""
            [kafka]
            bootstrap_servers = "{servers}"
            prefix = "{prefix}"
            partitions = 4
            [providers.simulator]
            base_url = "{base_url}"
            [lanes.main]
            provider = "simulator"
            model = "scripted"
            concurrency = 24
            [routes.extract]
            lanes = ["main"]
            [lanes.second]
            provider = "simulator"
            model = "scripted"
            concurrency = 24
            [routes.other]
            lanes = ["second"]
            """
        )

    @property
    def read(self) -> list[str]:
        """The topics that a worker reads."""
        jobs = [self.names.jobs("extract", each) for each in Priority]
        return jobs + [self.names.lane("main", each) for each in Priority]

    async def open(self, make_topic: MakeTopic) -> None:
        for topic in wanted_topics(load_fleet(self._config, environ={})):
            await make_topic(topic.name, topic.partitions, dict(topic.config))
        await self._producer.start()
        await self._reader.start()

    async def close(self) -> None:
        await self._producer.stop()
        await self._reader.stop()

    async def worker(self) -> asyncio.subprocess.Process:
        with self.log.open("ab") as log:
            return await asyncio.create_subprocess_exec(
                str(Path(sys.executable).with_name("tollway")),
                *("worker", "--config", str(self._config), "--instance-id", "one"),
                stderr=log,
                env=os.environ | {"XDG_STATE_HOME": str(self._folder)},
            )

    async def write(self, topic: str, *records: Bad) -> None:
        for each in records:
            await self._producer.send(topic, each.value, each.key, headers=list(each.headers))
        await self._producer.flush()

    async def records(self, topic: str) -> list[LoggedRecord]:
        ends = await self._reader.ends([topic])
        return [each async for each in self._reader.between(dict.fromkeys(ends, 0), ends)]

    async def ends(self, topic: str) -> dict[tuple[str, int], int]:
        return await self._reader.ends([topic])

    async def replies(self) -> dict[str, Reply]:
        replies = [decode(Reply, each.value) for each in await self.records(self.names.replies)]
        return {reply.job_id: reply for reply in replies}

    async def unfinished(self) -> int:
        """Records that the worker, or its relay, has not completed."""
        retries = [self.names.retry(tier) for tier in (15.0, 60.0)]
        jobs = await unfinished_records(self.client, self.names.worker_group, self.read)
        waiting = await unfinished_records(self.client, self.names.relay_group, retries)
        return sum(jobs.values()) + sum(waiting.values())

    async def until_done(self, worker: asyncio.subprocess.Process) -> None:
        """Wait until all that was written is complete; the worker lives."""
        until = time.monotonic() + _PATIENCE
        while left := await self.unfinished():
            assert worker.returncode is None, self.log.read_text()[-2_000:]
            assert time.monotonic() < until, f"{left} records are not done"


@pytest.fixture
async def ground(
    bootstrap_servers: str, topic_prefix: str, make_topic: MakeTopic, tmp_path: Path
) -> AsyncIterator[Ground]:
    async with Simulator() as simulator:
        ground = Ground(bootstrap_servers, topic_prefix, tmp_path, simulator.base_url)
        await ground.open(make_topic)
        yield ground
        await ground.close()


async def done(ground: Ground) -> None:
    """Run a worker until all is done that was written, and let it leave."""
    worker = await ground.worker()
    try:
        await ground.until_done(worker)
        worker.terminate()
        assert await asyncio.wait_for(worker.wait(), 20) == 0
    finally:
        if worker.returncode is None:
            worker.kill()
            await worker.wait()
    log = ground.log.read_text()
    assert _SECRET not in log
    assert "forged" not in log


async def test_bad_records_among_good_jobs_are_kept_raw_and_the_good_ones_are_answered(
    ground: Ground,
) -> None:
    kinds, ends = without_a_job(), refused()
    bad = [kinds[number % len(kinds)] for number in range(_BAD)]
    good = [a_job(f"good-{number}") for number in range(_GOOD)]
    forged = [Bad(encode(each), job_key(each.id), _FORGED) for each in good]
    mixed = [*bad, *ends.values(), *forged]
    random.Random(8).shuffle(mixed)
    await ground.write(ground.names.jobs("extract", Priority.BULK), *mixed)

    await done(ground)

    replies = await ground.replies()
    assert {name for name, reply in replies.items() if reply.status == "completed"} == {
        each.id for each in good
    }
    assert {name for name, reply in replies.items() if reply.status == "failed"} == ends.keys()
    letters = await ground.records(ground.names.dead_letters)
    raw = [each for each in letters if (headers.VALUE_KIND, b"raw") in each.headers]
    assert sorted(each.value or b"" for each in raw) == sorted(each.value or b"" for each in bad)


@pytest.mark.parametrize("topic", ["lane", "retry"])
async def test_garbage_where_only_the_fleet_may_write_comes_to_an_end_too(
    ground: Ground, topic: str
) -> None:
    name = ground.names.lane("main", Priority.BULK)
    if topic == "retry":
        name = ground.names.retry(15.0)
    # A route that nobody has is no reason to read no job from it.
    astray = b'"route":"' + _SECRET.encode()
    kinds = [each for each in without_a_job() if each.value and astray not in each.value]
    # A time in the far future is one that a record may have.
    far = [(name, b"9" * 400) for name in (headers.DUE, headers.NOT_BEFORE)]
    odd = [
        Bad(encode(a_job(f"odd-{number}")), b"odd", ((headers.ROUTE, b"extract"), header))
        for number, header in enumerate(_FORGED)
        if header not in far
    ]
    await ground.write(name, *kinds, *odd)

    await done(ground)

    letters = await ground.records(ground.names.dead_letters)
    kept = {each.value for each in letters}
    assert {each.value for each in kinds} <= kept
    told = [name for name in await ground.replies() if name.startswith("odd-")]
    assert len(told) == sum(each.value not in kept for each in odd)
    assert len(told) > 5


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
        "request.messages.0.role: ": batch(0, record(0, mistakes), codec=4),
    }


async def test_batches_that_no_client_makes_cost_nobody_else_an_answer(ground: Ground) -> None:
    hostile = _hostile_batches()
    own, other = (ground.names.jobs(route, Priority.BULK) for route in ("extract", "other"))
    good = [a_job(f"good-{number}") for number in range(_GOOD)]
    beside = [a_job(f"beside-{number}", route="other") for number in range(_GOOD)]
    await ground.write(own, *(Bad(encode(each), job_key(each.id)) for each in good[::2]))
    for partition in range(4):
        errors = await produce_raw(ground.servers, own, partition, *hostile.values())
        assert errors == [0] * len(hostile)
    await ground.write(own, *(Bad(encode(each), job_key(each.id)) for each in good[1::2]))
    await ground.write(other, *(Bad(encode(each), job_key(each.id)) for each in beside))

    await done(ground)

    replies = await ground.replies()
    assert {name for name, reply in replies.items() if reply.status == "completed"} == {
        each.id for each in (*good, *beside)
    }
    letters = await ground.records(ground.names.dead_letters)
    said = [dict(each.headers)[headers.FAILURE_MESSAGE].decode() for each in letters]
    for what in hostile:
        assert sum(what.rstrip("01234").rstrip() in each for each in said) >= 4, what
    assert len(letters) == 4 * len(hostile)


async def test_a_reader_steps_over_hostile_batches_without_a_long_pause(
    ground: Ground, bootstrap_servers: str
) -> None:
    topic = ground.names.replies
    hostile = [*_hostile_batches().values()]
    await produce_raw(bootstrap_servers, topic, 0, *hostile * 5, batch(0, record(0, b"last")))
    consumer = RecordConsumer(**ground.client, auto_offset_reset="earliest")
    await consumer.start()
    consumer.assign([TopicPartition(topic, 0)])
    pauses: list[float] = []

    async def watch() -> None:
        while True:
            began = time.monotonic()
            await asyncio.sleep(0.01)
            pauses.append(time.monotonic() - began)

    watching, found = asyncio.create_task(watch()), []
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
    ground: Ground, topic: str
) -> None:
    name = ground.names.lane("main", Priority.BULK)
    if topic == "retry":
        name = ground.names.retry(15.0)
    hostile = _hostile_batches()
    good = a_job("good")
    about = ((headers.ROUTE, b"extract"), (headers.LANE, b"main"))
    for partition in range(3):
        await produce_raw(ground.servers, name, partition, *hostile.values())
    await ground.write(name, Bad(encode(good), b"good", about))

    await done(ground)

    assert (await ground.replies())["good"].status == "completed"
    letters = await ground.records(ground.names.dead_letters)
    assert len(letters) == 3 * len(hostile)


async def test_what_nobody_can_read_among_replies_and_commands_stops_neither(
    ground: Ground,
) -> None:
    poison = batch(0, record(0, b"{}", headers=[(b"\xff", b"")]))
    topics = [ground.names.replies, ground.names.commands, ground.names.heartbeats]
    worker = await ground.worker()
    try:
        async with JobProducer(ground.servers, prefix=ground.names.prefix) as producer:
            for topic in topics:
                for place in await ground.ends(topic):
                    assert await produce_raw(ground.servers, topic, place[1], poison) == [0]
            handle = await producer.enqueue(NewJob(route="extract", request=a_job("x").request))
            assert await handle.result(timeout=_PATIENCE)
        worker.terminate()
        assert await asyncio.wait_for(worker.wait(), 20) == 0
    finally:
        if worker.returncode is None:
            worker.kill()
            await worker.wait()
    assert await ground.records(ground.names.commands) == []
