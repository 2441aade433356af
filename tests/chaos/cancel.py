"""Scenario: half of all jobs are cancelled while they are called, wait, or are not yet read.

Operators see an acknowledgement; after it no call of a cancelled job may start, and those that were
in flight have lost their connection.
"""

import asyncio
import json
import time
from dataclasses import dataclass
from random import Random

from ground import PATIENCE, Ground, Setting, Stage, ground
from judge import Call
from provider import TOLLWAY, Behaviour, environment
from report import Figure, exactly
from traffic import jobs

WORKERS = ("w0", "w1", "w2")
#: Seconds within which a connection of a cancelled job is closed.
_CLOSED_WITHIN = 1.0

_LANES = """
[lanes.main]
provider = "simulator"
model = "scripted"
concurrency = 120
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
    before: int = 100


FULL = Size()


async def cancel(stage: Stage, size: Size = FULL) -> list[Figure]:
    """No call starts after the acknowledgement, and what was in flight is closed in a second."""
    setting = Setting(lanes=_LANES, behaviour=Behaviour(seed=stage.seed))
    async with ground(stage, setting) as here:
        wanted = jobs(size.jobs, ("work",))
        dice = Random(stage.seed)
        gone = {each.id for each in dice.sample(wanted, size.jobs // 2)}
        await here.fleet.start_all(WORKERS)
        await here.traffic.publish(wanted)
        await here.traffic.until_answered(size.before, patience=PATIENCE)
        stage.say(f"cancelling {len(gone)} jobs")
        said = time.time()
        told = await _cancel(here, sorted(gone))
        acknowledged = time.time()
        await here.traffic.until_answered(size.jobs, patience=PATIENCE)
        return _judge(here, await here.provider.calls(), gone, told, (said, acknowledged))


def _judge(
    here: Ground,
    calls: list[Call],
    gone: set[str],
    told: list[str],
    times: tuple[float, float],
) -> list[Figure]:
    said, acknowledged = times
    of_gone = [call for call in calls if call.job_id in gone]
    late = [call for call in of_gone if call.started > acknowledged]
    cut = [call for call in of_gone if (call.ended or acknowledged + 60.0) > said]
    slowest = max(((call.ended or acknowledged + 60.0) - said for call in cut), default=0.0)
    statuses = [each.status for each in here.traffic.replies if each.job_id in gone]
    answered = {call.job_id for call in of_gone if call.ending == "ok"}
    kept = {each.job_id for each in here.traffic.replies if each.status == "completed"} - gone
    return [
        *exactly("workers that applied it", len(told), len(WORKERS)),
        Figure(name="calls of cancelled jobs after it", value=len(late), bound=0),
        Figure(
            name="calls that were in flight when it was said",
            value=sum(call.started <= said for call in cut),
            bound=1,
            kind="least",
        ),
        Figure(
            name="seconds until the last was closed",
            value=slowest,
            bound=acknowledged - said + _CLOSED_WITHIN,
            note="the acknowledgement and a second",
        ),
        Figure(name="seconds to the acknowledgement", value=acknowledged - said),
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
