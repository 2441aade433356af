"""What a route costs that keeps answers and gives none again, beside one that keeps none.

No two jobs ask the same, so that each is looked for, called, written for all workers, read back,
taken into the copy: all of that counts.
"""

import asyncio
import tempfile

from rich.console import Console
from segments import ROUTE, Settled, Side
from two_routes import Pair, compare, report

from tollway_workers.app.process import WorkerApp
from tollway_workers.config.shape.cache import CacheSettings
from tollway_workers.config.shape.fleet import FleetSettings

#: Microseconds of a job, at most.
BOUND = 50.0
CACHED = "cached"
#: Seconds that a copy may take to hold what was answered.
_PATIENCE = 60.0


async def measure(servers: str, console: Console, *, rounds: int, jobs: int) -> dict[str, float]:
    """Its figures."""
    with tempfile.TemporaryDirectory() as folder:

        def settings(plain: FleetSettings) -> FleetSettings:
            cache = CacheSettings(exact=True)
            caching = plain.routes[ROUTE].model_copy(update={"cache": cache})
            worker = plain.worker.model_copy(update={"cache_folder": folder})
            routes = {**plain.routes, CACHED: caching}
            return plain.model_copy(update={"routes": routes, "worker": worker})

        pair = Pair(route=CACHED, settings=settings, form="question", settled=_copied)
        sides = await compare(servers, pair, rounds, jobs)
    return report(console, sides, what="that caches, none given again", bound=BOUND)


def _copied(app: WorkerApp, cached: Side) -> Settled:
    """The worker's copy holds all that was answered on the route that caches."""

    async def settled() -> None:
        cache = app.cache
        assert cache is not None
        async with asyncio.timeout(_PATIENCE):
            while cache.state.entries + cache.dropped < cached.done:  # noqa: ASYNC110 a copy sends no event
                await asyncio.sleep(0.01)
        if cache.dropped:
            raise RuntimeError(f"{cache.dropped} answers were not kept")

    return settled
