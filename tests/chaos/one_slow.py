"""Scenario 3: one slow job in front of many fast ones, on one partition."""

import asyncio
import time
from dataclasses import dataclass

import judge
from ground import PATIENCE, Ground, Setting, Stage, ground
from provider import Behaviour
from report import Figure, exactly
from traffic import job

#: The route's name, and its lane's.
ROUTE = "line"
SLOW = "slow"
WORKER = "w0"
_FAST_MS = 200
_LANES = f"""
[lanes.{ROUTE}]
provider = "simulator"
model = "{ROUTE}"
concurrency = 100
[routes.{ROUTE}]
lanes = ["{ROUTE}"]
journal = "metadata"
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """How large a run is."""

    jobs: int = 15_000
    #: How long the slow one takes: longer than all others together.
    slow: float = 90.0


FULL = Size()


async def one_slow(stage: Stage, size: Size = FULL) -> list[Figure]:
    """The fast ones are as fast as without it, and after a kill it alone is called again."""
    without = await _speed_without(stage, size)
    async with ground(stage, _setting(size), "with") as here:
        fast = await _serve(stage, here, size, with_slow=True)
        # By the last fast reply that Kafka has, not by when we saw it.
        last = max(reply.at for reply in here.traffic.replies)
        await asyncio.sleep(max(0.0, last + 2 - time.time()))
        blow = await here.fleet.kill(WORKER)
        await here.fleet.start(WORKER)
        stage.say("killed and started again: the slow one is left")
        await here.traffic.until_answered(size.jobs + 1, patience=PATIENCE)
        calls = await here.provider.calls()
        extra = judge.extra_calls(calls, here.traffic.replies)
        lost = judge.lost(here.traffic.acknowledged, here.traffic.replies)
        return [
            Figure(name="jobs a second without it", value=without),
            Figure(name="jobs a second with it", value=fast),
            Figure(name="ratio", value=fast / without, bound=0.95, kind="least"),
            Figure(name="jobs lost", value=len(lost), bound=0),
            *exactly("calls of the slow one", 1 + extra[SLOW], 2, "killed once while it ran"),
            Figure(name="others called again", value=len(extra.keys() - {SLOW}), bound=0),
            Figure(name="age of the last commit at the kill, s", value=blow.at - blow.committed),
        ]


async def _speed_without(stage: Stage, size: Size) -> float:
    async with ground(stage, _setting(size), "without") as here:
        return await _serve(stage, here, size, with_slow=False)


async def _serve(stage: Stage, here: Ground, size: Size, *, with_slow: bool) -> float:
    """Jobs a second from the first reply to the last fast one."""
    if with_slow:
        await here.traffic.publish([job(SLOW, ROUTE)])
    await here.traffic.publish(job(f"fast-{number:05}", ROUTE) for number in range(size.jobs))
    await here.fleet.start(WORKER)
    waiting = asyncio.create_task(here.traffic.until_answered(size.jobs, patience=PATIENCE))
    while not waiting.done():
        case = "with" if with_slow else "without"
        stage.say(f"{case} the slow one: {len(here.traffic.answered):,} of {size.jobs:,}")
        await asyncio.wait({waiting}, timeout=1)
    times = [reply.at for reply in here.traffic.replies]
    return len(times) / (max(times) - min(times))


def _setting(size: Size) -> Setting:
    faults = f"""
[[fault]]
kind = "slow"
jobs = ["{SLOW}"]
first_attempts = 1
factor = 1.0
seconds = {size.slow}
"""
    behaviour = Behaviour(latency=("--latency-ms", str(_FAST_MS)), faults=faults)
    # The slow one must not meet its own time-out.
    return Setting(lanes=_LANES, behaviour=behaviour, partitions=1, call_timeout=size.slow + 60)
