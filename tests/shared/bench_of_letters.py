"""Dead letters on topics of a test's own, and what a fleet would do with what is redriven."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import Any, Self

import orjson
from aiokafka import AIOKafkaProducer
from aiokafka.admin import NewTopic
from samples import attempt

from tollway import DeadLetters
from tollway.connection import KafkaConnection
from tollway.dead_letters.reading.reader import TopicReader, TopicRecord
from tollway_schemas import (
    BadAnswer,
    DeadLetter,
    Failure,
    FailureClass,
    Fate,
    LetterName,
    Mark,
    Origin,
    Priority,
    StoredElsewhere,
    TopicNames,
    headers,
)
from tollway_schemas.codec import decode, encode
from tollway_schemas.keys import dead_letter_key

Headers = Iterable[tuple[str, bytes]]


def letter(
    job_id: str = "job-1",
    *,
    generation: int = 1,
    tenant: str | None = "acme",
    bad: Iterable[BadAnswer] = (),
    job: dict[str, Any] | None = None,
    elsewhere: StoredElsewhere | None = None,
    **fields: Any,
) -> DeadLetter:
    """A dead letter of the route `extract`; `job`: what its job has otherwise."""
    now = datetime.now(UTC)
    plain: dict[str, Any] = {
        "id": job_id,
        "generation": generation,
        "route": "extract",
        "tenant": tenant,
        "request": {"messages": [{"role": "user", "content": "sesame"}]},
        "created_at": now.isoformat(),
        "deadline": (now + timedelta(hours=24)).isoformat(),
    }
    failure_class = fields.pop("failure_class", FailureClass.BAD_OUTPUT)
    cost = fields.pop("cost", 1_000)
    given: dict[str, Any] = {
        "route": "extract",
        "failure": Failure(failure_class=failure_class, message="it breaks its schema"),
        "fingerprint": "f1",
        "origin": Origin(topic="t.jobs.extract.bulk", partition=0, offset=1),
        "dead_at": now,
        "worker": "host-0",
        "attempts": (attempt(1, cost=cost),),
    }
    return DeadLetter(
        job_id=job_id,
        generation=generation,
        tenant=tenant,
        bad_answers=tuple(bad),
        job=None if elsewhere else plain | (job or {}),
        job_elsewhere=elsewhere,
        **{**given, **fields},
    )


def answer(text: str, *, cut: bool = False) -> BadAnswer:
    """A bad answer of the first call."""
    return BadAnswer(attempt=1, text=text, finish="stop", problems=("/: no",), cut=cut)


def raw_headers(origin: str, route: str = "extract") -> list[tuple[str, bytes]]:
    """What describes raw bytes that were read there."""
    return headers.encode(
        (
            (headers.VALUE_KIND, "raw"),
            (headers.ROUTE, route),
            (headers.ORIGIN, origin),
            (headers.FAILURE_CLASS, FailureClass.UNDECODABLE.value),
            (headers.FINGERPRINT, "raw"),
        )
    )


class Bench:
    """The topics of one prefix, and the SDK on them; `async with` opens it."""

    def __init__(self, servers: str, prefix: str) -> None:
        self.names = TopicNames(prefix)
        self.connection = KafkaConnection(servers)
        self.letters = DeadLetters(servers, prefix=prefix, by="me@here")
        self._producer = AIOKafkaProducer(bootstrap_servers=servers)

    async def __aenter__(self) -> Self:
        await self._producer.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._producer.stop()

    def topics(self, *routes: str) -> list[NewTopic]:
        """Those that it needs."""
        names = self.names
        kept = [names.dead_letters, names.marks, names.journal]
        jobs = [names.jobs(route, priority) for route in routes for priority in Priority]
        return [NewTopic(topic, 3, 1) for topic in (*kept, *jobs)]

    async def write(self, *letters: DeadLetter, headers: Headers = ()) -> None:
        """Dead letters, as a worker writes them."""
        sent = [
            await self._producer.send(
                self.names.dead_letters,
                encode(each),
                dead_letter_key(each.job_id, each.generation),
                headers=list(headers),
            )
            for each in letters
        ]
        await asyncio.gather(*sent)

    async def put(self, topic: str, value: bytes | None, key: bytes, about: Headers = ()) -> None:
        """Any record."""
        await self._producer.send_and_wait(topic, value, key, headers=list(about))

    async def records(self, topic: str) -> list[TopicRecord]:
        """All that a topic holds, and that is committed."""
        # What was committed a moment ago is behind the end of what is known to be.
        async with TopicReader(self.connection, committed=False) as behind:
            ends = await behind.ends(topic)
        async with TopicReader(self.connection) as reader:
            await reader.ends(topic)
            starts = await reader.starts(ends)
            return [each async for each in reader.between(starts, ends)]

    async def jobs(self, route: str) -> list[TopicRecord]:
        """What was published to a route's bulk topic."""
        return await self.records(self.names.jobs(route, Priority.BULK))

    async def job_values(self, route: str) -> list[dict[str, Any]]:
        """The same as JSON."""
        return [orjson.loads(each.value or b"") for each in await self.jobs(route)]

    async def marks(self) -> list[Mark]:
        """All marks."""
        return [decode(Mark, each.value) for each in await self.records(self.names.marks)]

    async def end(self, job: dict[str, Any], fate: Fate) -> None:
        """Say how a redriven job ended, as its worker does."""
        of = LetterName(**job["redrive"]["of"])
        mark = Mark(
            letter=of,
            fate=fate,
            at=datetime.now(UTC),
            by="host-0",
            next_generation=job["generation"],
            next_route=job["route"],
        )
        await self.put(self.names.marks, encode(mark), mark.key)

    @contextlib.asynccontextmanager
    async def worker(
        self, do: Callable[[dict[str, Any]], Awaitable[None]], route: str = "extract"
    ) -> AsyncIterator[None]:
        """Do that with each job of a route as it comes."""
        topic = self.names.jobs(route, Priority.BULK)

        async def work() -> None:
            async with TopicReader(self.connection) as reader:
                reader.follow(await reader.ends(topic))
                ready.set()
                while True:
                    for record in await reader.read():
                        await do(orjson.loads(record.value or b""))

        ready = asyncio.Event()
        task = asyncio.create_task(work())
        try:
            await ready.wait()
            yield
        finally:
            task.cancel()
            await asyncio.wait([task])
