"""A backlog that fills its part of memory keeps nobody else's jobs from being read."""

import pytest
from memory_fleet import MemoryFleet
from samples import job, lane
from scripted_provider import ScriptedProvider

from tollway_schemas.job import Job, Priority
from tollway_workers.config.shape.route import RouteSettings

_ROUTES = {
    "long": RouteSettings(lanes=("main",), tenant="a"),
    "short": RouteSettings(lanes=("main",), tenant="b"),
}


@pytest.mark.parametrize(
    "late",
    [job("late", route="short"), job("late", route="long", priority=Priority.INTERACTIVE)],
    ids=["another tenant's", "interactive"],
)
async def test_who_comes_behind_a_full_backlog_is_called_next(late: Job) -> None:
    provider = ScriptedProvider()
    provider.hold.clear()
    # About 2,000 of these jobs, and there are more.
    fleet = MemoryFleet({lane(concurrency=1): provider}, _ROUTES, memory_bytes=8_000_000)
    async with fleet:
        await fleet.publish(*(job(f"long-{n:04}", route="long") for n in range(5_000)))
        await fleet.until(lambda: fleet.worker.dispatcher.held("main") >= 900)
        await fleet.settle()
        held = fleet.worker.dispatcher.held("main")

        await fleet.publish(late)
        await fleet.until(lambda: fleet.worker.dispatcher.held("main") == held + 1)
        provider.hold.set()
        await fleet.until(lambda: "late" in fleet.replies)
        fleet.worker.drain()

    assert held < 2_000
    assert len(provider.calls) < 20
