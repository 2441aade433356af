"""`tollway kafka`: the local broker by hand."""

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from tollway_workers.errors import FleetError
from tollway_workers.local.fleet.progress_lines import once_each
from tollway_workers.local.kafka import BrokerOptions, LocalKafka, RunningBroker

app = typer.Typer(
    no_args_is_help=True,
    help="A real Apache Kafka on this machine: no Docker, no Java, no Maven.",
    epilog="Example: tollway kafka start && tollway kafka status",
)

Folder = Annotated[
    Path | None,
    typer.Option("--data", help="Folder of the broker. Default: the user's data folder."),
]


@app.command(epilog="Example: tollway kafka start --port 9092")
def start(
    folder: Folder = None,
    port: Annotated[
        int | None,
        typer.Option(min=1, max=65_535, help="Default: the last one, else any free one."),
    ] = None,
) -> None:
    """Start the broker, or find it running, and keep it until `tollway kafka stop`."""
    with _clear_failure(), _progress() as tell:
        kafka = LocalKafka(folder, BrokerOptions(port=port), on_progress=tell)
        broker = kafka.start()
    _say(f"Kafka runs on [bold]{broker.bootstrap_servers}[/bold] (process {broker.pid})")
    _say(f"export TOLLWAY_BOOTSTRAP_SERVERS={broker.bootstrap_servers}")


@app.command(epilog="Example: tollway kafka stop --force")
def stop(
    folder: Folder = None,
    force: Annotated[
        bool, typer.Option("--force", help="Even while commands are using it.")
    ] = False,
) -> None:
    """End the broker; its data stay for the next start."""
    with _clear_failure(), _progress() as tell:
        ended = LocalKafka(folder, on_progress=tell).stop(force=force)
    _say("Kafka has ended; its data are kept" if ended else "no local Kafka runs")


@app.command(epilog="Example: tollway kafka status --json")
def status(
    folder: Folder = None,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """Say where the broker runs. Exit code 1 if it does not."""
    with _clear_failure():
        broker = LocalKafka(folder).status()
    if as_json:
        _console().print_json(json.dumps(_facts(broker)))
    elif broker is None:
        _say("no local Kafka runs: tollway kafka start")
    else:
        _describe(broker)
    if broker is None:
        raise typer.Exit(1)


@app.command(epilog="Example: tollway kafka logs --lines 200")
def logs(
    folder: Folder = None,
    lines: Annotated[int, typer.Option("--lines", "-n", min=1, help="How many lines.")] = 50,
) -> None:
    """Print the end of the broker's log."""
    with _clear_failure():
        for line in LocalKafka(folder).logs(lines):
            _console().print(line, markup=False, highlight=False, soft_wrap=True)


def _describe(broker: RunningBroker) -> None:
    minutes = (datetime.now(UTC) - broker.started_at).total_seconds() / 60
    keeps = "until tollway kafka stop" if broker.persistent else "until its last user ends"
    _say(f"Kafka runs on [bold]{broker.bootstrap_servers}[/bold]")
    _say(f"  process  {broker.pid}, for {minutes:.0f} min")
    _say(f"  users    {broker.users}")
    _say(f"  stays    {keeps}")
    _say(f"  data     {escape(str(broker.folder))}")
    _say(f"  log      {escape(str(broker.log_file))}")


def _facts(broker: RunningBroker | None) -> dict[str, object]:
    if broker is None:
        return {"running": False}
    return {
        "running": True,
        "bootstrap_servers": broker.bootstrap_servers,
        "pid": broker.pid,
        "started_at": broker.started_at.isoformat(),
        "persistent": broker.persistent,
        "users": broker.users,
        "folder": str(broker.folder),
        "log_file": str(broker.log_file),
    }


@contextmanager
def _progress() -> Iterator[Callable[[str], None]]:
    """Lines that replace each other on a terminal; in a file, one for each kind of work."""
    errors = Console(stderr=True)
    if not errors.is_terminal:
        yield once_each(
            lambda line: errors.print(line, markup=False, highlight=False, soft_wrap=True)
        )
        return
    with errors.status("") as spinner:
        yield lambda line: spinner.update(escape(line))


@contextmanager
def _clear_failure() -> Iterator[None]:
    try:
        yield
    except FleetError as error:
        Console(stderr=True).print(f"tollway kafka: {error}", markup=False, soft_wrap=True)
        raise typer.Exit(2) from error


def _say(text: str) -> None:
    _console().print(text, highlight=False, soft_wrap=True)


def _console() -> Console:
    return Console(file=sys.stdout)
