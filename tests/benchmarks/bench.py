"""`make bench`: what a job costs a worker, against a bare loop in alternating segments of one run.

Both sides run in this process, one after the other, on the same event loop and garbage collector
settings; jobs come from a feeder process, answers from a server process, records from a real Kafka.
CPU is user + system time of this process, so that waiting costs nothing. Writes bench.json.
"""

import argparse
import asyncio
import gc
import json
import logging
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

import latency
import memory
import pieces
from bare_loop import IN_FLIGHT, BareLoop
from fast_server import EVENTS
from processes import Feeder, LineProcess, broker, on_core
from rich.console import Console
from rich.table import Table

from tollway_schemas.job import Priority
from tollway_schemas.topics import TopicNames
from tollway_workers.app.process import WorkerApp, WorkerOptions
from tollway_workers.config.shape.fleet import FleetSettings
from tollway_workers.job.outcome import Completed, Outcome
from tollway_workers.job.progress import JobProgress
from tollway_workers.kafka import topic_admin as topics
from tollway_workers.kafka.connect import quieten_client_logs
from tollway_workers.telemetry.logs import configure_logs
from tollway_workers.topics.plan import TopicPlan
from tollway_workers.topics.specs import TopicSpec, wanted_topics

#: Most that our job may cost, in bare jobs.
BOUND = 2.0
#: The same where answers are streams of 50 events.
STREAM_BOUND = 3.0
ROUTE = "bench"


@dataclass
class Side:
    """One of the two that are compared."""

    name: str
    topic: str
    done: int = 0
    wanted: int = 0
    finished: asyncio.Event = field(default_factory=asyncio.Event)
    #: Milliseconds of CPU per job, a value a segment.
    costs: list[float] = field(default_factory=list)
    rates: list[float] = field(default_factory=list)

    def on_done(self) -> None:
        """One more reply is acknowledged."""
        self.done += 1
        if self.done >= self.wanted:
            self.finished.set()


def settings_for(
    bootstrap_servers: str, url: str, prefix: str, *, stream: bool = False
) -> FleetSettings:
    """A fleet of one lane with every feature on and nothing that binds but concurrency."""
    return FleetSettings.model_validate(
        {
            "kafka": {
                "bootstrap_servers": bootstrap_servers,
                "prefix": prefix,
                "partitions": 4,
            },
            "providers": {"bench": {"base_url": url, "price": {"input": "0.15", "output": "0.6"}}},
            "lanes": {
                "bench": {
                    "provider": "bench",
                    "model": "bench-1",
                    "concurrency": IN_FLIGHT,
                    "requests_per_minute": 60_000_000,
                    "tokens_per_minute": 60_000_000_000,
                    "stream": "always" if stream else "never",
                }
            },
            "routes": {ROUTE: {"lanes": ["bench"], "journal": "full"}},
        }
    )


async def segment(side: Side, feeder: Feeder, jobs: int) -> None:
    """Feed `jobs` and wait until all are replied to; adds one value to the side's figures."""
    side.finished.clear()
    side.wanted = side.done + jobs
    cpu, wall = time.process_time(), time.perf_counter()
    await feeder.feed(side.topic, ROUTE, jobs)
    await asyncio.wait_for(side.finished.wait(), 120)
    side.costs.append((time.process_time() - cpu) / jobs * 1e3)
    side.rates.append(jobs / (time.perf_counter() - wall))


async def compare(
    servers: str, rounds: int, jobs: int, *, stream: bool = False
) -> tuple[Side, Side]:
    """Ours and the bare loop's figures, in alternating segments."""
    prefix = f"bench-{os.getpid()}{'-streams' if stream else ''}"
    names = TopicNames(prefix)
    bare = Side("bare loop", f"{prefix}.bare")
    ours = Side("tollway", names.jobs(ROUTE, Priority.BULK))
    with others(servers) as (server, feeder), on_core(first=True):
        url = f"http://127.0.0.1:{server.read_line()}/v1"
        settings = settings_for(servers, url, prefix, stream=stream)
        specs = wanted_topics(settings) + tuple(
            TopicSpec(name=name, partitions=4, replication_factor=1, config={})
            for name in (bare.topic, f"{bare.topic}.replies")
        )
        client = {"bootstrap_servers": servers}
        await topics.apply(TopicPlan(create=specs), client)
        app = WorkerApp(settings, WorkerOptions(instance_id="bench-0"))
        count(app, ours)
        ask = f"{url}/chat/completions"
        loop = BareLoop(client, bare.topic, ask, bare.on_done, stream=stream)
        working = asyncio.create_task(app.run())
        looping = asyncio.create_task(loop.run())
        try:
            for side in (bare, ours):
                await segment(side, feeder, jobs)
                side.costs.clear()
                side.rates.clear()
            for _ in range(rounds):
                gc.collect()
                for side in (bare, ours):
                    await segment(side, feeder, jobs)
        finally:
            looping.cancel()
            app.worker.drain()
            await asyncio.gather(working, looping, return_exceptions=True)
    return ours, bare


