"""A real Kafka goes away while jobs run and comes back: nothing is lost, nothing is paid twice."""

import asyncio
import json
import os
import re
import signal
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import aiohttp
import pytest
from samples import job

from tollway_schemas.codec import decode, encode
from tollway_schemas.job import Priority
from tollway_schemas.keys import job_key
from tollway_schemas.reply import Reply
from tollway_schemas.topics import TopicNames
from tollway_workers.clock import SystemClock
from tollway_workers.job.ports import OutgoingRecord
from tollway_workers.kafka.client_settings import SinkSettings
from tollway_workers.kafka.probe import ProbeSettings, kafka_is_well
from tollway_workers.kafka.produce.sink import KafkaSink
from tollway_workers.kafka.read.log_reader import LogReader
from tollway_workers.local.kafka import LocalKafka
from tollway_workers.local.simulator import LatencyProfile, Simulator, SimulatorOptions
from tollway_workers.ownership.owned_partition import LEASE

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(120)]

_SESSION = 6.0
_CONCURRENCY, _LATENCY = 16, 0.5
#: Seconds that calls may start after the broker went: its last answer was under way.
_SLACK = 1.0
_DRAIN = 3.0


class Broker:
    """A local Kafka of these tests alone, which may be frozen."""

    def __init__(self, kafka: LocalKafka, servers: str) -> None:
        self._kafka = kafka
        self.servers = servers
        self.frozen = False

    def freeze(self) -> None:
        self._signal(signal.SIGSTOP)
        self.frozen = True

    def thaw(self) -> None:
        self._signal(signal.SIGCONT)
        self.frozen = False

    def _signal(self, number: int) -> None:
        broker = self._kafka.status()
        assert broker is not None
        os.kill(broker.pid, number)


class Worker:
    """A worker process, and what it says of itself."""

    def __init__(self, process: asyncio.subprocess.Process, announced: Path, log: Path) -> None:
        self._process = process
        self._announced = announced
        self._log = log

    @property
    def log(self) -> str:
        return self._log.read_text()

    async def readiness(self) -> str:
        return await self._get("readyz")

    async def gauge(self, name: str) -> float:
        """A gauge without labels."""
        found = re.search(rf"^{name} (\S+)$", await self._get("metrics"), re.MULTILINE)
        assert found is not None, f"no {name}"
        return float(found[1])

    async def drained(self, seconds: float) -> int:
        """Tell it to drain; its exit status. Raises TimeoutError."""
        self._process.terminate()
        return await asyncio.wait_for(self._process.wait(), seconds)

    async def end(self) -> None:
        if self._process.returncode is None:
            self._process.kill()
            await self._process.wait()

    async def _get(self, path: str) -> str:
        if not self._announced.exists():
            return ""
        url = json.loads(self._announced.read_bytes())["url"]
        async with aiohttp.ClientSession() as session, session.get(f"{url}/{path}") as response:
            return await response.text()


class Fleet:
    """A broker, jobs on it, workers of them, and what came of them."""

    def __init__(self, broker: Broker, simulator: Simulator, folder: Path) -> None:
        self.broker = broker
        self.simulator = simulator
        self.workers: list[Worker] = []
        self._prefix = folder.name.replace("_", "-")[:40].rstrip("-")
        self._names = TopicNames(self._prefix)
        self._folder = folder
        self._config = folder / "fleet.toml"
        self._config.write_text(
            f"""
            [kafka]
            bootstrap_servers = "{broker.servers}"
            prefix = "{self._prefix}"
            partitions = 4
            session_timeout = {_SESSION}
            [worker]
            drain_timeout = {_DRAIN}
            [providers.simulator]
            base_url = "{simulator.base_url}"
            [lanes.main]
            provider = "simulator"
            model = "scripted"
            concurrency = {_CONCURRENCY}
            call_timeout = 3.0
            [routes.extract]
            lanes = ["main"]
            """
        )

    async def tollway(self, *arguments: str, log: Path) -> asyncio.subprocess.Process:
        with log.open("ab") as file:
            return await asyncio.create_subprocess_exec(
                str(Path(sys.executable).with_name("tollway")),
                *arguments,
                *("--config", str(self._config)),
                stdout=file,
                stderr=file,
                env=os.environ | {"XDG_STATE_HOME": str(self._folder)},
            )

    async def worker(self) -> Worker:
        number = len(self.workers)
        announced, log = self._folder / f"{number}.json", self._folder / f"{number}.log"
        options = ("worker", "--instance-id", "one", "--announce", str(announced))
        worker = Worker(await self.tollway(*options, log=log), announced, log)
        self.workers.append(worker)
        return worker

    async def publish(self, count: int) -> None:
        seconds = time.time() - 1_700_000_000 + 3_600
        client = {"bootstrap_servers": self.broker.servers}
        sink = KafkaSink(SinkSettings(client=client, most_bytes=1_000_000), SystemClock())
        await sink.start()
        topic = self._names.jobs("extract", Priority.BULK)
        jobs = [job(f"job-{n:04}", seconds=seconds) for n in range(count)]
        for written in [
            await sink.send(OutgoingRecord(topic, job_key(each.id), encode(each), []))
            for each in jobs
        ]:
            await written
        await sink.stop()

    async def replies(self) -> Counter[str]:
        """Replies by job."""
        reader = LogReader({"bootstrap_servers": self.broker.servers})
        await reader.start()
        try:
            ends = await reader.ends([self._names.replies])
            found = reader.between(dict.fromkeys(ends, 0), ends)
            return Counter([decode(Reply, each.value).job_id async for each in found])
        finally:
            await reader.stop()

    async def until_answered(self, count: int) -> Counter[str]:
        """Replies by job, once so many jobs have one."""
        found = await self.replies()
        async with asyncio.timeout(40):
            while len(found) < count:
                found = await self.replies()
        return found

    async def until_kafka_is_well(self) -> None:
        """Wait for a broker that its controller gave up, and which notices that after a moment."""
        probe = ProbeSettings(
            client={"bootstrap_servers": self.broker.servers},
            group=self._names.worker_group,
            topics=(self._names.replies,),
            min_insync_replicas=1,
        )
        well_since = time.monotonic()
        async with asyncio.timeout(40):
            while time.monotonic() < well_since + 3.0:
                if not await kafka_is_well(probe):
                    well_since = time.monotonic()

    def started_between(self, start: float, end: float) -> int:
        """Calls that were started then, in Unix seconds."""
        return sum(start <= call.started < end for call in self.simulator.calls)

    def called(self) -> Counter[str | None]:
        """Good calls by job."""
        return Counter(call.job_id for call in self.simulator.calls if call.ending == "ok")


