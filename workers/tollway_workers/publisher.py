"""Writes outcomes: journal, reply, dead letter. Only then is the record's offset complete."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import assert_never

from tollway_schemas import headers
from tollway_schemas.failure import Failure, FailureClass, fingerprint
from tollway_schemas.job import Job, ReplyAddress
from tollway_schemas.keys import dead_letter_key, job_key
from tollway_schemas.topics import TopicNames
from tollway_workers.clock import Clock
from tollway_workers.kafka.ports import OutgoingRecord, RecordSink, RecordTooLarge
from tollway_workers.policies import outgoing
from tollway_workers.policies.outcome import Completed, DeadLettered, Failed, Outcome, RetryLater
from tollway_workers.policies.outgoing import Exchange
from tollway_workers.policies.progress import JobProgress
from tollway_workers.policies.record import ReceivedRecord

#: Bytes that the description of an undecodable record takes at most, roughly.
_OUR_HEADERS = 8_192


@dataclass(frozen=True, slots=True, kw_only=True)
class PublisherSettings:
    """What a publisher has to know."""

    topics: TopicNames
    #: The worker's instance id.
    worker: str
    #: Topics of services that jobs may name for their replies.
    reply_topics: frozenset[str]
    #: Largest dead letter and journal record.
    most_bytes: int


class Unbuildable(Exception):
    """A record could not be put together: a bug, which a second try would meet again."""

    def __init__(self, cause: Exception) -> None:
        super().__init__(type(cause).__name__)
        self.cause = cause


class OutcomePublisher:
    """The only writer of a worker. Every method returns when Kafka has safely what it wrote."""

    def __init__(self, sink: RecordSink, settings: PublisherSettings, clock: Clock) -> None:
        self._sink = sink
        self._settings = settings
        self._clock = clock

    def may_reply_to(self, address: ReplyAddress | None) -> bool:
        """Whether a job may have its reply there."""
        settings = self._settings
        return (
            address is None
            or address.topic == settings.topics.replies
            or address.topic in settings.reply_topics
        )

    async def publish(
        self, progress: JobProgress, outcome: Outcome, exchange: Exchange | None
    ) -> None:
        """Write what an outcome asks for, and the call that led to it.

        Where it returns, the record may be completed, unless the outcome is to retry. Cancelled, it
        may have written some of it: the job then comes again and readers drop what comes twice.

        Raises:
            Unbuildable: a record could not be put together; others may have been written.
        """
        written: list[Awaitable[object]] = []
        if exchange is not None and progress.route.journal != "off":
            written.append(await self._journal(progress, exchange))
        match outcome:
            case Completed():
                written.append(await self._completed(progress, outcome))
            case Failed(failure):
                written.append(await self._reply(progress, failure, dead=False))
            case DeadLettered():
                written.append(await self._given_up(progress, outcome))
            case RetryLater():
                pass
            case _:
                assert_never(outcome)
        for acknowledged in written:
            await acknowledged

    async def publish_undecodable(
        self, record: ReceivedRecord, failure: Failure, route: str
    ) -> None:
        """A record that holds no job: a dead letter of its raw bytes, described in its headers."""
        origin = f"{record.topic}-{record.partition}-{record.offset}"
        job_id = headers.get(record.headers, headers.JOB_ID) or origin
        passed = headers.of_the_service(record.headers)
        most = self._settings.most_bytes - _OUR_HEADERS
        if _size(passed) > most // 2:
            passed = []
        value, kind = record.value or b"", "raw"
        if len(value) > (room := most - _size(passed)):
            value, kind = value[: min(outgoing.HEAD_BYTES, max(room, 0))], "raw-head"
        described = headers.encode(
            (
                (headers.JOB_ID, job_id[:256]),
                (headers.GENERATION, "1"),
                (headers.ROUTE, route),
                (headers.VALUE_KIND, kind),
                (headers.FAILURE_CLASS, failure.failure_class.value),
                (headers.FAILURE_MESSAGE, failure.message[:1000]),
                (headers.FINGERPRINT, fingerprint(route, failure.failure_class)),
                (headers.ORIGIN, origin),
                (headers.DEAD_AT, outgoing.instant(self._clock.now()).isoformat()),
                (headers.WORKER, self._settings.worker),
            )
        )
        await self._send(
            OutgoingRecord(
                self._settings.topics.dead_letters,
                dead_letter_key(origin, 1),
                value,
                passed + described,
            )
        )

    async def _completed(self, progress: JobProgress, outcome: Completed) -> Awaitable[object]:
        try:
            return await self._send_reply(progress, outcome, dead=False)
        except RecordTooLarge:
            failure = Failure(
                failure_class=FailureClass.REPLY_TOO_LARGE,
                message="the answer is larger than the reply topic takes",
                lane=outcome.lane,
            )
            return await self._given_up(progress, DeadLettered(failure))

    async def _given_up(self, progress: JobProgress, outcome: DeadLettered) -> Awaitable[object]:
        """The dead letter is safe before anybody is told of it."""
        try:
            await self._dead_letter(progress, outcome)
        except RecordTooLarge:
            await self._dead_letter(progress.bare(), outcome)
        return await self._reply(progress, outcome.failure, dead=True)

    async def _reply(
        self, progress: JobProgress, failure: Failure, *, dead: bool
    ) -> Awaitable[object]:
        try:
            return await self._send_reply(progress, failure, dead=dead)
        except RecordTooLarge:
            return await self._send_reply(progress.bare(), failure, dead=dead)

    async def _send_reply(
        self, progress: JobProgress, ending: Completed | Failure, *, dead: bool
    ) -> Awaitable[object]:
        job, settings = progress.job, self._settings
        address = job.reply_to if self.may_reply_to(job.reply_to) else None
        status, provenance = "failed", None
        if isinstance(ending, Completed):
            status, provenance = "completed", ending.provenance.value
        about = _about(job, progress.record) + headers.encode(
            ((headers.STATUS, status), (headers.PROVENANCE, provenance))
        )
        value = _built(
            lambda: outgoing.reply(
                progress, ending, dead=dead, worker=settings.worker, now=self._clock.now()
            )
        )
        return await self._sink.send(
            OutgoingRecord(
                address.topic if address else settings.topics.replies,
                job_key(job.id),
                value,
                about,
                address.partition if address else None,
            )
        )

    async def _journal(self, progress: JobProgress, exchange: Exchange) -> Awaitable[object]:
        settings = self._settings
        value = _built(
            lambda: outgoing.journal_record(
                progress, exchange, worker=settings.worker, most_bytes=settings.most_bytes
            )
        )
        return await self._sink.send(
            OutgoingRecord(settings.topics.journal, job_key(progress.job.id), value, [])
        )

    async def _dead_letter(self, progress: JobProgress, outcome: DeadLettered) -> None:
        job, settings = progress.job, self._settings
        value = _built(
            lambda: outgoing.dead_letter(
                progress,
                outcome,
                worker=settings.worker,
                now=self._clock.now(),
                most_bytes=settings.most_bytes,
            )
        )
        about = _about(job, progress.record) + headers.encode(
            (
                (headers.FAILURE_CLASS, outcome.failure.failure_class.value),
                (headers.ATTEMPTS, str(len(progress.attempts))),
            )
        )
        await self._send(
            OutgoingRecord(
                settings.topics.dead_letters, dead_letter_key(job.id, job.generation), value, about
            )
        )

    async def _send(self, record: OutgoingRecord) -> None:
        """Send and wait: what follows depends on it."""
        await (await self._sink.send(record))


def _built(build: Callable[[], bytes]) -> bytes:
    """What `build` makes. Raises Unbuildable."""
    try:
        return build()
    except Exception as error:
        raise Unbuildable(error) from error


def _size(passed: list[tuple[str, bytes]]) -> int:
    return sum(len(name) + len(value or b"") + 16 for name, value in passed)


def _about(job: Job, record: ReceivedRecord) -> list[tuple[str, bytes]]:
    """The service's own headers, then ours anew."""
    return headers.of_the_service(record.headers) + headers.encode(
        (
            (headers.JOB_ID, job.id),
            (headers.GENERATION, str(job.generation)),
            (headers.ROUTE, job.route),
            (headers.TENANT, job.tenant),
            (headers.RUN, job.run),
        )
    )