@contextmanager
def others(servers: str) -> Iterator[tuple[LineProcess, Feeder]]:
    """Server and feeder, away from the processor that is measured."""
    with on_core(first=False):
        server, feeder = LineProcess("fast_server.py"), Feeder(servers)
    with server, feeder:
        yield server, feeder


def count(app: WorkerApp, side: Side) -> None:
    """Have the worker's events count what it has completed."""
    events = app.metrics
    original = events.job_ended

    def job_ended(progress: JobProgress, outcome: Outcome) -> None:
        original(progress, outcome)
        assert isinstance(outcome, Completed), outcome
        side.on_done()

    events.job_ended = job_ended  # type: ignore[method-assign]  # the worker calls it through here


def report(console: Console, ours: Side, bare: Side, what: str = "job") -> dict[str, object]:
    """Print the comparison; returns its figures."""
    ratios = [a / b for a, b in zip(ours.costs, bare.costs, strict=True)]
    title = f"CPU per {what}, {IN_FLIGHT} calls in flight, {len(ratios)} paired segments"
    table = Table(title=title)
    for heading in ("", "ms CPU per job", "min", "max", "jobs/s"):
        table.add_column(heading, justify="right" if heading else "left")
    for side in (bare, ours):
        cost = statistics.median(side.costs)
        rate = statistics.median(side.rates)
        table.add_row(
            side.name,
            f"{cost:.3f}",
            f"{min(side.costs):.3f}",
            f"{max(side.costs):.3f}",
            f"{rate:,.0f}",
        )
    console.print(table)
    return {
        "ratio": statistics.median(ratios),
        "ratios": ratios,
        "bare": asdict(bare) | {"finished": None},
        "tollway": asdict(ours) | {"finished": None},
    }


def ratios(
    servers: str, arguments: argparse.Namespace, console: Console, figures: dict[str, object]
) -> Iterator[tuple[str, float, float]]:
    """Compare with the bare loop, answers in one piece and as streams: name, ratio and bound."""
    jobs, what = arguments.jobs, f"job whose answer is a stream of {EVENTS} events"
    for stream, name, bound in (
        (False, "vs bare loop", BOUND),
        (True, "streams, vs a bare loop that streams", STREAM_BOUND),
    ):
        if arguments.only_streams and not stream:
            continue
        size = jobs // 4 if stream else jobs
        ours, bare = asyncio.run(compare(servers, arguments.rounds, size, stream=stream))
        figures["streams" if stream else "comparison"] = report(
            console, ours, bare, what if stream else "job"
        )
        ratio = statistics.median(a / b for a, b in zip(ours.costs, bare.costs, strict=True))
        console.print(f"{name}: {ratio:.2f}x")
        yield name, ratio, bound


def main() -> int:
    """Run everything; exit 1 if a figure is beyond its bound."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--jobs", type=int, default=4_000)
    parser.add_argument("--only-ratio", action="store_true")
    parser.add_argument("--only-streams", action="store_true")
    arguments = parser.parse_args()
    logging.disable(logging.WARNING)
    quieten_client_logs()
    configure_logs("error", "console")
    console = Console()
    figures: dict[str, object] = {}
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        with on_core(first=False):
            servers = stack.enter_context(broker(Path(folder)))
        bounded = list(ratios(servers, arguments, console, figures))
        if not (arguments.only_ratio or arguments.only_streams):
            figures["latency"] = idle = asyncio.run(latency.measure(servers, console))
            figures["memory"] = memory.measure(servers, console)
            figures["pieces"] = steps = pieces.measure(console)
            bounded += [
                ("idle latency, ms", idle["p50_ms"], latency.BOUND_MS),
                (f"{pieces.LIMITS}, us", steps[pieces.LIMITS], pieces.LIMITS_BOUND),
                (
                    "a tenant for each job, against 10 tenants",
                    steps[pieces.EACH] / steps[pieces.FEW],
                    pieces.TENANTS_BOUND,
                ),
            ]
    Path("bench.json").write_text(json.dumps(figures, indent=2, default=str) + "\n")
    broken = [each for each in bounded if each[1] > each[2]]
    for name, value, bound in broken:
        console.print(f"beyond its bound: {name}: {value:.2f} of {bound:g}", style="red")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
