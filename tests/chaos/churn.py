"""Scenarios 1 and 2: a fleet that changes all the time, by accident or as planned."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

import judge
import schedule
from ground import PATIENCE, Ground, Setting, Stage, ground
from provider import Behaviour
from report import Figure
from schedule import Act, Step
from traffic import jobs

WORKERS = ("w0", "w1", "w2", "w3")
ROUTES = ("alpha", "beta")
#: Two limit groups, so that there are shards to balance over groups too.
LANES = "".join(
    f"""
[lanes.{route}]
provider = "simulator"
model = "{route}"
concurrency = 160
[routes.{route}]
lanes = ["{route}"]
journal = "metadata"
"""
    for route in ROUTES
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """How large a run is."""

    jobs: int
    seconds: float


CHURN, PLANNED = Size(jobs=20_000, seconds=180.0), Size(jobs=10_000, seconds=90.0)


async def churn(stage: Stage, size: Size = CHURN) -> list[Figure]:
    """Random kills, restarts, freezes beyond the session, joins and leaves: nothing is lost."""
    setting = _setting(stage)
    steps = schedule.churn(stage.seed, WORKERS, size.seconds, setting.session)
    async with ground(stage, setting) as here:
        await _run(stage, here, steps, size)
        calls, replies = await here.provider.calls(), here.traffic.replies
        blows = here.fleet.blows
        excuses = judge.exposed(blows, calls, replies)
        in_flight = sum(len(each.in_flight) for each in excuses)
        uncommitted = sum(len(each.uncommitted) for each in excuses)
        aborted = len(judge.aborted_in_release(calls, blows, setting.call_timeout))
        extra = judge.extra_calls(calls, here.traffic.replies)
        left = judge.unexplained(extra, [each.in_flight | each.uncommitted for each in excuses])
        return [
            *_common(here, size, steps),
            Figure(name="in flight at kills and freezes", value=in_flight),
            Figure(name="finished since the last commit", value=uncommitted),
            Figure(name="in flight at a move beyond the release bound", value=aborted),
            Figure(
                name="calls beyond one per job",
                value=extra.total(),
                bound=in_flight + uncommitted + aborted,
                note="the sum of the three above",
            ),
            Figure(name="of these, no kill or freeze of that job's worker", value=left.total()),
            Figure(
                name="oldest commit at a kill, s",
                value=max((blow.at - blow.committed for blow in blows), default=0.0),
            ),
        ]


async def planned(stage: Stage, size: Size = PLANNED) -> list[Figure]:
    """Joins, leaves, restarts and a rolling restart: nothing is lost, nothing called twice."""
    rolling = [
        Step(at=size.seconds + number * 0.1, act=Act.RESTART, worker=name)
        for number, name in enumerate(WORKERS)
    ]
    steps = schedule.planned(stage.seed, WORKERS, size.seconds)
    async with ground(stage, _setting(stage)) as here:
        await _run(stage, here, steps, size, rolling)
        extra = judge.extra_calls(await here.provider.calls(), here.traffic.replies)
        return [
            *_common(here, size, steps + rolling),
            Figure(name="jobs called twice", value=len(extra), bound=0),
            Figure(name="slowest to leave, s", value=max(here.fleet.drains, default=0.0)),
        ]


def _setting(stage: Stage) -> Setting:
    return Setting(lanes=LANES, behaviour=Behaviour(seed=stage.seed))


async def _run(
    stage: Stage, here: Ground, steps: Sequence[Step], size: Size, rolling: Sequence[Step] = ()
) -> None:
    """Publish at an even rate while the steps are played; then wait for what is left."""
    wanted = jobs(size.jobs, ROUTES)
    await here.fleet.start_all(WORKERS)
    told = asyncio.create_task(_tell(stage, here, size))
    try:
        async with asyncio.TaskGroup() as group:
            rate = size.jobs / (size.seconds + 5 * len(rolling))
            group.create_task(here.traffic.publish(wanted, rate=rate))
            group.create_task(here.fleet.play(steps))
            if rolling:
                group.create_task(_roll(here, size.seconds, rolling))
        await here.traffic.until_answered(size.jobs, patience=PATIENCE)
    finally:
        told.cancel()


async def _roll(here: Ground, after: float, rolling: Sequence[Step]) -> None:
    """One after the other, each when the one before is ready again."""
    await asyncio.sleep(after)
    for step in rolling:
        if step.worker in here.fleet.running:
            await here.fleet.act(step)
            await here.fleet.ready([step.worker])


async def _tell(stage: Stage, here: Ground, size: Size) -> None:
    while True:
        stage.say(
            f"{len(here.traffic.answered):,} of {size.jobs:,} answered, "
            f"{len(here.fleet.running)} workers; {here.fleet.events[-1].partition(' ')[2]}"
        )
        await asyncio.sleep(1)


def _common(here: Ground, size: Size, steps: Sequence[Step]) -> list[Figure]:
    traffic, fleet = here.traffic, here.fleet
    counts = {act: sum(step.act is act for step in steps) for act in Act}
    return [
        Figure(
            name="acts",
            value=len(steps),
            note=", ".join(f"{count} {act.value}" for act, count in counts.items() if count),
        ),
        Figure(
            name="jobs lost",
            value=len(judge.lost(traffic.acknowledged, traffic.replies)),
            bound=0,
            note=f"of {size.jobs:,}; failed and dead-lettered count as lost",
        ),
        Figure(
            name="dead letters",
            value=len(traffic.letters),
            bound=0,
            note=", ".join(sorted({letter.status for letter in traffic.letters})),
        ),
        Figure(
            name="replies beyond one per job",
            value=len(traffic.replies) - len(traffic.answered),
        ),
        Figure(name="workers that ended by themselves", value=len(fleet.deaths), bound=0),
    ]
