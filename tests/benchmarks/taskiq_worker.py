"""The worker that users of taskiq-aio-kafka have; offsets are committed as jobs are taken.

`python taskiq_worker.py SERVERS TOPIC REPLIES URL IN_FLIGHT` works until it is killed.
"""

import sys
from typing import Any

from aiokafka.coordinator.assignors.roundrobin import RoundRobinPartitionAssignor
from aiokafka.partitioner import DefaultPartitioner
from feeder import TASK
from peers import SESSION_MS, tuned
from plain_job import PlainJob
from taskiq.api import run_receiver_task
from taskiq_aio_kafka import AioKafkaBroker

from tollway_workers.app import event_loop


async def main(servers: str, topic: str, replies: str, url: str, in_flight: str) -> None:
    """Work until killed."""
    plain = PlainJob({"bootstrap_servers": servers}, url, replies)
    broker = AioKafkaBroker(servers, kafka_topic=topic)
    # aiokafka's own: those that it takes by default do not fit the kafka-python of today.
    broker.configure_producer(partitioner=DefaultPartitioner())
    broker.configure_consumer(
        group_id=topic,
        auto_offset_reset="earliest",
        session_timeout_ms=SESSION_MS,
        # As often as ours: by default it is every five seconds.
        auto_commit_interval_ms=1_000,
        partition_assignment_strategy=(RoundRobinPartitionAssignor,),
    )

    @broker.task(TASK)  # type: ignore[untyped-decorator]  # taskiq-aio-kafka has no types
    async def answer(job: dict[str, Any]) -> None:
        await plain.do(job)

    await plain.start()
    tuned()
    await run_receiver_task(broker, max_async_tasks=int(in_flight), run_startup=True)


if __name__ == "__main__":
    event_loop.run(main(*sys.argv[1:]))
