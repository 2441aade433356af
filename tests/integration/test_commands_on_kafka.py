"""Operators and worker processes on a real Kafka; the simulator's list of calls is the judge."""

import asyncio
import contextlib
import json
import os
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from random import Random
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer
from samples import NOW, job

from tollway_schemas.codec import decode, encode
from tollway_schemas.job import Job, Priority
from tollway_schemas.keys import job_key
from tollway_schemas.reply import Reply
from tollway_schemas.topics import TopicNames
from tollway_workers.config.load.layers import load_fleet
from tollway_workers.kafka.read.log_reader import LogReader
from tollway_workers.local.simulator import LatencyProfile, Simulator, SimulatorOptions
from tollway_workers.topics.specs import wanted_topics

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(60)]

MakeTopic = Callable[..., Awaitable[str]]
_PATIENCE = 20.0
_CONCURRENCY = 10
#: Seconds that every call takes.
_CALL = 4.0


class Stage:
    """A fleet of two workers, a way in and out, and the operators' commands."""

    def __init__(self, servers: str, prefix: str, folder: Path, base_url: str) -> None:
        self.names = TopicNames(prefix)
        self.servers = servers
        self._folder = folder
        self.config = folder / "fleet.toml"
        self.config.write_text(
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
            concurrency = {_CONCURRENCY}
            shards = 2
            [routes.extract]
            lanes = ["main"]
            """
        )

    async def open(self, make_topic: MakeTopic) -> None:
        for topic in wanted_topics(load_fleet(self.config, environ={})):
            await make_topic(topic.name, topic.partitions, dict(topic.config))

    async def start(self, *arguments: str, **streams: Any) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tollway_workers.cli.entry", *arguments),
            env=os.environ | {"XDG_STATE_HOME": str(self._folder)},
            **streams,
        )

    @contextlib.asynccontextmanager
    async def workers(self, *names: str) -> AsyncIterator[list[asyncio.subprocess.Process]]:
        log = (self._folder / "workers.log").open("ab")
        options = ("worker", "--config", str(self.config), "--instance-id")
        workers = [await self.start(*options, name, stderr=log) for name in names]
        try:
            yield workers
        finally:
            for worker in workers:
                if worker.returncode is None:
                    worker.terminate()
            for worker in workers:
                await worker.wait()
            log.close()

    async def tollway(self, *arguments: str, status: int | None = 0) -> str:
        """Run a command to its end; what it printed. `status` None: whatever it ends with."""
        pipes = {"stdout": asyncio.subprocess.PIPE, "stderr": asyncio.subprocess.STDOUT}
        process = await self.start(*arguments, "--config", str(self.config), **pipes)
        said = (await process.communicate())[0].decode()
        assert status is None or process.returncode == status, said
        return said

    async def publish(self, *jobs: Job) -> None:
        async with AIOKafkaProducer(bootstrap_servers=self.servers) as producer:
            topic = self.names.jobs("extract", Priority.BULK)
            for each in jobs:
                await producer.send(topic, encode(each), job_key(each.id))

    async def replies(self, count: int) -> dict[str, Reply]:
        """By job, once there are so many."""
        reader = LogReader({"bootstrap_servers": self.servers})
        await reader.start()
        until = time.monotonic() + _PATIENCE
        found: dict[str, Reply] = {}
        try:
            while len(found) < count and time.monotonic() < until:
                ends = await reader.ends([self.names.replies])
                async for record in reader.between(dict.fromkeys(ends, 0), ends):
                    reply = decode(Reply, record.value)
                    found[reply.job_id] = reply
            return found
        finally:
            await reader.stop()


@pytest.fixture
def simulator() -> Simulator:
    return Simulator(SimulatorOptions(latency=LatencyProfile(ttft_median_seconds=_CALL)))


@pytest.fixture
async def stage(
    simulator: Simulator,
    bootstrap_servers: str,
    topic_prefix: str,
    make_topic: MakeTopic,
    tmp_path: Path,
) -> AsyncIterator[Stage]:
    async with simulator:
        stage = Stage(bootstrap_servers, topic_prefix, tmp_path, simulator.base_url)
        await stage.open(make_topic)
        yield stage


def jobs(count: int, **fields: Any) -> list[Job]:
    return [job(f"job-{n:03}", seconds=time.time() - NOW + 3_600, **fields) for n in range(count)]


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(_PATIENCE):
        while not true():  # noqa: ASYNC110 brokers set no events
            await asyncio.sleep(0.02)


async def test_cancelled_jobs_are_not_called_after_the_acknowledgement_nor_held_open(
    stage: Stage, simulator: Simulator
) -> None:
    wanted = jobs(60)
    gone = set(Random(1).sample([each.id for each in wanted], 30))
    await stage.publish(*wanted)

    async with stage.workers("one", "two"):
        await until(lambda: len(simulator.calls) >= _CONCURRENCY)
        before = time.time()
        said = json.loads(await stage.tollway("cancel", *sorted(gone), "--json"))
        acknowledged = time.time()
        replies = await stage.replies(60)
        lanes = json.loads(await stage.tollway("lanes", "--json"))
        workers = json.loads(await stage.tollway("workers", "--json"))

    of_gone = [call for call in simulator.calls if call.job_id in gone]
    assert (said["applied_by"], said["not_applied_by"]) == (["one", "two"], [])
    assert [call for call in of_gone if call.started > acknowledged] == []
    cut = [call for call in of_gone if call.ending == "client_gone"]
    assert cut
    assert all(before <= (call.ended or 0) < acknowledged + 1.0 for call in cut)
    answered = {call.job_id for call in of_gone if call.ending == "ok"}
    assert Counter(reply.status for reply in replies.values()) == {
        "completed": 30 + len(answered),
        "cancelled": 30 - len(answered),
    }
    assert {len(replies[call.job_id].attempts) for call in cut} == {1}
    assert [worker["worker"] for worker in workers["workers"]] == ["one", "two"]
    (main,) = lanes["lanes"]
    assert (main["lane"], main["owners"], main["state"]) == ("main", ["one", "two"], "open")
    assert [limit["most"] for limit in main["limits"]] == [_CONCURRENCY]


async def test_a_paused_lane_calls_nothing_until_it_is_resumed(
    stage: Stage, simulator: Simulator
) -> None:
    async with stage.workers("one"):
        await stage.publish(*jobs(1))
        await until(lambda: len(simulator.calls) == 1)
        wrong = await stage.tollway("pause", "mian", status=2)
        said = await stage.tollway("pause", "main", "--for", "1h")
        await stage.publish(*jobs(5)[1:])
        (main,) = json.loads(await stage.tollway("lanes", "--json"))["lanes"]
        while main["waiting"] < 4:
            (main,) = json.loads(await stage.tollway("lanes", "--json"))["lanes"]
        calls = len(simulator.calls)
        shown = await stage.tollway("lanes")
        resumed = await stage.tollway("resume", "main")
        again = await stage.tollway("resume", "main")
        replies = await stage.replies(5)

    assert "there is no lane 'mian'; there are: main" in wrong
    assert "applied by one" in said
    assert (main["state"], calls) == ("paused", 1)
    assert "paused for 1h" in shown or "paused for 59m" in shown
    assert "applied by one" in resumed
    assert "lane main is resumed\napplied by one" in again
    assert {reply.status for reply in replies.values()} == {"completed"}


async def test_a_worker_that_starts_later_hears_what_was_said_before(
    stage: Stage, simulator: Simulator
) -> None:
    now = time.time()
    await stage.publish(*jobs(4, tenant="acme"), job("other", seconds=now - NOW + 3_600))
    waiting_in = stage.names.jobs("extract", Priority.BULK)
    nobody = await stage.tollway("lanes", status=1)
    told = await stage.tollway("lanes", "--json", status=1)

    said = await stage.tollway("cancel", "--tenant", "acme", status=1)
    async with stage.workers("one"):
        replies = await stage.replies(5)

    assert "no worker is alive" in nobody
    assert nobody.split()[:5] == ["topic", "not", "finished", waiting_in, "5"]
    assert json.JSONDecoder().raw_decode(told)[0]["unfinished"] == {waiting_in: 5}
    assert "all jobs of tenant acme" in said
    assert Counter(each.status for each in replies.values()) == {"cancelled": 4, "completed": 1}
    assert {call.job_id for call in simulator.calls} == {"other"}


async def test_a_pause_outlives_all_workers_and_a_name_is_checked_where_there_are_none(
    stage: Stage, simulator: Simulator
) -> None:
    wrong = await stage.tollway("pause", "mian", status=2)
    said = await stage.tollway("pause", "main", "--for", "1h", status=1)
    await stage.publish(*jobs(2))
    async with stage.workers("one"):
        while "no worker is alive" in await stage.tollway("workers", status=None):
            pass
        (main,) = json.loads(await stage.tollway("lanes", "--json"))["lanes"]
        while main["waiting"] < 2:
            (main,) = json.loads(await stage.tollway("lanes", "--json"))["lanes"]
        calls = len(simulator.calls)
        await stage.tollway("resume", "mian", status=2)
        await stage.tollway("resume", "main")
        replies = await stage.replies(2)

    assert "there is no lane 'mian'; there are: main" in wrong
    assert "no worker is alive: workers that start apply it" in said
    assert "no worker acknowledged the command" in said
    assert (main["state"], main["binding"], calls) == ("paused", [], 0)
    assert {reply.status for reply in replies.values()} == {"completed"}


async def test_a_worker_that_does_not_hear_a_command_is_named(
    stage: Stage, simulator: Simulator
) -> None:
    async with stage.workers("one") as (worker,):
        await stage.publish(*jobs(1))
        await until(lambda: len(simulator.calls) == 1)
        worker.send_signal(19)
        try:
            said = await stage.tollway("cancel", "job-000", "--timeout", "2", status=1)
        finally:
            worker.send_signal(18)

    assert "1 worker did not acknowledge the command in time: one" in said
