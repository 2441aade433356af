"""Many dead letters: seconds and memory of `groups`, and how many are redriven a second.

    python tests/benchmarks/many_letters.py --letters 100000

The command runs as a person runs it, in a process of its own; no worker serves the route.
"""

import argparse
import asyncio
import json
import os
import sys
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from processes import broker
from rich.console import Console
from watched import ran

from tollway_schemas import (
    BadAnswer,
    DeadLetter,
    Failure,
    FailureClass,
    Origin,
    Priority,
    TopicNames,
)
from tollway_schemas.codec import encode
from tollway_schemas.keys import dead_letter_key
from tollway_workers.kafka.connect import quieten_client_logs

PARTITIONS = 12
CAUSES = 7
#: Seconds for `groups` of 100,000, dead letters redriven a second, and MiB of the command.
GROUPS_WITHIN, REDRIVEN, MEMORY = 20.0, 2_000.0, 300.0
_FULL = 100_000


def letters(count: int, run: str) -> Iterator[DeadLetter]:
    """With a prompt of 2 KB and an answer of 1 KB each."""
    now = datetime.now(UTC)
    for number in range(count):
        job: dict[str, Any] = {
            "id": f"{run}-{number}",
            "route": "extract",
            "run": run,
            "request": {
                "messages": [{"role": "user", "content": "an invoice " * 180}],
                "max_output_tokens": 300,
            },
            "output": {"json_schema": {"type": "object", "required": ["total"]}},
            "created_at": now.isoformat(),
            "deadline": (now + timedelta(hours=24)).isoformat(),
        }
        yield DeadLetter(
            job_id=f"{run}-{number}",
            generation=1,
            route="extract",
            run=run,
            failure=Failure(failure_class=FailureClass.BAD_OUTPUT, message="it breaks its schema"),
            fingerprint=f"cause-{number % CAUSES}",
            origin=Origin(topic="x.jobs.extract.bulk", partition=0, offset=number),
            dead_at=now,
            worker="host-0",
            bad_answers=(BadAnswer(attempt=1, text=json.dumps({"sum": "x" * 1_000})),),
            job=job,
        )


async def plant(servers: str, names: TopicNames, count: int) -> None:
    """Write them, and make the topics that a redrive needs."""
    topics = [names.dead_letters, names.marks, names.journal, names.jobs("extract", Priority.BULK)]
    admin = AIOKafkaAdminClient(bootstrap_servers=servers)
    await admin.start()
    try:
        await admin.create_topics([NewTopic(topic, PARTITIONS, 1) for topic in topics])
    finally:
        await admin.close()
    written = []
    async with AIOKafkaProducer(
        bootstrap_servers=servers, max_batch_size=2**18, linger_ms=5, compression_type="zstd"
    ) as producer:
        for letter in letters(count, "many"):
            key = dead_letter_key(letter.job_id, letter.generation)
            written.append(await producer.send(names.dead_letters, encode(letter), key))
        await asyncio.gather(*written)


def measure(servers: str, count: int, console: Console) -> dict[str, float]:
    """All figures."""
    names = TopicNames(f"bench-letters-{os.getpid()}")
    asyncio.run(plant(servers, names, count))
    groups = ran(servers, names, "dead-letters", "groups")
    redriven = ran(servers, names, "dead-letters", "redrive", "--yes")
    free = ran(servers, names, "dead-letters", "unmark", "--yes")
    revalidated = ran(servers, names, "dead-letters", "redrive", "--yes", "--revalidate")
    console.print(
        f"{count:,} dead letters: {len(groups.said['groups'])} groups in {groups.seconds:.1f} s "
        f"({groups.memory:.0f} MiB); redriven in {redriven.seconds:.1f} s, "
        f"{count / redriven.seconds:,.0f} a second ({redriven.memory:.0f} MiB); unmarked in "
        f"{free.seconds:.1f} s; with their answers {count / revalidated.seconds:,.0f} a second "
        f"({revalidated.memory:.0f} MiB)"
    )
    return {
        "letters": count,
        "groups": len(groups.said["groups"]),
        "groups_s": groups.seconds,
        "groups_mib": groups.memory,
        "redriven_per_s": count / redriven.seconds,
        "redriven_mib": redriven.memory,
        "revalidated_per_s": count / revalidated.seconds,
        "revalidated_mib": revalidated.memory,
    }


def holds(figures: dict[str, float]) -> bool:
    """Whether the bounds are kept; those of time for the full size alone."""
    most = max(figures[name] for name in ("groups_mib", "redriven_mib", "revalidated_mib"))
    is_small = most <= MEMORY and figures["groups"] == CAUSES
    if figures["letters"] < _FULL:
        return is_small
    rate = min(figures["redriven_per_s"], figures["revalidated_per_s"])
    return is_small and figures["groups_s"] <= GROUPS_WITHIN and rate >= REDRIVEN


def main() -> int:
    """Run it alone; exit 1 beyond a bound."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--letters", type=int, default=_FULL)
    arguments = parser.parse_args()
    quieten_client_logs()
    with tempfile.TemporaryDirectory() as folder, broker(Path(folder)) as servers:
        figures = measure(servers, arguments.letters, Console())
    return 0 if holds(figures) else 1


if __name__ == "__main__":
    sys.exit(main())
