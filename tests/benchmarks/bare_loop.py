"""The loop that everybody starts with, and our bar: consume, POST, reply, commit.

aiokafka and aiohttp, a task per job, the same client settings and bodies as ours, and no features:
no limits, no retries, no validation, no journal, no metrics, and an offset map least of all.
"""

import asyncio
from collections.abc import Callable
from typing import Any

import orjson
from aiokafka import AIOKafkaConsumer, TopicPartition
from plain_job import PlainJob

IN_FLIGHT = 256


class BareLoop:
    """Runs until cancelled; `done` counts replies that Kafka has acknowledged."""

    def __init__(
        self,
        client: dict[str, Any],
        topic: str,
        url: str,
        on_done: Callable[[], None],
        *,
        stream: bool = False,
    ):
        self._client = client
        self._topic = topic
        self._plain = PlainJob(client, url, f"{topic}.replies", stream=stream)
        self._on_done = on_done
        self._free = asyncio.Semaphore(IN_FLIGHT)
        self._next: dict[TopicPartition, int] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Consume until cancelled."""
        consumer = AIOKafkaConsumer(
            self._topic,
            **self._client,
            group_id=f"{self._topic}.bare",
            enable_auto_commit=False,
            auto_offset_reset="earliest",
        )
        await consumer.start()
        await self._plain.start()
        committing = asyncio.create_task(self._commit(consumer))
        try:
            while True:
                batches = await consumer.getmany(timeout_ms=200, max_records=IN_FLIGHT)
                for partition, records in batches.items():
                    for record in records:
                        await self._free.acquire()
                        task = asyncio.create_task(self._job(record.value))
                        self._tasks.add(task)
                        task.add_done_callback(self._tasks.discard)
                    self._next[partition] = records[-1].offset + 1
        finally:
            committing.cancel()
            await self._plain.stop()
            await consumer.stop()

    async def _job(self, value: bytes | None) -> None:
        job = orjson.loads(value or b"")
        reply = await self._plain.ask(job)
        self._free.release()
        await self._plain.publish(job, reply)
        self._on_done()

    async def _commit(self, consumer: AIOKafkaConsumer) -> None:
        while True:
            await asyncio.sleep(1.0)
            if self._next:
                await consumer.commit(dict(self._next))
