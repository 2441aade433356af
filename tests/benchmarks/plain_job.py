"""One job as every worker beside ours does it: POST, and publish the reply. No features."""

from typing import Any

import aiohttp
import orjson
from aiokafka import AIOKafkaProducer

from tollway_workers.kafka.produce.sink import BATCH_BYTES

_HEADERS = {"Authorization": "Bearer bench", "Content-Type": "application/json"}


class PlainJob:
    """What such a worker holds: a session and a producer with the settings of ours."""

    def __init__(
        self, client: dict[str, Any], url: str, replies: str, *, stream: bool = False
    ) -> None:
        self._stream = {"stream": True, "stream_options": {"include_usage": True}} if stream else {}
        self._client = client
        self._url = url
        self._replies = replies

    async def start(self) -> None:
        """Open both."""
        self._producer = AIOKafkaProducer(
            **self._client,
            acks="all",
            enable_idempotence=True,
            compression_type="zstd",
            linger_ms=0,
            max_batch_size=BATCH_BYTES,
        )
        await self._producer.start()
        self._session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0))

    async def stop(self) -> None:
        """Close both."""
        await self._session.close()
        await self._producer.stop()

    async def ask(self, job: dict[str, Any]) -> bytes:
        """Call the provider; gives the reply."""
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
        async with self._session.post(self._url, data=body, headers=_HEADERS) as response:
            text, usage = await (_streamed(response) if self._stream else _whole(response))
        return orjson.dumps({"job_id": job["id"], "answer": text, "usage": usage})

    async def publish(self, job: dict[str, Any], reply: bytes) -> None:
        """Returns when Kafka has the reply."""
        key = job["id"].encode()
        await (await self._producer.send(self._replies, reply, key=key))

    async def do(self, job: dict[str, Any]) -> None:
        """All of it."""
        await self.publish(job, await self.ask(job))


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
