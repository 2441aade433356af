"""What Tollway adds to one idle job: from enqueue to reply, over the provider's own answer time."""

import asyncio
import os
import statistics
import time

from processes import LineProcess
from rich.console import Console

from tollway import JobProducer
from tollway_workers.app.process import WorkerApp, WorkerOptions
from tollway_workers.config.shape.fleet import FleetSettings
from tollway_workers.kafka import topic_admin as topics
from tollway_workers.topics.plan import TopicPlan
from tollway_workers.topics.specs import wanted_topics

#: Seconds that the provider takes for every answer.
PROVIDER_SECONDS = 0.05
JOBS = 100
#: Milliseconds over the provider's own, at the median.
BOUND_MS = 15.0


async def measure(servers: str, console: Console) -> dict[str, float]:
    """One job at a time through SDK, Kafka, worker and back."""
    prefix = f"bench-latency-{os.getpid()}"
    with LineProcess("fast_server.py", str(PROVIDER_SECONDS)) as server:
        settings = FleetSettings.model_validate(
            {
                "kafka": {"bootstrap_servers": servers, "prefix": prefix, "partitions": 4},
                "providers": {"bench": {"base_url": f"http://127.0.0.1:{server.read_line()}/v1"}},
                "lanes": {"bench": {"provider": "bench", "model": "bench-1", "concurrency": 8}},
                "routes": {"bench": {"lanes": ["bench"]}},
            }
        )
        await topics.apply(
            TopicPlan(create=wanted_topics(settings)), {"bootstrap_servers": servers}
        )
        app = WorkerApp(settings, WorkerOptions(instance_id="latency-0"))
        working = asyncio.create_task(app.run())
        try:
            added = await _ask_one_by_one(servers, prefix)
        finally:
            app.worker.drain()
            await working
    p50, p99 = statistics.median(added), statistics.quantiles(added, n=100)[98]
    console.print(
        f"idle latency over the provider's: p50 {p50:.1f} ms, p99 {p99:.1f} ms "
        f"(bound: p50 {BOUND_MS:.0f} ms)"
    )
    return {"p50_ms": p50, "p99_ms": p99, "bound_p50_ms": BOUND_MS}


async def _ask_one_by_one(servers: str, prefix: str) -> list[float]:
    added = []
    async with JobProducer(servers, prefix=prefix) as producer:
        for number in range(JOBS + 10):
            began = time.perf_counter()
            await producer.ask("bench", "Say something.")
            if number >= 10:
                added.append((time.perf_counter() - began - PROVIDER_SECONDS) * 1e3)
    return added