async def until(true: Callable[[], Awaitable[bool]]) -> None:
    """Look again and again whether something is true."""
    async with asyncio.timeout(40):
        while not await true():  # noqa: ASYNC110 another process tells nobody when
            await asyncio.sleep(0.05)


@pytest.fixture(scope="module")
def running_broker(
    tmp_path_factory: pytest.TempPathFactory, kafka_jars: tuple[Path, ...]
) -> Iterator[Broker]:
    kafka = LocalKafka(tmp_path_factory.mktemp("frozen-kafka"))
    try:
        yield Broker(kafka, kafka.start().bootstrap_servers)
    finally:
        kafka.stop(force=True)


@pytest.fixture
async def fleet(
    running_broker: Broker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Fleet]:
    monkeypatch.delenv("TOLLWAY_BOOTSTRAP_SERVERS", raising=False)
    options = SimulatorOptions(latency=LatencyProfile(ttft_median_seconds=_LATENCY))
    try:
        async with Simulator(options) as simulator:
            fleet = Fleet(running_broker, simulator, tmp_path)
            applied = await fleet.tollway("topics", "apply", log=tmp_path / "topics.log")
            assert await applied.wait() == 0
            try:
                yield fleet
            finally:
                for worker in fleet.workers:
                    await worker.end()
    finally:
        if running_broker.frozen:
            running_broker.thaw()


async def test_a_worker_outlives_a_broker_that_freezes_for_longer_than_the_session(
    fleet: Fleet,
) -> None:
    jobs = 400
    await fleet.publish(jobs)
    worker = await fleet.worker()

    async def some_called() -> bool:
        return len(fleet.simulator.calls) >= 100

    async def says_kafka_is_away() -> bool:
        return (await worker.readiness()).startswith("Kafka is away")

    async def session_is_over() -> bool:
        return time.time() > gone + _SESSION + 2.0

    await until(some_called)
    gone = time.time()
    fleet.broker.freeze()
    await until(says_kafka_is_away)
    await until(session_is_over)
    held = await worker.gauge("tollway_outcomes_held")
    held_for = await worker.gauge("tollway_outcome_held_seconds")
    away = await worker.gauge("tollway_kafka_away")
    back = time.time()
    fleet.broker.thaw()
    await fleet.until_kafka_is_well()
    replies = await fleet.until_answered(jobs)
    status = await worker.drained(20)

    assert held >= _CONCURRENCY
    assert held_for > _SESSION
    assert away == 1
    assert fleet.started_between(gone + LEASE + _SLACK, back) == 0
    assert set(replies.values()) == {1}
    assert (len(fleet.called()), set(fleet.called().values())) == (jobs, {1})
    assert status == 0
    assert "Kafka answers again" in worker.log
    assert worker.log.count("\n") < 80


async def test_a_drain_while_kafka_is_frozen_is_bounded_and_loses_nothing(fleet: Fleet) -> None:
    jobs = 100
    await fleet.publish(jobs)
    worker = await fleet.worker()

    async def some_called() -> bool:
        return len(fleet.simulator.calls) >= 40

    await until(some_called)
    fleet.broker.freeze()
    frozen = len(fleet.simulator.calls)

    async def answers_are_held() -> bool:
        return await worker.gauge("tollway_outcomes_held") >= 8

    await until(answers_are_held)
    started = time.monotonic()
    await worker.drained(60)
    took = time.monotonic() - started
    unknown = len(fleet.simulator.calls) - frozen
    fleet.broker.thaw()
    await fleet.until_kafka_is_well()
    second = await fleet.worker()
    replies = await fleet.until_answered(jobs)
    await second.drained(20)

    assert took < _DRAIN + 10.0
    assert len(replies) == jobs
    # Kafka knows nothing of calls that were in flight, nor of what ended since its last commit.
    assert fleet.called().total() - jobs <= unknown + 2 * _CONCURRENCY
