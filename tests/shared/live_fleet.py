"""A fleet on a real Kafka: its configuration and topics, ways in and out, and worker processes."""

import asyncio
import contextlib
import os
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import orjson
import tomlkit
from aiokafka import AIOKafkaProducer
from eventually import PATIENCE
from in_process import run_here
from samples import NOW, job
from topic_tail import TopicTail

from tollway_schemas.codec import decode, encode
from tollway_schemas.job import Job, Priority
from tollway_schemas.keys import job_key
from tollway_schemas.reply import Reply
from tollway_schemas.topics import TopicNames
from tollway_workers.config.load.layers import load_fleet
from tollway_workers.kafka.read.log_reader import LoggedRecord, LogReader
from tollway_workers.topics.specs import TopicSpec, wanted_topics

#: The command, on the Python of the tests.
TOLLWAY = (sys.executable, "-m", "tollway_workers.cli.entry")
#: Seconds that a worker takes at most to leave.
_LEAVES = 30.0
#: Of one record: more than any test's fleet lets through.
_MOST_BYTES = 4_000_000

Process = asyncio.subprocess.Process
#: `await live_fleet(base_url, **tables)`, the fixture.
OpenFleet = Callable[..., Awaitable["LiveFleet"]]


def fleet_table(base_url: str, changes: Mapping[str, Any]) -> dict[str, Any]:
    """One lane and one route, and what a test has otherwise; a table of its own is merged."""
    lane = {"provider": "simulator", "model": "scripted", "concurrency": 24}
    plain: dict[str, Any] = {
        "kafka": {"partitions": 4},
        "providers": {"simulator": {"base_url": base_url}},
        "lanes": {"main": lane},
        "routes": {"extract": {"lanes": ["main"]}},
    }
    return _merged(plain, changes)


def fresh_jobs(count: int, *, first: int = 0, **fields: Any) -> list[Job]:
    """Jobs of now, due in an hour."""
    return [fresh_job(f"job-{n:04}", **fields) for n in range(first, count)]


def fresh_job(name: str, **fields: Any) -> Job:
    """A job of now, due in an hour."""
    return job(name, **{"seconds": time.time() - NOW + 3_600.0, **fields})


