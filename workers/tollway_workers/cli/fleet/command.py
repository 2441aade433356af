"""`tollway lanes` and `tollway workers`: the fleet's state, from its workers' heartbeats.

`tollway lanes break` and `tollway lanes open` stand in the group of the first.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Annotated, Any

import typer
from rich.console import Group, RenderableType
from rich.live import Live
from rich.text import Text

from tollway_schemas import TopicNames
from tollway_workers.app.connection import client_options
from tollway_workers.app.work_left import unfinished_jobs
from tollway_workers.cli.fleet.page import (
    Sheet,
    lane_facts,
    lane_sheets,
    span,
    unfinished_sheets,
    worker_facts,
    worker_sheets,
)
from tollway_workers.cli.fleet.view import FleetView
from tollway_workers.cli.operate import breaking
from tollway_workers.cli.shared.output import console, fitted, say, show_table, write_json
from tollway_workers.cli.shared.topic_scan import AsJson, Config, Prefix, Servers, kafka_of
from tollway_workers.config.shape.kafka import KafkaSettings
from tollway_workers.kafka.connect import quieten_client_logs
from tollway_workers.kafka.talk.heartbeats import HeartbeatReader
from tollway_workers.lanes.live_beats import LIVE

#: Exit status where no worker is alive.
_NOBODY = 1
#: Seconds without an answer after which Kafka is said to be away.
_AWAY = 3.0

Once = Annotated[bool, typer.Option("--once", help="Print it once, also on a terminal.")]
Sheets = Callable[[FleetView, float], list[Sheet]]
Facts = Callable[[FleetView, float], dict[str, Any]]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(
        invoke_without_command=True,
        epilog="Examples:\n\ntollway lanes\n\ntollway lanes --json | jq '.lanes[].outstanding'"
        "\n\ntollway lanes break main --for 30m\n\ntollway lanes open main",
    )
    group.callback()(lanes)
    breaking.register(group)
    app.add_typer(group, name="lanes")
    app.command("workers", epilog="Examples:\n\ntollway workers\n\ntollway workers --once --json")(
        workers
    )


def lanes(
    context: typer.Context,
    config: Config = None,
    bootstrap_servers: Servers = None,
    prefix: Prefix = None,
    once: Once = False,
    as_json: AsJson = False,
) -> None:
    """Show every lane: its state, what is left to do, its limits and their use, its workers.

    Live on a terminal until Ctrl-C; once where it is piped. A limit's use is that of its last
    minute, or day; the time to clear is at the pace of the last 10 seconds. Exit status 1 if no
    worker is alive; then it says what Kafka's topics hold that is not finished.
    """
    if (command := context.invoked_subcommand) is not None:
        # Said before the command's name, it is meant for the command.
        given = {"config": config, "bootstrap_servers": bootstrap_servers, "prefix": prefix}
        said = {name: value for name, value in given.items() if value is not None}
        context.default_map = {command: said | ({"as_json": True} if as_json else {})}
        return
    kafka = kafka_of(config, bootstrap_servers, prefix)

    def sheets(view: FleetView, now: float) -> list[Sheet]:
        return lane_sheets(view.lanes(now), now)

    def facts(view: FleetView, now: float) -> dict[str, Any]:
        names = [beat.worker for beat in view.live(now)]
        return {"workers": names, "lanes": lane_facts(view.lanes(now))}

    _show(kafka, sheets, facts if as_json else None, once=once, unfinished=True)


def workers(
    config: Config = None,
    bootstrap_servers: Servers = None,
    prefix: Prefix = None,
    once: Once = False,
    as_json: AsJson = False,
) -> None:
    """Show every worker with a heartbeat in the last 10 seconds.

    Live on a terminal until Ctrl-C; once where it is piped. Exit status 1 if none is alive.
    """
    kafka = kafka_of(config, bootstrap_servers, prefix)

    def facts(view: FleetView, now: float) -> dict[str, Any]:
        return {"workers": worker_facts(view, now)}

    _show(kafka, worker_sheets, facts if as_json else None, once=once)


def _show(
    kafka: KafkaSettings,
    sheets: Sheets,
    facts: Facts | None,
    *,
    once: bool,
    unfinished: bool = False,
) -> None:
    """`unfinished`: whether Kafka is asked what is left to do where no worker says it."""
    quieten_client_logs()
    if facts is None and not once and console().is_terminal:
        asyncio.run(_watch(kafka, sheets))
        return
    view, now = asyncio.run(fleet_now(kafka))
    alive = bool(view.live(now))
    left = asyncio.run(unfinished_jobs(kafka)) if unfinished and not alive else {}
    if facts is not None:
        write_json(facts(view, now) | ({} if alive else {"unfinished": left}))
    else:
        _print(sheets(view, now) if alive else unfinished_sheets(left))
    if not alive:
        say(_nobody(kafka), to_stderr=True)
        raise typer.Exit(_NOBODY)


def _print(sheets: list[Sheet]) -> None:
    for number, sheet in enumerate(sheets):
        if number:
            say()
        show_table(*sheet)


async def fleet_now(kafka: KafkaSettings) -> tuple[FleetView, float]:
    """What the heartbeats say, and Kafka's time. Raises ConfigError, BrokerUnavailable."""
    async with _heartbeats(kafka) as (reader, view):
        return view, reader.now


async def _watch(kafka: KafkaSettings, sheets: Sheets) -> None:
    async with _heartbeats(kafka) as (reader, view):

        def page() -> RenderableType:
            if reader.unanswered > _AWAY:
                return Text(f"Kafka has not answered for {span(reader.unanswered)}")
            if not view.live(reader.now):
                return Text(_nobody(kafka))
            tables = [fitted(*sheet) for sheet in sheets(view, reader.now)]
            return Group(*(part for table in tables for part in (table, Text())))

        with Live(page(), console=console(), auto_refresh=False, screen=False) as live:
            while True:
                for heard in await reader.read():
                    view.hear(*heard)
                live.update(page(), refresh=True)


@asynccontextmanager
async def _heartbeats(kafka: KafkaSettings) -> AsyncIterator[tuple[HeartbeatReader, FleetView]]:
    """A reader, and what the last seconds come to."""
    reader, view = (
        HeartbeatReader(client_options(kafka), TopicNames(kafka.prefix).heartbeats),
        FleetView(),
    )
    try:
        for heard in await reader.start(LIVE):
            view.hear(*heard)
        # Those that came while the time was found out.
        for heard in await reader.read():
            view.hear(*heard)
        yield reader, view
    finally:
        await reader.stop()


def _nobody(kafka: KafkaSettings) -> str:
    topic = TopicNames(kafka.prefix).heartbeats
    return (
        f"no worker is alive: none wrote a heartbeat to {topic} within the last {LIVE:.0f} seconds"
    )
