"""Scenario: dead letters of seven causes are told apart, mended and redriven, beside live jobs.

The command that revalidates one group is killed again and again with SIGKILL, two operators work on
one route at once, and a canary meets a cause that nobody has mended. The judge reads what lies in
Kafka's topics, as any reader does: the highest generation of a job counts.
"""

import asyncio
import json
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from random import Random
from typing import Any

import orjson
from ground import PATIENCE, Ground, Setting, Stage, ground
from plants import CAUSES, FILES, OTHER, ROUTE, Cause, answer_key, fault_script, jobs_of, planted
from provider import TOLLWAY, Behaviour, environment
from redrive_judge import Command, Told, judged
from topic_records import records
from traffic import job

from tollway_schemas.job import Priority

WORKERS = ("w0", "w1")
#: Seconds that a redrive would take which is killed, for each kill: it lives shorter than that.
_BETWEEN_KILLS = 3.0
#: Seconds that one operator's redrive would take, while another begins.
_BOTH_AT_WORK = 10.0
#: Seconds between two looks at the marks.
_POLL = 0.02

_LANES = f"""
[lanes.main]
provider = "simulator"
model = "main"
concurrency = 100
shards = 2
[lanes.other]
provider = "simulator"
model = "other"
concurrency = 100
shards = 2
[routes.{ROUTE}]
lanes = ["main"]
journal = "metadata"
[routes.{OTHER}]
lanes = ["other"]
journal = "metadata"
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """How large a run is."""

    letters: int = 5_000
    kills: int = 10
    #: Live jobs a second.
    live: float = 20.0
    #: Seconds of them before anything is redriven, to compare with.
    before: float = 15.0
    canary: int = 20


FULL = Size()


@dataclass
class Watch:
    """What a service sees of all replies. Mutable state: the replies."""

    #: By job: of each reply its generation, status, answer and provenance.
    replies: defaultdict[str, list[Mapping[str, Any]]] = field(
        default_factory=lambda: defaultdict(list)
    )
    #: Of live jobs, seconds from handing over to the reply, and when that came.
    live: list[tuple[float, float]] = field(default_factory=list)

    def take(self, reply: dict[str, Any]) -> None:
        """Note one."""
        name = reply["job_id"]
        if name.startswith("live-"):
            self.live.append((time.time(), time.time() - float(reply["labels"]["at"])))
        else:
            self.replies[name].append(reply)

    def generation(self, name: str) -> int:
        """The highest that has a reply."""
        return max((each["generation"] for each in self.replies[name]), default=0)


async def redrive(stage: Stage, size: Size = FULL) -> list[Any]:
    """Each job is answered once, right, and nobody waits for it."""
    plants = planted(size.letters)
    behaviour = Behaviour(
        seed=stage.seed,
        latency=("--latency-ms", "50"),
        faults=fault_script(plants),
        answers=answer_key(plants),
    )
    async with ground(stage, Setting(lanes=_LANES, behaviour=behaviour)) as here:
        watch = Watch()
        here.traffic.on_reply = watch.take
        for name, value in FILES.items():
            (here.folder / name).write_text(json.dumps(value))
        await here.fleet.start_all(WORKERS)
        await _plant(stage, here, plants)
        told = Told(plants=plants, watch=watch)
        groups = await _command(here, "groups", "--run", "planted")
        if groups.status:
            raise RuntimeError(f"`groups` ended with {groups.status}: {groups.sentence}")
        told.groups = json.loads(groups.said)["groups"]
        async with _live(here, size.live):
            await asyncio.sleep(size.before)
            told.redrives_began = time.time()
            await _mend_all(stage, here, size, told)
            told.redrives_ended = time.time()
        told.calls = await here.provider.calls()
        told.jobs = await _published(here)
        return judged(told, size.kills, size.canary)


async def _plant(stage: Stage, here: Ground, plants: Mapping[Cause, Sequence[str]]) -> None:
    count = sum(map(len, plants.values()))
    stage.say(f"planting {count:,} dead letters")
    await here.traffic.publish_all(jobs_of(plants))
    while len({letter.job_id for letter in here.traffic.letters}) < count:
        if not await here.traffic.until_answered(len(here.traffic.answered) + 1, patience=PATIENCE):
            raise RuntimeError(f"only {len(here.traffic.letters)} of {count} were given up")


async def _mend_all(stage: Stage, here: Ground, size: Size, told: Told) -> None:
    by_cause = {cause.name: cause for cause in CAUSES}
    prints = {
        group["example"]["job_id"].rpartition("-")[0]: group["fingerprint"] for group in told.groups
    }

    def meant(name: str) -> tuple[str, ...]:
        return "--fingerprint", prints.get(name, name), "--run", "planted"

    stage.say("revalidating, under SIGKILL")
    fix = ("--revalidate", "--schema", "right.json", *meant("schema"))
    told.calls_before = len(await here.provider.calls())
    slowly = _rate(told, "schema", size.kills * _BETWEEN_KILLS)
    for number in range(size.kills):
        await _killed(here, told, (*fix, *slowly), Random(stage.seed + number))
    told.commands["revalidate"] = await _command(here, "redrive", "--yes", *fix)
    await _until(told, "schema", 2)
    stage.say("a canary, and two operators")
    canary = ("--canary", str(size.canary), "--canary-within", "1m")
    told.commands["canary"] = await _command(here, "redrive", "--yes", *canary, *meant("refused"))
    told.canary_published = _redriven(await _published(here), "refused-")
    slowly = _rate(told, "context", _BOTH_AT_WORK)
    told.commands["one"], told.commands["two"] = await _both(here, (*slowly, *meant("context")))
    for name in ("refused", "context", "broken", "truncated", "invalid", "expired"):
        stage.say(f"redriving {name}")
        more = by_cause[name].mended_by
        told.commands[name] = await _command(here, "redrive", "--yes", *more, *meant(name))
        await _until(told, name, 2)


def _rate(told: Told, name: str, seconds: float) -> tuple[str, str]:
    """So slow that all of a cause would take so long."""
    return "--rate", f"{len(_ids(told, name)) / seconds:.3f}/s"


def _ids(told: Told, name: str) -> Sequence[str]:
    return next(ids for cause, ids in told.plants.items() if cause.name == name)


async def _killed(here: Ground, told: Told, options: Sequence[str], dice: Random) -> None:
    """SIGKILL to a redrive, at some moment after it has begun to write."""
    before = await _marks(here)
    process = await _start(here, "redrive", "--yes", *options)
    while process.returncode is None and await _marks(here) == before:  # noqa: ASYNC110 Kafka sends no event
        await asyncio.sleep(_POLL)
    await asyncio.sleep(dice.uniform(0.0, 0.2))
    if process.returncode is None:
        process.kill()
        told.kills += 1
    await process.communicate()


async def _both(here: Ground, meant: Sequence[str]) -> tuple[Command, Command]:
    """Two operators on one route: the second begins while the first is at work."""
    mending = ("--edit", "shorter.json", "--yes", *meant)
    before = await _marks(here)
    first = asyncio.create_task(_command(here, "redrive", *mending))
    while not first.done() and await _marks(here) == before:  # noqa: ASYNC110 Kafka sends no event
        await asyncio.sleep(_POLL)
    second = await _command(here, "redrive", *mending)
    return await first, second


async def _until(told: Told, name: str, generation: int) -> None:
    """Wait until all jobs of a cause have a reply of that generation, or none comes any more."""
    left, moved = set(_ids(told, name)), time.monotonic()
    while left and time.monotonic() - moved < PATIENCE:
        done = {each for each in left if told.watch.generation(each) >= generation}
        if done:
            left, moved = left - done, time.monotonic()
        await asyncio.sleep(0.1)


async def _published(here: Ground) -> list[tuple[str, int]]:
    """Job and generation of every job of the planted ones that lies on a topic of a route."""
    names = here.traffic.names
    topics = [names.jobs(route, priority) for route in (ROUTE, OTHER) for priority in Priority]
    found = []
    for topic in topics:
        for record in await records(here.servers, topic):
            value = orjson.loads(record.value or b"{}")
            if value.get("run") == "planted":
                found.append((value["id"], value["generation"]))
    return found


def _redriven(published: Sequence[tuple[str, int]], begin: str) -> int:
    return sum(generation > 1 and name.startswith(begin) for name, generation in published)


async def _marks(here: Ground) -> int:
    return len(await records(here.servers, here.traffic.names.marks))


@asynccontextmanager
async def _live(here: Ground, rate: float) -> AsyncIterator[None]:
    """Jobs that come meanwhile, half of them interactive, for the time of the block."""

    async def publish() -> None:
        number = 0
        while True:
            priority = Priority.INTERACTIVE if number % 2 else Priority.BULK
            live = job(f"live-{number:06}", ROUTE, priority)
            labels = {"at": str(time.time())}
            await here.traffic.publish([live.model_copy(update={"labels": labels})])
            number += 1
            await asyncio.sleep(1 / rate)

    publishing = asyncio.create_task(publish())
    try:
        yield
    finally:
        publishing.cancel()
        await asyncio.gather(publishing, return_exceptions=True)


async def _command(here: Ground, *arguments: str) -> Command:
    process = await _start(here, *arguments)
    said, sentence = await process.communicate()
    return Command(
        status=process.returncode or 0, said=said.decode(), sentence=sentence.decode().strip()
    )


async def _start(here: Ground, *arguments: str) -> asyncio.subprocess.Process:
    config = str((here.folder / "topics.toml").absolute())
    return await asyncio.create_subprocess_exec(
        *(*TOLLWAY, "dead-letters", *arguments, "--json", "--config", config),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        cwd=here.folder,
        env=environment(here.folder),
    )
