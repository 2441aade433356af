"""`tollway run`: a file of jobs in, a file of answers out."""

import asyncio
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from tollway_workers.cli.run.dry_run import estimate
from tollway_workers.cli.run.options import RunOptions
from tollway_workers.cli.run.report import (
    SIMULATED,
    estimate_json,
    result_json,
    show_estimate,
    show_result,
)
from tollway_workers.cli.run.screen import Screen
from tollway_workers.cli.run.session import Session, batch_reader, open_batch
from tollway_workers.cli.run.settings import FleetPlan, plan_fleet
from tollway_workers.kafka.connect import quieten_client_logs

_WHO = "Who answers"
_HOW = "How it runs"


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("run", epilog="Example: tollway run jobs.jsonl -o results.jsonl --simulate")(run)


def run(
    source: Annotated[
        Path, typer.Argument(metavar="IN", help="Jobs in OpenAI's Batch format; - is stdin.")
    ],
    out: Annotated[
        Path,
        typer.Option("--out", "-o", help="Results in OpenAI's Batch output format; - is stdout."),
    ],
    route: Annotated[
        str | None,
        typer.Option(help="Route of all jobs; else body.model names it.", rich_help_panel=_WHO),
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option(
            help="The fleet's TOML file; without it or the options below: ./tollway.toml.",
            rich_help_panel=_WHO,
        ),
    ] = None,
    base_url: Annotated[
        str | None,
        typer.Option(
            help="Any OpenAI-compatible server, such as http://127.0.0.1:8080/v1.",
            rich_help_panel=_WHO,
        ),
    ] = None,
    model: Annotated[
        str | None, typer.Option(help="Its model, in its own word.", rich_help_panel=_WHO)
    ] = None,
    key_env: Annotated[
        str | None,
        typer.Option(help="Environment variable that holds its key.", rich_help_panel=_WHO),
    ] = None,
    concurrency: Annotated[
        int | None,
        typer.Option(min=1, help="Most calls in flight, all workers.", rich_help_panel=_WHO),
    ] = None,
    rpm: Annotated[
        float | None, typer.Option(min=0.001, help="Most calls a minute.", rich_help_panel=_WHO)
    ] = None,
    tpm: Annotated[
        float | None, typer.Option(min=0.001, help="Most tokens a minute.", rich_help_panel=_WHO)
    ] = None,
    simulate: Annotated[
        bool,
        typer.Option("--simulate", help="A simulator answers: no key.", rich_help_panel=_WHO),
    ] = False,
    answers: Annotated[
        Path | None, typer.Option(help="The simulator's answer key.", rich_help_panel=_WHO)
    ] = None,
    faults: Annotated[
        Path | None,
        typer.Option(help="The simulator's script of what goes wrong.", rich_help_panel=_WHO),
    ] = None,
    bootstrap_servers: Annotated[
        str | None,
        typer.Option(
            help="Kafka, as host:port. Default: TOLLWAY_BOOTSTRAP_SERVERS, else a local one.",
            rich_help_panel=_HOW,
        ),
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(
            min=0,
            max=64,
            help="Workers to bring. Default: 2 on a local Kafka, none on a given one.",
            rich_help_panel=_HOW,
        ),
    ] = None,
    limit: Annotated[
        int | None, typer.Option(min=1, help="The first so many lines only.", rich_help_panel=_HOW)
    ] = None,
    fresh: Annotated[
        bool,
        typer.Option("--fresh", help="Start anew and overwrite OUT.", rich_help_panel=_HOW),
    ] = False,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run", help="Say what it would do and at most cost.", rich_help_panel=_HOW
        ),
    ] = False,
    json: Annotated[
        bool, typer.Option("--json", help="One JSON object on stdout.", rich_help_panel=_HOW)
    ] = False,
) -> None:
    """Answer a file of LLM jobs through Kafka; the same command again goes on where it stopped.

    Ctrl-C finishes the calls in flight; a second one ends at once. Exit status: 0 all answered,
    1 some failed, 2 could not run, 130 interrupted.
    """
    options = RunOptions(**locals())
    options.check()
    plan = plan_fleet(options)
    # Results own stdout where they go there, and so does the one JSON object.
    screen = Screen(Console(stderr=options.json or options.to_stdout))
    if options.simulate:
        screen.tell(SIMULATED)
    if options.dry_run:
        _show_estimate(options, plan, screen)
        return
    quieten_client_logs()
    result = asyncio.run(Session(options, plan, screen).play())
    if options.json:
        _write(result_json(options, result))
    else:
        show_result(screen, options, result)
    raise typer.Exit(result.exit_status)


def _show_estimate(options: RunOptions, plan: FleetPlan, screen: Screen) -> None:
    with open_batch(options, plan) as file:
        found = estimate(batch_reader(options, plan, file), plan)
    if options.json:
        _write(estimate_json(options, found))
    else:
        show_estimate(screen, found)
    if found.bad_lines:
        raise typer.Exit(1)


def _write(line: bytes) -> None:
    sys.stdout.buffer.write(line)
    sys.stdout.flush()
