"""What a route costs more than a plain one: CPU a job, in alternating segments of one run.

One worker serves both, so that whatever it does besides its jobs is in both.
"""

import asyncio
import gc
import os
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from processes import on_core
from rich.console import Console
from segments import ROUTE, Settled, Side, at_once, count, others, segment, settings_for

from tollway_schemas.job import Priority
from tollway_schemas.topics import TopicNames
from tollway_workers.app.process import WorkerApp, WorkerOptions
from tollway_workers.config.shape.fleet import FleetSettings
from tollway_workers.kafka import topic_admin as topics
from tollway_workers.topics.plan import TopicPlan
from tollway_workers.topics.specs import wanted_topics


def _done(app: WorkerApp, side: Side) -> Settled:
    """Nothing is left behind by its jobs."""
    del app, side
    return at_once


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """A route that has something which the plain one has not."""

    #: The route that has it.
    route: str
    #: A fleet of the plain route becomes one of both.
    settings: Callable[[FleetSettings], FleetSettings]
    #: The form of the feeder's jobs.
    form: str = "job"
    #: What has to be awaited at the end of a segment of the route that has it.
    settled: Callable[[WorkerApp, Side], Settled] = _done


async def compare(servers: str, pair: Pair, rounds: int, jobs: int) -> tuple[Side, Side]:
    """The route that has it, and the plain one."""
    prefix = f"bench-{os.getpid()}-{pair.route}"
    names = TopicNames(prefix)
    plain = Side("without", names.jobs(ROUTE, Priority.BULK))
    other = Side("with", names.jobs(pair.route, Priority.BULK), pair.route)
    with others(servers) as (server, feeder), on_core(first=True):
        url = f"http://127.0.0.1:{server.read_line()}/v1"
        settings = pair.settings(settings_for(servers, url, prefix))
        plan = TopicPlan(create=wanted_topics(settings))
        await topics.apply(plan, {"bootstrap_servers": servers})
        app = WorkerApp(settings, WorkerOptions(instance_id="bench-0"))
        count(app, plain, other)
        working = asyncio.create_task(app.run())
        settled = pair.settled(app, other)

        async def both() -> None:
            gc.collect()
            await segment(plain, feeder, jobs, pair.form)
            await segment(other, feeder, jobs, pair.form, settled)

        try:
            await both()
            for side in (plain, other):
                side.costs.clear()
                side.rates.clear()
            for _ in range(rounds):
                await both()
        finally:
            app.worker.drain()
            await asyncio.gather(working, return_exceptions=True)
    return other, plain


def report(
    console: Console, sides: tuple[Side, Side], *, what: str, bound: float
) -> dict[str, float]:
    """Print the comparison; returns its figures."""
    other, plain = sides
    more = _more(other.costs, plain.costs)
    us = statistics.median(more)
    console.print(
        f"a job on a route {what}: {us:+.0f} us of CPU (bound: {bound:g}), "
        f"median of {len(more)} pairs from {min(more):+.0f} to {max(more):+.0f}; "
        f"{statistics.median(plain.costs):.3f} ms without"
    )
    return {"us": us, "least_us": min(more), "most_us": max(more)}


def _more(other: Sequence[float], plain: Sequence[float]) -> list[float]:
    """Microseconds, pair by pair."""
    return [(a - b) * 1e3 for a, b in zip(other, plain, strict=True)]
