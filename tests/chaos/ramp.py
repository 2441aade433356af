"""Scenario: a server that falls over above half its capacity when it has just come back.

It is down again and again. Each time the fleet finds it up by probes and comes back by degrees:
while the server is cold, never with more than half of the calls that it bears.
"""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass

from ground import PATIENCE, Ground, Setting, Stage, ground
from judge import Call, most_in_flight
from provider import Behaviour
from report import Figure, exactly
from traffic import jobs

WORKERS = ("w0", "w1")
_ROUTE = "work"
_ACCOUNT = "fleet"
#: A call takes a second.
_LATENCY_MS = 1_000
#: Seconds after an outage for which the server is cold, and the part of its capacity it bears then.
_COLD, _BEARS = 10.0, 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """How large a run is."""

    recoveries: int = 10
    #: Calls in flight that the server bears when it is warm; the lane has as many.
    capacity: int = 40
    #: Seconds before the first outage, of each, and between two: long enough for the whole ramp.
    begins: float = 8.0
    down: float = 5.0
    up: float = 27.0

    @property
    def outages(self) -> list[tuple[float, float]]:
        """Their seconds after the first call."""
        begins = [self.begins + number * (self.down + self.up) for number in range(self.recoveries)]
        return [(begin, begin + self.down) for begin in begins]

    @property
    def seconds(self) -> float:
        """From the first call to the end of the run."""
        return self.outages[-1][1] + self.up


FULL = Size()


async def ramp(stage: Stage, size: Size = FULL) -> list[Figure]:
    """The server never falls over again, and each time all of its capacity is used in the end."""
    async with ground(stage, _setting(stage, size)) as here:
        await here.fleet.start_all(WORKERS)
        # More than can be answered: there is always one that waits.
        work = jobs(int(size.capacity * size.seconds * 1_000 / _LATENCY_MS), (_ROUTE,))
        await here.traffic.publish_all(work)
        await here.traffic.until_answered(1, patience=PATIENCE)
        began = min(call.started for call in await here.provider.calls())
        while (left := began + size.seconds - time.time()) > 0:
            stage.say(f"{left:.0f} s to go, {len(here.traffic.answered):,} answers")
            await asyncio.sleep(min(left, 1.0))
        return await _judge(here, size, began)


def script(size: Size) -> str:
    """The provider's faults."""
    outages = "".join(
        f"""
[[fault]]
kind = "503"
from_seconds = {begin}
until_seconds = {end}
"""
        for begin, end in size.outages
    )
    return f"""
[overload]
capacity = {size.capacity}
above = {_BEARS}
for_seconds = {_COLD}
kind = "503"
outage_seconds = {size.down}
{outages}"""


def _setting(stage: Stage, size: Size) -> Setting:
    # Pauses that do not grow: ten outages within minutes are one too sick server otherwise.
    lanes = f"""
[lanes.main]
provider = "simulator"
model = "{_ROUTE}"
concurrency = {size.capacity}
shards = {len(WORKERS)}
breaker = {{ pause = 2.0, longest_pause = 3.0 }}
[routes.{_ROUTE}]
lanes = ["main"]
journal = "off"
"""
    behaviour = Behaviour(
        latency=("--latency-ms", str(_LATENCY_MS)), faults=script(size), seed=stage.seed
    )
    return Setting(lanes=lanes, behaviour=behaviour, account=_ACCOUNT)


async def _judge(here: Ground, size: Size, began: float) -> list[Figure]:
    calls = [call for call in await here.provider.calls() if call.ending != "503"]
    ends = [began + end for _, end in size.outages]
    cold = [most_in_flight(calls, end, end + _COLD) for end in ends]
    warm = [most_in_flight(calls, end + _COLD, end + size.up) for end in ends]
    return [
        Figure(
            name="times that the server fell over again",
            value=await here.provider.trips(),
            bound=0,
            note=f"above {_BEARS:.0%} of {size.capacity} in {_COLD:.0f} s after an outage",
        ),
        *exactly("outages", len(ends), size.recoveries),
        Figure(name="most calls in flight while it was cold", value=max(cold)),
        Figure(
            name="fewest that a recovery came back to",
            value=min(warm),
            bound=0.9 * size.capacity,
            kind="least",
        ),
        Figure(name="seconds from up to all calls, at worst", value=_slowest(calls, ends, size)),
        Figure(
            name="dead letters",
            value=len(here.traffic.letters),
            bound=0,
        ),
    ]


def _slowest(calls: Sequence[Call], ends: Sequence[float], size: Size) -> float:
    def seconds(end: float) -> float:
        for second in range(int(size.up)):
            if most_in_flight(calls, end + second, end + second + 1) >= 0.9 * size.capacity:
                return second + 1.0
        return float("inf")

    return max(map(seconds, ends))
