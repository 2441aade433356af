"""`tollway cache` beside worker processes: what it shows, and that forgotten is forgotten."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from eventually import eventually
from live_fleet import LiveFleet, OpenFleet, by_job, fresh_jobs

from tollway_schemas.codec import encode
from tollway_schemas.provenance import Provenance
from tollway_workers.local.simulator import Simulator, SimulatorOptions

pytestmark = pytest.mark.kafka


@pytest.fixture
async def simulator() -> AsyncIterator[Simulator]:
    async with Simulator(SimulatorOptions()) as simulator:
        yield simulator


@pytest.fixture
async def fleet(live_fleet: OpenFleet, simulator: Simulator, tmp_path: Path) -> LiveFleet:
    route = {"lanes": ["main"], "cache": {"exact": True}}
    return await live_fleet(
        simulator.base_url,
        routes={"extract": route},
        worker={"cache_folder": str(tmp_path / "copies")},
    )


async def serves(fleet: LiveFleet, worker: str) -> None:
    """Wait until a worker has caught up with what is known."""
    await eventually(lambda: "stored answers are served" in fleet.log(worker).read_text())


async def stats(fleet: LiveFleet) -> dict[str, Any]:
    routes = json.loads(await fleet.tollway("cache", "stats", "--json"))["routes"]
    return dict(routes.get("extract", {}))


async def looked_up(fleet: LiveFleet, file: Path, status: int) -> str:
    found = json.loads(await fleet.tollway("cache", "lookup", str(file), "--json", status=status))
    return str(found["jobs"][0]["found"])


@pytest.mark.slow
async def test_what_an_operator_forgets_is_given_by_no_worker(
    fleet: LiveFleet, simulator: Simulator, tmp_path: Path
) -> None:
    jobs = fresh_jobs(3, tenant="acme")
    file = tmp_path / "job.json"
    file.write_bytes(encode(jobs[0]))
    async with fleet.workers("one", "two"):
        for name in ("one", "two"):
            await serves(fleet, name)
        await fleet.publish(jobs[0])
        await fleet.until_answered(1)
        await eventually(lambda: stats(fleet))
        assert await looked_up(fleet, file, 0) == "cached"
        await fleet.publish(jobs[1])
        assert len(await fleet.until_answered(2)) == 2
        assert len(simulator.calls) == 1

        said = json.loads(await fleet.tollway("cache", "forget", "--tenant", "acme", "--json"))

        assert (sorted(said["applied_by"]), said["not_applied_by"]) == (["one", "two"], [])
        assert await looked_up(fleet, file, 1) == "missing"
        assert await stats(fleet) == {}
        await fleet.publish(jobs[2])
        replies = by_job(await fleet.until_answered(3))
        assert replies[jobs[2].id].provenance is Provenance.LIVE
        assert len(simulator.calls) == 2
