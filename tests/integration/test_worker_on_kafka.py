"""Worker processes on a real Kafka, against the simulator: its list of calls is the judge."""

import asyncio
import signal
import time
from collections import Counter
from collections.abc import AsyncIterator

import pytest
from live_fleet import LiveFleet, OpenFleet, fresh_jobs

from tollway_schemas.job import Priority
from tollway_schemas.reply import Reply
from tollway_workers.local.simulator import (
    Fault,
    FaultKind,
    LatencyProfile,
    Simulator,
    SimulatorOptions,
)

pytestmark = pytest.mark.kafka


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
async def fleet(simulator: Simulator, live_fleet: OpenFleet) -> AsyncIterator[LiveFleet]:
    retry = {"max_attempts": 10, "backoff_initial": 0.05}
    async with simulator:
        yield await live_fleet(
            simulator.base_url,
            lanes={"main": {"call_timeout": 2.0, "first_token_timeout": 2.0}},
            routes={"extract": {"retry": retry}},
        )


async def test_three_hundred_jobs_with_faults_are_all_answered_once(
    fleet: LiveFleet, simulator: Simulator
) -> None:
    await fleet.publish(*fresh_jobs(300))

    async with fleet.workers("one") as (worker,):
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
    fleet: LiveFleet,
) -> None:
    bad = {
        b"utf-8": b'{"id": "\xff\xfe"}',
        b"deep": b'{"request": ' + b"[" * 300 + b"]" * 300 + b"}",
        b"nul": b"\x00" * 100,
        b"newer": b'{"version": 99}',
        b"large": b"x" * 600_000,
    }
    await fleet.publish(*fresh_jobs(10))
    for key, value in bad.items():
        await fleet.write(fleet.names.jobs("extract", Priority.BULK), value, key)
    await fleet.publish(*fresh_jobs(20, first=10))

    async with fleet.workers("one"):
        replies = await fleet.until_answered(20)
        letters = await fleet.until_records(fleet.names.dead_letters, len(bad))

    assert {reply.status for reply in replies} == {"completed"}
    assert sorted(letter.value or b"" for letter in letters) == sorted(bad.values())


async def test_a_worker_that_is_killed_and_started_again_loses_nothing_and_repeats_little(
    fleet: LiveFleet, simulator: Simulator
) -> None:
    await fleet.publish(*fresh_jobs(300))
    async with fleet.workers("one") as (first,):
        await fleet.until_answered(100)
        killed = time.time()
        first.send_signal(signal.SIGKILL)
        await first.wait()

    async with fleet.workers("one") as (second,):
        replies = await fleet.until_answered(300)

    assert second.returncode == 0
    assert {reply.status for reply in replies} == {"completed"}
    assert len({reply.job_id for reply in replies}) == 300
    in_flight = sum(c.started <= killed and (c.ended or killed) >= killed for c in simulator.calls)
    last_second = sum(killed - 1.2 <= (call.ended or 0) < killed for call in simulator.calls)
    good = Counter(call.job_id for call in simulator.calls if call.ending == "ok")
    assert sum(good.values()) - len(good) <= in_flight + last_second


async def test_two_workers_share_the_work_and_one_may_leave(fleet: LiveFleet) -> None:
    everything = fresh_jobs(1_000)
    async with fleet.workers("one", "two") as (first, second):
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


@pytest.mark.slow
async def test_of_two_workers_with_one_name_on_two_hosts_the_older_ends_with_a_sentence(
    fleet: LiveFleet,
) -> None:
    older = await fleet.worker("same", host="here")
    await fleet.publish(*fresh_jobs(5))
    await fleet.until_answered(5)
    newer = await fleet.worker("same", host="there")
    code = await asyncio.wait_for(older.wait(), 30)
    await fleet.publish(*fresh_jobs(10, first=5))
    replies = await fleet.until_answered(10)
    (left,) = await fleet.leave(newer)

    said = fleet.log("same", "here").read_text()
    assert code == 2
    assert "a process that started later has the instance id 'same' too" in said
    assert "Traceback" not in said
    assert len({reply.job_id for reply in replies}) == 10
    assert left == 0
