"""Topics of services that are deleted, were never made or take little: their own replies alone."""

import asyncio
import os
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient
from samples import NOW, job

from tollway_schemas.codec import decode, encode
from tollway_schemas.dead_letter import DeadLetter
from tollway_schemas.failure import FailureClass
from tollway_schemas.job import Job, Priority, ReplyAddress
from tollway_schemas.keys import job_key
from tollway_schemas.reply import Reply
from tollway_schemas.topics import TopicNames
from tollway_workers.config.load.layers import load_fleet
from tollway_workers.kafka.read.log_reader import LogReader
from tollway_workers.local.simulator import Simulator
from tollway_workers.topics.specs import wanted_topics

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(180)]

MakeTopic = Callable[..., Awaitable[str]]
#: Seconds, on a machine that others use too.
_PATIENCE = 60.0


class Ground:
    """A fleet whose configuration names topics of services, made or not."""

    def __init__(self, servers: str, prefix: str, folder: Path, base_url: str) -> None:
        self.names = TopicNames(prefix)
        self.theirs = {name: f"{prefix}-{name}" for name in ("well", "doomed", "never", "narrow")}
        self.log = folder / "worker.log"
        self.client: dict[str, Any] = {"bootstrap_servers": servers}
        self._folder = folder
        self._producer = AIOKafkaProducer(**self.client)
        self._reader = LogReader(self.client)
        self._config = folder / "fleet.toml"
        self._config.write_text(
            f"""
            [kafka]
            bootstrap_servers = "{servers}"
            prefix = "{prefix}"
            partitions = 2
            reply_topics = {list(self.theirs.values())}
            [providers.simulator]
            base_url = "{base_url}"
            [lanes.main]
            provider = "simulator"
            model = "scripted"
            concurrency = 24
            [routes.extract]
            lanes = ["main"]
            """
        )

    async def open(self, make_topic: MakeTopic) -> None:
        for topic in wanted_topics(load_fleet(self._config, environ={})):
            await make_topic(topic.name, topic.partitions, dict(topic.config))
        for name in ("well", "doomed"):
            await make_topic(self.theirs[name], 2)
        await make_topic(self.theirs["narrow"], 2, {"max.message.bytes": "700"})
        await self._producer.start()
        await self._reader.start()

    async def close(self) -> None:
        await self._producer.stop()
        await self._reader.stop()

    async def delete(self, name: str) -> None:
        admin = AIOKafkaAdminClient(**self.client)
        await admin.start()
        await admin.delete_topics([self.theirs[name]])
        await admin.close()

    async def worker(self) -> asyncio.subprocess.Process:
        with self.log.open("ab") as log:
            return await asyncio.create_subprocess_exec(
                str(Path(sys.executable).with_name("tollway")),
                *("worker", "--config", str(self._config), "--instance-id", "one"),
                stderr=log,
                env=os.environ | {"XDG_STATE_HOME": str(self._folder)},
            )

    async def publish(self, *jobs: Job) -> None:
        topic = self.names.jobs("extract", Priority.BULK)
        for each in jobs:
            await self._producer.send(topic, encode(each), job_key(each.id))
        await self._producer.flush()

    def to(self, name: str, *numbers: int) -> list[Job]:
        """Jobs whose replies are to go there."""
        address = ReplyAddress(topic=self.theirs[name], token=name)
        seconds = time.time() - NOW + 3_600
        return [job(f"{name}-{n}", seconds=seconds, reply_to=address) for n in numbers]

    async def values(self, topic: str) -> list[bytes]:
        ends = await self._reader.ends([topic])
        records = self._reader.between(dict.fromkeys(ends, 0), ends)
        return [each.value or b"" async for each in records]

    async def replies(self, topic: str, expected: list[Job]) -> dict[str, Reply]:
        """Those of a topic by job, once all that are expected have one."""
        until, found = time.monotonic() + _PATIENCE, dict[str, Reply]()
        while not {each.id for each in expected} <= found.keys() and time.monotonic() < until:
            replies = [decode(Reply, value) for value in await self.values(topic)]
            found = {reply.job_id: reply for reply in replies}
        return found


@pytest.fixture
async def ground(
    bootstrap_servers: str, topic_prefix: str, make_topic: MakeTopic, tmp_path: Path
) -> AsyncIterator[Ground]:
    async with Simulator() as simulator:
        ground = Ground(bootstrap_servers, topic_prefix, tmp_path, simulator.base_url)
        await ground.open(make_topic)
        yield ground
        await ground.close()


async def ended(worker: asyncio.subprocess.Process) -> int:
    worker.terminate()
    try:
        return await asyncio.wait_for(worker.wait(), 30)
    finally:
        if worker.returncode is None:
            worker.kill()
            await worker.wait()


async def test_a_topic_of_a_service_that_is_deleted_costs_nobody_else_anything(
    ground: Ground,
) -> None:
    before = [*ground.to("well", *range(10)), *ground.to("doomed", *range(10))]
    await ground.publish(*before)
    worker = await ground.worker()
    try:
        await ground.replies(ground.theirs["well"], before[:10])
        await ground.replies(ground.theirs["doomed"], before[10:])
        await ground.delete("doomed")
        doomed, well = ground.to("doomed", *range(10, 60)), ground.to("well", *range(10, 60))
        lost = [*doomed, *ground.to("never", *range(20))]
        began = time.monotonic()
        await ground.publish(*lost[:35], *well, *lost[35:])
        answered = await ground.replies(ground.theirs["well"], well)
        took = time.monotonic() - began
        elsewhere = await ground.replies(ground.names.replies, lost)
    finally:
        code = await ended(worker)
    # Nothing of the service's is needed to start.
    code_again = await ended_after_answering(ground)

    assert (code, code_again) == (0, 0)
    assert {each.id for each in well} <= answered.keys()
    assert took < 20.0
    assert {reply.status for reply in elsewhere.values()} == {"completed"}
    assert {each.id for each in lost} == elsewhere.keys()
    letters = [decode(DeadLetter, each) for each in await ground.values(ground.names.dead_letters)]
    assert {letter.job_id for letter in letters} == elsewhere.keys()
    assert {letter.failure.failure_class for letter in letters} == {
        FailureClass.REPLY_UNDELIVERABLE
    }
    assert all("does not exist" in letter.failure.message for letter in letters)
    log = ground.log.read_text()
    assert "Kafka is away" not in log
    assert len(log.splitlines()) < 60, log


async def ended_after_answering(ground: Ground) -> int:
    worker = await ground.worker()
    try:
        more = ground.to("well", *range(100, 110))
        await ground.publish(*more)
        assert len(await ground.replies(ground.theirs["well"], more)) >= 10
    finally:
        code = await ended(worker)
    return code


async def test_a_reply_that_is_too_large_for_its_topic_touches_no_other(ground: Ground) -> None:
    narrow, well = ground.to("narrow", *range(5)), ground.to("well", *range(5))
    worker = await ground.worker()
    try:
        await ground.publish(*narrow, *well)
        answered = await ground.replies(ground.theirs["well"], well)
        until = time.monotonic() + _PATIENCE
        letters: list[DeadLetter] = []
        while len(letters) < len(narrow) and time.monotonic() < until:
            values = await ground.values(ground.names.dead_letters)
            letters = [decode(DeadLetter, each) for each in values]
    finally:
        await ended(worker)

    assert {reply.status for reply in answered.values()} == {"completed"}
    assert {letter.job_id for letter in letters} == {each.id for each in narrow}
    # What was paid for is not lost with the reply that has no room.
    assert all(letter.bad_answers for letter in letters)
