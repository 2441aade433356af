"""One `tollway run` from its options to its exit status."""

import asyncio
import sys
import time
from importlib import import_module
from typing import TYPE_CHECKING

import typer
from rich.console import Console

from tollway_workers.cli.run.needed_keys import require_keys
from tollway_workers.cli.run.options import RunOptions
from tollway_workers.cli.run.prepare import Prepared, batch_reader, open_batch, prepared
from tollway_workers.cli.run.settings import FleetPlan, plan_fleet
from tollway_workers.cli.run.watching.screen import Screen
from tollway_workers.cli.shared.output import SIMULATED
from tollway_workers.cli.shared.signals import StopSignals
from tollway_workers.cli.timeline import Timeline
from tollway_workers.exit_status import INTERRUPTED
from tollway_workers.importing import importing
from tollway_workers.local.fleet.broker import broker
from tollway_workers.local.fleet.early import Early

if TYPE_CHECKING:
    from tollway_workers.cli.run.session import Result

#: What speaks to Kafka: it is imported while Kafka starts.
_ON_KAFKA = "tollway_workers.cli.run.session"


def play(options: RunOptions, early: Early, timeline: Timeline) -> None:
    """Do what the options say, and leave by the exit status. Raises TollwayError.

    `early`: processes that were started for it already.
    """
    timeline.begin("input")
    options.check()
    plan = plan_fleet(options)
    # Results own stdout where they go there, and so does the one JSON object.
    screen = Screen(Console(stderr=options.json or options.to_stdout), timeline)
    if options.simulate:
        _check_script(options)
        screen.tell(SIMULATED)
    if options.dry_run:
        _show_estimate(options, plan, screen)
        return
    if plan.route is not None and plan.routes is not None:
        require_keys(options, plan, [plan.route])
    result = _result(options, plan, screen, early)
    from tollway_workers.cli.run.report import result_json, show_result

    if options.json:
        _write(result_json(options, result))
    else:
        show_result(screen, options, result, own_kafka=plan.uses_local_kafka)
    screen.tell_phases()
    raise typer.Exit(result.exit_status)


def _check_script(options: RunOptions) -> None:
    """The simulator's process reads them again: what is wrong is said before anything starts."""
    if options.answers is not None or options.faults is not None:
        from tollway_workers.local.fleet.simulated import simulator_options

        simulator_options(options.answers, options.faults)


def _result(options: RunOptions, plan: FleetPlan, screen: Screen, early: Early) -> "Result":
    try:
        with prepared(options, plan, screen.tell) as given:
            plan = plan.for_jobs(given.batch.lines)
            return asyncio.run(_on_kafka(options, plan, screen, early, given))
    except asyncio.CancelledError:
        # The state is that of the last second: nothing is lost.
        screen.tell("ended at once: give the same command again and it goes on")
        raise typer.Exit(INTERRUPTED) from None


def _import_what_speaks_to_kafka() -> None:
    with importing():
        import_module(_ON_KAFKA)


async def _on_kafka(
    options: RunOptions, plan: FleetPlan, screen: Screen, early: Early, given: Prepared
) -> "Result":
    with StopSignals() as signals:
        signals.at_once = True
        importing = asyncio.create_task(asyncio.to_thread(_import_what_speaks_to_kafka))
        screen.phase("Kafka")
        async with broker(plan.settings, screen.tell) as settings:
            await importing
            from tollway_workers.cli.run.session import Session

            session = Session(options, plan, screen, early)
            result = await session.play(given, settings, signals)
            screen.phase("Kafka's end")
    return result


def _show_estimate(options: RunOptions, plan: FleetPlan, screen: Screen) -> None:
    from tollway_workers.cli.run.dry_run import estimate
    from tollway_workers.cli.run.report import estimate_json, show_estimate

    with open_batch(options, plan) as file:
        found = estimate(batch_reader(options, plan, file), plan, now=time.time())
    if options.json:
        _write(estimate_json(options, found))
    else:
        show_estimate(screen, found)
    if found.bad_lines or found.inexpressible:
        raise typer.Exit(1)


def _write(line: bytes) -> None:
    sys.stdout.buffer.write(line)
    sys.stdout.flush()
