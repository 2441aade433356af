"""Scenario 5: a job whose processing ends the process that calls.

Nothing in the product helps with that: the simulator never answers that job, and whichever worker
is seen to call for it is killed, as a native library that crashes on its answer would.
"""

import asyncio
import time
from dataclasses import dataclass

import judge
from churn import LANES, ROUTES
from ground import PATIENCE, Ground, Setting, Stage, ground
from provider import Behaviour
from report import Figure, exactly
from traffic import job, jobs

KILLER = "killer"
WORKERS = ("w0", "w1")
_FAULTS = f"""
[[fault]]
kind = "hang"
jobs = ["{KILLER}"]
"""
_MOST_DEATHS = 4
#: Short, because suspects run one at a time.
_LATENCY = ("--profile", "flash-lite", "--latency-scale", "0.5")
#: Seconds between two looks at the list of calls.
_LOOK = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """How large a run is."""

    jobs: int = 1_000
    rate: float = 40.0


FULL = Size()


async def killer(stage: Stage, size: Size = FULL) -> list[Figure]:
    """It becomes a dead letter after a few deaths; all others are answered."""
    behaviour = Behaviour(latency=_LATENCY, faults=_FAULTS, seed=stage.seed)
    setting = Setting(lanes=LANES, behaviour=behaviour)
    async with ground(stage, setting) as here:
        await here.fleet.start_all(WORKERS)
        wanted = jobs(size.jobs, ROUTES)
        wanted.insert(size.jobs // 4, job(KILLER, ROUTES[0]))
        crashing = asyncio.create_task(_crash_whoever_calls(stage, here))
        try:
            await here.traffic.publish(wanted, rate=size.rate)
            await here.traffic.until_answered(len(wanted), patience=PATIENCE)
        finally:
            crashing.cancel()
        calls = await here.provider.calls()
        deaths = sum(call.job_id == KILLER for call in calls)
        letters = [letter for letter in here.traffic.letters if letter.job_id == KILLER]
        others = here.traffic.acknowledged - {KILLER}
        kinds = ", ".join(sorted({letter.status for letter in here.traffic.letters})) or "none"
        excuses = judge.exposed(here.fleet.blows, calls, here.traffic.replies)
        innocent = [call for call in calls if call.job_id != KILLER]
        extra = judge.extra_calls(innocent, here.traffic.replies)
        most = sum(len(each.in_flight) + len(each.uncommitted) for each in excuses)
        return [
            Figure(name="deaths", value=deaths, bound=_MOST_DEATHS),
            *exactly("its dead letters", len(letters), 1, f"classes: {kinds}"),
            Figure(
                name="others dead-lettered",
                value=len(here.traffic.letters) - len(letters),
                bound=0,
            ),
            Figure(
                name="others lost",
                value=len(judge.lost(others, here.traffic.replies)),
                bound=0,
                note=f"of {len(others):,}",
            ),
            Figure(name="others called again", value=extra.total(), bound=most),
            Figure(name="workers that ended by themselves", value=len(here.fleet.deaths), bound=0),
        ]


async def _crash_whoever_calls(stage: Stage, here: Ground) -> None:
    since, deaths = time.time(), 0
    while True:
        for call in await here.provider.calls(since=since):
            if call.job_id == KILLER and call.ended is None:
                since, deaths = call.started + 1e-6, deaths + 1
                stage.say(f"death {deaths}: {call.worker} called for the killer")
                await here.fleet.crash(call.worker)
        stage.say(f"{deaths} deaths, {len(here.traffic.answered):,} answered")
        await asyncio.sleep(_LOOK)
