"""Jobs in, replies and dead letters out, as a service would see them."""

import asyncio
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Self

import orjson
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaError
from judge import Ending

from tollway_schemas import headers
from tollway_schemas.codec import encode
from tollway_schemas.job import Job, Priority
from tollway_schemas.keys import job_key
from tollway_schemas.reading.consumer import RecordConsumer, UnreadableRecord
from tollway_schemas.request import ChatRequest, Message
from tollway_schemas.topics import TopicNames

#: Seconds until a record is tried again that the producer had no room for.
_NO_ROOM = 0.05


def job(
    job_id: str, route: str, priority: Priority = Priority.BULK, *, answer_limit: int = 64
) -> Job:
    """A small job with an hour to go; `answer_limit`: tokens that its answer may have."""
    now = datetime.now(UTC)
    return Job(
        id=job_id,
        route=route,
        request=ChatRequest(
            messages=(Message(role="user", content="Say something."),),
            max_output_tokens=answer_limit,
        ),
        priority=priority,
        created_at=now,
        deadline=now + timedelta(hours=1),
    )


def jobs(count: int, routes: Sequence[str], *, prefix: str = "job") -> list[Job]:
    """Jobs in turn for each route; every tenth is interactive."""
    return [
        job(
            f"{prefix}-{number:05}",
            routes[number % len(routes)],
            Priority.INTERACTIVE if number % 10 == 9 else Priority.BULK,
        )
        for number in range(count)
    ]


@dataclass
class Traffic:
    """For the time of an `async with`. Mutable state: what is acknowledged and what came back."""

    servers: str
    names: TopicNames
    acknowledged: set[str] = field(default_factory=set)
    replies: list[Ending] = field(default_factory=list)
    letters: list[Ending] = field(default_factory=list)
    #: Jobs that have a reply of any kind.
    answered: set[str] = field(default_factory=set)
    #: Told of each reply.
    on_reply: Callable[[dict[str, Any]], object] = lambda value: None

    async def __aenter__(self) -> Self:
        self._producer = AIOKafkaProducer(
            bootstrap_servers=self.servers,
            acks="all",
            enable_idempotence=True,
            max_batch_size=2**18,
        )
        await self._producer.start()
        # What nobody can read stands there too, where strangers write.
        self._consumer = RecordConsumer(
            bootstrap_servers=self.servers,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            isolation_level="read_committed",
        )
        await self._consumer.start()
        await self._consumer._client.force_metadata_update()
        self._consumer.assign(
            [
                TopicPartition(topic, partition)
                for topic in (self.names.replies, self.names.dead_letters)
                for partition in await self._partitions(topic)
            ]
        )
        self._tail = asyncio.create_task(self._read())
        return self

    async def __aexit__(self, *exception: object) -> None:
        self._tail.cancel()
        with suppress(asyncio.CancelledError):
            await self._tail
        await self._consumer.stop()
        await self._producer.stop()

    async def publish(self, wanted: Iterable[Job], *, rate: float | None = None) -> None:
        """Hand jobs over, so many a second; returns when Kafka has acknowledged all."""
        began = time.monotonic()
        handed: list[asyncio.Task[None]] = []
        for number, each in enumerate(wanted):
            if rate is not None:
                # An event loop that is late catches up.
                await asyncio.sleep(max(0.0, began + number / rate - time.monotonic()))
            handed.append(asyncio.create_task(self._acknowledge(each.id, await self._send(each))))
        await asyncio.gather(*handed)

    async def publish_all(self, wanted: Iterable[Job]) -> None:
        """Hand very many over as fast as it goes; returns when Kafka has acknowledged all."""
        handed = {each.id: await self._send(each) for each in wanted}
        await asyncio.gather(*handed.values())
        self.acknowledged.update(handed)

    async def until_answered(self, count: int, *, patience: float) -> bool:
        """Wait for replies of so many jobs; False where none came for `patience` seconds."""
        seen, moved = len(self.answered), time.monotonic()
        while len(self.answered) < count:
            if len(self.answered) != seen:
                seen, moved = len(self.answered), time.monotonic()
            if time.monotonic() - moved > patience:
                return False
            await asyncio.sleep(0.1)
        return True

    async def _send(self, each: Job) -> "asyncio.Future[Any]":
        topic = self.names.jobs(each.route, each.priority)
        while True:
            try:
                sent: asyncio.Future[Any] = await self._producer.send(
                    topic, encode(each), key=job_key(each.id)
                )
            except KafkaError:
                # Its buffer is full while Kafka is away: the record was not taken.
                await asyncio.sleep(_NO_ROOM)
            else:
                return sent

    async def _acknowledge(self, job_id: str, sent: "asyncio.Future[Any]") -> None:
        await sent
        self.acknowledged.add(job_id)

    async def _partitions(self, topic: str) -> set[int]:
        found = None
        while not found:
            found = self._consumer.partitions_for_topic(topic)
            if not found:
                await self._consumer.topics()
        return set(found)

    async def _read(self) -> None:
        while True:
            batches = await self._consumer.getmany(timeout_ms=200)
            for place, records in batches.items():
                for record in records:
                    self._take(place.topic, record)

    def _take(self, topic: str, record: Any) -> None:
        if isinstance(record, UnreadableRecord):
            return
        if headers.get(record.headers, headers.VALUE_KIND) is not None:
            self.letters.append(_raw_letter(record))
            return
        value = orjson.loads(record.value)
        failure = value.get("failure") or {}
        is_reply = topic == self.names.replies
        ending = Ending(
            job_id=value["job_id"],
            worker=value.get("worker") or "",
            status=value["status"] if is_reply else failure["failure_class"],
            at=record.timestamp / 1000,
            calls=max((attempt["number"] for attempt in value.get("attempts") or ()), default=1),
            message=failure.get("message") or "",
            given=bool(value.get("cached_from")),
        )
        if is_reply:
            self.replies.append(ending)
            self.answered.add(ending.job_id)
            self.on_reply(value)
        else:
            self.letters.append(ending)


def _raw_letter(record: Any) -> Ending:
    """What the dead letter of a record says that holds no job."""

    def said(name: str) -> str:
        return headers.get(record.headers, name) or ""

    return Ending(
        job_id=said(headers.JOB_ID),
        worker=said(headers.WORKER),
        status=said(headers.FAILURE_CLASS),
        at=record.timestamp / 1000,
        message=said(headers.FAILURE_MESSAGE),
    )
