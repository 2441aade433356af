"""Scenario: workers are frozen while they are busy, lose their shards, and wake.

Until a commit of its own stands again, a worker that wakes may start nothing: its slots and rates
are free, its jobs wait in memory, some of its connections have just come to stand, and others call
for the same jobs. After that commit it is a worker like any other.
"""

import asyncio
import itertools
import time
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field

import cluster
import judge
from commit_log import CommitLog
from door import Door
from eventually import eventually
from ground import Ground, Setting, Stage, ground
from judge import Blow, Call, Wake
from provider import Behaviour
from report import Figure
from traffic import job

from tollway_schemas.job import Job, Priority
from tollway_schemas.keys import job_key
from tollway_workers.kafka.produce.partitioner import partition_of

ROUTE = "main"
WORKERS = tuple(f"w{number}" for number in range(8))
#: One half is frozen, then the other.
_HALVES = (WORKERS[:4], WORKERS[4:])
_SHARDS = len(WORKERS)
#: A frozen worker finds room for thirty calls when it wakes, and 10 slots at least. Connecting may
#: outlast a freeze: else its own timeout would end it, and not the lease.
_LANES = f"""
[lanes.{ROUTE}]
provider = "simulator"
model = "{ROUTE}"
requests_per_minute = 4800
concurrency = 160
connect_timeout = 59.0
shards = {_SHARDS}
[routes.{ROUTE}]
lanes = ["{ROUTE}"]
journal = "off"
"""
#: Calls in the last second, and jobs in its memory, that make a worker a busy one: it has more jobs
#: than it has rate left to begin at once.
_BUSY, _WAITING = 3, 31
_JOBS_WAITING = f'tollway_jobs_waiting{{lane="{ROUTE}"}}'
#: Seconds that the provider lets nobody in before a freeze, so that it meets calls that connect.
_SHUT = 0.3
#: Seconds from a worker's waking to its next freeze, of at least its session. Two wakes within 30 s
#: look to it like a loop that has too much to do, and then it stands back for a while.
_APART = 26.0
#: Seconds that anything may take: to be busy, to lose its shards, to come back. A worker whose loop
#: is late twice within 30 s, on a machine that is too busy, stands back for up to two minutes.
_PATIENCE = 150.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """How large a run is."""

    zombies: int = 50
    #: Jobs that wait from the beginning: whoever is given a shard reads all that waits of it.
    jobs: int = 6_000
    #: Jobs a second that come to them: about as many as are called.
    rate: float = 60.0


FULL = Size()


