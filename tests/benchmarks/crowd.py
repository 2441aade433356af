"""What users live in: calls of a second, 1,500 of them in flight, in one worker process.

Tollway with all that it does beside FastStream in batches and taskiq-aio-kafka, which only call and
reply, one after the other in one run. Replies are counted on their topic. Where answers take one
second each the worker is then killed in mid-run and started again, three times: what has no reply
in the end is lost.
"""

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import orjson
import psutil
from aiokafka import AIOKafkaConsumer
from aiokafka.admin import AIOKafkaAdminClient
from fleet_worker import FleetWorker
from processes import HERE, Feeder, LineProcess, on_core
from rich.console import Console
from rich.table import Table

from tollway_schemas.topics import TopicNames
from tollway_workers.kafka import topic_admin as topics
from tollway_workers.topics.plan import TopicPlan
from tollway_workers.topics.specs import TopicSpec

IN_FLIGHT = 1_500
#: Least part of the ideal rate that Tollway reaches.
BOUND = 0.95
#: Seconds between the first reply and the rate.
_WARM = 3.0
#: Seconds between the first reply of a process and its end; what a crash costs depends on when the
#: last commit was, so there are several.
_KILLED_AFTER = (1.3, 2.1, 1.7)
#: Seconds without a reply after which none comes, once the worker has committed all there is.
_QUIET = 5.0
#: Seconds in which a worker has its next reply, or commits something; without, nothing is measured.
_PATIENCE = 90.0


@dataclass(frozen=True, slots=True)
class Latency:
    """How long the provider takes: `mean` seconds, lognormal where there is a `sigma`."""

    name: str
    mean: float
    sigma: float


FIXED = Latency("1 s", 1.0, 0.0)
LOGNORMAL = Latency("lognormal", 1.0, 0.6)


@dataclass(frozen=True, slots=True)
class Size:
    """Of a crowd: calls in flight, and the seconds that count."""

    in_flight: int = IN_FLIGHT
    seconds: float = 12.0

    def jobs(self, *, crashing: bool) -> int:
        """As many as no worker comes to the end of too early."""
        more = sum(_KILLED_AFTER) + len(_KILLED_AFTER) if crashing else 0.0
        return int(self.in_flight * (_WARM + self.seconds + 2.0 + more))


@dataclass(frozen=True, slots=True)
class Ground:
    """What a contender is given; `url` is the provider's base."""

    servers: str
    folder: Path
    name: str
    url: str
    in_flight: int


@dataclass(frozen=True, slots=True)
class Contender:
    """One worker process, what it reads and where it replies."""

    command: tuple[str, ...]
    jobs: str
    replies: str
    group: str
    #: How jobs are written for it.
    form: str = "job"


@dataclass(slots=True)
class Row:
    """What was found of one worker."""

    worker: str
    latency: str
    jobs_a_second: float
    #: Of as many in flight all the time.
    ideal: float
    ms_a_job: float
    #: Jobs without a reply after the crashes, and calls beyond one a job; None without crashes.
    lost: int | None = None
    called_again: int | None = None

    @property
    def share(self) -> float:
        """Of the ideal rate."""
        return self.jobs_a_second / self.ideal


class Replies:
    """When each job was first replied to, by the records' own time, as they are seen."""

    def __init__(self, servers: str, topic: str) -> None:
        self._consumer = AIOKafkaConsumer(
            topic, bootstrap_servers=servers, auto_offset_reset="earliest"
        )
        self.first: dict[bytes, float] = {}
        self._news = asyncio.Condition()

    async def watch(self) -> None:
        """Until cancelled."""
        await self._consumer.start()
        try:
            while True:
                for records in (await self._consumer.getmany(timeout_ms=200)).values():
                    for record in records:
                        self.first.setdefault(record.key or b"", record.timestamp / 1e3)
                async with self._news:
                    self._news.notify_all()
        finally:
            await self._consumer.stop()

    async def until(self, true: Callable[[], bool], seconds: float) -> bool:
        """Whether something became true, within so many seconds since the last news of a job."""
        known, since = len(self.first), time.monotonic()
        while not true():
            async with self._news:
                await self._news.wait()
            if len(self.first) > known:
                known, since = len(self.first), time.monotonic()
            elif time.monotonic() - since > seconds:
                return False
        return True

    def between(self, begin: float, end: float) -> int:
        """How many jobs were replied to."""
        return sum(begin <= moment < end for moment in self.first.values())


