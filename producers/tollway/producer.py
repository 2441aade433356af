"""What a service uses: give jobs to the fleet, get their answers."""

import secrets
from collections.abc import AsyncIterable, AsyncIterator, Iterable
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Literal, Self, overload

from pydantic_core import PydanticSerializationError

from tollway.connection import KafkaConnection
from tollway.errors import (
    InvalidNewJob,
    InvalidSettings,
    JobTooLarge,
    ProducerClosed,
    ReplyTimeout,
)
from tollway.flow import Flow, each
from tollway.handle import JobHandle
from tollway.kafka import KafkaTransport
from tollway.mailbox import Mailbox
from tollway.new_job import DEFAULT_DEADLINES, NewJob, ReadyJob, ready
from tollway.output import Output, OutputReader, T
from tollway.process import OpeningProcess
from tollway.sender import MAX_REQUEST_SIZE, Timeouts
from tollway.transport import OutgoingRecord, Transport
from tollway_schemas import DEFAULT_PREFIX, ChatRequest, Priority, Reply, TopicNames, codec, keys

#: Bytes of one encoded job.
DEFAULT_JOB_LIMIT = 1024 * 1024

#: Seconds that `ask` waits beyond the job's deadline, for the reply that says it has passed.
_GRACE = 5.0

#: Random bytes by which a producer knows the reply to a job of its own.
_TOKEN_BYTES = 12

Jobs = Iterable[NewJob[T]] | AsyncIterable[NewJob[T]]


