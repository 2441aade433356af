"""Scenario: half of all jobs are cancelled while they are called, wait, or are not yet read.

The acknowledgement is what the workers' heartbeats say, by Kafka's own time: `tollway cancel` waits
for it. No call of a cancelled job may start after it, and each that was in flight has lost its
connection within a second of the command.
"""

import asyncio
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random

import orjson
from ground import PATIENCE, Ground, Setting, Stage, ground
from judge import ARRIVAL, Call
from provider import TOLLWAY, Behaviour, environment
from report import Figure, exactly
from topic_records import records
from traffic import jobs

WORKERS = ("w0", "w1", "w2")
#: Seconds within which a connection of a cancelled job is closed.
_CLOSED_WITHIN = 1.0
#: A call lasts 4 seconds: the command is there long before most jobs are called.
_LATENCY = ("--latency-ms", "4000")

_LANES = """
[lanes.main]
provider = "simulator"
model = "scripted"
concurrency = 60
shards = 4
[routes.work]
lanes = ["main"]
journal = "metadata"
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """How large a run is."""

    jobs: int = 1_000
    #: Jobs that are done before any is cancelled.
    before: int = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What Kafka's topics say of the commands; times are Kafka's own."""

    #: When the command that names a job was written.
    written: Mapping[str, float]
    #: When the last worker's heartbeat said that it had applied them all.
    applied: float
    #: When the command line returned.
    returned: float
    workers: Sequence[str]


FULL = Size()


async def cancel(stage: Stage, size: Size = FULL) -> list[Figure]:
    """No call starts after the acknowledgement, and what was in flight is closed in a second."""
    setting = Setting(lanes=_LANES, behaviour=Behaviour(seed=stage.seed, latency=_LATENCY))
    async with ground(stage, setting) as here:
        wanted = jobs(size.jobs, ("work",))
        dice = Random(stage.seed)
        gone = {each.id for each in dice.sample(wanted, size.jobs // 2)}
        await here.fleet.start_all(WORKERS)
        await here.traffic.publish(wanted)
        await here.traffic.until_answered(size.before, patience=PATIENCE)
        # Calls end all at about the same time: the command comes somewhere between.
        await asyncio.sleep(dice.uniform(0.0, 2.0))
        stage.say(f"cancelling {len(gone)} jobs")
        workers = await _cancel(here, sorted(gone))
        told = await _told(here, workers, time.time())
        await here.traffic.until_answered(size.jobs, patience=PATIENCE)
        return _judge(here, await here.provider.calls(), gone, told)


def _judge(here: Ground, calls: Sequence[Call], gone: set[str], told: Told) -> list[Figure]:
    replies = here.traffic.replies
    of_gone = [call for call in calls if call.job_id in gone]
    answered = {call.job_id for call in of_gone if call.ending == "ok"}
    kept = {each.job_id for each in replies if each.status == "completed"} - gone
    statuses = [each.status for each in replies if each.job_id in gone]
    return [
        *exactly("workers that applied it", len(told.workers), len(WORKERS)),
        *_starts(of_gone, told),
        *_ends(of_gone, told),
        Figure(
            name="cancelled jobs that were never called",
            value=len(gone - {call.job_id for call in of_gone}),
            bound=len(gone) // 2,
            kind="least",
            note="or it came too late to tell anything",
        ),
        *exactly("replies to cancelled jobs", len(statuses), len(gone)),
        Figure(
            name="that say cancelled",
            value=statuses.count("cancelled"),
            bound=len(gone - answered),
            kind="least",
            note="all without an answer; one that came while it was said may be either",
        ),
        *exactly("other jobs answered", len(kept), len(here.traffic.acknowledged - gone)),
        Figure(name="dead letters", value=len(here.traffic.letters), bound=0),
    ]


def _starts(of_gone: Sequence[Call], told: Told) -> list[Figure]:
    """What started after somebody was told that nothing would."""
    heard = [call for call in of_gone if call.started > told.applied + ARRIVAL]
    seen = [call for call in of_gone if call.started > told.returned]
    return [
        Figure(
            name="calls of cancelled jobs after it",
            value=len(heard),
            bound=0,
            note=f"after the last worker's heartbeat, and {ARRIVAL:g} s to arrive",
        ),
        Figure(name="calls of them after the command line", value=len(seen), bound=0),
        Figure(
            name="seconds to the acknowledgement", value=told.applied - min(told.written.values())
        ),
    ]


def _ends(of_gone: Sequence[Call], told: Told) -> list[Figure]:
    """How long connections of cancelled jobs stayed open; one that is open still, for ever."""
    open_then = [
        call
        for call in of_gone
        if call.started <= told.written[call.job_id]
        and (call.ended is None or call.ended > told.written[call.job_id])
    ]
    # Also those that began between the command and its being read.
    open_for = [
        (call.ended or told.returned + 60.0) - told.written[call.job_id] for call in of_gone
    ]
    return [
        Figure(
            name="calls that were in flight when it was written",
            value=len(open_then),
            bound=10,
            kind="least",
        ),
        Figure(
            name="seconds until the last was closed",
            value=max(open_for, default=0.0),
            bound=_CLOSED_WITHIN,
            note="after its command was written",
        ),
    ]


async def _cancel(here: Ground, names: list[str]) -> list[str]:
    """`tollway cancel`; the workers that applied it."""
    process = await asyncio.create_subprocess_exec(
        *(*TOLLWAY, "cancel", "--json", "--config", str(here.folder / "topics.toml"), *names),
        stdout=asyncio.subprocess.PIPE,
        env=environment(here.folder),
    )
    said, _ = await process.communicate()
    if process.returncode != 0:
        raise RuntimeError(f"tollway cancel: {said.decode()}")
    return list(json.loads(said)["applied_by"])


async def _told(here: Ground, workers: Sequence[str], returned: float) -> Told:
    names = here.traffic.names
    commands = await records(here.servers, names.commands)
    last = max(record.offset for record in commands)
    first_words: dict[str, float] = {}
    for record in await records(here.servers, names.heartbeats):
        beat = orjson.loads(record.value or b"{}")
        if beat["commands"] > last:
            first_words.setdefault(beat["worker"], record.timestamp)
    return Told(
        written={
            job: record.timestamp
            for record in commands
            for job in orjson.loads(record.value or b"{}")["jobs"]
        },
        applied=max(first_words[name] for name in WORKERS),
        returned=returned,
        workers=workers,
    )
