"""Scenario: the provider is down for a time in mid-run, and each way to be down is tried in turn.

Some jobs fail always: they alone become dead letters. While all calls fail, the fleet tries now and
then; when the provider is back it comes back by degrees, and no job is lost, given up or answered
twice. Beside it a plain retry loop has the same jobs, on a provider with the same script.
"""

import asyncio
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any

import orjson
import outage_judge as judge
from ground import Ground, Setting, Stage, ground
from judge import ARRIVAL, Call
from outage_judge import JITTER, Told, Waits
from plain_loop import Account, LoopEnd, plain_loop
from provider import Behaviour, Provider
from report import Figure, exactly
from topic_records import records
from traffic import jobs

from tollway_schemas.job import Job
from tollway_workers.config.shape.breaker import BreakerSettings
from tollway_workers.kafka.read.log_reader import LoggedRecord

#: Ways to be down, as the simulator's script names them.
KINDS = ("500", "503", "529", "hang", "refused", "429", "401", "no_completion")
WORKERS = ("w0", "w1")
#: The route's name, its lane's and its model's.
ROUTE = "work"
_ACCOUNT = "fleet"
_CALL_TIMEOUT = 5.0
_LATENCY_MS = 400
_BREAKER = BreakerSettings()
#: What a lane's gate does that is parked, or refused with a 429 that asks for no wait.
_PARKED = Waits(first=1.0, longest=300.0)
_SLOWED = Waits(first=1.0, longest=30.0, probes=8)
_BROKEN = Waits(
    first=_BREAKER.pause,
    longest=_BREAKER.longest_pause,
    probes=_BREAKER.probes + 1,
    jitter=JITTER,
)
#: A lane that nobody answers, or not as an API does, may be parked and broken as well.
_LEFT_ALONE = {
    "429": (_SLOWED,),
    "401": (_PARKED,),
    "no_completion": (_PARKED, _BROKEN),
    "refused": (_PARKED, _BROKEN),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """How large a run is."""

    jobs: int = 2_000
    poison: int = 10
    #: Seconds of the outage, and from the first call to it.
    seconds: float = 30.0
    begins: float = 10.0
    #: Part of the calls that meet a 529 throughout.
    overloaded: float = 0.3
    #: Requests a minute of the account, and calls in flight.
    per_minute: int = 2_400
    concurrency: int = 40
    #: TOML of the route: how often a job is tried.
    retry: str = ""
    #: Seconds without any reply after which a run is given up: a poison job alone has to fail
    #: fifteen times, at some distance.
    patience: float = 300.0

    @property
    def answers_a_second(self) -> float:
        """What the provider lets through and answers when it is up."""
        calls = min(self.per_minute / 60.0, self.concurrency * 1_000.0 / _LATENCY_MS)
        return calls * (1.0 - self.overloaded)


FULL = Size()


async def outage(stage: Stage, size: Size = FULL, kinds: Sequence[str] = KINDS) -> list[Figure]:
    """Dead letters are exactly the poison; calls in the outage are probes; it drains in time."""
    return [figure for kind in kinds for figure in await _one(stage, size, kind)]


#: Each kind alone.
BY_KIND = {f"outage-{kind}": partial(outage, kinds=(kind,)) for kind in KINDS}


async def _one(stage: Stage, size: Size, kind: str) -> list[Figure]:
    work = jobs(size.jobs, (ROUTE,))
    poison = poisoned(work, size.poison)
    setting = _setting(stage, size, kind, poison)
    async with ground(stage, setting, kind) as here:
        beside = here.folder / "beside"
        beside.mkdir()
        await here.fleet.start_all(WORKERS)
        async with Provider(beside, setting.behaviour) as other:
            account = Account(
                per_minute=size.per_minute, concurrency=size.concurrency, timeout=_CALL_TIMEOUT
            )
            loop = asyncio.create_task(plain_loop(beside, other, work, account))
            here.traffic.on_reply = (connects := _Connects())
            await here.traffic.publish(work)
            waiting = asyncio.create_task(
                here.traffic.until_answered(size.jobs, patience=size.patience)
            )
            while not waiting.done():
                done = f"{len(here.traffic.answered):,} of {size.jobs:,}"
                stage.say(f"{kind}: {done} jobs have a reply")
                await asyncio.wait({waiting}, timeout=1)
            ended = await loop
            beats = await records(here.servers, here.traffic.names.heartbeats)
            ran = Ran(
                calls=await here.provider.calls(),
                connects=connects.seen,
                told=heartbeats_told(beats),
                loop=ended,
            )
            return _judge(here, size, kind, poison, ran)


def poisoned(work: Sequence[Job], count: int) -> frozenset[str]:
    """Jobs that fail always: spread over those that come before, in and after the outage, but for
    the last, so that there are others to be compared with."""
    most = len(work) * 2 // 3
    return frozenset(work[number * most // count].id for number in range(count))


def script(size: Size, kind: str, poison: frozenset[str]) -> str:
    """The provider's faults."""
    names = json.dumps(sorted(poison))
    return f"""
[[fault]]
kind = "{kind}"
from_seconds = {size.begins}
until_seconds = {size.begins + size.seconds}

[[fault]]
kind = "500"
jobs = {names}

[[fault]]
kind = "529"
share = {size.overloaded}
"""


def _setting(stage: Stage, size: Size, kind: str, poison: frozenset[str]) -> Setting:
    lanes = f"""
[lanes.main]
provider = "simulator"
model = "{ROUTE}"
concurrency = {size.concurrency}
requests_per_minute = {size.per_minute}
burst = 0.5
shards = {len(WORKERS)}
[routes.{ROUTE}]
lanes = ["main"]
journal = "metadata"
{size.retry}
"""
    behaviour = Behaviour(
        latency=("--latency-ms", str(_LATENCY_MS), "--rpm", str(size.per_minute)),
        faults=script(size, kind, poison),
        seed=stage.seed,
    )
    return Setting(lanes=lanes, behaviour=behaviour, call_timeout=_CALL_TIMEOUT, account=_ACCOUNT)


@dataclass
class _Connects:
    """Connections that were refused, as the replies tell of them. Mutable state: how many."""

    seen: int = 0

    def __call__(self, reply: dict[str, Any]) -> None:
        self.seen += (reply.get("uncharged") or {}).get("connect", 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    """What a run left."""

    calls: Sequence[Call]
    #: Connections that were refused: they are in no books.
    connects: int
    told: Sequence[Told]
    loop: LoopEnd


def _judge(here: Ground, size: Size, kind: str, poison: frozenset[str], ran: Ran) -> list[Figure]:
    calls, traffic, loop = ran.calls, here.traffic, ran.loop
    good = traffic.acknowledged - poison
    dead = [letter.job_id for letter in traffic.letters]
    begin = min(call.started for call in calls) + size.begins
    end = begin + size.seconds
    return [
        _named(kind, each)
        for each in (
            *exactly("poison jobs that are dead letters", len(poison & {*dead}), len(poison)),
            Figure(
                name="dead letters beside them",
                value=len(dead) - len(poison & {*dead}),
                bound=0,
                note=f"plain loop: {len(good - loop.answered):,} good jobs without an answer",
            ),
            Figure(
                name="good jobs without an answer",
                value=len(judge.unanswered(good, traffic.replies, float("inf"))),
                bound=0,
            ),
            Figure(
                name="jobs without just one reply",
                value=len(judge.not_answered_once(traffic.acknowledged, traffic.replies)),
                bound=0,
            ),
            *_in_the_outage(kind, size, ran, begin),
            _drained(here, size, good, end, ran),
            Figure(
                name="calls over the limit",
                value=len(judge.over_the_limit(calls)),
                bound=0,
                note=f"plain loop: {len(judge.over_the_limit(loop.calls)):,}",
            ),
        )
    ]


def _in_the_outage(kind: str, size: Size, ran: Ran, begin: float) -> list[Figure]:
    """What was called while nobody answered: after the trip it is probes, and what was on its way.

    Refused connections are in no books: the replies count them, those that were the trip too; on
    their way was what ran when the server fell.
    """
    end = begin + size.seconds
    calls, loop, connects = ran.calls, ran.loop, ran.connects
    stopped = judge.trips(ran.told, begin, end)
    # Where a rate limit slows a lane, it never stops: the first refusal of all is its trip.
    trip = max(stopped.values(), default=begin) if kind != "429" else begin
    left_alone = _LEFT_ALONE.get(kind, (_BROKEN,))
    probes = len(WORKERS) * max(waits.tries(end - trip) for waits in left_alone)
    if kind == "refused":
        made, running = connects, judge.in_flight(calls, begin - ARRIVAL)
        beside = "a plain loop's are in no books"
    else:
        made, running = len(judge.after(calls, trip, end)), judge.in_flight(calls, trip)
        down = min((call.started for call in loop.calls), default=0.0) + size.begins
        beside = f"plain loop: {len(judge.after(loop.calls, down, down + size.seconds)):,}"
    return [
        Figure(
            name="calls in the outage after the trip",
            value=made,
            bound=probes + running,
            note=f"{probes} probes, {running} in flight; {beside}",
        ),
        *(
            exactly("workers that stopped calling", len(stopped), len(WORKERS))
            if kind != "429"
            else ()
        ),
        Figure(name="seconds until the last had stopped", value=trip - begin),
    ]


def _drained(here: Ground, size: Size, good: set[str], end: float, ran: Ran) -> Figure:
    left = judge.unanswered(good, here.traffic.replies, end)
    ideal = len(left) / size.answers_a_second
    pause, ramp = judge.last_pause(ran.told, end), 3 * _BREAKER.ramp
    return Figure(
        name="seconds from the outage's end to the last answer",
        value=judge.drained(good, here.traffic.replies, end),
        bound=1.5 * ideal + pause + ramp,
        note=f"1.5 x {ideal:.0f} s + last pause {pause:.0f} s + ramp {ramp:.0f} s; "
        f"plain loop: {ran.loop.seconds:.0f} s in all",
    )


def heartbeats_told(beats: Iterable[LoggedRecord]) -> list[Told]:
    """What workers' heartbeats say of lanes that are not open."""
    return [
        Told(
            worker=beat["worker"],
            state=lane["state"],
            since=_seconds(lane["since"]),
            next_try=None if lane.get("next_try") is None else _seconds(lane["next_try"]),
        )
        for beat in (orjson.loads(record.value or b"{}") for record in beats)
        for lane in beat.get("lanes", ())
        if lane.get("since") is not None
    ]


def _seconds(moment: str) -> float:
    return datetime.fromisoformat(moment).timestamp()


def _named(kind: str, figure: Figure) -> Figure:
    return Figure(
        name=f"{kind}: {figure.name}",
        value=figure.value,
        bound=figure.bound,
        kind=figure.kind,
        note=figure.note,
    )
