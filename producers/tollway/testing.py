"""For the tests of services: a stand-in for Kafka and the fleet, in memory.

    fleet = FakeFleet()
    fleet.answer("extract", {"number": "17", "total": 42.5})
    async with fleet.producer() as producer:
        await my_service.run(producer)
        assert fleet.jobs[0].tenant == "acme"

The producer is the real JobProducer; only its transport is not Kafka. Answers are not held to the
job's JSON Schema (a real fleet does that), but `result()` validates them where `output` is a type.

`ProtocolContract` is for who writes a protocol of their own: the suite that it has to pass. It is
`tollway_workers.testing.ProtocolContract`, and needs the fleet (`tollway[workers]`) and pytest,
which nothing else here does: it is imported only when it is asked for.
"""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from importlib import import_module
from typing import TYPE_CHECKING, Any

import orjson
from pydantic import BaseModel

from tollway.errors import UnknownTopic
from tollway.mailbox import Mailbox
from tollway.producer import JobProducer
from tollway.topics import advice_for_route
from tollway.transport import OutgoingRecord
from tollway_schemas import (
    DEFAULT_PREFIX,
    Answer,
    Failure,
    Job,
    LetterName,
    Provenance,
    Reply,
    ReplyAddress,
    TopicNames,
    codec,
    keys,
)

if TYPE_CHECKING:
    ProtocolContract: Any
else:

    def __getattr__(name: str) -> Any:
        if name != "ProtocolContract":
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return import_module("tollway_workers.testing").ProtocolContract


#: What a route answers: text, JSON, a pydantic object, a failure, or a whole reply.
Scripted = str | dict[str, Any] | list[Any] | BaseModel | Failure

#: The same for all jobs, or a function of the job.
Script = Scripted | Callable[[Job], Scripted]

_GIVEN_AGAIN = (Provenance.CACHED, Provenance.SEMANTIC, Provenance.STALE)
#: Seconds since such an answer was new, unless the job takes only a newer one.
_AGE = 60.0
#: And how similar what it was asked is.
_SIMILARITY = 0.97
#: The id of the job that it was an answer to.
_EARLIER = "earlier"


class FakeFleet:
    """Answers jobs in memory by a script for each route, and remembers them."""

    # Mutable state: the scripts, the jobs, the reply topic (a list), the transports that read it.
    def __init__(self, *, prefix: str = DEFAULT_PREFIX) -> None:
        self._names = TopicNames(prefix)
        self._scripts: dict[str, tuple[Script, Provenance] | None] = {}
        self._log: list[tuple[bytes, bytes]] = []
        self._readers: list[_MemoryTransport] = []
        self.jobs: list[Job] = []
        """Every job that was enqueued, in order."""

    def answer(
        self, route: str, script: Script, *, provenance: Provenance | str = Provenance.LIVE
    ) -> None:
        """Make the route exist and answer each of its jobs at once.

        `provenance`: what the replies say of the answers, such as `"rule"`; with `"cached"`,
        `"semantic"` or `"stale"` they say their age and a job named `earlier`, too. An error that a
        function raises comes out of `enqueue`.
        """
        self._scripts[route] = script, Provenance(provenance)

    def hold(self, route: str) -> None:
        """Make the route exist and leave its jobs unanswered, until `reply` is called."""
        self._scripts[route] = None

    def reply(
        self, job: Job, scripted: Scripted, *, provenance: Provenance | str = Provenance.LIVE
    ) -> None:
        """Answer one job now; again, and it is a duplicate."""
        self.publish(reply_to(job, scripted, provenance=provenance))

    def publish(self, reply: Reply) -> None:
        """Put a reply of any kind on the reply topic."""
        record = (keys.job_key(reply.job_id), codec.encode(reply))
        self._log.append(record)
        for reader in self._readers:
            reader.deliver(*record)

    def producer(self) -> JobProducer:
        """A producer of this fleet, to be opened with `async with`. Any number of them."""
        return JobProducer.over(_MemoryTransport(self), prefix=self._names.prefix)

    def _take(self, record: OutgoingRecord) -> None:
        job = codec.decode(Job, record.value)
        if job.route not in self._scripts:
            topics = {self._names.jobs(route, job.priority) for route in self._scripts}
            raise UnknownTopic(record.topic, advice_for_route(self._names.prefix)(topics))
        self.jobs.append(job)
        found = self._scripts[job.route]
        if found is not None:
            script, provenance = found
            self.reply(job, script(job) if callable(script) else script, provenance=provenance)


