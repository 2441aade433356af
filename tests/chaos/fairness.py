"""Scenario: who comes behind another tenant's backlog is served as if it were hardly there.

Tenant a has 20,000 long jobs waiting, then 200,000, when tenant b brings a hundred short ones; once
on a lane that is short of slots and once on one that is short of requests. Then two tenants whose
weights are one to three, on a lane that is short of tokens.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from eventually import eventually
from ground import Ground, Setting, Stage, ground
from provider import Behaviour
from report import Figure
from traffic import job

from tollway_schemas.job import Job

WORKERS = ("w0", "w1")
#: By the simulator's fault script, that finds these names behind a colon: seconds of a call.
LONG, SHORT = "long", "short"
_LONG_SECONDS, _SHORT_SECONDS = 2.0, 0.4
#: Tokens of an answer at most.
_LONG_TOKENS, _SHORT_TOKENS = 4_096, 64
#: What the lighter tenant has against the heavier, and what the calls of both may cost.
_WEIGHTS = (1.0, 3.0)
_TOKENS = (400, 200)
#: How long a few jobs of b may take before the run is given up, and how much it may be slowed.
_PATIENCE, _SLOWER = 60.0, 2.0
#: Seconds that calls of both tenants run before their shares are counted.
_SETTLE = 8.0

_FAULTS = f"""
[[fault]]
kind = "slow"
jobs = ["{LONG}"]
factor = 1.0
seconds = {_LONG_SECONDS - _SHORT_SECONDS}
"""
#: Each tenant has routes of its own: that is what makes it one that may be believed. A short burst,
#: because b alone would find a full one, and b behind a one that a has used up.
_LANES = f"""
[tenants.light]
weight = {_WEIGHTS[0]}
[tenants.heavy]
weight = {_WEIGHTS[1]}
[lanes.slots]
provider = "simulator"
model = "slots"
concurrency = 16
shards = 4
[lanes.requests]
provider = "simulator"
model = "requests"
requests_per_minute = 1200
burst = 0.5
shards = 4
[lanes.tokens]
provider = "simulator"
model = "tokens"
tokens_per_minute = 600000
largest_request = 2000.0
shards = 4
""" + "".join(
    f"""
[routes.{lane}-{tenant}]
lanes = ["{lane}"]
tenant = "{tenant}"
journal = "off"
"""
    for lane, tenants in (("slots", "ab"), ("requests", "ab"), ("tokens", ("light", "heavy")))
    for tenant in tenants
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """How large a run is."""

    jobs: int = 20_000
    more: int = 200_000
    few: int = 100
    #: Seconds of the shares by weight.
    shares: float = 40.0


FULL = Size()


async def fairness(stage: Stage, size: Size = FULL) -> list[Figure]:
    """b's time from enqueue to reply is at most twice what it is alone; shares follow weights."""
    latency = ("--latency-ms", str(_SHORT_SECONDS * 1000))
    setting = Setting(lanes=_LANES, behaviour=Behaviour(latency=latency, faults=_FAULTS))
    async with ground(stage, setting) as here:
        await here.fleet.start_all(WORKERS)
        # Connections, and the first of everything.
        await _time(here, "slots", "warm", 20)
        stage.say("two tenants by weight")
        shares = await _shares(here, size)
        slots = await _behind_backlog(stage, here, "slots", size)
        requests = await _behind_backlog(stage, here, "requests", size)
        stage.say(f"publishing {size.more:,} jobs")
        began = time.monotonic()
        await here.traffic.publish_all(_long("slots", f"{size.more}", size.more - size.jobs))
        published = time.monotonic() - began
        stage.say(f"behind {size.more:,} jobs")
        more = await _time(here, "slots", "behind-more", size.few)
        return [
            *_compared("slots", slots, size),
            Figure(
                name=f"slots: behind {size.more:,} jobs, b's p95, s",
                value=more,
                note=f"{published:.0f} s to publish them",
            ),
            *_compared("requests", requests, size),
            Figure(
                name="tokens of the tenant of weight 3 for each of the one of weight 1",
                value=shares,
                bound=_WEIGHTS[1] / _WEIGHTS[0] * 1.05,
            ),
            Figure(
                name="the same, at least",
                value=shares,
                bound=_WEIGHTS[1] / _WEIGHTS[0] * 0.95,
                kind="least",
            ),
            Figure(name="dead letters", value=len(here.traffic.letters), bound=0),
            Figure(name="workers that ended by themselves", value=len(here.fleet.deaths), bound=0),
        ]


def _compared(lane: str, times: tuple[float, float], size: Size) -> list[Figure]:
    alone, behind = times
    return [
        Figure(name=f"{lane}: b's p95 alone, s", value=alone, note=f"{size.few} jobs at once"),
        Figure(name=f"{lane}: behind {size.jobs:,} jobs of a, s", value=behind),
        Figure(name=f"{lane}: times slower", value=behind / alone, bound=_SLOWER),
    ]


async def _behind_backlog(stage: Stage, here: Ground, lane: str, size: Size) -> tuple[float, float]:
    """b's 95th percentile alone, and when a has put its jobs there just before."""
    stage.say(f"{lane}: b alone")
    alone = await _time(here, lane, "alone", size.few)
    stage.say(f"{lane}: b behind {size.jobs:,} jobs of a")
    await here.traffic.publish_all(_long(lane, "first", size.jobs))
    return alone, await _time(here, lane, "behind", size.few)


async def _time(here: Ground, lane: str, name: str, count: int) -> float:
    """The 95th percentile of seconds from enqueue to reply of so many short jobs of b."""
    wanted = [
        job(f"{lane}-{name}-{number:03}:{SHORT}", f"{lane}-b", answer_limit=_SHORT_TOKENS)
        for number in range(count)
    ]
    handed = time.time()
    await here.traffic.publish(wanted)
    await _answered(here, wanted)
    ids = {each.id for each in wanted}
    times = sorted(each.at - handed for each in here.traffic.replies if each.job_id in ids)
    return times[int(len(times) * 0.95) - 1]


async def _answered(here: Ground, wanted: Sequence[Job]) -> None:
    ids = {each.id for each in wanted}

    async def all_are() -> bool:
        return ids <= here.traffic.answered

    await eventually(all_are, _PATIENCE)


def _long(lane: str, name: str, count: int) -> Iterator[Job]:
    """Jobs of a."""
    one = job("of-a", f"{lane}-a", answer_limit=_LONG_TOKENS)
    for number in range(count):
        yield one.model_copy(update={"id": f"{lane}-{name}-{number:06}:{LONG}"})


async def _shares(here: Ground, size: Size) -> float:
    """The heavier tenant's tokens by the provider's books, divided by the lighter one's."""
    wanted = [
        job(f"{tenant}-{number:05}", f"tokens-{tenant}", answer_limit=tokens)
        for tenant, tokens in zip(("light", "heavy"), _TOKENS, strict=True)
        for number in range(int(size.shares * 100))
    ]
    await here.traffic.publish(wanted)
    await asyncio.sleep(_SETTLE)
    began = time.time()
    await asyncio.sleep(size.shares)
    spent: Counter[int] = Counter()
    limits = {each.id: each.request.max_output_tokens or 0 for each in wanted}
    for call in await here.provider.calls(since=began):
        if call.model == "tokens" and call.started < began + size.shares:
            spent[limits[call.job_id]] += limits[call.job_id]
    light, heavy = (spent[tokens] for tokens in _TOKENS)
    return heavy / max(light, 1)