class LiveFleet:
    """One test's fleet. Its workers are processes, which end with it."""

    def __init__(self, servers: str, prefix: str, folder: Path, table: Mapping[str, Any]) -> None:
        self.names = TopicNames(prefix)
        self.servers = servers
        self.client: dict[str, Any] = {"bootstrap_servers": servers}
        self.config = folder / "fleet.toml"
        kafka = {"kafka": {"bootstrap_servers": servers, "prefix": prefix}}
        self.config.write_text(tomlkit.dumps(_merged(table, kafka)))
        self._folder = folder
        self._processes: list[Process] = []
        self._open = contextlib.AsyncExitStack()
        self._tails: dict[str, TopicTail] = {}

    @property
    def topics(self) -> tuple[TopicSpec, ...]:
        """What its configuration asks of Kafka."""
        return tuple(wanted_topics(load_fleet(self.config, environ={})))

    async def open(self) -> None:
        """Connect; its topics are there."""
        self._producer = AIOKafkaProducer(**self.client, max_request_size=_MOST_BYTES)
        await self._open.enter_async_context(self._producer)
        self._reader = LogReader(self.client)
        await self._reader.start()
        self._open.push_async_callback(self._reader.stop)

    async def close(self) -> None:
        """End all: workers that a test left get the time to leave well."""
        try:
            await self.leave(*self._processes)
        finally:
            await self._open.aclose()

    # Processes.

    async def worker(self, name: str = "one", *options: str, host: str = "here") -> Process:
        """A process; on another `host` nobody sees the lock files of this one."""
        named = ("worker", "--config", str(self.config), "--instance-id", name)
        with self.log(name, host).open("ab") as log:
            return await self.start(*named, *options, host=host, stderr=log)

    async def start(self, *arguments: str, host: str = "here", **streams: Any) -> Process:
        """`tollway` with these arguments."""
        environ = self._environ(host)
        process = await asyncio.create_subprocess_exec(*TOLLWAY, *arguments, env=environ, **streams)
        self._processes.append(process)
        return process

    async def tollway(self, *arguments: str, status: int | None = 0) -> str:
        """What a command that ends by itself printed, run in this process. `status` None: any."""
        command = (*arguments, "--config", str(self.config))
        done = await asyncio.to_thread(run_here, command, Path.cwd(), self._environ("here"))
        said = (done.stdout + done.stderr).decode()
        assert status in (None, done.returncode), said
        return said

    def _environ(self, host: str) -> dict[str, str]:
        environ = dict(os.environ) | {"XDG_STATE_HOME": str(self._folder / host)}
        environ.pop("TOLLWAY_BOOTSTRAP_SERVERS", None)
        return environ

    async def leave(self, *workers: Process) -> list[int]:
        """Tell these to drain, and wait until they have left; their exit statuses."""
        for worker in workers:
            with contextlib.suppress(ProcessLookupError):
                worker.terminate()
        return [await _ended(worker) for worker in workers]

    @contextlib.asynccontextmanager
    async def workers(self, *names: str) -> AsyncIterator[list[Process]]:
        """Worker processes that leave at the end."""
        workers = [await self.worker(name) for name in names]
        try:
            yield workers
        finally:
            await self.leave(*workers)

    def log(self, name: str = "one", host: str = "here") -> Path:
        """What a worker says."""
        return self._folder / f"{name}-{host}.log"

    # Topics.

    async def publish(self, *jobs: Job, headers: Iterable[tuple[str, bytes]] = ()) -> None:
        """Into the topics of their routes."""
        for each in jobs:
            topic = self.names.jobs(each.route, Priority.BULK)
            await self._producer.send(topic, encode(each), job_key(each.id), headers=list(headers))
        await self._producer.flush()

    async def write(
        self,
        topic: str,
        value: bytes | None,
        key: bytes | None = b"key",
        headers: Iterable[tuple[str, bytes]] = (),
    ) -> None:
        """Anything; `flush` waits until it is there."""
        await self._producer.send(topic, value, key, headers=list(headers))

    async def flush(self) -> None:
        await self._producer.flush()

    async def ends(self, topic: str) -> dict[tuple[str, int], int]:
        return await self._reader.ends([topic])

    async def records(self, topic: str) -> list[LoggedRecord]:
        """All that a topic holds."""
        ends = await self._reader.ends([topic])
        return [each async for each in self._reader.between(dict.fromkeys(ends, 0), ends)]

    async def values(self, topic: str) -> list[bytes]:
        return [each.value or b"" for each in await self.records(topic)]

    async def until_heard(self, *names: str) -> None:
        """Return once each of these workers has written a heartbeat: a command asks who is alive,
        and a worker that is still starting is not.
        """

        def heard(found: Iterable[LoggedRecord]) -> bool:
            return {*names} <= {orjson.loads(each.value or b"{}")["worker"] for each in found}

        await (await self._tail(self.names.heartbeats)).until(heard)

    async def until_records(self, topic: str, count: int) -> list[LoggedRecord]:
        """All that a topic holds, once that are so many."""
        return await (await self._tail(topic)).until(lambda found: len(found) >= count)

    async def replies(self, topic: str | None = None) -> list[Reply]:
        """All of a topic of replies, copies too."""
        return [decode(Reply, each) for each in await self.values(topic or self.names.replies)]

    async def until_answered(
        self, wanted: int | Iterable[Job], topic: str | None = None, seconds: float = PATIENCE
    ) -> list[Reply]:
        """All replies, once so many jobs have one, or these."""
        enough = _answers(wanted)
        tail = await self._tail(topic or self.names.replies)
        found = await tail.until(lambda records: enough(set(by_job(_replies(records)))), seconds)
        return _replies(found)

    async def _tail(self, topic: str) -> TopicTail:
        if topic not in self._tails:
            tail = TopicTail(self.client, topic)
            await tail.start()
            self._open.push_async_callback(tail.stop)
            self._tails[topic] = tail
        return self._tails[topic]


def by_job(replies: Iterable[Reply]) -> dict[str, Reply]:
    """The last reply of each job."""
    return {reply.job_id: reply for reply in replies}


def _replies(records: Iterable[LoggedRecord]) -> list[Reply]:
    return [decode(Reply, each.value) for each in records]


def _answers(wanted: int | Iterable[Job]) -> Callable[[set[str]], bool]:
    if isinstance(wanted, int):
        return lambda answered: len(answered) >= wanted
    ids = {each.id for each in wanted}
    return lambda answered: ids <= answered


async def _ended(process: Process) -> int:
    try:
        return await asyncio.wait_for(process.wait(), _LEAVES)
    except TimeoutError:
        process.kill()
        return await process.wait()


def _merged(table: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    both = {**table, **changes}
    for name in table.keys() & changes.keys():
        if isinstance(table[name], Mapping) and isinstance(changes[name], Mapping):
            both[name] = _merged(table[name], changes[name])
    return both
