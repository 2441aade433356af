"""Brings a run's fleet up: the broker, its topics, a simulator, the workers."""

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from hashlib import sha256

from tollway_workers.app.topic_setup import make_missing
from tollway_workers.cli.run.identity.lane_lock import LaneLocks, digests, lane_locks, runs_folder
from tollway_workers.cli.run.options import RunOptions
from tollway_workers.cli.run.settings import FleetPlan
from tollway_workers.cli.worker import waiting
from tollway_workers.config.shape.fleet import FleetSettings
from tollway_workers.errors import InputError
from tollway_workers.local.fleet.broker import Tell
from tollway_workers.local.fleet.disk import OTHER_FOLDER, writing
from tollway_workers.local.fleet.early import Early, SimulatorProcess
from tollway_workers.local.fleet.endpoints import with_simulator
from tollway_workers.local.fleet.tasks import DRAIN_MARGIN
from tollway_workers.local.fleet.worker_process import WorkerPlan
from tollway_workers.local.fleet.worker_settings import write_settings
from tollway_workers.local.fleet.workers import RunWorkers
from tollway_workers.plain_name import plain_name


async def make_topics(plan: FleetPlan, settings: FleetSettings) -> dict[str, int]:
    """Make the topics that are not there, and say how many partitions each of them has.

    Without knowing the fleet nothing is made: then its operators have. Raises BrokerUnavailable
    where making them is not allowed.
    """
    if plan.routes is None:
        return {}
    made = await make_missing(settings, larger=plan.larger_topics)
    return {topic.name: topic.partitions for topic in made.create}


@dataclass(frozen=True, slots=True)
class Fleet:
    """Workers of a run at work."""

    workers: RunWorkers
    #: Whether another run, or what is left of one, has the same slots.
    beside_others: bool
    #: Seconds until they must have ended once told to.
    drain_timeout: float


@asynccontextmanager
async def fleet(
    plan: FleetPlan,
    settings: FleetSettings,
    locks: LaneLocks,
    options: RunOptions,
    tell: Tell,
    early: Early,
) -> AsyncIterator[Fleet | None]:
    """The run's own workers for the time of the block, or None where it brings none.

    `locks`: those of `own_locks`; what `early` has is taken from it.
    """
    if not plan.workers:
        yield None
        return
    async with AsyncExitStack() as stack:
        inherited = locks.descriptors
        if plan.simulated:
            url, stdin = await stack.enter_async_context(_simulator(options, early))
            settings = with_simulator(settings, url)
            inherited += (stdin,)
        folder = runs_folder()
        worker_plan = WorkerPlan(
            count=plan.workers,
            config=folder / f"{locks.name}.toml",
            folder=folder,
            name=locks.name,
            module=waiting.__name__,
            inherited=inherited,
        )
        with writing(worker_plan.config, OTHER_FOLDER):
            write_settings(settings, worker_plan.config)
        workers = await stack.enter_async_context(RunWorkers.open(worker_plan, tell, early))
        yield Fleet(workers, locks.shared, settings.worker.drain_timeout + DRAIN_MARGIN)


@contextmanager
def own_locks(plan: FleetPlan, settings: FleetSettings, cluster: str) -> Iterator[LaneLocks]:
    """The right to call the run's lanes, for the time of the block; none for no workers.

    Raises InputError where another run calls them in another way.
    """
    folder = runs_folder()
    wanted = digests(plan) if plan.workers else {}
    if wanted:
        with writing(folder, OTHER_FOLDER):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    name = _name(settings.kafka.prefix, cluster, wanted)
    with lane_locks(folder, cluster, settings.kafka.prefix, wanted, name) as locks:
        yield locks


@asynccontextmanager
async def _simulator(options: RunOptions, early: Early) -> AsyncIterator[tuple[str, int]]:
    """A simulator process: its address, and what keeps it alive as long as anybody holds it."""
    simulator = early.take_simulator() or SimulatorProcess(options.answers, options.faults)
    try:
        address, complaint = await asyncio.to_thread(simulator.said)
        if not address:
            said = complaint.splitlines() or ["the simulator did not start"]
            raise InputError(said[-1])
        yield address, simulator.held
    finally:
        await asyncio.to_thread(simulator.end)


def _name(prefix: str, cluster: str, wanted: dict[str, str]) -> str:
    """First part of the instance ids: equal for a re-run, different for another fleet."""
    words = "|".join((prefix, cluster, *(f"{k}={v}" for k, v in sorted(wanted.items()))))
    host = plain_name(socket.gethostname(), most=100)
    return f"{host}-run-{sha256(words.encode()).hexdigest()[:8]}"
