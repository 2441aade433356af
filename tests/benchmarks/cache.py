"""A million known answers: what a lookup costs, what a worker holds, and how soon it serves.

    python tests/benchmarks/cache.py --answers 1000000

The copy is a worker's own (SharedCache, on the event loop of workers), in a process by itself, on a
real Kafka: cold, from the topic's beginning; then again, from what it has on its disk.
"""

import argparse
import asyncio
import json
import os
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from pathlib import Path
from random import Random
from typing import Any

from aiokafka import AIOKafkaProducer
from processes import LineProcess, broker
from rich.console import Console
from rich.table import Table

from tollway_schemas.cache import CacheEntry
from tollway_schemas.codec import encode
from tollway_schemas.provenance import Provenance
from tollway_schemas.redrive import LetterName
from tollway_schemas.reply import Answer
from tollway_schemas.usage import Usage
from tollway_workers.app import event_loop
from tollway_workers.app.allocator import give_back_large_blocks
from tollway_workers.app.answer_cache import SharedCache
from tollway_workers.clock import SystemClock
from tollway_workers.config.shape.fleet import FleetSettings
from tollway_workers.kafka import topic_admin as topics
from tollway_workers.kafka.connect import quieten_client_logs
from tollway_workers.telemetry.logs import configure_logs
from tollway_workers.topics.plan import TopicPlan
from tollway_workers.topics.specs import wanted_topics

PARTITIONS = 12
#: Bytes of an answer.
SIZE = 1_000
#: Milliseconds of a lookup at p99, MiB that a worker grows by, seconds until it serves again from
#: its copy, and from the topic alone; of a million answers.
LOOKUP_MS, GROWTH, AGAIN, COLD = 0.3, 60.0, 3.0, 90.0
_FULL = 1_000_000
#: Lookups that are timed, and how many of ten are of what is known.
_LOOKUPS, _KNOWN = 20_000, 5
#: Lookups between two turns of the event loop.
_TURN = 20
#: Seconds between two looks at the memory.
_LOOK = 0.05
#: Seconds that a cold copy may take at all.
_PATIENCE = 900.0


def key_of(number: int) -> bytes:
    """The key of one answer."""
    return blake2b(b"%d" % number, digest_size=32).digest()


def settings_for(servers: str, prefix: str) -> FleetSettings:
    """A fleet whose one route caches."""
    return FleetSettings.model_validate(
        {
            "kafka": {"bootstrap_servers": servers, "prefix": prefix, "partitions": PARTITIONS},
            "providers": {"p": {"base_url": "http://127.0.0.1:1/v1"}},
            "lanes": {"bench": {"provider": "p", "model": "m", "concurrency": 10}},
            "routes": {"bench": {"lanes": ["bench"], "cache": {"exact": True}}},
        }
    )


# The parent: plants answers, and starts a copy twice.


