"""Brings up everything that `up` runs, and takes it down again."""

import socket
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import platformdirs
from filelock import FileLock, Timeout

from tollway_workers.app.topic_setup import make_missing
from tollway_workers.cli.shared.output import count
from tollway_workers.cli.worker import waiting
from tollway_workers.config.load.environment import CONFIG_VARIABLE
from tollway_workers.config.load.layers import DEFAULT_FILE, build_fleet, find_file, load_fleet
from tollway_workers.config.shape.fleet import FleetSettings
from tollway_workers.errors import LocalError
from tollway_workers.local.fleet.broker import local_broker
from tollway_workers.local.fleet.disk import OTHER_FOLDER, writing
from tollway_workers.local.fleet.early import MOST_EARLY, Early, WaitingWorker
from tollway_workers.local.fleet.endpoints import with_bootstrap_servers, with_simulator
from tollway_workers.local.fleet.worker_process import WorkerPlan
from tollway_workers.local.fleet.worker_settings import write_settings
from tollway_workers.local.fleet.workers import RunWorkers
from tollway_workers.local.simulator import Simulator, SimulatorOptions
from tollway_workers.plain_name import plain_name

#: The lane, the provider and the first route of the built-in fleet.
DEMO = "demo"
#: The route that the examples ask for.
_EXAMPLES = "extract"
#: Fleets that one user may have up on one machine.
_MOST_FLEETS = 100

_DEMO_FLEET: dict[str, Any] = {
    # Nobody pays for a simulator's answers: a drain need not wait long for them.
    "worker": {"drain_timeout": 15.0},
    # The simulator's address is known once it listens.
    "providers": {DEMO: {"base_url": "http://127.0.0.1/v1"}},
    "lanes": {
        DEMO: {
            "provider": DEMO,
            "model": "simulated",
            "concurrency": 64,
            "price": {"input": Decimal("0.15"), "output": Decimal("0.60")},
        }
    },
    "routes": {DEMO: {"lanes": [DEMO]}, _EXAMPLES: {"lanes": [DEMO]}},
}


@dataclass(frozen=True, slots=True, kw_only=True)
class UpPlan:
    """What is to be brought up."""

    settings: FleetSettings
    #: Where the settings come from, for people.
    source: str
    #: What stands in for every provider; None: they are called themselves.
    simulator: SimulatorOptions | None
    workers: int


@dataclass(frozen=True, slots=True, kw_only=True)
class UpFleet:
    """A fleet that is coming up: its workers may not be ready yet."""

    settings: FleetSettings
    workers: RunWorkers
    #: What the workers were started with: their settings and logs are named in it.
    plan: WorkerPlan
    #: The root of the simulator; None without one.
    simulator_url: str | None


def plan_up(
    config: Path | None,
    *,
    environ: Mapping[str, str],
    simulate: bool,
    simulator: SimulatorOptions,
    workers: int,
) -> UpPlan:
    """The fleet of the configuration there is, else the built-in one. Raises ConfigError."""
    if config or environ.get(CONFIG_VARIABLE) or DEFAULT_FILE.exists():
        file = find_file(config, environ)
        settings, source = load_fleet(file, environ=environ), str(file)
    else:
        source, simulate = "the built-in demo fleet", True
        settings = build_fleet(_DEMO_FLEET, source=source, environ=environ)
    return UpPlan(
        settings=settings,
        source=source,
        simulator=simulator if simulate else None,
        workers=workers,
    )


@asynccontextmanager
async def fleet_up(plan: UpPlan, tell: Callable[[str], None]) -> AsyncIterator[UpFleet]:
    """Kafka, topics, simulator and workers, each only where it is wanted, for a block's time.

    Raises FleetError where one of them cannot start. On leaving, workers that have not drained are
    killed, and what was started is ended. Cancellation gives up the start.
    """
    settings, url = plan.settings, None
    async with AsyncExitStack() as stack:
        # They import while Kafka starts.
        first = range(min(plan.workers, MOST_EARLY))
        early = Early([WaitingWorker(waiting.__name__) for _ in first])
        stack.callback(early.end)
        if settings.kafka.bootstrap_servers is None:
            broker = await stack.enter_async_context(local_broker(tell))
            settings = with_bootstrap_servers(settings, broker.bootstrap_servers)
        made = await make_missing(settings)
        if not made.done:
            tell(f"made {count(len(made.create), 'topic')}, grew {len(made.grow)}")
        if plan.simulator is not None:
            simulator = await stack.enter_async_context(Simulator(plan.simulator))
            settings, url = with_simulator(settings, simulator.base_url), simulator.url
        folder, name = stack.enter_context(_own_folder())
        worker_plan = WorkerPlan(
            count=plan.workers,
            config=folder / "fleet.toml",
            folder=folder,
            name=name,
            module=waiting.__name__,
        )
        with writing(worker_plan.config, OTHER_FOLDER):
            write_settings(settings, worker_plan.config)
        workers = await stack.enter_async_context(RunWorkers.open(worker_plan, tell, early))
        yield UpFleet(settings=settings, workers=workers, plan=worker_plan, simulator_url=url)


@contextmanager
def _own_folder() -> Iterator[tuple[Path, str]]:
    """The first folder that no other `up` has, and the name that its workers begin with.

    The same one again for the next `up`: its workers then succeed those before at once.
    """
    host = plain_name(socket.gethostname(), most=100)
    above = platformdirs.user_state_path("tollway") / "up"
    for number in range(_MOST_FLEETS):
        folder = above / str(number)
        if (lock := _lock(folder)) is None:
            continue
        try:
            yield folder, f"{host}-up-{number}"
        finally:
            lock.release()
        return
    raise LocalError(f"{_MOST_FLEETS} fleets are up on this machine already")


def _lock(folder: Path) -> FileLock | None:
    """The lock of a folder, which is made; None: another `up` has it. Raises DiskError."""
    lock = FileLock(folder / "lock")
    with writing(folder, OTHER_FOLDER):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            return None
    return lock
