"""A fleet on a real Kafka, a way in that takes anything, and one worker process."""

import asyncio
import os
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
from aiokafka import AIOKafkaProducer
from samples import NOW, job

from tollway_schemas.codec import decode, encode
from tollway_schemas.job import Job, Priority
from tollway_schemas.reply import Reply
from tollway_schemas.request import ChatRequest, Message
from tollway_schemas.topics import TopicNames
from tollway_workers.config.load.layers import load_fleet
from tollway_workers.kafka.group.unfinished import unfinished_records
from tollway_workers.kafka.read.log_reader import LoggedRecord, LogReader
from tollway_workers.topics.specs import wanted_topics

MakeTopic = Callable[..., Awaitable[str]]
PATIENCE = 60.0
#: Stands in records, and must stand in no log.
SECRET = "hunter2-sesame"
#: Good jobs among bad records.
GOOD = 100


@dataclass(frozen=True)
class Bad:
    """A record that holds no job, or none that can be worked on."""

    value: bytes | None
    key: bytes | None = b"bad"
    headers: tuple[tuple[str, bytes], ...] = ()


def a_job(name: str, **fields: Any) -> Job:
    """A job of now that can be answered, with the secret in its prompt."""
    request = ChatRequest(messages=(Message(role="user", content=SECRET),))
    return job(name, **{"seconds": time.time() - NOW + 3_600, "request": request, **fields})


def changed(name: str, **fields: Any) -> bytes:
    """A job whose JSON says something else in these fields."""
    return orjson.dumps({**orjson.loads(encode(a_job(name))), **fields})


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
        until = time.monotonic() + PATIENCE
        # Twice: what goes from a retry topic to its lane in between is in neither at one look.
        while left := await self.unfinished() or await self.unfinished():
            assert worker.returncode is None, self.log.read_text()[-2_000:]
            assert time.monotonic() < until, f"{left} records are not done"


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
    assert SECRET not in log
    assert "forged" not in log