class Process:
    """A worker on the processor that is measured."""

    def __init__(self, command: tuple[str, ...]) -> None:
        with on_core(first=True):
            self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        self._watched = psutil.Process(self._process.pid)

    def cpu_seconds(self) -> float:
        """User and system time, so far."""
        times = self._watched.cpu_times()
        return times.user + times.system

    def kill(self) -> None:
        """At once."""
        self._process.kill()
        self._process.wait()


def _tollway(ground: Ground) -> Contender:
    worker = FleetWorker.prepare(
        ground.folder,
        servers=ground.servers,
        prefix=ground.name,
        url=ground.url,
        in_flight=ground.in_flight,
    )
    group = TopicNames(ground.name).worker_group
    return Contender(worker.command, worker.jobs, f"{ground.name}.replies", group)


def _script(script: str, form: str) -> Callable[[Ground], Contender]:
    def contender(ground: Ground) -> Contender:
        jobs, replies = ground.name, f"{ground.name}.replies"
        url, in_flight = f"{ground.url}/chat/completions", str(ground.in_flight)
        given = (ground.servers, jobs, replies, url, in_flight)
        return Contender((sys.executable, str(HERE / script), *given), jobs, replies, jobs, form)

    return contender


CONTENDERS = {
    "tollway": _tollway,
    "FastStream batches": _script("faststream_worker.py", "job"),
    "taskiq-aio-kafka": _script("taskiq_worker.py", "task"),
}


@dataclass(slots=True)
class Stage:
    """One worker with its own provider, feeder and topics."""

    servers: str
    contender: Contender
    server: LineProcess
    replies: Replies
    jobs: int

    async def rate(self, worker: Process, seconds: float) -> tuple[float, float]:
        """Jobs a second, and milliseconds of CPU of each, once it is warm."""
        if not await self._more(0):
            raise RuntimeError(f"no reply after {_PATIENCE:.0f} s: {self.contender.command}")
        await asyncio.sleep(_WARM)
        begin, cpu = time.time(), worker.cpu_seconds()
        await asyncio.sleep(seconds)
        end, used = time.time(), worker.cpu_seconds() - cpu
        # What was replied to until `end` is seen a little later.
        await asyncio.sleep(1.0)
        done = self.replies.between(begin, end)
        return done / (end - begin), used / max(done, 1) * 1e3

    async def crash(self, worker: Process) -> tuple[int, int]:
        """Jobs that are lost, and calls beyond one a job, where it dies and is started again."""
        try:
            for seconds in _KILLED_AFTER:
                await self._more(len(self.replies.first))
                await asyncio.sleep(seconds)
                worker.kill()
                worker = Process(self.contender.command)
                # The last replies of the one that is dead are seen before another can reply.
                await asyncio.sleep(0.5)
            await self._committed()
            await self.replies.until(lambda: len(self.replies.first) == self.jobs, _QUIET)
        finally:
            worker.kill()
        calls, _ = self.books()
        return self.jobs - len(self.replies.first), calls - self.jobs

    async def _committed(self) -> None:
        """Wait until the worker has committed all jobs as done."""
        admin = AIOKafkaAdminClient(bootstrap_servers=self.servers)
        await admin.start()
        try:
            said = (0, len(self.replies.first), time.monotonic())
            while (done := await self._done(admin)) < self.jobs:
                now = (done, len(self.replies.first))
                if now != said[:2]:
                    said = (*now, time.monotonic())
                elif time.monotonic() - said[2] > _PATIENCE:
                    raise RuntimeError(f"stuck at {done} of {self.jobs}: {self.contender.command}")
                await asyncio.sleep(0.5)
        finally:
            await admin.close()

    async def _done(self, admin: AIOKafkaAdminClient) -> int:
        """Up to where it has committed; all topics here begin at 0."""
        offsets = await admin.list_consumer_group_offsets(self.contender.group)
        topic = self.contender.jobs
        return sum(
            max(0, at.offset) for partition, at in offsets.items() if partition.topic == topic
        )

    async def _more(self, known: int) -> bool:
        """Whether there are replies beside the known ones within a while."""
        return await self.replies.until(lambda: len(self.replies.first) > known, _PATIENCE)

    def books(self) -> tuple[int, float]:
        """The provider's: calls, and how long they took on average."""
        self.server.write_line("books")
        said = orjson.loads(self.server.read_line())
        return said["calls"], said["seconds"] / max(said["calls"], 1)


