"""Known answers on a real Kafka: what one worker was answered, another gives again."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from bad_ground import done
from eventually import eventually
from live_fleet import LiveFleet, OpenFleet, by_job, fresh_jobs

from tollway_schemas.cache import CacheEntry
from tollway_schemas.codec import decode
from tollway_schemas.provenance import Provenance
from tollway_schemas.request import ChatRequest, Message
from tollway_workers.local.simulator import Simulator, SimulatorOptions

pytestmark = pytest.mark.kafka

_QUESTIONS = 40


@pytest.fixture
async def simulator() -> AsyncIterator[Simulator]:
    async with Simulator(SimulatorOptions()) as simulator:
        yield simulator


@pytest.fixture
async def fleet(live_fleet: OpenFleet, simulator: Simulator, tmp_path: Any) -> LiveFleet:
    route = {"lanes": ["main"], "cache": {"exact": True}}
    return await live_fleet(
        simulator.base_url,
        routes={"extract": route},
        worker={"cache_folder": str(tmp_path / "copies")},
    )


async def ask(fleet: LiveFleet, first: int, **fields: Any) -> None:
    """Each question once, in jobs that are numbered from `first`."""
    for at, each in enumerate(fresh_jobs(first + _QUESTIONS, first=first, **fields)):
        request = ChatRequest(messages=(Message(role="user", content=f"question {at}"),))
        await fleet.publish(each.model_copy(update={"request": request}))


async def serves(fleet: LiveFleet, worker: str) -> None:
    """Wait until a worker has caught up with what is known."""
    await eventually(lambda: "stored answers are served" in fleet.log(worker).read_text())


async def test_a_cold_worker_gives_again_what_another_was_answered(
    fleet: LiveFleet, simulator: Simulator
) -> None:
    await ask(fleet, 0)
    await done(fleet)
    assert len(simulator.calls) == _QUESTIONS

    async with fleet.workers("another"):
        await serves(fleet, "another")
        await ask(fleet, 100)
        replies = by_job(await fleet.until_answered(2 * _QUESTIONS))

    assert len(simulator.calls) == _QUESTIONS
    again = [replies[f"job-{n:04}"] for n in range(100, 100 + _QUESTIONS)]
    assert {each.provenance for each in again} == {Provenance.CACHED}
    for n, each in enumerate(again):
        assert each.cached_from is not None
        assert each.cached_from.job_id == f"job-{n:04}"
        assert each.answer == replies[f"job-{n:04}"].answer


async def test_identical_jobs_are_one_call_and_another_tenant_has_its_own(
    fleet: LiveFleet, simulator: Simulator
) -> None:
    async with fleet.workers("one"):
        await serves(fleet, "one")
        await fleet.publish(*fresh_jobs(30, tenant="acme"))
        await fleet.publish(*fresh_jobs(60, first=30, tenant="bolt"))
        replies = by_job(await fleet.until_answered(60))

    live = [each for each in replies.values() if each.provenance is Provenance.LIVE]
    assert len(simulator.calls) == 2
    assert sorted(str(each.tenant) for each in live) == ["acme", "bolt"]
    for each in replies.values():
        assert each.cached_from is None or each.cached_from.tenant == each.tenant


@pytest.mark.slow
async def test_a_worker_that_is_killed_pays_for_what_was_in_flight_and_for_nothing_else(
    fleet: LiveFleet, simulator: Simulator
) -> None:
    """Each question three times, and the only worker is killed twice."""
    for n in range(3):
        await ask(fleet, 100 * n)
    for answered in (30, 80):
        async with paid_once(fleet, simulator):
            worker = await fleet.worker("one")
            await fleet.until_answered(answered)
            # Answers reach the cache behind their replies: a kill before that would show nothing.
            await fleet.until_records(fleet.names.cache, answered // 4)
            worker.kill()
            await worker.wait()
    async with paid_once(fleet, simulator):
        await done(fleet)

    assert len(by_job(await fleet.replies())) == 3 * _QUESTIONS


@asynccontextmanager
async def paid_once(fleet: LiveFleet, simulator: Simulator) -> AsyncIterator[None]:
    """One worker's life: it asks no question whose answer is in the cache, and none twice."""
    entries = [decode(CacheEntry, each) for each in await fleet.values(fleet.names.cache)]
    known = {question(each.source.job_id) for each in entries}
    before = len(simulator.calls)
    yield
    asked = [question(each.job_id) for each in simulator.calls[before:]]
    assert not known.intersection(asked)
    assert len(asked) == len(set(asked))


def question(job: str) -> int:
    """What a job of `ask` asks."""
    return int(job.removeprefix("job-")) % 100
