"""A real Kafka goes away while jobs run and comes back: nothing is lost, nothing is paid twice."""

import asyncio
import json
import re
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import aiohttp
import pytest
from eventually import eventually
from freezing_broker import Broker
from live_fleet import LiveFleet, Process, by_job, fleet_table, fresh_jobs

from tollway_workers.kafka.probe import ProbeSettings, kafka_is_well
from tollway_workers.local.kafka import LocalKafka
from tollway_workers.local.simulator import LatencyProfile, Simulator, SimulatorOptions
from tollway_workers.ownership.owned_partition import LEASE

pytestmark = [
    pytest.mark.slow,
    pytest.mark.kafka,
]

_SESSION = 6.0
_CONCURRENCY, _LATENCY = 16, 0.5
#: Seconds that calls may start after the broker went: its last answer was under way.
_SLACK = 1.0
_DRAIN = 3.0


class Away(LiveFleet):
    """A fleet of one worker whose broker goes away, and what the worker says of itself."""

    def __init__(self, broker: Broker, simulator: Simulator, folder: Path) -> None:
        self.broker = broker
        self.simulator = simulator
        self._announced = folder / "announced.json"
        prefix = folder.name.replace("_", "-")[:40].rstrip("-")
        tables = {
            "kafka": {"session_timeout": _SESSION},
            "worker": {"drain_timeout": _DRAIN},
            "lanes": {"main": {"concurrency": _CONCURRENCY, "call_timeout": 3.0}},
        }
        super().__init__(broker.servers, prefix, folder, fleet_table(simulator.base_url, tables))

    async def start_worker(self) -> Process:
        self._announced.unlink(missing_ok=True)
        return await self.worker("one", "--announce", str(self._announced))

    async def readiness(self) -> str:
        return await self._get("readyz")

    async def gauge(self, name: str) -> float:
        """A gauge without labels."""
        found = re.search(rf"^{name} (\S+)$", await self._get("metrics"), re.MULTILINE)
        assert found is not None, f"no {name}"
        return float(found[1])

    async def _get(self, path: str) -> str:
        if not self._announced.exists():
            return ""
        url = json.loads(self._announced.read_bytes())["url"]
        async with aiohttp.ClientSession() as session, session.get(f"{url}/{path}") as response:
            return await response.text()

    async def until_kafka_is_well(self) -> None:
        """Wait for a broker that its controller gave up, and which notices that after a moment."""
        probe = ProbeSettings(
            client=self.client,
            group=self.names.worker_group,
            topics=(self.names.replies,),
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
async def fleet(running_broker: Broker, tmp_path: Path) -> AsyncIterator[Away]:
    options = SimulatorOptions(latency=LatencyProfile(ttft_median_seconds=_LATENCY))
    try:
        async with Simulator(options) as simulator:
            fleet = Away(running_broker, simulator, tmp_path)
            await fleet.tollway("topics", "apply")
            await fleet.open()
            try:
                yield fleet
            finally:
                await fleet.close()
    finally:
        if running_broker.frozen:
            running_broker.thaw()


async def test_a_worker_outlives_a_broker_that_freezes_for_longer_than_the_session(
    fleet: Away,
) -> None:
    jobs = 400
    await fleet.publish(*fresh_jobs(jobs))
    worker = await fleet.start_worker()

    async def says_kafka_is_away() -> bool:
        return (await fleet.readiness()).startswith("Kafka is away")

    await eventually(lambda: len(fleet.simulator.calls) >= 100)
    gone = time.time()
    fleet.broker.freeze()
    await eventually(says_kafka_is_away)
    await eventually(lambda: time.time() > gone + _SESSION + 2.0)
    held = await fleet.gauge("tollway_outcomes_held")
    held_for = await fleet.gauge("tollway_outcome_held_seconds")
    away = await fleet.gauge("tollway_kafka_away")
    back = time.time()
    fleet.broker.thaw()
    await fleet.until_kafka_is_well()
    replies = await fleet.until_answered(jobs)
    (status,) = await fleet.leave(worker)

    assert held >= _CONCURRENCY
    assert held_for > _SESSION
    assert away == 1
    assert fleet.started_between(gone + LEASE + _SLACK, back) == 0
    assert set(Counter(reply.job_id for reply in replies).values()) == {1}
    assert (len(fleet.called()), set(fleet.called().values())) == (jobs, {1})
    assert status == 0
    log = fleet.log().read_text()
    assert "Kafka answers again" in log
    assert log.count("\n") < 80


async def test_a_drain_while_kafka_is_frozen_is_bounded_and_loses_nothing(fleet: Away) -> None:
    jobs = 100
    await fleet.publish(*fresh_jobs(jobs))
    worker = await fleet.start_worker()

    await eventually(lambda: len(fleet.simulator.calls) >= 40)
    fleet.broker.freeze()
    frozen = len(fleet.simulator.calls)

    async def answers_are_held() -> bool:
        return await fleet.gauge("tollway_outcomes_held") >= 8

    await eventually(answers_are_held)
    started = time.monotonic()
    await fleet.leave(worker)
    took = time.monotonic() - started
    unknown = len(fleet.simulator.calls) - frozen
    fleet.broker.thaw()
    await fleet.until_kafka_is_well()
    await fleet.start_worker()
    replies = by_job(await fleet.until_answered(jobs))

    assert took < _DRAIN + 10.0
    assert len(replies) == jobs
    # Kafka knows nothing of calls that were in flight, nor of what ended since its last commit.
    assert fleet.called().total() - jobs <= unknown + 2 * _CONCURRENCY