class _MemoryTransport:
    def __init__(self, fleet: FakeFleet) -> None:
        self._fleet = fleet
        self._mailbox = Mailbox()
        self._loop: asyncio.AbstractEventLoop | None = None

    @property
    def reply_address(self) -> ReplyAddress:
        return ReplyAddress(topic=self._fleet._names.replies, partition=0)

    async def start(self, mailbox: Mailbox) -> None:
        self._mailbox = mailbox
        self._loop = asyncio.get_running_loop()

    async def stop(self) -> None:
        if self in self._fleet._readers:
            self._fleet._readers.remove(self)

    async def send(self, record: OutgoingRecord) -> None:
        self._fleet._take(record)
        # As with Kafka, others run before the acknowledgement is here.
        await asyncio.sleep(0)

    async def listen(self) -> None:
        if self not in self._fleet._readers:
            self._fleet._readers.append(self)
            await self.search()

    async def search(self) -> None:
        for key, value in list(self._fleet._log):
            self.deliver(key, value)

    def deliver(self, key: bytes, value: bytes) -> None:
        # A test may call FakeFleet.reply in another thread than a BlockingJobProducer's.
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._mailbox.deliver, key, value, ())


def reply_to(
    job: Job,
    scripted: Scripted,
    *,
    generation: int | None = None,
    provenance: Provenance | str = Provenance.LIVE,
) -> Reply:
    """The reply of a fleet that answered `job` so; marked as scripted."""
    failure = scripted if isinstance(scripted, Failure) else None
    made_by = Provenance(provenance)
    return Reply(
        job_id=job.id,
        generation=job.generation if generation is None else generation,
        status="failed" if failure else "completed",
        route=job.route,
        tenant=job.tenant,
        run=job.run,
        labels=job.labels,
        token=(job.reply_to and job.reply_to.token) or "",
        answer=None if isinstance(scripted, Failure) else _answer(job, scripted),
        failure=failure,
        provenance=None if failure else made_by,
        # A rule is no model, and no simulator.
        scripted=failure is None and made_by is not Provenance.RULE,
        **(_given_again(job, made_by) if failure is None and made_by in _GIVEN_AGAIN else {}),
        lane="fake",
        model=None if made_by is Provenance.RULE else "fake",
        created_at=job.created_at,
        finished_at=datetime.now(UTC),
    )


def _given_again(job: Job, made_by: Provenance) -> dict[str, Any]:
    """What a reply says of an answer that was another job's first."""
    age = _AGE if job.max_age is None else min(_AGE, job.max_age)
    source = LetterName(route=job.route, tenant=job.tenant, job_id=_EARLIER, generation=1)
    alike = {"similarity": _SIMILARITY} if made_by is Provenance.SEMANTIC else {}
    return {"age": age, "cached_from": source, **alike}


def _answer(job: Job, scripted: str | dict[str, Any] | list[Any] | BaseModel) -> Answer:
    value: Any = scripted.model_dump(mode="json") if isinstance(scripted, BaseModel) else scripted
    if not isinstance(value, str):
        return Answer(text=orjson.dumps(value).decode(), parsed=value, finish_reason="stop")
    parsed = orjson.loads(value) if job.output is not None else None
    return Answer(text=value, parsed=parsed, finish_reason="stop")
