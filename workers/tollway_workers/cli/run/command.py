"""`tollway run`: a file of jobs in, a file of answers out."""

import typer

from tollway_workers.cli.run import arguments as given
from tollway_workers.cli.timeline import Timeline
from tollway_workers.cli.worker import waiting
from tollway_workers.importing import importing
from tollway_workers.local.fleet.early import started_early


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("run", epilog="Example: tollway run jobs.jsonl -o results.jsonl --simulate")(run)


def run(
    context: typer.Context,
    source: given.Source,
    out: given.Out,
    route: given.Route = None,
    config: given.Config = None,
    base_url: given.BaseUrl = None,
    protocol: given.Protocol = None,
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
    format: given.Format = None,
    max_job_bytes: given.MaxJobBytes = None,
    limit: given.Limit = None,
    budget: given.Budget = None,
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
    said = {name: value for name, value in locals().items() if name != "context"}
    with started_early(said, waiting.__name__) as early:
        # The rest takes half a second to import: workers do the same meanwhile.
        with importing():
            from tollway_workers.cli.run.options import RunOptions
            from tollway_workers.cli.run.play import play

        timeline = context.obj if isinstance(context.obj, Timeline) else Timeline()
        play(RunOptions(**said), early, timeline)
