"""Operators and worker processes on a real Kafka; the simulator's list of calls is the judge."""

import asyncio
import json
import signal
import time
from collections import Counter
from collections.abc import AsyncIterator
from random import Random
from typing import Any

import pytest
from eventually import eventually
from live_fleet import LiveFleet, OpenFleet, by_job, fresh_job, fresh_jobs

from tollway_schemas.job import Priority
from tollway_workers.clock import SystemClock
from tollway_workers.kafka.read.log_reader import LoggedRecord
from tollway_workers.local.simulator import LatencyProfile, Simulator, SimulatorOptions

pytestmark = pytest.mark.kafka

_CONCURRENCY = 10


class HeldCalls(SystemClock):
    """A provider's clock: every call takes until they are let go."""

    def __init__(self) -> None:
        self._let_go = asyncio.Event()

    async def sleep(self, seconds: float) -> None:
        await self._let_go.wait()

    def let_go(self) -> None:
        """Answer them, and all later ones at once."""
        self._let_go.set()


@pytest.fixture
def held() -> HeldCalls:
    return HeldCalls()


@pytest.fixture
def simulator(held: HeldCalls) -> Simulator:
    latency = LatencyProfile(ttft_median_seconds=1.0)
    return Simulator(SimulatorOptions(latency=latency), clock=held)


@pytest.fixture
async def fleet(simulator: Simulator, live_fleet: OpenFleet) -> AsyncIterator[LiveFleet]:
    """A lane of two shards."""
    async with simulator:
        lane = {"concurrency": _CONCURRENCY, "shards": 2}
        yield await live_fleet(simulator.base_url, lanes={"main": lane})


async def lane_with(fleet: LiveFleet, waiting: int) -> dict[str, Any]:
    """What `tollway lanes` says of the lane, once so many jobs wait in it."""

    async def look() -> dict[str, Any]:
        (main,) = json.loads(await fleet.tollway("lanes", "--json"))["lanes"]
        return dict(main) if main["waiting"] >= waiting else {}

    return await eventually(look)


async def shared_lane(fleet: LiveFleet) -> dict[str, Any]:
    """The one lane as `tollway lanes` tells of it; nothing before both workers own a part, and
    both have said so: while a part moves, nobody's heartbeat counts it.
    """
    lane: dict[str, Any]
    (lane,) = json.loads(await fleet.tollway("lanes", "--json"))["lanes"]
    is_whole = all(limit["most"] == _CONCURRENCY for limit in lane["limits"])
    return lane if lane["owners"] == ["one", "two"] and is_whole else {}


async def test_cancelled_jobs_are_not_called_after_the_acknowledgement_nor_held_open(
    fleet: LiveFleet, simulator: Simulator, held: HeldCalls
) -> None:
    wanted = fresh_jobs(60)
    gone = set(Random(1).sample([each.id for each in wanted], 30))
    await fleet.publish(*wanted)

    async with fleet.workers("one", "two"):
        await eventually(lambda: len(simulator.calls) >= _CONCURRENCY)
        await fleet.until_heard("one", "two")
        before = time.time()
        said = json.loads(await fleet.tollway("cancel", *sorted(gone), "--json"))
        acknowledged = time.time()
        held.let_go()
        replies = by_job(await fleet.until_answered(60))
        # A shard moves to the second worker once the calls of the first have ended.
        main = await eventually(lambda: shared_lane(fleet))
        workers = json.loads(await fleet.tollway("workers", "--json"))

    of_gone = [call for call in simulator.calls if call.job_id in gone]
    assert (said["applied_by"], said["not_applied_by"]) == (["one", "two"], [])
    assert [call for call in of_gone if call.started > acknowledged] == []
    cut = [call for call in of_gone if call.ending == "client_gone"]
    assert cut
    assert all(before <= (call.ended or 0) < acknowledged + 1.0 for call in cut)
    statuses = Counter(reply.status for reply in replies.values())
    assert statuses == {"completed": 30, "cancelled": 30}
    assert {len(replies[call.job_id].attempts) for call in cut} == {1}
    assert [worker["worker"] for worker in workers["workers"]] == ["one", "two"]
    assert (main["lane"], main["state"], len(main["limits"])) == ("main", "open", 1)


async def test_a_paused_lane_calls_nothing_until_it_is_resumed(
    fleet: LiveFleet, simulator: Simulator, held: HeldCalls
) -> None:
    async with fleet.workers("one"):
        await fleet.publish(*fresh_jobs(1))
        await eventually(lambda: len(simulator.calls) == 1)
        await fleet.until_heard("one")
        wrong = await fleet.tollway("pause", "mian", status=2)
        said = await fleet.tollway("pause", "main", "--for", "1h")
        await fleet.publish(*fresh_jobs(5, first=1))
        main = await lane_with(fleet, waiting=4)
        calls = len(simulator.calls)
        shown = await fleet.tollway("lanes")
        resumed = await fleet.tollway("resume", "main")
        again = await fleet.tollway("resume", "main")
        held.let_go()
        replies = by_job(await fleet.until_answered(5))

    assert "there is no lane 'mian'; there are: main" in wrong
    assert "applied by one" in said
    assert (main["state"], calls) == ("paused", 1)
    assert "paused for 1h" in shown or "paused for 59m" in shown
    assert "applied by one" in resumed
    assert "lane main is resumed\napplied by one" in again
    assert {reply.status for reply in replies.values()} == {"completed"}