def entries(count: int) -> Iterator[tuple[bytes, bytes]]:
    """Records of answers of 1 KB, as a worker writes them."""
    now = datetime.now(UTC)
    dice = Random(1)
    blank = "0" * 64
    entry = CacheEntry(
        key=blank,
        route="bench",
        tenant="acme",
        answer=Answer(text="@" * SIZE, finish_reason="stop"),
        provenance=Provenance.LIVE,
        lane="bench",
        model="m",
        usage=Usage(input_total=500, output_total=250),
        source=LetterName(route="bench", tenant="acme", job_id="0" * 32),
        read_at=now,
        answered_at=now,
        expires_at=now + timedelta(hours=12),
        stale_until=now + timedelta(hours=12),
    )
    template = encode(entry)
    for number in range(count):
        key = key_of(number).hex().encode()
        words = dice.randbytes(SIZE // 2).hex().encode()
        yield key, template.replace(blank.encode(), key, 1).replace(b"@" * SIZE, words, 1)


async def plant(servers: str, prefix: str, count: int) -> None:
    """Make the topic, and write so many answers to it."""
    settings = settings_for(servers, prefix)
    name = f"{prefix}.cache"
    spec = tuple(each for each in wanted_topics(settings) if each.name == name)
    await topics.apply(TopicPlan(create=spec), {"bootstrap_servers": servers})
    async with AIOKafkaProducer(
        bootstrap_servers=servers, max_batch_size=2**19, linger_ms=20, compression_type="zstd"
    ) as producer:
        waiting: set[asyncio.Future[Any]] = set()
        for key, value in entries(count):
            at = int(key[:8], 16) % PARTITIONS
            waiting.add(await producer.send(name, value, key, partition=at))
            if len(waiting) > 20_000:
                await asyncio.gather(*waiting)
                waiting.clear()
        await asyncio.gather(*waiting)


def copied(servers: str, prefix: str, folder: str, count: int) -> dict[str, float]:
    """What a copy in that folder says of itself."""
    with LineProcess("cache.py", "--copy", servers, prefix, folder, str(count)) as child:
        figures: dict[str, float] = json.loads(child.read_line())
    return figures


def measure(servers: str, count: int, console: Console) -> dict[str, float]:
    """All figures."""
    prefix = f"bench-cache-{os.getpid()}"
    began = time.monotonic()
    asyncio.run(plant(servers, prefix, count))
    console.print(f"{count:,} answers were written in {time.monotonic() - began:.0f} s")
    with tempfile.TemporaryDirectory() as folder:
        cold = copied(servers, prefix, folder, count)
        again = copied(servers, prefix, folder, count)
    figures = {
        "answers": count,
        "cold_s": cold["serves_s"],
        "cold_cpu_s": cold["cpu_s"],
        "again_s": again["serves_s"],
        "growth_mib": max(cold["growth_mib"], again["growth_mib"]),
        "growth_again_mib": again["growth_mib"],
        "lookup_p50_ms": again["p50_ms"],
        "lookup_p99_ms": max(cold["p99_ms"], again["p99_ms"]),
        "file_mib": again["file_mib"],
        "found": min(cold["found"], again["found"]),
    }
    _show(console, figures)
    return figures


def _show(console: Console, figures: dict[str, float]) -> None:
    table = Table(title=f"{figures['answers']:,.0f} known answers of {SIZE:,} bytes")
    for heading in ("", "measured", "bound"):
        table.add_column(heading, justify="right" if heading else "left")
    for name, what, bound in (
        ("lookup_p50_ms", "a lookup on the event loop, ms at p50", None),
        ("lookup_p99_ms", "the same at p99", LOOKUP_MS),
        ("growth_mib", "anonymous memory of the process, MiB more at most", GROWTH),
        ("again_s", "it serves again from its copy after, s", AGAIN),
        ("cold_s", "it serves from the topic alone after, s", COLD),
        ("cold_cpu_s", "that is CPU, s", None),
        ("file_mib", "the copy's file, MiB", None),
    ):
        table.add_row(what, f"{figures[name]:.3g}", "" if bound is None else f"{bound:g}")
    console.print(table)


def broken(figures: dict[str, float]) -> list[str]:
    """Figures beyond their bounds, which are those of a million answers."""
    bounds = {"lookup_p99_ms": LOOKUP_MS, "growth_mib": GROWTH, "again_s": AGAIN, "cold_s": COLD}
    said = [f"{name}: {figures[name]:.3g} of {most:g}" for name, most in bounds.items()]
    found = [] if figures["found"] == 1.0 else ["answers that were not found"]
    over = [figures[name] > most for name, most in bounds.items()]
    return found + [each for each, is_over in zip(said, over, strict=True) if is_over]


# The child: one copy.


class Memory:
    """The most anonymous memory of this process since it began to look, in a thread of its own."""

    def __init__(self) -> None:
        self.before = self.most = anonymous_mib()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()

    @property
    def growth(self) -> float:
        """MiB."""
        return self.most - self.before

    def end(self) -> None:
        """Look no more."""
        self._ended.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._ended.wait(_LOOK):
            self.most = max(self.most, anonymous_mib())


def anonymous_mib() -> float:
    """What no file stands behind."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("RssAnon:")[2].split()[0]) / 1_024


async def copy(servers: str, prefix: str, folder: Path, count: int) -> dict[str, float]:
    """Open a copy, wait until it serves, and look answers up."""
    client = {"bootstrap_servers": servers}
    # What any worker has loaded is not the cache's, and it gives back what Kafka's answers took.
    await _met(client)
    give_back_large_blocks()
    memory = Memory()
    began, spent = time.monotonic(), time.process_time()
    cache = SharedCache(client, settings_for(servers, prefix), folder, SystemClock())
    running = asyncio.create_task(cache.run())
    async with asyncio.timeout(_PATIENCE):
        while not cache.serves:  # noqa: ASYNC110 a copy that fails and begins again is waited for too
            await asyncio.sleep(0.01)
    serves, cpu = time.monotonic() - began, time.process_time() - spent
    found, seconds = await _look_up(cache, count)
    memory.end()
    state = cache.state
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    await cache.stop()
    return {
        "serves_s": serves,
        "cpu_s": cpu,
        "growth_mib": memory.growth,
        "p50_ms": statistics.median(seconds) * 1e3,
        "p99_ms": statistics.quantiles(seconds, n=100)[98] * 1e3,
        "found": found,
        "file_mib": state.bytes / 2**20,
    }


async def _met(client: dict[str, Any]) -> None:
    async with AIOKafkaProducer(**client):
        pass


async def _look_up(cache: SharedCache, count: int) -> tuple[float, list[float]]:
    """Which part of what is known was found, and the seconds of each lookup."""
    dice = Random(2)
    now = time.time()
    seconds: list[float] = []
    found = known = 0
    for number in range(_LOOKUPS):
        is_known = number % 10 < _KNOWN
        at = dice.randrange(count) + (0 if is_known else count)
        key = key_of(at)
        began = time.perf_counter()
        entry = cache.get(key, now)
        seconds.append(time.perf_counter() - began)
        known += is_known
        found += entry is not None
        if number % _TURN == 0:
            await asyncio.sleep(0)
    return found / known, seconds


def main() -> int:
    """Run everything; exit 1 if a figure is beyond its bound."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--answers", type=int, default=_FULL)
    parser.add_argument("--copy", nargs=4, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    quieten_client_logs()
    configure_logs("error", "console")
    if arguments.copy:
        servers, prefix, folder, count = arguments.copy
        figures = event_loop.run(copy(servers, prefix, Path(folder), int(count)))
        print(json.dumps(figures), flush=True)
        return 0
    console = Console()
    with tempfile.TemporaryDirectory() as data, broker(Path(data)) as running:
        figures = measure(running, arguments.answers, console)
    said = broken(figures)
    for each in said:
        console.print(f"beyond its bound: {each}", style="red")
    return 1 if said else 0


if __name__ == "__main__":
    sys.exit(main())
