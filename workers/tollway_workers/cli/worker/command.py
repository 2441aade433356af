"""`tollway worker`: one process of the fleet, until it is told to stop."""

import asyncio
import os
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import structlog
import typer

from tollway_workers.app import event_loop
from tollway_workers.app.process import WorkerApp, WorkerOptions
from tollway_workers.app.reads import topics_apart
from tollway_workers.config.check.key_files import files_that_others_write
from tollway_workers.config.load.layers import load_fleet
from tollway_workers.config.shape.fleet import FleetSettings
from tollway_workers.errors import FleetError
from tollway_workers.exit_status import INTERRUPTED
from tollway_workers.kafka.group.instance import take_instance_id
from tollway_workers.telemetry.client_logs import pass_on_client_logs
from tollway_workers.telemetry.logs import configure_logs

log = structlog.get_logger(__name__)

#: Seconds that a successor waits for the process that has its instance id, over the drain itself.
_HANDOVER = 30.0


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("worker")(worker)


def worker(
    config: Annotated[
        Path | None, typer.Option(help="The fleet's TOML file (default: ./tollway.toml).")
    ] = None,
    instance_id: Annotated[
        str | None,
        typer.Option(help="Name that stays over restarts (default: the host's first free slot)."),
    ] = None,
    announce: Annotated[
        Path | None, typer.Option(help="Write pid and metrics address to this file when serving.")
    ] = None,
    exit_with_stdin: Annotated[
        bool, typer.Option(help="Drain when standard input ends: with the process that started us.")
    ] = False,
) -> None:
    """Run one worker until SIGTERM or SIGINT, then finish the calls in flight and leave.

    A second signal ends it at once: nothing is lost, what was in flight runs again elsewhere.
    SIGHUP: read the configuration again and follow its limits and shards.

    Examples:
      tollway worker --config fleet.toml
      tollway worker & tollway worker
    """
    overrides = {"telemetry.port": 0} if announce is not None else {}
    settings = load_fleet(config, environ=os.environ, overrides=overrides)
    configure_logs(settings.telemetry.log_level, settings.telemetry.log_format)
    pass_on_client_logs(topics_apart(settings))
    for mistake in files_that_others_write(settings):
        log.warning(
            "other users of this machine may change a key that this worker reads",
            setting=mistake.key,
            why=mistake.problem,
        )
    wait = settings.worker.drain_timeout + _HANDOVER
    name, lock = take_instance_id(instance_id, prefix=settings.kafka.prefix, wait=wait)

    def again() -> FleetSettings:
        return load_fleet(config, environ=os.environ, overrides=overrides)

    options = WorkerOptions(instance_id=name, announce=announce)
    try:
        event_loop.run(_serve(settings, options, exit_with_stdin, again))
    finally:
        lock.release()


async def _serve(
    settings: FleetSettings,
    options: WorkerOptions,
    exit_with_stdin: bool,
    read_again: Callable[[], FleetSettings],
) -> None:
    app = WorkerApp(settings, options)
    loop = asyncio.get_running_loop()
    running = asyncio.ensure_future(app.run())

    def stop() -> None:
        if app.worker.draining:
            running.cancel()
        app.worker.drain()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)
    loop.add_signal_handler(signal.SIGHUP, _follow, app, read_again)
    if exit_with_stdin:
        _watch_stdin(loop, app)
    try:
        await running
    except asyncio.CancelledError:
        # The second signal: what was in flight runs again elsewhere.
        sys.exit(INTERRUPTED)


def _follow(app: WorkerApp, read_again: Callable[[], FleetSettings]) -> None:
    """A mistake in the configuration is said, and the worker goes on with the one it has."""
    try:
        app.reconfigure(read_again())
    except FleetError as error:
        log.error(
            "the changed configuration cannot be used: the one before holds", reason=str(error)
        )
    else:
        log.info("the configuration was read again: its limits hold from now on")


def _watch_stdin(loop: asyncio.AbstractEventLoop, app: WorkerApp) -> None:
    """Drain at the end of standard input. A thread: a pipe that blocks must not hold up calls."""

    def watch() -> None:
        while os.read(sys.stdin.fileno(), 4096):
            pass
        loop.call_soon_threadsafe(app.worker.drain)

    threading.Thread(target=watch, name="stdin", daemon=True).start()
