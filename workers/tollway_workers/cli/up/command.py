"""`tollway up`: a whole fleet in one terminal, until Ctrl-C."""

import asyncio
import os
import time
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from tollway_workers.cli.run.needed_keys import require_keys_of
from tollway_workers.cli.shared.output import SIMULATED, count
from tollway_workers.cli.shared.signals import StopSignals
from tollway_workers.cli.up.figures import FleetFigures
from tollway_workers.cli.up.fleet import UpFleet, UpPlan, fleet_up, plan_up
from tollway_workers.cli.up.log import LogFollower
from tollway_workers.cli.up.screen import MachineScreen, PeopleScreen, UpScreen
from tollway_workers.exit_status import INTERRUPTED
from tollway_workers.kafka.connect import quieten_client_logs
from tollway_workers.local.fleet.tasks import DRAIN_MARGIN, drain, end_all, until_one_of
from tollway_workers.local.fleet.worker_process import log_file
from tollway_workers.local.simulator import (
    PROFILES,
    SimulatorOptions,
    latency_profile,
    load_answers,
    load_script,
)

#: Seconds between two looks at the workers.
_LOOK = 1.0


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(
        "up",
        epilog="Examples:\n\ntollway up\n\ntollway up --config fleet.toml --workers 4\n\n"
        "tollway up --profile gpt-4o-mini --faults faults.toml",
    )(up)


def up(
    config: Annotated[
        Path | None,
        typer.Option(help="The fleet's TOML file. Default: ./tollway.toml, else a demo fleet."),
    ] = None,
    workers: Annotated[int, typer.Option("--workers", "-n", min=1, max=64)] = 2,
    simulate: Annotated[
        bool, typer.Option("--simulate", help="A simulator in the place of every provider.")
    ] = False,
    port: Annotated[
        int, typer.Option(min=0, max=65_535, help="The simulator's; 0 takes a free one.")
    ] = 0,
    profile: Annotated[
        str, typer.Option(help=f"The simulator's latency: {', '.join(PROFILES)}.")
    ] = "flash-lite",
    answers: Annotated[Path | None, typer.Option(help="The simulator's answer key.")] = None,
    faults: Annotated[
        Path | None, typer.Option(help="The simulator's script of what goes wrong.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
) -> None:
    """Bring up Kafka, a simulated provider and workers, ready for jobs, until Ctrl-C.

    Without a configuration: a demo fleet with the route `demo`. With one: its routes and its
    providers (or the simulator with --simulate), and its Kafka if it names one. Ctrl-C finishes
    the calls in flight and ends what was started; a second one ends it at once. A worker that
    dies is started again in its slot.
    """
    simulator = SimulatorOptions(
        port=port,
        latency=latency_profile(profile),
        answers=load_answers(answers) if answers else {},
        **dict(load_script(faults)),
    )
    plan = plan_up(
        config, environ=os.environ, simulate=simulate, simulator=simulator, workers=workers
    )
    if plan.simulator is None:
        # A worker without its key would say so once Kafka, topics and all workers are there.
        require_keys_of(plan.settings, plan.settings.routes, os.environ, source=plan.source)
    quieten_client_logs()
    screen: UpScreen = MachineScreen() if as_json else PeopleScreen()
    try:
        asyncio.run(_play(plan, screen))
    except asyncio.CancelledError:
        screen.tell("ended at once: the next workers call again the jobs that were in flight")
        raise typer.Exit(INTERRUPTED) from None


async def _play(plan: UpPlan, screen: UpScreen) -> None:
    """Until a signal, or until workers cannot be kept alive. Raises FleetError.

    Cancelled, also by a signal while it starts or by a second one: ends everything at once.
    """
    if plan.simulator is not None:
        screen.tell(SIMULATED)
    screen.tell(f"fleet: {plan.source}")
    with StopSignals() as signals:
        # Until the fleet is up there is nothing to drain.
        giving_up = asyncio.create_task(_cancel_at(signals.event, asyncio.current_task()))
        async with fleet_up(plan, screen.tell) as fleet:
            giving_up.cancel()
            await _Session(fleet, screen).play(signals.event)
    screen.tell("all workers have left")


class _Session:
    """A fleet from its workers' start to their end. `play` once."""

    def __init__(self, fleet: UpFleet, screen: UpScreen) -> None:
        self._fleet = fleet
        self._screen = screen
        self._figures = FleetFigures()
        self._logs = [
            LogFollower(log_file(fleet.plan, slot), partial(self._tell_of, slot))
            for slot in range(fleet.plan.count)
        ]

    async def play(self, stop: asyncio.Event) -> None:
        """Watch, show and, when `stop` is set, drain."""
        workers = self._fleet.workers
        watching = asyncio.create_task(workers.watch())
        stopping = asyncio.create_task(stop.wait())
        beside = (self._say_when_ready(), self._keep_showing(), *(f.follow() for f in self._logs))
        tasks = {watching, stopping, *(asyncio.create_task(work) for work in beside)}
        try:
            with self._screen.showing():
                await until_one_of({watching, stopping}, tasks)
                await self._drain(watching)
        finally:
            await end_all(tasks)
            for log in self._logs:
                log.catch_up()

    async def _drain(self, watching: asyncio.Task[None]) -> None:
        patience = self._fleet.settings.worker.drain_timeout + DRAIN_MARGIN
        self._screen.tell("finishing the calls in flight; Ctrl-C again ends at once")
        await drain(self._fleet.workers, watching, patience)

    async def _say_when_ready(self) -> None:
        await self._fleet.workers.ready()
        fleet = self._fleet
        kafka = fleet.settings.kafka
        facts = {
            "pid": os.getpid(),
            "bootstrap_servers": kafka.bootstrap_servers,
            "prefix": kafka.prefix,
            "routes": sorted(fleet.settings.routes),
            "simulator_url": fleet.simulator_url,
            "config": str(fleet.plan.config),
            "logs": [str(log_file(fleet.plan, slot)) for slot in range(fleet.plan.count)],
        }
        self._screen.facts("ready", facts, _ready_text(fleet))

    async def _keep_showing(self) -> None:
        while True:
            looks = await self._fleet.workers.look()
            figures = self._figures.update(looks, time.monotonic())
            self._screen.show(figures, self._figures.jobs_per_second)
            await asyncio.sleep(_LOOK)

    def _tell_of(self, slot: int, line: str) -> None:
        self._screen.tell(f"[{slot}] {line}")


def _ready_text(fleet: UpFleet) -> str:
    kafka = fleet.settings.kafka
    routes = sorted(fleet.settings.routes)
    lines = [
        "",
        f"{count(fleet.plan.count, 'worker')} ready for jobs on {', '.join(routes)}; "
        f"settings and logs in {fleet.plan.folder}",
        *([f"every call: {fleet.simulator_url}/calls/summary"] if fleet.simulator_url else []),
        "from another terminal:",
        f"  export TOLLWAY_BOOTSTRAP_SERVERS={kafka.bootstrap_servers}",
        *([f"  export TOLLWAY_PREFIX={kafka.prefix}"] if kafka.prefix != "tollway" else []),
        f"  tollway run jobs.jsonl -o results.jsonl --route {routes[0]}",
        "  python producers/examples/twelve_lines.py",
        "  tollway dead-letters list",
        "",
    ]
    return "\n".join(lines)


async def _cancel_at(event: asyncio.Event, task: asyncio.Task[None] | None) -> None:
    await event.wait()
    if task is not None:
        task.cancel()
