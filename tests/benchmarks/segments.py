"""Segments of a run: so many jobs from a feeder process, until all of them are replied to."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from bare_loop import IN_FLIGHT
from processes import Feeder, LineProcess, on_core

from tollway_workers.app.process import WorkerApp
from tollway_workers.config.shape.fleet import FleetSettings
from tollway_workers.job.outcome import Completed, Outcome
from tollway_workers.job.progress import JobProgress

ROUTE = "bench"
Settled = Callable[[], Awaitable[None]]


async def at_once() -> None:
    """Nothing is left behind."""


@dataclass
class Side:
    """One of the two that are compared."""

    name: str
    topic: str
    route: str = ROUTE
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


async def segment(
    side: Side, feeder: Feeder, jobs: int, form: str = "job", settled: Settled = at_once
) -> None:
    """Feed `jobs`, wait until all are replied to and what they left behind is `settled`; adds one
    value to the side's figures.
    """
    side.finished.clear()
    side.wanted = side.done + jobs
    cpu, wall = time.process_time(), time.perf_counter()
    await feeder.feed(side.topic, side.route, jobs, form)
    await asyncio.wait_for(side.finished.wait(), 120)
    await settled()
    side.costs.append((time.process_time() - cpu) / jobs * 1e3)
    side.rates.append(jobs / (time.perf_counter() - wall))


@contextmanager
def others(servers: str) -> Iterator[tuple[LineProcess, Feeder]]:
    """Server and feeder, away from the processor that is measured."""
    with on_core(first=False):
        server, feeder = LineProcess("fast_server.py"), Feeder(servers)
    with server, feeder:
        yield server, feeder


def count(app: WorkerApp, *sides: Side) -> None:
    """Have the worker's events count what it has completed, by route."""
    events = app.metrics
    original = events.job_ended
    by_route = {side.route: side for side in sides}

    def job_ended(progress: JobProgress, outcome: Outcome) -> None:
        original(progress, outcome)
        assert isinstance(outcome, Completed), outcome
        by_route[progress.job.route].on_done()

    events.job_ended = job_ended  # type: ignore[method-assign]  # the worker calls it through here