@contextmanager
def _beside(servers: str, latency: Latency) -> Iterator[tuple[LineProcess, Feeder]]:
    with on_core(first=False):
        server = LineProcess("fast_server.py", str(latency.mean), str(latency.sigma))
        feeder = Feeder(servers)
    with server, feeder:
        yield server, feeder


async def _one(servers: str, name: str, latency: Latency, size: Size) -> Row:
    """One worker: fed, watched, and with a fixed latency killed."""
    short = f"crowd-{os.getpid()}-{name.split()[0]}-{latency.sigma:g}".lower()
    crashing = latency is FIXED
    jobs = size.jobs(crashing=crashing)
    with TemporaryDirectory() as folder, _beside(servers, latency) as (server, feeder):
        url = f"http://127.0.0.1:{server.read_line()}/v1"
        contender = CONTENDERS[name](Ground(servers, Path(folder), short, url, size.in_flight))
        if name != "tollway":
            await _make_topics(servers, contender)
        await feeder.feed(contender.jobs, "bench", jobs, contender.form)
        stage = Stage(servers, contender, server, Replies(servers, contender.replies), jobs)
        watching = asyncio.create_task(stage.replies.watch())
        worker = Process(contender.command)
        try:
            rate, cost = await stage.rate(worker, size.seconds)
            row = Row(name, latency.name, rate, size.in_flight / stage.books()[1], cost)
            if crashing:
                row.lost, row.called_again = await stage.crash(worker)
        finally:
            worker.kill()
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)
    return row


async def _make_topics(servers: str, contender: Contender) -> None:
    specs = tuple(
        TopicSpec(name=name, partitions=4, replication_factor=1, config={})
        for name in (contender.jobs, contender.replies)
    )
    await topics.apply(TopicPlan(create=specs), {"bootstrap_servers": servers})


async def measure(servers: str, console: Console, size: Size) -> list[Row]:
    """Every worker at every latency."""
    rows = [
        await _one(servers, name, latency, size)
        for latency in (FIXED, LOGNORMAL)
        for name in CONTENDERS
    ]
    console.print(_table(rows, size))
    return rows


def _table(rows: list[Row], size: Size) -> Table:
    table = Table(
        title=f"{size.in_flight:,} calls in flight, one worker process, {size.seconds:g} s each"
    )
    for heading in ("worker", "latency"):
        table.add_column(heading, no_wrap=True)
    kills = f"lost in {len(_KILLED_AFTER)} kills"
    for heading in ("jobs/s", "of the ideal", "CPU ms/job", kills, "called again"):
        table.add_column(heading, justify="right", no_wrap=True)
    for row in rows:
        table.add_row(
            row.worker,
            row.latency,
            f"{row.jobs_a_second:,.0f}",
            f"{row.share:.1%}",
            f"{row.ms_a_job:.3f}",
            "" if row.lost is None else f"{row.lost:,}",
            "" if row.called_again is None else f"{row.called_again:,}",
        )
    return table


def figures(rows: list[Row]) -> list[dict[str, object]]:
    """For bench.json."""
    return [{**asdict(row), "share": row.share} for row in rows]


def worst(rows: list[Row]) -> float:
    """The least share of the ideal that Tollway had."""
    return min(row.share for row in rows if row.worker == "tollway")
