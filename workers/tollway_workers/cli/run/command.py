"""`tollway run`: a file of jobs in, a file of answers out."""

import asyncio
import sys

import typer
from rich.console import Console

from tollway_workers.cli.run import arguments as given
from tollway_workers.cli.run.dry_run import estimate
from tollway_workers.cli.run.needed_keys import require_keys
from tollway_workers.cli.run.options import RunOptions
from tollway_workers.cli.run.prepare import batch_reader, open_batch, prepared
from tollway_workers.cli.run.report import (
    SIMULATED,
    estimate_json,
    result_json,
    show_estimate,
    show_result,
)
from tollway_workers.cli.run.screen import Screen
from tollway_workers.cli.run.session import Result, Session
from tollway_workers.cli.run.settings import FleetPlan, plan_fleet
from tollway_workers.exit_status import INTERRUPTED
from tollway_workers.kafka.connect import quieten_client_logs
from tollway_workers.local.fleet.simulated import simulator_options


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("run", epilog="Example: tollway run jobs.jsonl -o results.jsonl --simulate")(run)


def run(
    source: given.Source,
    out: given.Out,
    route: given.Route = None,
    config: given.Config = None,
    base_url: given.BaseUrl = None,
    model: given.Model = None,
    key_env: given.KeyEnv = None,
    concurrency: given.Concurrency = None,
    rpm: given.RequestsPerMinute = None,
    tpm: given.TokensPerMinute = None,
    largest_request: given.LargestRequest = None,
    simulate: given.Simulate = False,
    answers: given.Answers = None,
    faults: given.Faults = None,
    bootstrap_servers: given.BootstrapServers = None,
    workers: given.Workers = None,
    max_job_bytes: given.MaxJobBytes = None,
    limit: given.Limit = None,
    fresh: given.Fresh = False,
    retry_failed: given.RetryFailed = False,
    give_up_after: given.GiveUpAfter = None,
    dry_run: given.DryRun = False,
    json: given.AsJson = False,
) -> None:
    """Answer a file of LLM jobs through Kafka; the same command again goes on where it stopped.

    Ctrl-C finishes the calls in flight, a second one ends at once.

    Exit status: 0 all answered, 1 some failed or it gave up, 2 could not run, 130 interrupted.
    """
    _play(RunOptions(**locals()))


def _play(options: RunOptions) -> None:
    options.check()
    plan = plan_fleet(options)
    # Results own stdout where they go there, and so does the one JSON object.
    screen = Screen(Console(stderr=options.json or options.to_stdout))
    if options.simulate:
        # Its process reads them again: what is wrong with them is said before anything starts.
        simulator_options(options.answers, options.faults)
        screen.tell(SIMULATED)
    if options.dry_run:
        _show_estimate(options, plan, screen)
        return
    if plan.route is not None and plan.routes is not None:
        require_keys(options, plan, [plan.route])
    quieten_client_logs()
    result = _result(options, plan, screen)
    if options.json:
        _write(result_json(options, result))
    else:
        show_result(screen, options, result, own_kafka=plan.uses_local_kafka)
    raise typer.Exit(result.exit_status)


def _result(options: RunOptions, plan: FleetPlan, screen: Screen) -> Result:
    try:
        with prepared(options, plan, screen.tell) as given:
            return asyncio.run(Session(options, plan, screen).play(given))
    except asyncio.CancelledError:
        # The state is that of the last second: nothing is lost.
        screen.tell("ended at once: give the same command again and it goes on")
        raise typer.Exit(INTERRUPTED) from None


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
