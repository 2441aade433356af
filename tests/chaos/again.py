"""Scenario: a third of the jobs ask what was asked before, while workers are killed at random.

Four workers, then one alone, then one that begins with nothing. The judge is the simulator's list
of calls: each question is paid for once, but for what was in flight at a kill, and for what was
asked of two workers within a second.
"""

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from random import Random
from typing import Any

from again_judge import Question, Told, cold_figures, judged
from eventually import eventually
from ground import PATIENCE, Ground, Setting, Stage, ground
from provider import Behaviour
from report import Figure
from topic_records import records

from tollway_schemas.cache import CacheEntry, is_mark
from tollway_schemas.codec import decode
from tollway_schemas.job import Job
from tollway_schemas.keys import job_key
from tollway_schemas.request import ChatRequest, Message
from tollway_workers.kafka.produce.partitioner import partition_of

WORKERS = ("w0", "w1", "w2", "w3")
#: Whoever is asked last, and has no copy.
COLD = "cold"
#: All workers call as one: the address is a part of what is asked.
ACCOUNT = "fleet"
TENANTS = ("acme", "bolt", "crag", "dune")
ROUTE = "ask"
#: The part of jobs that repeat others, and of those that follow the first at once.
REPEATS, AT_ONCE = 0.3, 0.3
#: Seconds that a copy may take to catch up.
_CATCHES_UP = 120.0
_LANES = f"""
[lanes.main]
provider = "simulator"
model = "main"
concurrency = 160
[routes.{ROUTE}]
lanes = ["main"]
journal = "metadata"
[routes.{ROUTE}.cache]
exact = true
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """How large a run is; one worker alone gets half of it."""

    jobs: int = 10_000
    rate: float = 80.0
    #: Seconds between two kills, at least and at most.
    between: tuple[float, float] = (6.0, 12.0)


FULL = Size()


async def again(stage: Stage, size: Size = FULL) -> list[Figure]:
    """Each question is paid for once."""
    four = await _part(stage, size, WORKERS, size.jobs)
    one = await _part(stage, size, WORKERS[:1], size.jobs // 2)
    return [*four, *one]


async def _part(stage: Stage, size: Size, workers: Sequence[str], count: int) -> list[Figure]:
    part = "four" if len(workers) > 1 else "one"
    setting = Setting(
        lanes=_LANES,
        behaviour=Behaviour(
            latency=("--profile", "flash-lite", "--latency-scale", "0.5"), seed=stage.seed
        ),
        account=ACCOUNT,
    )
    async with ground(stage, setting, part) as here:
        asked = questions(count, Random(stage.seed))
        told = Told(questions=asked, partition_of=partial(_partition, setting.partitions))
        here.traffic.on_reply = _note_in(told)
        await here.fleet.start_all(workers)
        await _caught_up(here, workers)
        killing = asyncio.create_task(_kill(stage, here, workers, size))
        try:
            wanted = [job_of(name, question) for name, question in asked.items()]
            await here.traffic.publish(wanted, rate=size.rate)
        finally:
            killing.cancel()
            await asyncio.gather(killing, return_exceptions=True)
        await here.fleet.start_all([name for name in workers if name not in here.fleet.running])
        await here.traffic.until_answered(count, patience=PATIENCE)
        told.calls = await here.provider.calls()
        told.blows, told.endings = here.fleet.blows, here.traffic.replies
        told.stored = await _stored(here)
        figures = judged(told, alone=len(workers) == 1)
        if len(workers) > 1:
            figures += await _cold(stage, here, told)
        figures.append(
            Figure(name="workers that ended by themselves", value=len(here.fleet.deaths), bound=0)
        )
        return [_named(part, figure) for figure in figures]


def questions(count: int, dice: Random) -> dict[str, Question]:
    """By job, in the order in which they are asked: some repeat one that was asked before."""
    asked: list[Question] = []
    new = 0
    for _ in range(count):
        if asked and dice.random() < REPEATS:
            asked.append(asked[-1] if dice.random() < AT_ONCE else dice.choice(asked))
        else:
            # All tenants ask the same words, one after the other.
            words, tenant = divmod(new, len(TENANTS))
            asked.append(Question(TENANTS[tenant], words))
            new += 1
    return {f"job-{number:05}": question for number, question in enumerate(asked)}


def job_of(name: str, question: Question) -> Job:
    """A job with an hour to go."""
    now = datetime.now(UTC)
    content = f"What is {question.number} in words?"
    return Job(
        id=name,
        route=ROUTE,
        tenant=question.tenant,
        request=ChatRequest(
            messages=(Message(role="user", content=content),), max_output_tokens=64
        ),
        created_at=now,
        deadline=now + timedelta(hours=1),
    )


def _partition(partitions: int, job: str) -> int:
    return partition_of(job_key(job), partitions)


def _note_in(told: Told) -> Any:
    def note(reply: dict[str, Any]) -> None:
        told.replies.setdefault(reply["job_id"], reply)

    return note


async def _kill(stage: Stage, here: Ground, workers: Sequence[str], size: Size) -> None:
    """SIGKILL to one or another, until cancelled; each is started again."""
    dice = Random(stage.seed + 1)
    while True:
        await asyncio.sleep(dice.uniform(*size.between))
        running = [name for name in here.fleet.running if name in workers]
        if running:
            name = dice.choice(running)
            stage.say(f"killing {name}; {len(here.traffic.answered):,} answered")
            # Not broken off half-way: a worker that is not started again would be missed.
            await asyncio.shield(here.fleet.crash(name))


async def _cold(stage: Stage, here: Ground, told: Told) -> list[Figure]:
    """All leave; one that has no copy is asked every question once more."""
    stage.say("a cold worker")
    before = len(told.calls)
    await asyncio.gather(*(here.fleet.leave(name) for name in here.fleet.running))
    await here.fleet.start_all([COLD])
    await _caught_up(here, [COLD])
    known = dict.fromkeys(told.questions.values())
    late = Told(questions={f"cold-{n:05}": each for n, each in enumerate(known)})
    here.traffic.on_reply = _note_in(late)
    await here.traffic.publish_all(job_of(*each) for each in late.questions.items())
    wanted = len(here.traffic.answered) + len(late.questions)
    await here.traffic.until_answered(wanted, patience=PATIENCE)
    return cold_figures(late, len(await here.provider.calls()) - before)


async def _caught_up(here: Ground, names: Sequence[str]) -> None:
    async def serve() -> bool:
        told = await here.fleet.metrics()
        return all(told.get(name, {}).get("tollway_cache_serves") == 1.0 for name in names)

    await eventually(serve, _CATCHES_UP)


async def _stored(here: Ground) -> dict[str, list[float]]:
    """By job, when the answers to it were written that stand in the cache's topic."""
    found: defaultdict[str, list[float]] = defaultdict(list)
    for each in await records(here.servers, here.traffic.names.cache):
        if each.value and not is_mark(each.key):
            entry = decode(CacheEntry, each.value)
            found[entry.source.job_id].append(entry.answered_at.timestamp())
    return found


def _named(part: str, figure: Figure) -> Figure:
    return Figure(
        name=f"{part}: {figure.name}",
        value=figure.value,
        bound=figure.bound,
        kind=figure.kind,
        note=figure.note,
    )