@pytest.mark.slow
async def test_a_lane_that_is_broken_by_hand_calls_nothing_until_it_is_opened_by_hand(
    fleet: LiveFleet, simulator: Simulator, held: HeldCalls
) -> None:
    held.let_go()
    async with fleet.workers("one"):
        await fleet.publish(*fresh_jobs(1))
        await fleet.until_answered(1)
        await fleet.until_heard("one")
        wrong = await fleet.tollway("lanes", "break", "mian", status=2)
        said = json.loads(await fleet.tollway("lanes", "break", "main", "--for", "1h", "--json"))
        await fleet.publish(*fresh_jobs(5, first=1))
        main = await lane_with(fleet, waiting=4)
        resumed = await fleet.tollway("resume", "main")
        still = await lane_with(fleet, waiting=4)
        calls = len(simulator.calls)
        opened = await fleet.tollway("lanes", "open", "main")
        replies = by_job(await fleet.until_answered(5))

    assert "there is no lane 'mian'; there are: main" in wrong
    assert (said["broken"], said["applied_by"], said["not_applied_by"]) == ("main", ["one"], [])
    assert "an operator broke it" in main["wait"]["reason"]
    assert [each["state"] for each in (main, still)] == ["broken", "broken"]
    assert "applied by one" in resumed
    assert calls == 1
    assert "lane main is open\napplied by one" in opened
    assert {reply.status for reply in replies.values()} == {"completed"}


@pytest.mark.slow
async def test_a_worker_that_starts_later_hears_what_was_said_before(
    fleet: LiveFleet, simulator: Simulator, held: HeldCalls
) -> None:
    held.let_go()
    await fleet.publish(*fresh_jobs(4, tenant="acme"), fresh_job("other"))
    waiting_in = fleet.names.jobs("extract", Priority.BULK)
    nobody = await fleet.tollway("lanes", status=1)
    told = await fleet.tollway("lanes", "--json", status=1)

    said = await fleet.tollway("cancel", "--tenant", "acme", status=1)
    async with fleet.workers("one"):
        replies = by_job(await fleet.until_answered(5))

    assert "no worker is alive" in nobody
    assert nobody.split()[:5] == ["topic", "not", "finished", waiting_in, "5"]
    assert json.JSONDecoder().raw_decode(told)[0]["unfinished"] == {waiting_in: 5}
    assert "all jobs of tenant acme" in said
    assert Counter(each.status for each in replies.values()) == {"cancelled": 4, "completed": 1}
    assert {call.job_id for call in simulator.calls} == {"other"}


@pytest.mark.slow
async def test_a_pause_outlives_all_workers_and_a_name_is_checked_where_there_are_none(
    fleet: LiveFleet, simulator: Simulator, held: HeldCalls
) -> None:
    held.let_go()
    wrong = await fleet.tollway("pause", "mian", status=2)
    said = await fleet.tollway("pause", "main", "--for", "1h", status=1)
    await fleet.publish(*fresh_jobs(2))
    async with fleet.workers("one"):
        await fleet.until_heard("one")
        main = await lane_with(fleet, waiting=2)
        calls = len(simulator.calls)
        await fleet.tollway("resume", "mian", status=2)
        await fleet.tollway("resume", "main")
        replies = by_job(await fleet.until_answered(2))

    assert "there is no lane 'mian'; there are: main" in wrong
    assert "no worker is alive: workers that start apply it" in said
    assert "no worker acknowledged the command" in said
    assert (main["state"], main["binding"], calls) == ("paused", [], 0)
    assert {reply.status for reply in replies.values()} == {"completed"}


async def test_a_worker_that_does_not_hear_a_command_is_named(
    fleet: LiveFleet, simulator: Simulator, held: HeldCalls
) -> None:
    async with fleet.workers("one") as (worker,):
        await fleet.publish(*fresh_jobs(1))
        await eventually(lambda: len(simulator.calls) == 1)
        (last, *_) = await fleet.until_records(fleet.names.heartbeats, 1)
        worker.send_signal(signal.SIGSTOP)
        beating = asyncio.create_task(repeat(fleet, last))
        try:
            said = await fleet.tollway("cancel", "job-0000", "--timeout", "2", status=1)
        finally:
            beating.cancel()
            worker.send_signal(signal.SIGCONT)
            held.let_go()

    assert "1 worker did not acknowledge the command in time: one" in said


async def repeat(fleet: LiveFleet, heartbeat: LoggedRecord) -> None:
    """Be heard for the worker, however long the command takes to start."""
    while True:
        await fleet.write(fleet.names.heartbeats, heartbeat.value, heartbeat.key, heartbeat.headers)
        await asyncio.sleep(0.5)
