"""Worker processes on a real Kafka, against the simulator: its list of calls is the judge."""

import asyncio
import contextlib
import os
import signal
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from samples import job

from tollway_schemas.codec import decode, encode
from tollway_schemas.job import Job, Priority
from tollway_schemas.keys import job_key
from tollway_schemas.reply import Reply
from tollway_schemas.topics import TopicNames
from tollway_workers.clock import SystemClock
from tollway_workers.config.load.layers import load_fleet
from tollway_workers.job.ports import OutgoingRecord
from tollway_workers.kafka.client_settings import SinkSettings
from tollway_workers.kafka.produce.sink import KafkaSink
from tollway_workers.kafka.read.log_reader import LoggedRecord, LogReader
from tollway_workers.local.simulator import (
    Fault,
    FaultKind,
    LatencyProfile,
    Simulator,
    SimulatorOptions,
)
from tollway_workers.topics.specs import wanted_topics

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(120)]

MakeTopic = Callable[..., Awaitable[str]]
_PATIENCE = 60.0
_CONCURRENCY = 24


class Fleet:
    """Topics, a way in and a way out, and worker processes by their slot."""

    def __init__(self, servers: str, prefix: str, folder: Path, base_url: str) -> None:
        self.names = TopicNames(prefix)
        self._client = {"bootstrap_servers": servers}
        self._folder = folder
        self._sink = KafkaSink(
            SinkSettings(client=self._client, most_bytes=1_000_000), SystemClock()
        )
        self._reader = LogReader(self._client)
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
            call_timeout = 2.0
            first_token_timeout = 2.0
            [routes.extract]
            lanes = ["main"]
            [routes.extract.retry]
            max_attempts = 10
            backoff_initial = 0.05
            """
        )

    async def open(self, make_topic: MakeTopic) -> None:
        for topic in wanted_topics(load_fleet(self.config, environ={})):
            await make_topic(topic.name, topic.partitions, dict(topic.config))
        await self._sink.start()
        await self._reader.start()

    async def close(self) -> None:
        await self._sink.stop()
        await self._reader.stop()

    async def worker(self, name: str, host: str = "here") -> asyncio.subprocess.Process:
        """A process; on another `host` nobody sees the lock files of this one."""
        log = self.log(name, host).open("ab")
        with log:
            return await asyncio.create_subprocess_exec(
                str(Path(sys.executable).with_name("tollway")),
                *("worker", "--config", str(self.config), "--instance-id", name),
                stderr=log,
                env=os.environ | {"XDG_STATE_HOME": str(self._folder / host)},
            )

    def log(self, name: str, host: str = "here") -> Path:
        return self._folder / f"{name}-{host}.log"

    async def publish(self, *jobs: Job) -> None:
        await self.publish_raw({job_key(each.id): encode(each) for each in jobs})

    async def publish_raw(self, values: dict[bytes, bytes]) -> None:
        topic = self.names.jobs("extract", Priority.BULK)
        handed = [
            await self._sink.send(OutgoingRecord(topic, key, value, [("mine", b"1")]))
            for key, value in values.items()
        ]
        for each in handed:
            await each

    async def records(self, topic: str) -> list[LoggedRecord]:
        ends = await self._reader.ends([topic])
        starts = dict.fromkeys(ends, 0)
        return [record async for record in self._reader.between(starts, ends)]

    async def replies(self) -> list[Reply]:
        return [decode(Reply, record.value) for record in await self.records(self.names.replies)]

    async def until_answered(self, count: int) -> list[Reply]:
        """All replies, once `count` jobs have one."""
        until = time.monotonic() + _PATIENCE
        replies = await self.replies()
        while len({reply.job_id for reply in replies}) < count and time.monotonic() < until:
            replies = await self.replies()
        return replies


@pytest.fixture
def simulator() -> Simulator:
    """Quick and odd: one call in eight meets a fault."""
    kinds = (
        FaultKind.RATE_LIMIT,
        FaultKind.SERVER_ERROR,
        FaultKind.RESET,
        FaultKind.CUT,
        FaultKind.HTML_ERROR,
        FaultKind.EMPTY,
        FaultKind.OVERLOADED,
    )
    faults = tuple(
        Fault(kind=kind, share=0.03, first_attempts=1, retry_after_seconds=wait)
        for kind in kinds
        for wait in [0.1 if kind in (FaultKind.RATE_LIMIT, FaultKind.OVERLOADED) else None]
    )
    return Simulator(SimulatorOptions(faults=faults, latency=LatencyProfile(), latency_scale=0.3))


@pytest.fixture
async def fleet(
    simulator: Simulator,
    bootstrap_servers: str,
    topic_prefix: str,
    make_topic: MakeTopic,
    tmp_path: Path,
) -> AsyncIterator[Fleet]:
    async with simulator:
        fleet = Fleet(bootstrap_servers, topic_prefix, tmp_path, simulator.base_url)
        await fleet.open(make_topic)
        yield fleet
        await fleet.close()


@contextlib.asynccontextmanager
async def ending(*workers: asyncio.subprocess.Process) -> AsyncIterator[None]:
    """Ends worker processes, well if they let us."""
    try:
        yield
    finally:
        for worker in workers:
            if worker.returncode is None:
                worker.terminate()
        for worker in workers:
            try:
                await asyncio.wait_for(worker.wait(), 15)
            except TimeoutError:
                worker.kill()
                await worker.wait()


def jobs(count: int) -> list[Job]:
    now = time.time()
    return [job(f"job-{n:04}", seconds=now - 1_700_000_000 + 3_600) for n in range(count)]


async def test_three_hundred_jobs_with_faults_are_all_answered_once(
    fleet: Fleet, simulator: Simulator
) -> None:
    await fleet.publish(*jobs(300))

    worker = await fleet.worker("one")
    async with ending(worker):
        replies = await fleet.until_answered(300)
    again = await fleet.replies()

    assert worker.returncode == 0
    assert Counter(reply.status for reply in replies) == {"completed": 300}
    assert len(again) == 300
    good = Counter(call.job_id for call in simulator.calls if call.ending == "ok")
    assert set(good.values()) == {1}
    assert sum(call.fault is not None for call in simulator.calls) > 20
    assert sum(len(reply.attempts) for reply in replies) == len(simulator.calls)


async def test_records_that_hold_no_job_are_kept_raw_and_their_neighbours_are_answered(
    fleet: Fleet,
) -> None:
    bad = {
        b"utf-8": b'{"id": "\xff\xfe"}',
        b"deep": b'{"request": ' + b"[" * 300 + b"]" * 300 + b"}",
        b"nul": b"\x00" * 100,
        b"newer": b'{"version": 99}',
        b"large": b"x" * 600_000,
    }
    await fleet.publish(*jobs(10))
    await fleet.publish_raw(bad)
    await fleet.publish(*jobs(20)[10:])

    async with ending(await fleet.worker("one")):
        replies = await fleet.until_answered(20)
        until = time.monotonic() + _PATIENCE
        letters = await fleet.records(fleet.names.dead_letters)
        while len(letters) < len(bad) and time.monotonic() < until:
            letters = await fleet.records(fleet.names.dead_letters)

    assert {reply.status for reply in replies} == {"completed"}
    assert sorted(letter.value or b"" for letter in letters) == sorted(bad.values())


async def test_a_worker_that_is_killed_and_started_again_loses_nothing_and_repeats_little(
    fleet: Fleet, simulator: Simulator
) -> None:
    await fleet.publish(*jobs(300))
    first = await fleet.worker("one")
    async with ending(first):
        await fleet.until_answered(100)
        killed = time.time()
        first.send_signal(signal.SIGKILL)
        await first.wait()

    second = await fleet.worker("one")
    async with ending(second):
        replies = await fleet.until_answered(300)

    assert second.returncode == 0
    assert {reply.status for reply in replies} == {"completed"}
    assert len({reply.job_id for reply in replies}) == 300
    in_flight = sum(c.started <= killed and (c.ended or killed) >= killed for c in simulator.calls)
    last_second = sum(killed - 1.2 <= (call.ended or 0) < killed for call in simulator.calls)
    good = Counter(call.job_id for call in simulator.calls if call.ending == "ok")
    assert sum(good.values()) - len(good) <= in_flight + last_second


async def test_two_workers_share_the_work_and_one_may_leave(fleet: Fleet) -> None:
    first, second = await fleet.worker("one"), await fleet.worker("two")
    everything = jobs(1_000)
    async with ending(first, second):
        count, replies = 0, list[Reply]()
        while {reply.worker for reply in replies} != {"one", "two"}:
            await fleet.publish(*everything[count : count + 40])
            count += 40
            replies = await fleet.until_answered(count)
        await fleet.publish(*everything[count : count + 200])
        first.terminate()
        replies = await fleet.until_answered(count + 200)
        await first.wait()

    assert (first.returncode, second.returncode) == (0, 0)
    assert {reply.status for reply in replies} == {"completed"}
    assert len({reply.job_id for reply in replies}) == count + 200


async def test_of_two_workers_with_one_name_on_two_hosts_the_older_ends_with_a_sentence(
    fleet: Fleet,
) -> None:
    older = await fleet.worker("same", "here")
    async with ending(older):
        await fleet.publish(*jobs(5))
        await fleet.until_answered(5)
        newer = await fleet.worker("same", "there")
        async with ending(newer):
            code = await asyncio.wait_for(older.wait(), 30)
            await fleet.publish(*jobs(10)[5:])
            replies = await fleet.until_answered(10)

    said = fleet.log("same", "here").read_text()
    assert code == 2
    assert "a process that started later has the instance id 'same' too" in said
    assert "Traceback" not in said
    assert len({reply.job_id for reply in replies}) == 10
    assert newer.returncode == 0
