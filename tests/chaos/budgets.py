"""Scenario: three budgets that overlap, and a fleet that is killed and frozen while it spends them.

The judge is the simulator's bill, which counts tokens by another rule than a claim does. Beside it
workers that know nothing of each other, as processes that keep a counter each.
"""

import asyncio
import json
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from random import Random

import schedule
from beside import Beside, beside
from ground import PATIENCE, PREFIX, Ground, Setting, Stage, ground
from provider import Behaviour
from report import Figure
from schedule import Act, Step
from traffic import Traffic, job

from tollway_schemas.codec import encode
from tollway_schemas.job import Job
from tollway_schemas.ledger import RUN_BUDGET, Pot, closing_key
from tollway_schemas.topics import TopicNames
from tollway_workers.budgets.ledger import Ledger
from tollway_workers.budgets.standings import GONE_AFTER
from tollway_workers.cli.budgets.closing import BY_JOURNAL, closings
from tollway_workers.cli.budgets.reading import reading
from tollway_workers.cli.shared.topic_scan import Place
from tollway_workers.config.shape.kafka import KafkaSettings
from tollway_workers.kafka.read.log_reader import LogReader
from tollway_workers.kafka.talk.command_log import send

#: Tokens of an answer at most; it has half of them.
_ANSWER = 24
#: Pico-USD that one call claims: 62 tokens of prompt, and its answer.
DEAREST = 62 * 150_000 + _ANSWER * 600_000
#: Seconds of a day here: long enough for a slow machine to spend what it may.
DAY = 90.0
#: Seconds after a turn in which calls may still have the permit of the window before.
_LATE = 2.0
RUN = "loop"
#: Of a fleet's day, of tenant a, of one run, where the smallest is 0.5. The day's is less than what
#: the others allow, so that it is spent before they are.
_PARTS = {"fleet": 0.5, "tenant": 0.6, "run": 0.5}

_LANES = """
[lanes.main]
provider = "simulator"
model = "main"
concurrency = 160
max_output_tokens = 64
[routes.of-a]
lanes = ["main"]
tenant = "a"
journal = "metadata"
[routes.of-all]
lanes = ["main"]
journal = "metadata"
[budgets.fleet]
usd = {fleet}
per = "day"
on_exceeded = "wait"
[budgets.tenant]
usd = {tenant}
per = "total"
each = "tenant"
routes = ["of-a"]
on_exceeded = "fail"
"""
#: A day of a minute and a half, by the same arithmetic: Python loads this module before any other.
_SHORT_DAYS = f"""
from tollway_workers.budgets import windows
_real = windows.window_at
def window_at(per, at):
    if per != "day":
        return _real(per, at)
    number = int(at // {DAY})
    return windows.Window(f"day-{{number}}", number * {DAY}, (number + 1) * {DAY})
windows.window_at = window_at
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """How large a run is."""

    workers: int = 8
    #: Times its dearest call that the smallest budget is.
    calls: int = 2_000
    kills: int = 50
    #: Seconds of acts.
    seconds: float = 200.0
    jobs: int = 18_000
    #: Workers that keep a counter each, beside it; 0: none.
    counters: int = 3


FULL = Size()


async def budgets(stage: Stage, size: Size = FULL) -> list[Figure]:
    """No budget is passed by the provider's bill, and nearly all of each is used."""
    limits = {name: int(size.calls * DEAREST * part / 0.5) for name, part in _PARTS.items()}
    setting = _setting(stage, limits)
    names = tuple(f"w{number}" for number in range(size.workers))
    async with ground(stage, setting) as here:
        (here.folder / "sitecustomize.py").write_text(_SHORT_DAYS)
        await here.fleet.start_all(names)
        wanted = _jobs(size, limits["run"])
        doubts: list[Figure] = []
        async with asyncio.TaskGroup() as group:
            group.create_task(here.traffic.publish(wanted, rate=size.jobs / size.seconds))
            group.create_task(_play(stage, here, size, names, doubts))
        await here.traffic.until_answered(size.jobs, patience=PATIENCE + DAY)
        for name in here.fleet.running:
            await here.fleet.leave(name)
        ledger, calls = await _ledger(here), await _billed(here)
        figures = _judged(ledger, calls, limits, wanted)
        beside_it = await _counters(stage, here, setting, size, limits) if size.counters else []
        lost = here.traffic.acknowledged - here.traffic.answered
        return [
            *figures,
            *doubts,
            Figure(name="jobs without a reply", value=len(lost), bound=0),
            Figure(name="dead letters", value=len(here.traffic.letters), bound=0),
            Figure(name="workers that ended by themselves", value=len(here.fleet.deaths), bound=0),
            *beside_it,
        ]


