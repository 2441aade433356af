"""The worker that FastStream's users have: batches, acknowledged when all of a batch is done.

`python faststream_worker.py SERVERS TOPIC REPLIES URL IN_FLIGHT` works until it is killed.
"""

import asyncio
import sys
from typing import Any

from faststream import AckPolicy
from faststream.kafka import KafkaBroker
from peers import SESSION_MS, tuned
from plain_job import PlainJob

from tollway_workers.app import event_loop


async def main(servers: str, topic: str, replies: str, url: str, in_flight: str) -> None:
    """Work until killed."""
    plain = PlainJob({"bootstrap_servers": servers}, url, replies)
    broker = KafkaBroker(servers, logger=None)

    @broker.subscriber(
        topic,
        batch=True,
        max_records=int(in_flight),
        group_id=topic,
        auto_offset_reset="earliest",
        ack_policy=AckPolicy.ACK,
        session_timeout_ms=SESSION_MS,
    )
    async def answer(jobs: list[dict[str, Any]]) -> None:
        await asyncio.gather(*map(plain.do, jobs))

    await plain.start()
    await broker.start()
    tuned()
    await asyncio.Event().wait()


if __name__ == "__main__":
    event_loop.run(main(*sys.argv[1:]))
