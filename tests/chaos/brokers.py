"""Scenario 4: brokers die under load; then there is no quorum for a while."""

import asyncio
import itertools
import time
from dataclasses import dataclass

import cluster
import judge
from ground import PATIENCE, Ground, Setting, Stage, ground
from provider import Behaviour
from report import Figure
from traffic import jobs

from tollway_schemas.job import Priority

NODES = (1, 2, 3)
WORKERS = ("w0", "w1")
ROUTE = "main"
_LANES = f"""
[lanes.{ROUTE}]
provider = "simulator"
model = "{ROUTE}"
concurrency = 120
[routes.{ROUTE}]
lanes = ["{ROUTE}"]
journal = "metadata"
"""
#: Seconds that copies have to catch up after a broker has come back.
_CATCH_UP = 60.0
#: Seconds after the first elected leader until everything is as fast as before.
_RECOVERY = 10.0
#: What counts as full speed, of the speed before.
_FULL = 0.9

#: Seconds that a run may publish.
_LONGEST = 400


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """How large a run is."""

    #: Jobs a second.
    rate: float = 60.0
    #: Seconds of undisturbed work in between.
    calm: float = 8.0
    #: Seconds that one broker is away.
    away: float = 10.0
    #: Seconds without a quorum.
    dark: float = 20.0


FULL = Size()


async def brokers(stage: Stage, size: Size = FULL) -> list[Figure]:
    """Leader, coordinator, quorum: no acknowledged record and no paid answer is lost."""
    setting = Setting(
        lanes=_LANES,
        behaviour=Behaviour(latency=("--profile", "flash-lite"), seed=stage.seed),
        nodes=len(NODES),
        session=15.0,
    )
    async with ground(stage, setting) as here:
        run = _Run(stage, here, size)
        await here.fleet.start_all(WORKERS)
        stopped = asyncio.Event()
        feeding = asyncio.create_task(run.feed(stopped))
        full, elected = await run.disturb()
        await asyncio.sleep(size.calm)
        stopped.set()
        await feeding
        await here.traffic.until_answered(len(here.traffic.acknowledged), patience=PATIENCE)
        return await _judge(here, run, full, elected)


async def _judge(here: Ground, run: "_Run", full: float, elected: float) -> list[Figure]:
    traffic, calls = here.traffic, await here.provider.calls()
    lost = judge.lost(traffic.acknowledged, traffic.replies)
    wasted = judge.thrown_away(calls, traffic.replies)
    starts = sorted(call.started for call in calls)
    recovery = judge.seconds_to_full_speed(starts, elected, _FULL * full)
    return [
        Figure(name="jobs acknowledged", value=len(traffic.acknowledged)),
        Figure(name="jobs lost", value=len(lost), bound=0),
        Figure(name="paid answers lost", value=wasted.total(), bound=0),
        Figure(
            name="calls beyond one per job",
            value=judge.extra_calls(calls, traffic.replies).total(),
            bound=0,
        ),
        *(
            Figure(name=f"longest pause, {what}, s", value=judge.longest_pause(starts, begin, end))
            for what, begin, end in run.phases
        ),
        Figure(name="calls a second before", value=full),
        Figure(
            name="first leader to full speed, s",
            value=float("inf") if recovery is None else recovery,
            bound=_RECOVERY,
        ),
        Figure(name="workers that ended by themselves", value=len(here.fleet.deaths), bound=0),
    ]


@dataclass
class _Run:
    """One run. Mutable state: what was done when."""

    stage: Stage
    here: Ground
    size: Size

    def __post_init__(self) -> None:
        self.phases: list[tuple[str, float, float]] = []
        self._ports = [int(each.rpartition(":")[2]) for each in self.here.servers.split(",")]

    async def feed(self, stopped: asyncio.Event) -> None:
        """Publish at an even rate until told to stop; returns when all is acknowledged."""
        wanted = jobs(int(self.size.rate * _LONGEST), (ROUTE,))
        lasting = itertools.takewhile(lambda _: not stopped.is_set(), wanted)
        await self.here.traffic.publish(lasting, rate=self.size.rate)

    async def disturb(self) -> tuple[float, float]:
        """All three failures; the speed before the last, and when it was over."""
        here, size = self.here, self.size
        names = here.traffic.names
        await asyncio.sleep(size.calm)
        coordinator = await cluster.coordinator_of(here.servers, names.worker_group)
        await self._lose(coordinator, "coordinator killed")
        leaders = await cluster.leaders_of(here.servers, names.jobs(ROUTE, Priority.BULK))
        others = [node for node in leaders.values() if node != coordinator]
        await self._lose(others[0], "leader killed")
        await asyncio.sleep(size.calm)
        full = await self._speed(size.calm)
        return full, await self._go_dark()

    async def _lose(self, node: int, what: str) -> None:
        began = time.time()
        self._say(f"{what}: node {node}")
        await asyncio.to_thread(self.here.kafka.kill_node, node)
        await asyncio.sleep(self.size.away)
        await asyncio.to_thread(self.here.kafka.start_node, node)
        await cluster.until_in_sync(self.here.servers, len(NODES), patience=_CATCH_UP)
        self.phases.append((what, began, time.time()))
        await asyncio.sleep(self.size.calm)

    async def _go_dark(self) -> float:
        """No quorum for a while; when the first leader was elected."""
        began = time.time()
        gone = NODES[1:]
        self._say("no quorum")
        for node in gone:
            await asyncio.to_thread(self.here.kafka.kill_node, node)
        await asyncio.sleep(self.size.dark)
        self._say("starting two brokers again")
        at_work = asyncio.create_task(
            cluster.until_at_work([self._ports[node - 1] for node in gone])
        )
        starting = asyncio.create_task(self._start(gone))
        await at_work
        elected = time.time()
        await starting
        await cluster.until_in_sync(self.here.servers, len(NODES), patience=_CATCH_UP)
        self.phases.append(("no quorum", began, time.time()))
        return elected

    async def _start(self, nodes: tuple[int, ...]) -> None:
        for node in nodes:
            await asyncio.to_thread(self.here.kafka.start_node, node)

    async def _speed(self, seconds: float) -> float:
        now = time.time()
        calls = await self.here.provider.calls(since=now - seconds)
        return judge.rate([call.started for call in calls], now - seconds, now)

    def _say(self, what: str) -> None:
        self.stage.say(f"{what}; {len(self.here.traffic.answered):,} answered")
