"""Scenario: a route's first lane dies, then its second too, and both come back.

Interactive jobs come all the time, fewer than the second lane may call. Each is answered in time on
the best rung that there is: the first lane, the second, a rule. Jobs that take nothing but the
first lane's answers wait for it, or end in a failure that says so.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import outage_judge
from ground import PATIENCE, Ground, Setting, Stage, ground
from judge import Call
from provider import Behaviour
from report import Figure, exactly
from topic_records import records
from traffic import job

from tollway_schemas import headers
from tollway_schemas.job import Job, Priority
from tollway_schemas.provenance import Provenance

WORKERS = ("w0", "w1")
ROUTE, FIRST, SECOND = "work", "first", "second"
_ACCOUNT = "fleet"
_LATENCY_MS = 300
_RULES = """
def answer(job):
    return "By rule."
"""
#: Seconds from an outage's begin until all workers know of it: breakers judge by failed calls.
_NOTICED = 8.0
#: Seconds before something changes in which a job may be under way on either rung.
_UNDER_WAY = 5.0
#: Seconds from an outage's end until work is back.
_BACK = 60.0
#: Times that a job may be published to a lane.
_MOST_HOPS = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """How large a run is. Times are seconds after the first call."""

    #: Jobs a second; each of so many takes live answers only.
    rate: float = 8.0
    live: int = 8
    #: Requests a minute of each lane's model.
    per_minute: int = 1_200
    #: Seconds that a job may take.
    deadline: float = 20.0
    first_down: float = 10.0
    second_down: float = 40.0
    second_up: float = 60.0
    first_up: float = 75.0
    ends: float = 150.0


FULL = Size()


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """A reply, as far as it says who made it."""

    job_id: str
    completed: bool
    lane: str | None
    provenance: str | None
    failure: str | None
    #: Unix seconds.
    created: float
    finished: float


@dataclass
class Replies:
    """What came back. Mutable state: all of it."""

    seen: list[Answered] = field(default_factory=list)

    def __call__(self, value: dict[str, Any]) -> None:
        """Take a reply."""
        self.seen.append(
            Answered(
                job_id=value["job_id"],
                completed=value["status"] == "completed",
                lane=value.get("lane"),
                provenance=value.get("provenance"),
                failure=(value.get("failure") or {}).get("failure_class"),
                created=datetime.fromisoformat(value["created_at"]).timestamp(),
                finished=datetime.fromisoformat(value["finished_at"]).timestamp(),
            )
        )


async def ladder(stage: Stage, size: Size = FULL) -> list[Figure]:
    """Every job is answered in time, on the rung that it should be on."""
    async with ground(stage, _setting(stage, size)) as here:
        (here.folder / "rules_of_run.py").write_text(_RULES)
        replies = Replies()
        here.traffic.on_reply = replies
        await here.fleet.start_all(WORKERS)
        await here.traffic.publish([_job("warm-up", size)])
        await here.traffic.until_answered(1, patience=PATIENCE)
        began = min(call.started for call in await here.provider.calls())
        number = 0
        while (now := time.time() - began) < size.ends:
            while number < now * size.rate:
                await here.traffic.publish(
                    [_job(f"job-{number:05}", size, live=_is_live(number, size))]
                )
                number += 1
            stage.say(f"{now:.0f} s, {len(here.traffic.answered):,} of {number:,} answered")
            await asyncio.sleep(1 / size.rate)
        await here.traffic.until_answered(number + 1, patience=PATIENCE)
        hops = await _hops(here)
        return _judge(replies.seen, await here.provider.calls(), size, began, hops)


def _is_live(number: int, size: Size) -> bool:
    return number % size.live == 0


def _job(name: str, size: Size, *, live: bool = False) -> Job:
    deadline = datetime.now(UTC) + timedelta(seconds=size.deadline)
    named = f"live-{name}" if live else name
    accept = (Provenance.LIVE,) if live else None
    made = job(named, ROUTE, Priority.INTERACTIVE)
    return made.model_copy(update={"deadline": deadline, "accept": accept})


def script(size: Size) -> str:
    """The provider's faults."""
    return f"""
[[fault]]
kind = "500"
models = ["{FIRST}"]
from_seconds = {size.first_down}
until_seconds = {size.first_up}

[[fault]]
kind = "500"
models = ["{SECOND}"]
from_seconds = {size.second_down}
until_seconds = {size.second_up}
"""


