"""The loop that everybody starts with, and our bar: consume, POST, reply, commit.

aiokafka and aiohttp, a task per job, the same client settings and bodies as ours, and no features:
no limits, no retries, no validation, no journal, no metrics, and an offset map least of all.
"""

import asyncio
from collections.abc import Callable
from typing import Any

import aiohttp
import orjson
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from tollway_workers.kafka.produce.sink import BATCH_BYTES

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
        self._stream = {"stream": True, "stream_options": {"include_usage": True}} if stream else {}
        self._client = client
        self._topic = topic
        self._url = url
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
        self._producer = AIOKafkaProducer(
            **self._client,
            acks="all",
            enable_idempotence=True,
            compression_type="zstd",
            linger_ms=0,
            max_batch_size=BATCH_BYTES,
        )
        await consumer.start()
        await self._producer.start()
        self._session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0))
        committing = asyncio.create_task(self._commit(consumer))
        try:
            while True:
                batches = await consumer.getmany(timeout_ms=200, max_records=IN_FLIGHT)
                for partition, records in batches.items():
                    for record in records:
                        await self._free.acquire()
                        task = asyncio.create_task(self._job(record.key, record.value))
                        self._tasks.add(task)
                        task.add_done_callback(self._tasks.discard)
                    self._next[partition] = records[-1].offset + 1
        finally:
            committing.cancel()
            await self._session.close()
            await self._producer.stop()
            await consumer.stop()

    async def _job(self, key: bytes | None, value: bytes | None) -> None:
        job = orjson.loads(value or b"")
        request, output = job["request"], job["output"]
        body = orjson.dumps(
            {
                "model": "bench-1",
                "messages": request["messages"],
                "max_completion_tokens": request["max_output_tokens"],
                "response_format": {
                    "type": "json_schema",
                    "json_schema": {
                        "name": output["name"],
                        "strict": True,
                        "schema": output["json_schema"],
                    },
                },
                **self._stream,
            }
        )
        headers = {"Authorization": "Bearer bench", "Content-Type": "application/json"}
        async with self._session.post(self._url, data=body, headers=headers) as response:
            text, usage = await (_streamed(response) if self._stream else _whole(response))
        self._free.release()
        reply = {"job_id": job["id"], "answer": text, "usage": usage}
        await (await self._producer.send(f"{self._topic}.replies", orjson.dumps(reply), key=key))
        self._on_done()

    async def _commit(self, consumer: AIOKafkaConsumer) -> None:
        while True:
            await asyncio.sleep(1.0)
            if self._next:
                await consumer.commit(dict(self._next))


async def _whole(response: aiohttp.ClientResponse) -> tuple[str, Any]:
    answer = orjson.loads(await response.read())
    return answer["choices"][0]["message"]["content"], answer["usage"]


async def _streamed(response: aiohttp.ClientResponse) -> tuple[str, Any]:
    texts: list[str] = []
    usage = None
    async for line in response.content:
        if not line.startswith(b"data: {"):
            continue
        chunk = orjson.loads(line[6:])
        texts.extend(choice["delta"].get("content") or "" for choice in chunk["choices"])
        usage = chunk.get("usage") or usage
    return "".join(texts), usage
