"""What a route costs a worker that keeps answers and gives none again: CPU beside a route without.

One worker serves both, in alternating segments of one run. No two jobs ask the same, so that each
is looked for, called, written for all workers, read back, taken into the copy: all of that counts.
"""

import asyncio
import gc
import os
import statistics
import tempfile
from collections.abc import Sequence

from processes import on_core
from rich.console import Console
from segments import ROUTE, Side, count, others, segment, settings_for

from tollway_schemas.job import Priority
from tollway_schemas.topics import TopicNames
from tollway_workers.app.process import WorkerApp, WorkerOptions
from tollway_workers.config.shape.cache import CacheSettings
from tollway_workers.config.shape.fleet import FleetSettings
from tollway_workers.kafka import topic_admin as topics
from tollway_workers.topics.plan import TopicPlan
from tollway_workers.topics.specs import wanted_topics

#: Microseconds of a job, at most.
BOUND = 50.0
CACHED = "cached"
#: Seconds that a copy may take to hold what was answered.
_PATIENCE = 60.0


def _settings(servers: str, url: str, prefix: str, folder: str) -> FleetSettings:
    """Two routes of one lane, of which one caches."""
    settings = settings_for(servers, url, prefix)
    plain = settings.routes[ROUTE]
    caching = plain.model_copy(update={"cache": CacheSettings(exact=True)})
    worker = settings.worker.model_copy(update={"cache_folder": folder})
    return settings.model_copy(update={"routes": {ROUTE: plain, CACHED: caching}, "worker": worker})


async def compare(servers: str, rounds: int, jobs: int) -> tuple[Side, Side]:
    """The route that caches and the one that does not."""
    prefix = f"bench-{os.getpid()}-cache"
    names = TopicNames(prefix)
    without = Side("without a cache", names.jobs(ROUTE, Priority.BULK))
    cached = Side("with a cache", names.jobs(CACHED, Priority.BULK), CACHED)
    with (
        tempfile.TemporaryDirectory() as folder,
        others(servers) as (server, feeder),
        on_core(first=True),
    ):
        settings = _settings(servers, f"http://127.0.0.1:{server.read_line()}/v1", prefix, folder)
        plan = TopicPlan(create=wanted_topics(settings))
        await topics.apply(plan, {"bootstrap_servers": servers})
        app = WorkerApp(settings, WorkerOptions(instance_id="bench-0"))
        count(app, without, cached)
        working = asyncio.create_task(app.run())
        copied = _Copied(app, cached)

        async def both() -> None:
            await segment(without, feeder, jobs, "question")
            await segment(cached, feeder, jobs, "question", copied.settled)

        try:
            await both()
            for side in (without, cached):
                side.costs.clear()
                side.rates.clear()
            for _ in range(rounds):
                gc.collect()
                await both()
        finally:
            app.worker.drain()
            await asyncio.gather(working, return_exceptions=True)
    return cached, without


class _Copied:
    """What the worker's copy holds."""

    def __init__(self, app: WorkerApp, cached: Side) -> None:
        self._app = app
        self._cached = cached

    async def settled(self) -> None:
        """Return once it holds all that was answered on the route that caches."""
        cache = self._app.cache
        assert cache is not None
        async with asyncio.timeout(_PATIENCE):
            while cache.state.entries + cache.dropped < self._cached.done:  # noqa: ASYNC110 a copy sends no event
                await asyncio.sleep(0.01)
        if cache.dropped:
            raise RuntimeError(f"{cache.dropped} answers were not kept")


def report(console: Console, sides: tuple[Side, Side]) -> dict[str, float]:
    """Print the comparison; returns its figures."""
    cached, without = sides
    more = _more(cached.costs, without.costs)
    us = statistics.median(more)
    console.print(
        f"a job on a route that caches, none given again: {us:+.0f} us of CPU (bound: {BOUND:g}), "
        f"median of {len(more)} pairs from {min(more):+.0f} to {max(more):+.0f}; "
        f"{statistics.median(without.costs):.3f} ms without"
    )
    return {"us": us, "least_us": min(more), "most_us": max(more)}


def _more(cached: Sequence[float], without: Sequence[float]) -> list[float]:
    """Microseconds, pair by pair."""
    return [(a - b) * 1e3 for a, b in zip(cached, without, strict=True)]
