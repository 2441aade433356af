"""Limits hold for the fleet: no minute of all workers' calls together passes the contract."""

import asyncio
import time
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from ground import Ground, Setting, Stage, ground
from provider import Behaviour
from report import Figure
from schedule import Act, Step
from traffic import job

from tollway_schemas.job import Job
from tollway_workers.config.contract import RateLimit, Resource
from tollway_workers.config.groups import lane_contract
from tollway_workers.testing.samples import lane

ROUTE = "limited"
WORKERS = ("w0", "w1", "w2", "w3")
#: A minute, and what may be called in it.
_MINUTE = 60.0
_REQUESTS, _TOKENS, _LARGEST = 1_200.0, 480_000.0, 7_200
_SHARDS = 4
#: Parts of the largest call, in turn, while tokens bind.
_SIZES = (1.0, 0.25, 0.5, 0.75)
_SMALL = 64
_LANES = f"""
[lanes.{ROUTE}]
provider = "simulator"
model = "{ROUTE}"
requests_per_minute = {_REQUESTS}
tokens_per_minute = {_TOKENS}
largest_request = {float(_LARGEST)}
shards = {_SHARDS}
[routes.{ROUTE}]
lanes = ["{ROUTE}"]
journal = "off"
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """How long a run is, in seconds."""

    #: Nothing befalls four workers: the first ten are left for them to share out.
    calm: float = 70.0
    #: Every 5 s something does.
    churn: float = 100.0


async def fleet_limits(stage: Stage, size: Size = Size()) -> list[Figure]:
    """Requests bind, then tokens; four workers at rest, then killed, frozen and replaced."""
    behaviour = Behaviour(latency=("--latency-ms", "300"))
    async with ground(stage, Setting(lanes=_LANES, behaviour=behaviour)) as here:
        small = [_sized(f"small-{n:05}", _SMALL) for n in range(int(_REQUESTS * size.calm / 60))]
        large = [
            _sized(f"large-{n:05}", int(_LARGEST * _SIZES[n % len(_SIZES)])) for n in range(1_000)
        ]
        await here.traffic.publish(small)
        await here.fleet.start_all(WORKERS)
        began = time.time()
        stage.say("four workers, at rest")
        await asyncio.sleep(size.calm)
        await here.traffic.publish(large)
        stage.say("killed, frozen and replaced in turn, every 5 s")
        await here.fleet.play(list(_steps(size)))
        await asyncio.sleep(max(0.0, began + size.calm + size.churn - time.time()))
        answer_limits = {each.id: each.request.max_output_tokens or 0 for each in small + large}
        return await _judged(here, answer_limits, began, size)


def _sized(name: str, answer_limit: int) -> Job:
    made = job(name, ROUTE)
    request = made.request.model_copy(update={"max_output_tokens": answer_limit})
    return made.model_copy(update={"request": request})


def _steps(size: Size) -> Iterator[Step]:
    acts = (Act.KILL, Act.FREEZE, Act.RESTART)
    for number in range(int(size.churn / 5.0) - 2):
        act = acts[number % len(acts)]
        worker = WORKERS[number % len(WORKERS)]
        # Shorter than the session: its shards stay, and its lease is over when it wakes.
        yield Step(
            at=5.0 * number, act=act, worker=worker, seconds=4.0 if act is Act.FREEZE else 0.0
        )


async def _judged(
    here: Ground, answer_limits: dict[str, int], began: float, size: Size
) -> list[Figure]:
    calls = await here.provider.calls()
    requests = [(call.started, 1.0) for call in calls]
    tokens = [(call.started, float(answer_limits[call.job_id])) for call in calls]
    rest = (began + 10.0, began + size.calm)
    used = sum(rest[0] <= at < rest[1] for at, _ in requests) / (rest[1] - rest[0])
    most = _limit(Resource.REQUESTS).rate(_SHARDS) * _SHARDS
    churned = (began + size.calm + 5.0, began + size.calm + size.churn)
    spent = sum(units for at, units in tokens if churned[0] <= at < churned[1])
    steady = _limit(Resource.TOKENS).rate(_SHARDS) * _SHARDS * (churned[1] - churned[0])
    return [
        Figure(
            name="requests in the busiest minute",
            value=busiest(requests),
            bound=_REQUESTS,
            note="the contract",
        ),
        Figure(
            name="tokens in the busiest minute",
            value=busiest(tokens),
            bound=_TOKENS,
            note=f"the contract; calls of up to {_LARGEST:,} tokens",
        ),
        Figure(
            name="use of the steady rate at rest",
            value=used / most,
            bound=0.95,
            kind="least",
            note=f"requests; {most * _MINUTE:,.0f} a minute are used steadily",
        ),
        Figure(
            name="use of the steady rate under churn",
            value=spent / steady,
            note="tokens; a crash empties its shards for a lease",
        ),
        Figure(name="workers that ended by themselves", value=len(here.fleet.deaths), bound=0),
    ]


def _limit(resource: Resource) -> RateLimit:
    limits = lane(
        requests_per_minute=_REQUESTS,
        tokens_per_minute=_TOKENS,
        largest_request=_LARGEST,
        shards=_SHARDS,
    )
    (found,) = (rate for rate in lane_contract(limits).rates if rate.resource is resource)
    return found


def busiest(amounts: Iterable[tuple[float, float]], window: float = _MINUTE) -> float:
    """The most that any sliding window saw, of times and units in any order."""
    inside: deque[tuple[float, float]] = deque()
    most = total = 0.0
    for at, units in sorted(amounts):
        while inside and inside[0][0] <= at - window:
            total -= inside.popleft()[1]
        inside.append((at, units))
        total += units
        most = max(most, total)
    return most