async def zombie(stage: Stage, size: Size = FULL) -> list[Figure]:
    """A worker whose shards moved while it was frozen starts nothing before it owns some again."""
    setting = Setting(
        lanes=_LANES,
        behaviour=Behaviour(latency=("--latency-ms", "300"), seed=stage.seed),
        partitions=_SHARDS,
        call_timeout=60.0,
    )
    async with Door() as door, ground(stage, setting) as here, AsyncExitStack() as stack:
        door.target, config = here.provider.url, here.fleet.config
        here.fleet.config = lambda worker: config(worker).replace(here.provider.url, door.url)
        await here.traffic.publish_all(job(f"job-{n:05}", ROUTE) for n in range(size.jobs))
        await here.fleet.start_all(WORKERS)
        names = here.traffic.names
        topic = names.jobs(ROUTE, Priority.BULK)
        log = await stack.enter_async_context(CommitLog(here.servers, names.worker_group, topic))
        run = _Run(here, door, log)
        feeding = asyncio.create_task(here.traffic.publish(run.more_jobs(), rate=size.rate))
        stack.callback(feeding.cancel)
        await run.know_workers()
        while len(run.wakes) < size.zombies:
            stage.say(f"{len(run.wakes)} of {size.zombies} have woken")
            await run.freeze(_HALVES[len(run.wakes) // len(_HALVES[0]) % 2])
        await run.until_busy(_HALVES[(len(run.wakes) // len(_HALVES[0]) + 1) % 2])
        run.fed = True
        await feeding
        return await _judged(run)


@dataclass
class _Run:
    """One run. Mutable state: who is who, and what was done."""

    here: Ground
    door: Door
    log: CommitLog
    fed: bool = False
    owners: dict[str, int] = field(default_factory=dict)
    wakes: list[Wake] = field(default_factory=list)
    blows: list[Blow] = field(default_factory=list)
    #: Of each worker at the last look: calls in a second, and jobs in its memory.
    made: dict[str, int] = field(default_factory=dict)
    held: dict[str, float] = field(default_factory=dict)
    #: The same of all that were frozen.
    calls_before: list[int] = field(default_factory=list)
    waiting: list[float] = field(default_factory=list)
    #: Seconds from each freeze until others had all that was the frozen ones'.
    moved: list[float] = field(default_factory=list)
    #: Connections that stood at waking, with nothing sent on them.
    connected: int = 0

    def more_jobs(self) -> Iterator[Job]:
        """Jobs without end, until they are no longer wanted."""
        numbers = itertools.count()
        while not self.fed:
            yield job(f"more-{next(numbers):05}", ROUTE)

    async def know_workers(self) -> None:
        """Find out the numbers by which commits name the workers, once each has a shard."""

        async def all_own() -> bool:
            found = await cluster.owners(self.here.servers, self.log.group)
            for (topic, partition), members in found.items():
                if topic == self.log.topic and (last := self.log.newest.get(partition)) is not None:
                    # Kafka calls a static member by its instance id and a number.
                    self.owners[members[0].partition("-")[0]] = last.owner
            return self.owners.keys() == set(WORKERS) and len(set(self.owners.values())) == _SHARDS

        await eventually(all_own, _PATIENCE)

    async def until_busy(self, names: Sequence[str]) -> None:
        """Wait until each of these owns something, calls, and has jobs waiting."""

        async def all_are() -> bool:
            calls = await self.here.provider.calls(since=time.time() - 1.0)
            told = await self.here.fleet.metrics()
            self.made = {name: sum(each.worker == name for each in calls) for name in names}
            self.held = {name: told[name].get(_JOBS_WAITING, 0.0) for name in names}
            return all(
                self._owns(name) and self.made[name] >= _BUSY and self.held[name] >= _WAITING
                for name in names
            )

        await eventually(all_are, _PATIENCE)

    async def freeze(self, names: Sequence[str]) -> None:
        """Freeze these while they call, until others have all that was theirs; wake them."""
        fleet = self.here.fleet
        last = max((wake.at for wake in self.wakes if wake.worker in names), default=0.0)
        await asyncio.sleep(max(0.0, last + _APART - time.time()))
        await self.until_busy(names)
        self.door.shut()
        await asyncio.sleep(_SHUT)
        self.blows += await asyncio.gather(*(fleet[name].freeze() for name in names))
        frozen = time.time()
        self.door.open()
        self.calls_before += self.made.values()
        self.waiting += self.held.values()
        await self._until_moved(names, frozen)
        woken = time.time()
        self.wakes += [Wake(worker=n, owner=self.owners[n], at=woken, until=0.0) for n in names]
        for name in names:
            fleet[name].thaw()
        await self._until_back(names, woken)
        self.connected += self.door.silent(woken - 1.0, woken)

    async def _until_moved(self, names: Sequence[str], frozen: float) -> None:
        numbers = {self.owners[name] for name in names}

        async def others_have_all() -> bool:
            last = self.log.newest.values()
            return all(each.owner not in numbers and each.at > frozen for each in last)

        await eventually(others_have_all, _PATIENCE)
        self.moved.append(time.time() - frozen)

    async def _until_back(self, names: Sequence[str], woken: float) -> None:
        async def all_are() -> bool:
            own = {each.owner for each in self.log.newest.values() if each.at > woken}
            return all(self.owners[name] in own for name in names)

        await eventually(all_are, _PATIENCE)

    async def until_known(self, at: float) -> None:
        """Wait until the log of commits is read up to a moment."""

        async def is_read() -> bool:
            return max(each.at for each in self.log.newest.values()) > at

        await eventually(is_read, _PATIENCE)

    def _owns(self, name: str) -> bool:
        number = self.owners[name]
        return any(each.owner == number and not each.final for each in self.log.newest.values())


async def _judged(run: _Run) -> list[Figure]:
    calls, ended = await run.here.provider.calls(), time.time()
    await run.until_known(ended)
    replies = run.here.traffic.replies
    extra = judge.extra_calls(calls, replies)
    return [
        *_of_wakes(run, calls, _bounded(run, ended)),
        *_of_freezes(run),
        Figure(
            name="jobs that were sent on to the lane's topic",
            value=await _sent_on(run),
            bound=0,
            note="others have what a woken worker holds: there it would be called again",
        ),
        Figure(name="jobs called more than once", value=len(extra)),
        Figure(
            name="calls beyond one per job",
            value=extra.total(),
            bound=_excused(run, calls),
            note="in flight at a freeze, or finished since the last commit",
        ),
        Figure(name="workers that ended by themselves", value=len(run.here.fleet.deaths), bound=0),
    ]


def _excused(run: _Run, calls: list[Call]) -> int:
    """Calls that the freezes allow to be made again; some were at the shut door when it froze."""
    known = judge.exposed(run.blows, calls, run.here.traffic.replies)
    return sum(
        len(each.in_flight | each.uncommitted | _arrived(calls, blow, wake))
        for each, blow, wake in zip(known, run.blows, run.wakes, strict=True)
    )


def _arrived(calls: list[Call], blow: Blow, wake: Wake) -> set[str]:
    """Jobs whose calls came to the provider while the worker that had sent them was frozen."""
    return {
        call.job_id
        for call in calls
        if call.worker == blow.worker and blow.at < call.started < wake.at
    }


async def _sent_on(run: _Run) -> int:
    here = run.here
    return await cluster.records_in(here.servers, here.traffic.names.lane(ROUTE, Priority.BULK))


def _of_wakes(run: _Run, calls: list[Call], wakes: list[Wake]) -> list[Figure]:
    judged = [judge.calls_by_right(wake, calls, run.log.commits, _partition) for wake in wakes]
    without = [call for _, each in judged for call in each]
    return [
        Figure(
            name="workers that woke without their shards",
            value=len(wakes),
            bound=FULL.zombies,
            kind="least",
            note=f"others had committed all of them {max(run.moved):.1f} s after a freeze at most",
        ),
        Figure(
            name="calls that they started without a commit of their own",
            value=len(without),
            bound=0,
            note="of the job's partition, after waking, and the last of that partition",
        ),
        Figure(
            name="workers that did",
            value=sum(bool(each) for _, each in judged),
            note=_when(without, wakes),
        ),
        Figure(
            name="woken workers that called again by right",
            value=sum(bool(right) for right, _ in judged),
            bound=len(wakes),
            kind="least",
            note=f"{sum(len(right) for right, _ in judged):,} calls",
        ),
    ]


def _of_freezes(run: _Run) -> list[Figure]:
    """How busy they were: of idle workers nothing would be learnt."""
    return [
        Figure(
            name="calls of the idlest one in the second before its freeze",
            value=min(run.calls_before),
            bound=_BUSY,
            kind="least",
        ),
        Figure(
            name="jobs that waited in its memory, at least",
            value=min(run.waiting),
            bound=_WAITING,
            kind="least",
        ),
        Figure(
            name="connections that came to stand in a freeze, nothing sent",
            value=run.connected,
            bound=1,
            kind="least",
            note="calls that had begun to connect before it, and were not sent after it",
        ),
    ]


def _bounded(run: _Run, ended: float) -> list[Wake]:
    """Each wake lasts until the worker is frozen again."""
    return [
        Wake(
            worker=wake.worker,
            owner=wake.owner,
            at=wake.at,
            until=min(
                (b.at for b in run.blows if b.worker == wake.worker and b.at > wake.at),
                default=ended,
            ),
        )
        for wake in run.wakes
    ]


def _when(without: Sequence[Call], wakes: Sequence[Wake]) -> str:
    """How long after waking the first and the last of them were."""
    if not without:
        return ""
    after = [
        min(call.started - w.at for w in wakes if w.worker == call.worker and w.at <= call.started)
        for call in without
    ]
    return f"{min(after):.2f} to {max(after):.2f} s after waking"


def _partition(job_id: str) -> int:
    return partition_of(job_key(job_id), _SHARDS)
