"""How late a job comes back from a retry topic: two relays, a steady stream and a crowd at once."""

import asyncio
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from processes import broker
from rich.console import Console

from tollway_schemas import headers
from tollway_schemas.failure import Failure
from tollway_schemas.job import Priority
from tollway_schemas.keys import job_key
from tollway_schemas.topics import TopicNames
from tollway_workers.clock import SystemClock
from tollway_workers.forwarding.relay import RelayTargets
from tollway_workers.job.ports import OutgoingRecord
from tollway_workers.kafka.client_settings import SinkSettings, SourceSettings
from tollway_workers.kafka.consume.relay_loop import Relay
from tollway_workers.kafka.consume.tier_reader import KafkaTierSource
from tollway_workers.kafka.produce.sink import KafkaSink
from tollway_workers.ownership.record import ReceivedRecord

#: Seconds; the longer one is for the crowd, so that all of it is due at one moment.
TIERS = (5.0, 15.0)
#: Jobs of the steady stream, and how many a second.
STREAM, RATE = 3_000, 200
#: Jobs that are due at one moment.
CROWD = 3_000
PARTITIONS = 12
#: Bytes of a job.
JOB = b'{"request": "' + b"x" * 1_000 + b'"}'
#: Seconds of lateness at the 99th percentile of the stream, and of the crowd.
BOUND = 2.0


async def measure(servers: str, console: Console) -> dict[str, float]:
    """Seconds between when jobs were due and when their lane's topic had them."""
    client = {"bootstrap_servers": servers}
    names = TopicNames(f"bench-relay-{os.getpid()}")
    targets = RelayTargets(names=names, first_lanes={}, lanes=frozenset({"main"}), tiers=TIERS)
    lane = names.lane("main", Priority.BULK)
    await _make_topics(client, [lane, *map(names.retry, TIERS)])
    sink = KafkaSink(SinkSettings(client=client, most_bytes=1_000_000), SystemClock())
    await sink.start()
    relays = [_relay(name, client, targets, sink) for name in ("one", "two")]
    running = [asyncio.create_task(relay.run()) for relay in relays]
    due: dict[bytes, float] = {}
    at_once = time.time() + TIERS[1]
    reading = asyncio.create_task(_arrivals(client, lane, STREAM + CROWD))
    try:
        await _crowd(sink, names, due, at_once)
        await _stream(sink, names, due)
        back = await reading
    finally:
        for relay in relays:
            relay.stop()
        await asyncio.gather(*running)
        await sink.stop()
    return _figures(due, back, at_once, console)


def _relay(name: str, client: dict[str, Any], targets: RelayTargets, sink: KafkaSink) -> Relay:
    settings = SourceSettings(
        client=client,
        topics=tuple(map(targets.names.retry, TIERS)),
        group=targets.names.relay_group,
        instance_id=name,
        session_timeout=15.0,
    )

    async def give_up(record: ReceivedRecord, failure: Failure, route: str) -> None:
        raise AssertionError(failure.message)

    return Relay(KafkaTierSource(settings, SystemClock()), sink, targets, SystemClock(), give_up)


async def _make_topics(client: dict[str, Any], topics: list[str]) -> None:
    admin = AIOKafkaAdminClient(**client)
    await admin.start()
    try:
        await admin.create_topics([NewTopic(topic, PARTITIONS, 1) for topic in topics])
    finally:
        await admin.close()


async def _crowd(sink: KafkaSink, names: TopicNames, due: dict[bytes, float], at: float) -> None:
    written = []
    for number in range(CROWD):
        key = job_key(f"crowd-{number}")
        due[key] = at
        written.append(await sink.send(_record(names.retry(TIERS[1]), key, at)))
    for each in written:
        await each


async def _stream(sink: KafkaSink, names: TopicNames, due: dict[bytes, float]) -> None:
    began = time.monotonic()
    for number in range(STREAM):
        await asyncio.sleep(max(0.0, began + number / RATE - time.monotonic()))
        key = job_key(f"stream-{number}")
        due[key] = time.time() + TIERS[0]
        await sink.send(_record(names.retry(TIERS[0]), key, due[key]))


def _record(topic: str, key: bytes, due: float) -> OutgoingRecord:
    about = headers.encode(
        ((headers.LANE, "main"), (headers.PRIORITY, "bulk"), (headers.DUE, f"{due:.3f}"))
    )
    return OutgoingRecord(topic, key, JOB, about)


async def _arrivals(client: dict[str, Any], topic: str, count: int) -> dict[bytes, float]:
    """Kafka's time of each job in its lane's topic."""
    consumer = AIOKafkaConsumer(**client, auto_offset_reset="earliest")
    await consumer.start()
    consumer.assign([TopicPartition(topic, number) for number in range(PARTITIONS)])
    back: dict[bytes, float] = {}
    try:
        while len(back) < count:
            for records in (await consumer.getmany(timeout_ms=200)).values():
                back.update((record.key or b"", record.timestamp / 1000) for record in records)
    finally:
        await consumer.stop()
    return back


def _figures(
    due: dict[bytes, float], back: dict[bytes, float], at_once: float, console: Console
) -> dict[str, float]:
    late = {
        name: [back[key] - when for key, when in due.items() if key.startswith(name.encode())]
        for name in ("stream", "crowd")
    }
    p99 = {name: statistics.quantiles(each, n=100)[98] for name, each in late.items()}
    # A record carries whole milliseconds.
    early = sum(each < -0.001 for times in late.values() for each in times)
    console.print(
        f"late from a retry topic: p99 {p99['stream']:.2f} s of {STREAM:,} jobs at {RATE}/s, "
        f"{p99['crowd']:.2f} s of {CROWD:,} due at once (bound: {BOUND:.0f} s); early: {early}"
    )
    return {
        "stream_p50_s": statistics.median(late["stream"]),
        "stream_p99_s": p99["stream"],
        "crowd_p99_s": p99["crowd"],
        "early": early,
        "bound_p99_s": BOUND,
    }


def main() -> int:
    """Run it alone; exit 1 beyond the bound."""
    with tempfile.TemporaryDirectory() as folder, broker(Path(folder)) as servers:
        figures = asyncio.run(measure(servers, Console()))
    latest = max(figures["stream_p99_s"], figures["crowd_p99_s"])
    return 0 if figures["early"] == 0 and latest <= BOUND else 1


if __name__ == "__main__":
    sys.exit(main())
