"""Many journalled calls: seconds and memory of `tollway cost`, and whether its sum is exact.

    python tests/benchmarks/many_calls.py --calls 1000000

The command runs as a person runs it, in a process of its own. Half of the tenants have one call
each in the second question: groups are as many as that is then.
"""

import argparse
import asyncio
import os
import sys
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import orjson
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from processes import broker
from rich.console import Console
from watched import ran

from tollway_schemas import Attempt, Billed, JournalRecord, TopicNames, Usage
from tollway_schemas.codec import encode
from tollway_schemas.keys import job_key
from tollway_workers.kafka.connect import quieten_client_logs

PARTITIONS = 12
#: Seconds for a million calls, and MiB of the command.
WITHIN, MEMORY = 30.0, 512.0
_FULL = 1_000_000
_DAYS, _TENANTS = 7, 200
#: Sends that are not acknowledged yet.
_AHEAD = 20_000


def cost_of(number: int) -> int | None:
    """Pico-USD; every thousandth is unknown."""
    return None if number % 1_000 == 0 else 123_456_789 + number


def records(count: int) -> Iterator[tuple[str, bytes]]:
    """With a prompt of 1 KB and an answer of half of it each."""
    began = datetime.now(UTC) - timedelta(days=_DAYS)
    record = JournalRecord(
        job_id="",
        generation=1,
        route="extract",
        worker="host-0",
        attempt=Attempt(
            number=1,
            lane="fast",
            provider="p",
            model="gpt-5-mini",
            started_at=began,
            latency=1.25,
            status=200,
            usage=Usage(input_total=250, input_cached_read=100, output_total=120, reasoning=20),
            billed=Billed.YES,
        ),
        request={"messages": [{"role": "user", "content": "an invoice " * 90}]},
        response={"choices": [{"message": {"content": "x" * 500}}]},
    )
    fields = orjson.loads(encode(record))
    for number in range(count):
        job = f"many-{number}"
        at = began + timedelta(days=_DAYS) * (number / count)
        fields["job_id"], fields["tenant"] = job, f"tenant-{number % _TENANTS}"
        fields["run"] = f"run-{number // 2}"
        fields["attempt"]["started_at"] = at.isoformat()
        cost = cost_of(number)
        fields["attempt"]["cost"] = None if cost is None else str(cost)
        yield job, orjson.dumps(fields)


async def plant(servers: str, names: TopicNames, count: int) -> None:
    """Write them."""
    admin = AIOKafkaAdminClient(bootstrap_servers=servers)
    await admin.start()
    try:
        await admin.create_topics([NewTopic(names.journal, PARTITIONS, 1)])
    finally:
        await admin.close()
    async with AIOKafkaProducer(
        bootstrap_servers=servers, max_batch_size=2**18, linger_ms=5, compression_type="zstd"
    ) as producer:
        waiting = []
        for job, value in records(count):
            waiting.append(await producer.send(names.journal, value, job_key(job)))
            if len(waiting) >= _AHEAD:
                await asyncio.gather(*waiting)
                waiting.clear()
        await asyncio.gather(*waiting)


def measure(servers: str, count: int, console: Console) -> bool:
    """Ask, show the figures; whether the bounds are kept (that of time for the full size alone)."""
    names = TopicNames(f"bench-calls-{os.getpid()}")
    asyncio.run(plant(servers, names, count))
    known = [cost for number in range(count) if (cost := cost_of(number)) is not None]
    kept = True
    for by in ("route,tenant,lane,model,day", "run"):
        found = ran(servers, names, "cost", "--by", by)
        total = found.said["total"]
        exact = (int(total["cost_pico_usd"]), total["calls_of_unknown_cost"], total["calls"]) == (
            sum(known),
            count - len(known),
            count,
        )
        console.print(
            f"{count:,} calls by {by}: {len(found.said['groups']):,} groups in "
            f"{found.seconds:.1f} s, {found.cpu:.1f} s of a processor ({found.memory:.0f} MiB), "
            f"{'exact' if exact else 'WRONG'}"
        )
        kept = kept and exact and found.memory <= MEMORY
        kept = kept and (by == "run" or count < _FULL or found.seconds <= WITHIN)
    return kept


def main() -> int:
    """Run it alone; exit 1 beyond a bound."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=_FULL)
    arguments = parser.parse_args()
    quieten_client_logs()
    with tempfile.TemporaryDirectory() as folder, broker(Path(folder)) as servers:
        return 0 if measure(servers, arguments.calls, Console()) else 1


if __name__ == "__main__":
    sys.exit(main())