class JobProducer:
    """Publishes jobs to Kafka and brings back their replies.

    Use it as `async with JobProducer("host:9092") as producer`, one for the life of a service; it
    may be used from many tasks of one event loop. Without a connection it takes
    `KafkaConnection.from_environment()`. In a process that is forked while it is open, each of its
    calls raises OpenedElsewhere: open another one there.
    """

    def __init__(
        self,
        connection: KafkaConnection | str | None = None,
        *,
        prefix: str = DEFAULT_PREFIX,
        reply_topic: str | None = None,
        max_job_bytes: int = DEFAULT_JOB_LIMIT,
        start_timeout: float = 10.0,
        acknowledge_timeout: float = 30.0,
    ) -> None:
        """Nothing is sent before `start`. Timeouts are seconds.

        Raises InvalidSettings if no broker is named, or a setting cannot be used.
        """
        if connection is None:
            connection = KafkaConnection.from_environment()
        elif isinstance(connection, str):
            connection = KafkaConnection(connection)
        names = TopicNames(prefix)
        replies = names.replies if reply_topic is None else reply_topic
        if names.is_ours(replies):
            raise InvalidSettings(f"reply_topic {replies!r} is a topic of the fleet's own")
        if not 0 < max_job_bytes < MAX_REQUEST_SIZE:
            raise InvalidSettings(f"max_job_bytes must be between 1 and {MAX_REQUEST_SIZE - 1:,}")
        timeouts = Timeouts(start=start_timeout, acknowledge=acknowledge_timeout)
        self._set_up(KafkaTransport(connection, prefix, replies, timeouts), names, max_job_bytes)

    @classmethod
    def over(cls, transport: Transport, *, prefix: str = DEFAULT_PREFIX) -> Self:
        """A producer over something else than Kafka, such as a FakeFleet."""
        self = cls.__new__(cls)
        self._set_up(transport, TopicNames(prefix), DEFAULT_JOB_LIMIT)
        return self

    # Mutable state: `_state`, `_process`, and the slots in the mailbox.
    def _set_up(self, transport: Transport, names: TopicNames, max_job_bytes: int) -> None:
        self._transport = transport
        self._names = names
        self._max_job_bytes = max_job_bytes
        self._mailbox = Mailbox()
        self._process = OpeningProcess()
        self._state: Literal["not open yet", "open", "closed"] = "not open yet"

    async def start(self) -> None:
        """Connect; `async with` does it. Raises BrokerUnreachable or UnknownTopic in seconds."""
        self._process.require_this()
        if self._state == "closed":
            raise ProducerClosed
        if self._state == "not open yet":
            await self._transport.start(self._mailbox)
            self._process.enter()
            self._state = "open"

    async def close(self) -> None:
        """Flush and disconnect, within 10 seconds; `async with` does it. May be called twice.

        Jobs go on. Handles that still wait for a reply raise ProducerClosed.
        """
        self._process.require_this()
        self._process.leave()
        if self._state == "open":
            self._state = "closed"
            await self._transport.stop()
            self._mailbox.close()
        self._state = "closed"

    async def enqueue(self, job: NewJob[T]) -> JobHandle[T]:
        """Return the job's handle once Kafka has acknowledged it on all replicas in sync.

        Raises InvalidNewJob, JobTooLarge, UnknownTopic or ProducerClosed before anything is sent;
        BrokerUnreachable, NotAllowed or NotAcknowledged after. Cancelled while it waits, the job
        may be written all the same.
        """
        return await self._send(self._check(job))

    @overload
    async def ask(self, route: str, request: ChatRequest | str) -> str: ...
    @overload
    async def ask(self, route: str, request: ChatRequest | str, *, output: Output[T]) -> T: ...
    async def ask(
        self, route: str, request: ChatRequest | str, *, output: Output[Any] = None
    ) -> Any:
        """Enqueue one interactive job and return its answer, within its two minutes.

        Raises JobFailed, InvalidAnswer, ReplyTimeout (nothing came by the deadline) and all that
        `enqueue` raises.
        """
        job = NewJob(route=route, request=request, output=output, priority=Priority.INTERACTIVE)
        handle = await self.enqueue(job)
        limit = DEFAULT_DEADLINES[Priority.INTERACTIVE].total_seconds() + _GRACE
        return await handle.result(limit)

    async def enqueue_many(
        self, jobs: Jobs[T], *, unacknowledged: int = 1000
    ) -> AsyncIterator[JobHandle[T]]:
        """Yield a handle for each job, in order, once Kafka has acknowledged it.

        At most `unacknowledged` jobs are taken from `jobs` ahead of the reader. At the first job
        that fails, no further one is taken; handles of those before it are yielded, then its error
        is raised.
        """
        flow: Flow[ReadyJob[T], JobHandle[T]] = Flow(self._send, limit=unacknowledged, ordered=True)
        async for handle in flow.over(self._checked(jobs)):
            yield handle

    async def map(
        self, jobs: Jobs[T], *, window: int = 1000, idle_timeout: float | None = None
    ) -> AsyncIterator[Reply]:
        """Enqueue jobs and yield their replies, successes and failures, as they finish.

        At most `window` jobs are outstanding or not yet taken by the reader, so any number of jobs
        goes through in bounded memory. A job that cannot be enqueued ends it: the replies of those
        before it are yielded, then its error is raised. Leaving it early leaves jobs running.

        Raises ReplyTimeout if no reply at all comes for `idle_timeout` seconds.
        """
        flow: Flow[ReadyJob[T], Reply] = Flow(self._answered, limit=window, ordered=False)
        try:
            async for reply in flow.over(self._checked(jobs), idle_timeout=idle_timeout):
                yield reply
        except TimeoutError as error:
            if isinstance(error, ReplyTimeout):
                raise
            raise ReplyTimeout("any of the jobs under way", idle_timeout or 0) from None

    @overload
    def handle(
        self,
        job_id: str,
        *,
        since: datetime | None = None,
        route: str | None = None,
        tenant: str | None = None,
        token: str | None = None,
    ) -> JobHandle[Any]: ...
    @overload
    def handle(
        self,
        job_id: str,
        *,
        output: Output[T],
        since: datetime | None = None,
        route: str | None = None,
        tenant: str | None = None,
        token: str | None = None,
    ) -> JobHandle[T]: ...
    def handle(
        self,
        job_id: str,
        *,
        output: Output[Any] = None,
        since: datetime | None = None,
        **known: str | None,
    ) -> JobHandle[Any]:
        """The handle of a job that was enqueued before, by this process or an earlier one.

        Its reply is found wherever it stands in the reply topic, also if it was written while no
        producer ran. That costs one pass over what the topic keeps (about 3 us a record), or over
        what came `since`; give it the time the job was enqueued. One pass serves all handles that
        were made before it begins, so make them all, then wait for them.

        An id that the service chose is anybody's: give it the `token` of the job's handle, kept
        beside the id, or at least its `route` and `tenant`; else the reply to another's job of that
        id may be taken.

        Raises InvalidNewJob if `output` is no usable type, or `since` has no time zone.
        """
        self._process.require_this()
        if since is not None and since.tzinfo is None:
            raise InvalidNewJob("since: needs a time zone")
        slot = self._mailbox.reattach(job_id, since, **known)
        return JobHandle(slot, OutputReader.of(output), self._searching)

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        # A child that was forked meanwhile leaves with an error of its own: that is to be seen.
        if error is None or not self._process.is_another:
            await self.close()

    def __repr__(self) -> str:
        return f"<JobProducer {self._names.prefix} [{self._state}]>"

    def _check(self, new: NewJob[T]) -> ReadyJob[T]:
        self._require_open()
        address = self._transport.reply_address
        if new.id is not None:
            # Others may have the id too, and guess it; one that is made here nobody has or guesses.
            token = secrets.token_urlsafe(_TOKEN_BYTES)
            address = address.model_copy(update={"token": token})
        return ready(new, address, datetime.now(UTC))

    async def _checked(self, jobs: Jobs[T]) -> AsyncIterator[ReadyJob[T]]:
        async for job in each(jobs):
            yield self._check(job)

    async def _send(self, ready_job: ReadyJob[T]) -> JobHandle[T]:
        job = ready_job.job
        # Before the record goes out, so that no reply can come too early.
        token = None if job.reply_to is None else job.reply_to.token
        slot = self._mailbox.slot(job.id, route=job.route, tenant=job.tenant, token=token)
        await self._transport.send(
            OutgoingRecord(
                job_id=job.id,
                topic=self._names.jobs(job.route, job.priority),
                key=keys.job_key(job.id),
                value=self._encode(ready_job),
                headers=ready_job.headers,
            )
        )
        return JobHandle(slot, ready_job.reader, self._listening)

    def _encode(self, ready_job: ReadyJob[T]) -> bytes:
        try:
            value = codec.encode(ready_job.job)
        except PydanticSerializationError:
            raise InvalidNewJob("the job has text that UTF-8 cannot carry") from None
        if len(value) > self._max_job_bytes:
            raise JobTooLarge(ready_job.job.id, len(value), self._max_job_bytes)
        return value

    async def _answered(self, ready_job: ReadyJob[T]) -> Reply:
        handle = await self._send(ready_job)
        return await handle.reply()

    async def _listening(self) -> None:
        self._require_open()
        await self._transport.listen()

    async def _searching(self) -> None:
        await self._listening()
        await self._transport.search()

    def _require_open(self) -> None:
        self._process.require_this()
        if self._state != "open":
            raise ProducerClosed(self._state)
