"""`make bench`: what a job costs a worker, against a bare loop in alternating segments of one run.

Both sides run in this process, one after the other, on the same event loop and garbage collector
settings; jobs come from a feeder process, answers from a server process, records from a real Kafka.
CPU is user + system time of this process, so that waiting costs nothing. Then what users live in
(crowd.py), and the latency, memory and steps of a worker alone. Writes bench.json.
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
from dataclasses import dataclass, field
from math import inf
from pathlib import Path
from typing import cast

import crowd
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
from tollway_workers.app import event_loop
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
BOUND = 2.5
#: The same where answers are streams.
STREAM_BOUND = 3.0
PARTS = ("ratio", "streams", "crowd", "latency", "memory", "pieces")
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

    def figures(self) -> dict[str, object]:
        """For bench.json."""
        return {"jobs": self.done, "ms_a_job": self.costs, "jobs_a_second": self.rates}


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


def report(
    console: Console, ours: Side, bare: Side, *, of: str = "job", bound: float = BOUND
) -> dict[str, object]:
    """Print the comparison; returns its figures."""
    ratios = [a / b for a, b in zip(ours.costs, bare.costs, strict=True)]
    table = Table(title=f"CPU per {of}, {IN_FLIGHT} calls in flight, {len(ratios)} paired segments")
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
    ratio = statistics.median(ratios)
    console.print(f"vs bare loop: {ratio:.2f}x (bound: {bound:g})")
    return {
        "ratio": ratio,
        "ratios": ratios,
        "bare": bare.figures(),
        "tollway": ours.figures(),
    }


class Bench:
    """Runs the parts that are asked for. State: `figures` for bench.json, and what is `broken`."""

    def __init__(self, servers: str, console: Console, arguments: argparse.Namespace) -> None:
        self._servers = servers
        self._console = console
        self._arguments = arguments
        self.figures: dict[str, object] = {}
        self.broken: list[str] = []

    def _hold(self, name: str, value: float, *, most: float = inf, least: float = -inf) -> None:
        """Note a figure that is beyond its bound."""
        if not least <= value <= most:
            bound = most if value > most else least
            self.broken.append(f"{name}: {value:.2f} of {bound:g}")

    def ratio(self) -> None:
        """A job's CPU against the bare loop's."""
        given = self._arguments
        sides = event_loop.run(compare(self._servers, given.rounds, given.jobs))
        figures = self.figures["comparison"] = report(self._console, *sides)
        self._hold("vs bare loop", cast(float, figures["ratio"]), most=BOUND)

    def streams(self) -> None:
        """The same where both sides ask for streams."""
        given, of = self._arguments, f"job with a stream of {EVENTS} events"
        jobs = given.jobs // 4
        sides = event_loop.run(compare(self._servers, given.rounds, jobs, stream=True))
        figures = report(self._console, *sides, of=of, bound=STREAM_BOUND)
        self.figures["streams"] = figures
        self._hold("streams", cast(float, figures["ratio"]), most=STREAM_BOUND)

    def crowd(self) -> None:
        """1,500 calls of a second in flight."""
        size = crowd.Size(self._arguments.in_flight, self._arguments.seconds)
        rows = asyncio.run(crowd.measure(self._servers, self._console, size))
        self.figures["crowd"] = crowd.figures(rows)
        self._hold("share of the ideal rate", crowd.worst(rows), least=crowd.BOUND)

    def latency(self) -> None:
        """What is added to one idle job."""
        figures = event_loop.run(latency.measure(self._servers, self._console))
        self.figures["latency"] = figures
        self._hold("idle latency, ms", figures["p50_ms"], most=latency.BOUND_MS)

    def memory(self) -> None:
        """What 2,000 calls in flight hold."""
        self.figures["memory"] = memory.measure(self._servers, self._console)

    def pieces(self) -> None:
        """What each step costs alone."""
        steps = self.figures["pieces"] = pieces.measure(self._console)
        for name, bound in pieces.BOUNDS.items():
            self._hold(f"{name}, us", steps[name], most=bound)
        tenants = steps[pieces.EACH] / steps[pieces.FEW]
        self._hold("a million tenants, against 10", tenants, most=pieces.TENANTS_BOUND)


def main() -> int:
    """Run everything; exit 1 if a figure is beyond its bound."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=12, help="paired segments of the ratio")
    parser.add_argument("--jobs", type=int, default=4_000, help="jobs of a segment")
    parser.add_argument("--seconds", type=float, default=12.0, help="of each worker of the crowd")
    parser.add_argument("--in-flight", type=int, default=crowd.IN_FLIGHT, help="of the crowd")
    parser.add_argument("--only", choices=PARTS, action="append", help="a part; may be repeated")
    arguments = parser.parse_args()
    logging.disable(logging.WARNING)
    quieten_client_logs()
    configure_logs("error", "console")
    console = Console(width=112)
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        with on_core(first=False):
            servers = stack.enter_context(broker(Path(folder)))
        bench = Bench(servers, console, arguments)
        for part in arguments.only or PARTS:
            getattr(bench, part)()
    Path("bench.json").write_text(json.dumps(bench.figures, indent=2) + "\n")
    for name in bench.broken:
        console.print(f"beyond its bound: {name}", style="red")
    return 1 if bench.broken else 0


if __name__ == "__main__":
    sys.exit(main())
