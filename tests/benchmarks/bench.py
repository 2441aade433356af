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
from contextlib import ExitStack
from math import inf
from pathlib import Path
from types import ModuleType
from typing import cast

import budget_cost
import cache_cost
import crowd
import latency
import memory
import pieces
from bare_loop import IN_FLIGHT, BareLoop
from fast_server import EVENTS
from processes import broker, on_core
from rich.console import Console
from rich.table import Table
from segments import ROUTE, Side, count, others, segment, settings_for

from tollway_schemas.job import Priority
from tollway_schemas.topics import TopicNames
from tollway_workers.app import event_loop
from tollway_workers.app.process import WorkerApp, WorkerOptions
from tollway_workers.kafka import topic_admin as topics
from tollway_workers.kafka.connect import quieten_client_logs
from tollway_workers.telemetry.logs import configure_logs
from tollway_workers.topics.plan import TopicPlan
from tollway_workers.topics.specs import TopicSpec, wanted_topics

#: Most that our job may cost, in bare jobs.
BOUND = 2.5
#: The same where answers are streams.
STREAM_BOUND = 3.0
PARTS = ("ratio", "streams", "cache", "budget", "crowd", "latency", "memory", "pieces")


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

    def cache(self) -> None:
        """What a route costs more that keeps answers, where none is given again."""
        self._more_of("cache", "that caches", cache_cost)

    def budget(self) -> None:
        """What a route costs more that one budget covers."""
        self._more_of("budget", "that a budget covers", budget_cost)

    def _more_of(self, part: str, what: str, cost: ModuleType) -> None:
        given = self._arguments
        with on_core(first=True):
            figures = event_loop.run(
                cost.measure(self._servers, self._console, rounds=given.rounds, jobs=given.jobs)
            )
        self.figures[part] = figures
        self._hold(f"a job on a route {what}, us more", figures["us"], most=cost.BOUND)

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
