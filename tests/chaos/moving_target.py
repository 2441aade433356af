"""What a provider bears falls to a quarter and comes back: refusals stay few, and it is used."""

import asyncio
import time
from dataclasses import dataclass

from ground import Ground, Setting, Stage, ground
from judge import Call
from provider import Behaviour
from report import Figure
from traffic import job

ROUTE = "moving"
WORKER = "w0"
#: Requests a minute: the contract, and what the provider bears in each phase.
_CONTRACT = 600
_PHASES = (600, 150, 600)
_LANES = f"""
[lanes.{ROUTE}]
provider = "simulator"
model = "{ROUTE}"
requests_per_minute = {_CONTRACT}
[routes.{ROUTE}]
lanes = ["{ROUTE}"]
journal = "metadata"
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """How large a run is: seconds of each phase."""

    phase: float = 45.0


async def moving_target(stage: Stage, size: Size = Size()) -> list[Figure]:
    """Once with the provider's headers, once without any, side by side."""
    told, silent = await asyncio.gather(
        _run(stage, size, "with headers", headers=True),
        _run(stage, size, "without headers", headers=False),
    )
    return [
        Figure(name="with headers: calls refused, %", value=100 * told.refused, bound=3.0),
        Figure(
            name="with headers: use of what was allowed, %",
            value=100 * told.use,
            bound=85.0,
            kind="least",
        ),
        Figure(name="without headers: calls refused, %", value=100 * silent.refused),
        Figure(name="without headers: use of what was allowed, %", value=100 * silent.use),
        Figure(
            name="without headers: use of the last phase's second half, %",
            value=100 * silent.recovered,
            bound=70.0,
            kind="least",
            note="22 to 45 s after: the pace comes back within a minute",
        ),
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Use:
    refused: float
    use: float
    recovered: float


async def _run(stage: Stage, size: Size, name: str, *, headers: bool) -> _Use:
    options = ("--latency-ms", "200", "--rpm", str(_CONTRACT), "--burst-seconds", "3")
    quiet = () if headers else ("--no-rate-headers",)
    setting = Setting(lanes=_LANES, behaviour=Behaviour(latency=(*options, *quiet)))
    async with ground(stage, setting, name.replace(" ", "-")) as here:
        most = int(sum(_PHASES) * size.phase / 60) + 500
        await here.traffic.publish(job(f"job-{number:05}", ROUTE) for number in range(most))
        await here.fleet.start_all([WORKER])
        await here.traffic.until_answered(20, patience=30.0)
        starts = [time.time()]
        for borne in _PHASES:
            await here.provider.set_limits(WORKER, requests_per_minute=borne)
            stage.say(f"{name}: {borne} a minute; {len(here.traffic.answered):,} answered")
            await asyncio.sleep(starts[0] + len(starts) * size.phase - time.time())
            starts.append(time.time())
        return _judged(await _calls(here, starts), starts)


async def _calls(here: Ground, starts: list[float]) -> list[Call]:
    calls = await here.provider.calls(since=starts[0])
    return [call for call in calls if call.started < starts[-1]]


def _judged(calls: list[Call], starts: list[float]) -> _Use:
    served = [call.started for call in calls if call.ending != "429"]
    allowed = sum(
        borne * (end - begin) / 60
        for borne, begin, end in zip(_PHASES, starts, starts[1:], strict=False)
    )
    half = (starts[-2] + starts[-1]) / 2
    late = sum(started >= half for started in served)
    return _Use(
        refused=1 - len(served) / max(len(calls), 1),
        use=len(served) / allowed,
        recovered=late / (_PHASES[-1] * (starts[-1] - half) / 60),
    )