def _setting(stage: Stage, limits: Mapping[str, int]) -> Setting:
    usd = {name: f"{Decimal(limit) / 10**12:.12f}" for name, limit in limits.items()}
    behaviour = Behaviour(latency=("--latency-ms", "400"), seed=stage.seed)
    return Setting(lanes=_LANES.format(**usd), behaviour=behaviour)


def _jobs(size: Size, run_limit: int) -> list[Job]:
    """Half for tenant a, the others in the run."""
    stated = Decimal(run_limit) / 10**12
    made = []
    for number in range(size.jobs):
        route = "of-a" if number % 2 else "of-all"
        each = job(f"{route}-{number:06}", route, answer_limit=_ANSWER)
        changed: dict[str, object] = {"deadline": each.created_at + timedelta(minutes=20)}
        if number % 2 == 0:
            changed |= {"run": RUN, "run_budget_usd": stated, "id": f"run-{number:06}"}
        made.append(each.model_copy(update=changed))
    return made


async def _play(
    stage: Stage, here: Ground, size: Size, names: Sequence[str], doubts: list[Figure]
) -> None:
    """Kill and freeze; at each kill see that the ledger holds the truth about the one that died."""
    rng = Random(stage.seed)
    steps = schedule.churn(stage.seed, names, size.seconds, 6.0)
    steps = [step for step in steps if step.act is not Act.RESTART]
    spare = size.kills - sum(step.act is Act.KILL for step in steps)
    for number in range(max(0, spare)):
        at = (number + 0.5) * size.seconds / max(1, spare)
        steps.append(Step(at=at, act=Act.KILL, worker=rng.choice(names)))
    steps.sort(key=lambda step: step.at)
    outside, kills, began = 0, 0, time.monotonic()
    running: set[asyncio.Task[None]] = set()
    for step in steps:
        await asyncio.sleep(max(0.0, began + step.at - time.monotonic()))
        stage.say(f"{len(here.traffic.answered):,} answered, {kills} kills, {step.act} next")
        if step.worker not in here.fleet.running and step.act is not Act.JOIN:
            continue
        if step.act is not Act.KILL:
            running.add(asyncio.create_task(here.fleet.act(step)))
            continue
        if here.fleet[step.worker].frozen:
            continue
        await here.fleet.kill(step.worker)
        kills += 1
        await _close_by_journal(here, step.worker)
        outside += not await _holds_the_truth(here, step.worker)
        await here.fleet.start(step.worker)
    await asyncio.gather(*running)
    doubts += [
        Figure(name="kills", value=kills),
        Figure(
            name="kills at which the bill was not in [settled, granted]", value=outside, bound=0
        ),
    ]


async def _close_by_journal(here: Ground, worker: str) -> None:
    """As `tollway ledger close --by-journal` for all that a worker had, but at once: it is dead."""
    kafka = KafkaSettings(bootstrap_servers=here.servers, prefix=PREFIX)
    at = datetime.now(UTC)
    async with reading(Place(kafka), spenders=False) as found:
        lines = [
            line
            for line in found.view.parts(time.time() + GONE_AFTER + 1.0, turned=False)
            if line.process.rpartition("@")[0] == worker and line.doubt
        ]
        journaled = await found.journaled(lines)
    records = closings(lines, BY_JOURNAL, journaled, at=at, by="chaos", why="killed")
    written = [(closing_key(each.pot, each.process), encode(each)) for each in records]
    client = {"bootstrap_servers": here.servers}
    await send(client, TopicNames(PREFIX).ledger, written)


async def _holds_the_truth(here: Ground, worker: str) -> bool:
    """Whether what a worker's processes were billed lies between what they settled, by ledger and
    journal, and what counts for them once the journal has closed their doubt.
    """
    calls = [each for each in await _billed(here) if each["source"] == worker]
    billed = sum(int(str(each["cost_pico_usd"])) for each in calls if _of_tenant(each))
    parts = (await _ledger(here)).pots.get(Pot("tenant", "a", "total"))
    mine = [] if parts is None else parts.parts.items()
    own = [each for name, each in mine if name.rpartition("@")[0] == worker]
    return sum(each.settled for each in own) <= billed <= sum(each.counts for each in own)


