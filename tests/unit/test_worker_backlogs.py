"""A backlog that fills its part of memory keeps nobody else's jobs from being read. What looks for
room, and for who is next, does so once for all calls that end together.
"""

from unittest.mock import Mock, call

import pytest
from memory_fleet import MemoryFleet
from samples import job, lane
from scripted_provider import ScriptedProvider

from tollway_schemas.job import Job, Priority
from tollway_workers.config.shape.route import RouteSettings
from tollway_workers.pipeline.turns import Turns
from tollway_workers.providers.base import Completion, ProviderCall

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


async def test_the_end_of_a_call_looks_for_room_in_no_lane_but_its_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stuck, quick = ScriptedProvider(), ScriptedProvider()
    stuck.hold.clear()
    lanes = {lane(concurrency=1): stuck, lane("quick", concurrency=1): quick}
    routes = _ROUTES | {"quick": RouteSettings(lanes=("quick",))}
    fleet = MemoryFleet(lanes, routes, memory_bytes=8_000_000)
    async with fleet:
        dispatcher, source = fleet.worker.dispatcher, fleet.worker._parts.source
        await fleet.publish(*(job(f"long-{n:04}", route="long") for n in range(2_000)))
        await fleet.until(lambda: dispatcher.full_topics("main") != [])
        await fleet.settle()
        looks, polls = Mock(wraps=dispatcher.full_topics), Mock(wraps=source.poll)
        monkeypatch.setattr(dispatcher, "full_topics", looks)
        monkeypatch.setattr(source, "poll", polls)

        await fleet.publish(*(job(f"quick-{n:03}", route="quick") for n in range(200)))
        await fleet.until(lambda: len(fleet.replies) == 200)
        looked = looks.mock_calls.count(call("main"))
        polled = len(polls.mock_calls)
        stuck.hold.set()
        fleet.worker.drain()

    # The first one ends a poll that had begun.
    assert looked <= polled + 1


async def test_one_look_for_who_is_next_does_for_all_calls_that_end_together(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    provider = ScriptedProvider()
    provider.hold.clear()
    fleet = MemoryFleet({lane(concurrency=50): provider}, _ROUTES)
    # All in one turn: a fleet in memory works on one answer at a time.
    fleet.worker._parts.executor.turns = Turns(at_once=100)
    async with fleet:
        await fleet.publish(*(job(f"long-{n:03}", route="long") for n in range(100)))
        await fleet.until(lambda: len(provider.calls) == 50)
        await fleet.settle()
        pump = Mock(wraps=fleet.worker.dispatcher.pump)
        monkeypatch.setattr(fleet.worker.dispatcher, "pump", pump)

        provider.hold.set()
        await fleet.until(lambda: len(provider.calls) == 100)
        looks = len(pump.mock_calls)
        fleet.worker.drain()

    assert looks < 10


async def test_few_calls_begin_beside_answers_that_wait_to_be_worked_on() -> None:
    provider, under_way = ScriptedProvider(), list[int]()
    fleet = MemoryFleet({lane(concurrency=8): provider}, _ROUTES)
    fleet.executor.turns = Turns(at_once=1, most_waiting=4)
    answer = provider.complete

    async def complete(call: ProviderCall) -> Completion:
        under_way.append(len(fleet.worker._calls))
        return await answer(call)

    provider.complete = complete  # type: ignore[method-assign]  # it looks, then answers
    async with fleet:
        await fleet.publish(*(job(f"long-{n:03}", route="long") for n in range(200)))
        await fleet.until(lambda: len(fleet.replies) == 200)
        fleet.worker.drain()

    # Else a worker that answers come faster to than it works on holds them without end. One is
    # worked on when the next comes.
    assert 8 < max(under_way) <= 8 + 4 + 1
