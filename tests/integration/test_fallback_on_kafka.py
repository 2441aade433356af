"""Workers whose first lane is down, on a real Kafka: the simulator's books are the judge."""

import time
from collections.abc import Iterable

import pytest
from live_fleet import LiveFleet, OpenFleet, by_job, fresh_job
from samples import NOW

from tollway_schemas.codec import encode
from tollway_schemas.job import Job, Priority
from tollway_schemas.keys import job_key
from tollway_schemas.provenance import Provenance
from tollway_workers.local.simulator import (
    Fault,
    FaultKind,
    LatencyProfile,
    Simulator,
    SimulatorOptions,
)

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(120)]

#: Seconds that the first lane's provider fails every call.
_OUTAGE = 12.0
_ROUTES = {"extract": {"lanes": ["main", "other"]}}


def _lane(model: str) -> dict[str, object]:
    limits = {"requests_per_minute": 1200, "concurrency": 24, "shards": 2}
    return {"provider": "simulator", "model": model, **limits, "breaker": {"ramp": 0.5}}


def _asks(first: int, count: int) -> list[Job]:
    due = {"seconds": time.time() - NOW + 60.0, "priority": Priority.INTERACTIVE}
    return [fresh_job(f"job-{n:04}", **due) for n in range(first, first + count)]


async def _publish(fleet: LiveFleet, jobs: Iterable[Job]) -> None:
    for each in jobs:
        topic = fleet.names.jobs(each.route, Priority.INTERACTIVE)
        await fleet.write(topic, encode(each), job_key(each.id))
    await fleet.flush()


@pytest.mark.slow
async def test_interactive_jobs_of_a_lane_that_is_down_are_answered_by_the_second_and_return(
    live_fleet: OpenFleet,
) -> None:
    fault = Fault(kind=FaultKind.SERVER_ERROR, models=("first",), until_seconds=_OUTAGE)
    options = SimulatorOptions(faults=(fault,), latency=LatencyProfile(), latency_scale=0.1)
    async with Simulator(options) as simulator:
        fleet = await live_fleet(
            simulator.base_url,
            lanes={"main": _lane("first"), "other": _lane("second")},
            routes=_ROUTES,
        )
        async with fleet.workers("one", "two"):
            await _publish(fleet, during := _asks(0, 100))
            answered = by_job(await fleet.until_answered(during))
            number = len(during)
            while answered[f"job-{number - 1:04}"].lane != "main":
                await _publish(fleet, more := _asks(number, 5))
                number += len(more)
                answered = by_job(await fleet.until_answered(number))
        replies = await fleet.replies()
        letters = await fleet.values(fleet.names.dead_letters)
        good = [call for call in simulator.calls if call.ending == "ok"]

    assert letters == []
    assert len(replies) == number
    assert {reply.status for reply in replies} == {"completed"}
    by_second = [reply for reply in replies if reply.lane == "other"]
    assert len(by_second) >= 90
    assert {reply.provenance for reply in by_second} == {Provenance.FALLBACK}
    assert {reply.provenance for reply in replies if reply.lane == "main"} == {Provenance.LIVE}
    assert len(good) == number
