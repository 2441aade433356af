"""Scenario 6: a new configuration goes through the fleet while jobs run.

It changes the route's first lane, the shards of two limit groups and a limit. Workers are exchanged
one after the other, in one part by SIGTERM, in the other by SIGKILL: so the group's leader is too.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import cluster
import judge
from fleet import RESTART_DELAY
from ground import PATIENCE, Ground, Setting, Stage, configuration, ground, make_topics
from provider import Behaviour
from report import Figure
from traffic import jobs

WORKERS = ("w0", "w1", "w2")
ROUTE = "work"
#: Seconds after the last exchange until every partition has an owner.
_SETTLE = 30.0

_LANES = """
[lanes.first]
provider = "simulator"
model = "first"
concurrency = {first_concurrency}
shards = {first_shards}
[lanes.second]
provider = "simulator"
model = "second"
concurrency = {second_concurrency}
shards = {second_shards}
[routes.work]
lanes = ["{lane}"]
journal = "metadata"
[routes.other]
lanes = ["second"]
journal = "metadata"
"""
_OLD = _LANES.format(
    lane="first", first_concurrency=80, first_shards=4, second_concurrency=80, second_shards=4
)
_NEW = _LANES.format(
    lane="second", first_concurrency=80, first_shards=2, second_concurrency=60, second_shards=3
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """How large a run is."""

    jobs: int = 3_000
    rate: float = 75.0
    #: Seconds between the end of one exchange and the next.
    between: float = 3.0


FULL = Size()
How = Literal["SIGTERM", "SIGKILL"]


async def deploy(stage: Stage, size: Size = FULL) -> list[Figure]:
    """No job is lost, none is called where nothing is owned, and no partition is left alone."""
    return [
        *await _roll_out(stage, size, "SIGTERM"),
        *await _roll_out(stage, size, "SIGKILL"),
    ]


async def _roll_out(stage: Stage, size: Size, how: How) -> list[Figure]:
    setting = Setting(lanes=_OLD, behaviour=Behaviour(seed=stage.seed))
    async with ground(stage, setting, how) as here:
        await here.fleet.start_all(WORKERS)
        looking = asyncio.create_task(here.fleet.look_often())
        told = asyncio.create_task(_tell(stage, here, size, how))
        try:
            async with asyncio.TaskGroup() as group:
                wanted = jobs(size.jobs, (ROUTE, "other"))
                group.create_task(here.traffic.publish(wanted, rate=size.rate))
                group.create_task(_exchange(here, setting, size, how))
            alone = await _without_owner(here)
            await here.traffic.until_answered(size.jobs, patience=PATIENCE)
        finally:
            looking.cancel()
            told.cancel()
        return await _judge(here, how, alone, size)


async def _judge(here: Ground, how: How, alone: Sequence[str], size: Size) -> list[Figure]:
    calls, traffic = await here.provider.calls(), here.traffic
    excuses = judge.exposed(here.fleet.blows, calls, traffic.replies)
    strays = judge.calls_without_shard(calls, here.fleet.looks)
    figures = [
        Figure(
            name="jobs lost",
            value=len(judge.lost(traffic.acknowledged, traffic.replies)),
            bound=0,
            note=f"of {size.jobs:,}",
        ),
        Figure(
            name="calls where the worker owned no shard",
            value=len(strays),
            bound=0,
            note=", ".join(f"{each.worker} {each.model} {each.started:.2f}" for each in strays[:3]),
        ),
        Figure(
            name="partitions without one owner",
            value=len(alone),
            bound=0,
            note=f"{_SETTLE:.0f} s after the last exchange; {', '.join(alone[:3])}".rstrip("; "),
        ),
        Figure(
            name="calls beyond one per job",
            value=judge.extra_calls(calls, here.traffic.replies).total(),
            bound=sum(len(each.in_flight) + len(each.uncommitted) for each in excuses),
            note="in flight or not committed at the kills",
        ),
        Figure(name="workers that ended by themselves", value=len(here.fleet.deaths), bound=0),
    ]
    return [replace(figure, name=f"{how}: {figure.name}") for figure in figures]


async def _exchange(here: Ground, setting: Setting, size: Size, how: How) -> None:
    """Topics first, then each worker with the new configuration when the one before is ready."""
    renewed = replace(setting, lanes=_NEW)

    def config(worker: str) -> str:
        return configuration(renewed, here.servers, here.provider.base_url(worker))

    await asyncio.sleep(3 * size.between)
    await make_topics(here.folder, config("topics"))
    here.fleet.config = config
    for worker in WORKERS:
        if how == "SIGTERM":
            await here.fleet.leave(worker)
        else:
            await here.fleet.kill(worker)
            await asyncio.sleep(RESTART_DELAY)
        await here.fleet.start(worker)
        await here.fleet.ready([worker])
        await asyncio.sleep(size.between)


async def _without_owner(here: Ground) -> list[str]:
    """Partitions that lie with nobody, or with two, when the fleet has had time to settle."""
    names = here.traffic.names
    wanted = await cluster.job_places(here.servers, names.prefix)
    loop = asyncio.get_running_loop()
    until = loop.time() + _SETTLE
    while True:
        owners = await cluster.owners(here.servers, names.worker_group)
        alone = sorted(
            f"{topic}-{partition}"
            for topic, partition in wanted
            if len(owners.get((topic, partition), ())) != 1
        )
        if not alone or loop.time() > until:
            return alone
        await asyncio.sleep(1)


async def _tell(stage: Stage, here: Ground, size: Size, how: How) -> None:
    while True:
        event = here.fleet.events[-1].partition(" ")[2]
        stage.say(f"{how}: {len(here.traffic.answered):,} of {size.jobs:,} answered; {event}")
        await asyncio.sleep(1)