def _judged(
    ledger: Ledger,
    calls: Sequence[Mapping[str, object]],
    limits: Mapping[str, int],
    wanted: Iterable[Job],
) -> list[Figure]:
    of_run = {each.id for each in wanted if each.run is not None}
    days: Counter[int] = Counter()
    late: Counter[int] = Counter()
    tenant = run = 0
    for call in calls:
        cost, started = int(str(call["cost_pico_usd"])), float(str(call["started"]))
        (late if started % DAY < _LATE else days)[int(started // DAY)] += cost
        tenant += cost if _of_tenant(call) else 0
        run += cost if str(call["job_id"]).partition("/")[0] in of_run else 0
    day, fullest = max(days.items(), key=lambda each: each[1], default=(0, 0))
    pots = {
        # What begins in its first moments may have the permit of the day before.
        "fleet": (fullest, fullest + late[day], Pot("fleet", None, f"day-{day}")),
        "tenant": (tenant, tenant, Pot("tenant", "a", "total")),
        "run": (run, run, Pot(RUN_BUDGET, RUN, "total")),
    }
    figures = []
    for name, (billed, used, pot) in pots.items():
        figures.append(_part(f"{name}: bill of its budget", billed, limits[name]))
        figures.append(
            Figure(
                name=f"{name}: used of what calls in flight at a kill left",
                value=used / max(1, limits[name] - _doubt(ledger, pot)),
                bound=0.9,
                kind="least",
            )
        )
        figures.append(
            Figure(
                name=f"{name}: left in doubt by the journal",
                value=_doubt(ledger, pot) / limits[name],
                note=f"{_granted(ledger, pot) / limits[name]:.4f} by the ledger alone",
            )
        )
    return figures


def _doubt(ledger: Ledger, pot: Pot) -> int:
    """What calls may have cost that were in flight when their processes died."""
    view = ledger.pots.get(pot)
    parts = [] if view is None else view.parts.values()
    return sum(each.counts - each.settled for each in parts)


def _granted(ledger: Ledger, pot: Pot) -> int:
    """What died with processes: granted, and neither settled by the ledger nor given back."""
    view = ledger.pots.get(pot)
    parts = [] if view is None else view.parts.values()
    return sum(each.entry.counts - each.entry.settled for each in parts)


def _part(name: str, billed: int, limit: int) -> Figure:
    return Figure(name=name, value=billed / limit, bound=1.0, note=f"${billed / 10**12:.6f}")


def _of_tenant(call: Mapping[str, object]) -> bool:
    return str(call["job_id"]).startswith("of-a-")


async def _billed(here: Ground) -> list[Mapping[str, object]]:
    entries = [json.loads(line) for line in (await here.provider.books()).splitlines()]
    return [each for each in entries if each["billed"]]


async def _ledger(here: Ground, prefix: str = PREFIX) -> Ledger:
    topic, ledger = TopicNames(prefix).ledger, Ledger()
    reader = LogReader({"bootstrap_servers": here.servers})
    await reader.start()
    try:
        ends = await reader.ends([topic])
        async for record in reader.between(dict.fromkeys(ends, 0), ends):
            ledger.apply(record.key, record.value, record.timestamp)
    finally:
        await reader.stop()
    return ledger


async def _counters(
    stage: Stage, here: Ground, setting: Setting, size: Size, limits: Mapping[str, int]
) -> list[Figure]:
    """The same budgets where each process keeps a counter of its own."""
    alone = tuple(f"c{number}" for number in range(size.counters))
    async with beside(here, setting, "counters", alone) as counters:
        stage.say("processes that keep a counter each")
        await counters.workers.start_all(alone)
        wanted = [each for each in _jobs(size, limits["run"]) if each.route == "of-a"]
        await asyncio.gather(*map(_answered, counters.traffics, [wanted] * len(alone)))
        billed = [each for each in await _billed(here) if _is_beside(each, counters)]
    spent = sum(int(str(each["cost_pico_usd"])) for each in billed)
    return [
        Figure(
            name="counters per process: tenant's bill of its budget",
            value=spent / limits["tenant"],
            note=f"{size.counters} processes, none killed",
        )
    ]


async def _answered(traffic: Traffic, wanted: Sequence[Job]) -> None:
    await traffic.publish(wanted)
    await traffic.until_answered(len(wanted), patience=PATIENCE)


def _is_beside(call: Mapping[str, object], counters: Beside) -> bool:
    return str(call["source"]).startswith(f"{counters.name}.")