def _setting(stage: Stage, size: Size) -> Setting:
    lanes = "".join(
        f"""
[lanes.{lane}]
provider = "simulator"
model = "{lane}"
concurrency = 20
requests_per_minute = {size.per_minute}
burst = 0.5
shards = {len(WORKERS)}
"""
        for lane in (FIRST, SECOND)
    )
    route = f"""
[routes.{ROUTE}]
lanes = ["{FIRST}", "{SECOND}"]
fallback = "eager"
rule = "rules_of_run:answer"
journal = "metadata"
"""
    behaviour = Behaviour(
        latency=("--latency-ms", str(_LATENCY_MS), "--rpm", str(size.per_minute)),
        faults=script(size),
        seed=stage.seed,
    )
    return Setting(lanes=lanes + route, behaviour=behaviour, account=_ACCOUNT)


def _judge(
    seen: Sequence[Answered], calls: Sequence[Call], size: Size, began: float, hops: int
) -> list[Figure]:
    live = [each for each in seen if each.job_id.startswith("live-")]
    others = [each for each in seen if not each.job_id.startswith("live-")]
    by_second = _made(others, began, size.first_down + _NOTICED, size.second_down - _UNDER_WAY)
    by_rule = _made(others, began, size.second_down + _NOTICED, size.second_up - _UNDER_WAY)
    back = [
        each.finished - began - size.first_up
        for each in others
        if each.lane == FIRST and each.finished > began + size.first_up
    ]
    later = _made(others, began, size.first_up + _BACK, size.ends)
    wrong = [each for each in live if each.completed and each.provenance != "live"]
    ended = Counter(each.failure for each in live if not each.completed)
    return [
        *exactly("jobs answered once", len({each.job_id for each in seen}), len(seen)),
        Figure(
            name="jobs without an answer in their deadline",
            value=sum(not _in_time(each, size) for each in others),
            bound=0,
        ),
        *_all_on("the second lane, the first being dead", by_second, {SECOND}, "fallback"),
        *_all_on("a rule, both being dead", by_rule, {None, FIRST, SECOND}, "rule"),
        Figure(
            name="seconds from the first lane's return to its first answer",
            value=min(back, default=float("inf")),
            bound=_BACK,
        ),
        *_all_on("the first lane a minute after its return", later, {FIRST}, "live"),
        Figure(name="jobs that take live answers and got another", value=len(wrong), bound=0),
        Figure(
            name="of them ended otherwise than expired",
            value=ended.total() - ended["expired"],
            bound=0,
            note=f"{ended['expired']} expired, {sum(each.completed for each in live)} answered",
        ),
        Figure(
            name="calls over a lane's limit",
            value=len(outage_judge.over_the_limit(calls)),
            bound=0,
        ),
        Figure(name="hops of a job, at most", value=hops, bound=_MOST_HOPS),
    ]


def _made(seen: Sequence[Answered], began: float, begin: float, end: float) -> list[Answered]:
    """Those that were asked for in that time."""
    return [each for each in seen if began + begin <= each.created < began + end]


def _in_time(each: Answered, size: Size) -> bool:
    return each.completed and each.finished <= each.created + size.deadline


def _all_on(
    what: str, found: Sequence[Answered], lanes: Collection[str | None], provenance: str
) -> list[Figure]:
    right = sum(each.lane in lanes and each.provenance == provenance for each in found)
    return [Figure(name=f"answers by {what}", value=right, bound=max(1, len(found)), kind="least")]


async def _hops(here: Ground) -> int:
    """Most times that a job was published to a lane's topics, the hops that its headers count."""
    names = here.traffic.names
    topics = [names.lane(lane, priority) for lane in (FIRST, SECOND) for priority in Priority]
    found = [record for topic in topics for record in await records(here.servers, topic)]
    return max((int(headers.get(each.headers, headers.HOPS) or 0) for each in found), default=0)
