"""An attack, and what it may use: topics that take any bytes, jobs, a server, commands."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
from aiokafka import AIOKafkaProducer
from provider import TOLLWAY, environment
from raw_produce import produce_raw

from tollway_schemas.codec import encode
from tollway_schemas.job import Job, Priority
from tollway_schemas.keys import job_key
from tollway_schemas.request import ChatRequest, Message
from tollway_schemas.topics import TopicNames

#: The route of attacked workers that neighbours use too.
SHARED = "shared"
#: Its lane's partitions, and those of every other.
PARTITIONS = 2
_LARGEST_RECORD = 2**20 - 2_000
#: Seconds that a command may take.
_PATIENCE = 60.0


#: Does it, and returns what is wrong in one line; nothing where all is as it should be.
Strike = Callable[["Reach"], Awaitable[str | None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Attack:
    """What a stranger does, and what becomes of it."""

    kind: str
    name: str
    strike: Strike
    #: How the ids of its jobs begin; of any that come meanwhile where it is empty.
    culprits: str = ""
    #: What the dead letters of the culprits say, and how many there are at least.
    says: str = ""
    letters: int = 0


@dataclass(slots=True)
class Reach:
    """What a stranger gets at. State: the producer."""

    servers: str
    names: TopicNames
    folder: Path
    #: Replies by job id: route, tenant and text of each, as they come.
    replies: Mapping[str, list[dict[str, Any]]]
    #: Calls of the hostile server, by the name of the way to answer.
    calls: Callable[[str], int]
    #: Calls to a lane that have ended, as workers tell.
    ended: Callable[[str], Awaitable[float]]
    _producer: AIOKafkaProducer | None = field(default=None, init=False)

    async def open(self) -> None:
        """Connect."""
        self._producer = AIOKafkaProducer(
            bootstrap_servers=self.servers, max_request_size=_LARGEST_RECORD, linger_ms=5
        )
        await self._producer.start()

    async def close(self) -> None:
        """Disconnect."""
        if self._producer is not None:
            await self._producer.stop()

    async def batches(self, topic: str, *batches: bytes, partition: int = 0) -> list[int]:
        """Write batches as they are; Kafka's error for each, 0 where it took it."""
        return await produce_raw(self.servers, topic, partition, *batches)

    async def record(
        self,
        topic: str,
        value: bytes | None,
        key: bytes | None = b"hostile",
        headers: Iterable[tuple[str, bytes]] = (),
        partition: int | None = None,
    ) -> None:
        """Write one record."""
        assert self._producer is not None
        await self._producer.send_and_wait(
            topic, value, key, headers=list(headers), partition=partition
        )

    async def jobs(self, *wanted: Job) -> None:
        """Hand jobs over, as a service does."""
        assert self._producer is not None
        sent = [
            await self._producer.send(
                self.topic(each.route, each.priority), encode(each), job_key(each.id)
            )
            for each in wanted
        ]
        await asyncio.gather(*sent)

    def topic(self, route: str = SHARED, priority: Priority = Priority.BULK) -> str:
        """Where jobs of a route go."""
        return self.names.jobs(route, priority)

    async def answers(self, job_id: str, count: int, seconds: float = 15.0) -> list[dict[str, Any]]:
        """The replies to an id once there are so many; what there is where they do not come."""
        until = asyncio.get_running_loop().time() + seconds
        while len(self.replies.get(job_id, ())) < count:
            if asyncio.get_running_loop().time() > until:
                break
            await asyncio.sleep(0.05)
        return self.replies.get(job_id, [])

    async def command(self, *arguments: str | Path) -> tuple[int, str]:
        """A `tollway` command: its exit status (-1: it did not end) and all that it said."""
        process = await asyncio.create_subprocess_exec(
            *(*TOLLWAY, *map(str, arguments)),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            env=environment(self.folder),
            cwd=self.folder,
        )
        try:
            said, _ = await asyncio.wait_for(process.communicate(), _PATIENCE)
        except TimeoutError:
            process.kill()
            await process.wait()
            return -1, "it did not end"
        return process.returncode or 0, said.decode(errors="replace")


def hostile_job(job_id: str, route: str = SHARED, text: str = "hello", **fields: Any) -> Job:
    """A job with an hour to go."""
    now = datetime.now(UTC)
    said: dict[str, Any] = {
        "request": ChatRequest(
            messages=(Message(role="user", content=text),), max_output_tokens=64
        ),
        "created_at": now,
        "deadline": now + timedelta(hours=1),
    }
    return Job(id=job_id, route=route, **{**said, **fields})


def hostile_json(job_id: str, route: str = SHARED, **fields: Any) -> bytes:
    """A job whose JSON says something else in these fields."""
    return orjson.dumps({**orjson.loads(encode(hostile_job(job_id, route))), **fields})


def only(wrong: Iterable[str | None]) -> str | None:
    """All that is wrong in one line."""
    return "; ".join(each for each in wrong if each) or None
