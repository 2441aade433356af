"""`tollway lanes` and `tollway workers`: how the fleet is, from its workers' heartbeats."""

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Annotated, Any

import typer
from rich.console import RenderableType
from rich.live import Live
from rich.text import Text

from tollway_schemas import TopicNames
from tollway_workers.app.connection import client_options
from tollway_workers.cli.fleet_page import (
    LANE_COLUMNS,
    WORKER_COLUMNS,
    lane_facts,
    lane_rows,
    worker_facts,
    worker_rows,
)
from tollway_workers.cli.fleet_view import LIVE, FleetView
from tollway_workers.cli.output import Column, console, fitted, say, show_table, write_json
from tollway_workers.cli.topic_scan import AsJson, Config, Prefix, Servers, kafka_of
from tollway_workers.config.kafka import KafkaSettings
from tollway_workers.kafka.connect import quieten_client_logs
from tollway_workers.kafka.heartbeats import HeartbeatReader

#: Exit status where no worker is alive.
_NOBODY = 1
#: Seconds that are looked back: those that count, and as many for clocks that differ.
_LOOK_BACK = 2 * LIVE

Once = Annotated[bool, typer.Option("--once", help="Print it once, also on a terminal.")]
Rows = Callable[[FleetView, float], list[tuple[str, ...]]]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command(
        "lanes",
        epilog="Examples:\n\ntollway lanes\n\ntollway lanes --json | jq '.lanes[].outstanding'",
    )(lanes)
    app.command("workers", epilog="Examples:\n\ntollway workers\n\ntollway workers --once --json")(
        workers
    )


def lanes(
    config: Config = None,
    bootstrap_servers: Servers = None,
    prefix: Prefix = None,
    once: Once = False,
    as_json: AsJson = False,
) -> None:
    """Show every lane: its state, what is left to do, its limits and their use, who has it.

    Live on a terminal until Ctrl-C; once where it is piped. Rates are those of the last 10 seconds.
    Exit status 1 if no worker is alive.
    """
    kafka = kafka_of(config, bootstrap_servers, prefix)

    def rows(view: FleetView, now: float) -> list[tuple[str, ...]]:
        return lane_rows(view.lanes(now), now)

    def facts(view: FleetView, now: float) -> dict[str, Any]:
        names = [beat.worker for beat in view.live(now)]
        return {"workers": names, "lanes": lane_facts(view.lanes(now))}

    _show(kafka, LANE_COLUMNS, rows, facts if as_json else None, once=once)


def workers(
    config: Config = None,
    bootstrap_servers: Servers = None,
    prefix: Prefix = None,
    once: Once = False,
    as_json: AsJson = False,
) -> None:
    """Show every worker that was heard within the last 10 seconds.

    Live on a terminal until Ctrl-C; once where it is piped. Exit status 1 if none is alive.
    """
    kafka = kafka_of(config, bootstrap_servers, prefix)

    def facts(view: FleetView, now: float) -> dict[str, Any]:
        return {"workers": worker_facts(view, now)}

    _show(kafka, WORKER_COLUMNS, worker_rows, facts if as_json else None, once=once)


def _show(
    kafka: KafkaSettings,
    columns: Sequence[Column],
    rows: Rows,
    facts: Callable[[FleetView, float], dict[str, Any]] | None,
    *,
    once: bool,
) -> None:
    quieten_client_logs()
    if facts is None and not once and console().is_terminal:
        asyncio.run(_watch(kafka, columns, rows))
        return
    view, now = asyncio.run(fleet_now(kafka)), time.time()
    if facts is not None:
        write_json(facts(view, now))
    elif view.live(now):
        show_table(columns, rows(view, now))
    if not view.live(now):
        say(_nobody(kafka), to_stderr=True)
        raise typer.Exit(_NOBODY)


async def fleet_now(kafka: KafkaSettings) -> FleetView:
    """What the heartbeats say now. Raises ConfigError, BrokerUnavailable."""
    reader, view = _reader(kafka), FleetView()
    try:
        for written, beat in await reader.start(time.time() - _LOOK_BACK):
            view.hear(written, written, beat)
    finally:
        await reader.stop()
    return view


async def _watch(kafka: KafkaSettings, columns: Sequence[Column], rows: Rows) -> None:
    reader, view = _reader(kafka), FleetView()

    def page() -> RenderableType:
        now = time.time()
        return fitted(columns, rows(view, now)) if view.live(now) else Text(_nobody(kafka))

    try:
        for written, beat in await reader.start(time.time() - _LOOK_BACK):
            view.hear(written, written, beat)
        with Live(page(), console=console(), auto_refresh=False, screen=False) as live:
            while True:
                for written, beat in await reader.read():
                    view.hear(time.time(), written, beat)
                live.update(page(), refresh=True)
    finally:
        await reader.stop()


def _reader(kafka: KafkaSettings) -> HeartbeatReader:
    return HeartbeatReader(client_options(kafka), TopicNames(kafka.prefix).heartbeats)


def _nobody(kafka: KafkaSettings) -> str:
    topic = TopicNames(kafka.prefix).heartbeats
    return f"no worker is alive: none was heard in {topic} within the last {LIVE:.0f} seconds"
