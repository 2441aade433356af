"""Writes outcomes: journal, reply, dead letter. Only then is the record's offset complete."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import NamedTuple, TypeVar, assert_never

from tollway_schemas import headers
from tollway_schemas.failure import Failure, FailureClass
from tollway_schemas.job import Job, ReplyAddress
from tollway_schemas.keys import dead_letter_key, job_key
from tollway_schemas.topics import TopicNames
from tollway_workers.clock import Clock
from tollway_workers.kafka.ports import OutgoingRecord, RecordSink, RecordTooLarge
from tollway_workers.policies import outgoing
from tollway_workers.policies.duplicates import ReplyPlace
from tollway_workers.policies.endings import too_large
from tollway_workers.policies.leaving import leaving
from tollway_workers.policies.outcome import (
    Cancelled,
    Completed,
    DeadLettered,
    Failed,
    Forwarded,
    Outcome,
    RetryLater,
)
from tollway_workers.policies.outgoing import Exchange
from tollway_workers.policies.progress import JobProgress
from tollway_workers.policies.raw_letter import raw_dead_letter
from tollway_workers.policies.record import ReceivedRecord

Made = TypeVar("Made")


@dataclass(frozen=True, slots=True, kw_only=True)
class PublisherSettings:
    """What a publisher has to know."""

    topics: TopicNames
    #: The worker's instance id.
    worker: str
    #: Topics of services that jobs may name for their replies.
    reply_topics: frozenset[str]
    #: Largest dead letter, journal record and job on its way to a lane.
    most_bytes: int
    #: Delays of the retry topics in seconds, ascending.
    tiers: tuple[float, ...] = ()


class Written(NamedTuple):
    """What was written: the outcome, and where its reply stands, if it has one and that is known.

    The place may be that of an earlier record of the same batch.
    """

    outcome: Outcome
    reply: ReplyPlace | None


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
    ) -> Written:
        """Write what an outcome asks for, and the call that led to it.

        Where it returns, the record may be completed, unless the outcome is to retry. What was
        written is a dead letter where a record was too large for anything else. Cancelled, it may
        have written some of it: the job then comes again and readers drop what comes twice.

        Raises:
            Unbuildable: a record could not be put together; others may have been written.
        """
        written: list[Awaitable[object]] = []
        if exchange is not None and progress.route.journal != "off":
            written.append(await self._journal(progress, exchange))
        ended: Outcome = outcome
        if not isinstance(outcome, RetryLater):
            ended, last = await self._write(progress, outcome)
            written.append(last)
        lies: object = None
        for acknowledged in written:
            lies = await acknowledged
        replied = not isinstance(ended, RetryLater | Forwarded)
        return Written(ended, _place(lies) if replied else None)

    async def publish_copy(self, copy: JobProgress, value: bytes, about: headers.Headers) -> None:
        """The reply that the first of two copies has had, to where the second asks for its own."""
        ours = [(name, text) for name, text in about if name.startswith(headers.PREFIX)]
        passed = headers.of_the_service(copy.record.headers)
        try:
            await self._send(self._reply_record(copy.job, value, passed + ours))
        except RecordTooLarge:
            await self._send(self._reply_record(copy.job, value, ours, ours=True))

    async def publish_undecodable(
        self, record: ReceivedRecord, failure: Failure, route: str
    ) -> None:
        """A record that holds no job: a dead letter of its raw bytes, described in its headers."""
        settings = self._settings
        key, value, about = raw_dead_letter(
            record,
            failure,
            route,
            worker=settings.worker,
            now=self._clock.now(),
            most_bytes=settings.most_bytes,
        )
        await self._send(OutgoingRecord(settings.topics.dead_letters, key, value, about))

    async def _write(
        self,
        progress: JobProgress,
        outcome: Completed | Failed | Cancelled | DeadLettered | Forwarded,
    ) -> tuple[Outcome, Awaitable[object]]:
        """Hand over what an outcome asks for: what became of it, and its last acknowledgement."""
        match outcome:
            case Completed() | Forwarded():
                try:
                    if isinstance(outcome, Forwarded):
                        return await self._forward(progress, outcome)
                    return outcome, await self._send_reply(progress, outcome, dead=False)
                except RecordTooLarge:
                    if isinstance(outcome, Completed) and outcome.body and outcome.whole:
                        # The answer matters more than what came with it.
                        return await self._write(progress, replace(outcome, whole=False))
                    given_up = too_large(outcome, progress.lane)
                    return given_up, await self._given_up(progress, given_up)
            case Failed(failure) | Cancelled(failure):
                return outcome, await self._reply(progress, failure, dead=False)
            case DeadLettered():
                return outcome, await self._given_up(progress, outcome)
            case _:
                assert_never(outcome)

    async def _forward(
        self, progress: JobProgress, outcome: Forwarded
    ) -> tuple[Forwarded, Awaitable[object]]:
        settings, job = self._settings, progress.job
        way = _built(
            lambda: leaving(
                progress,
                outcome,
                names=settings.topics,
                tiers=settings.tiers,
                now=self._clock.now(),
                most_bytes=settings.most_bytes,
            )
        )
        value = progress.record.value or b""
        record = OutgoingRecord(way.topic, job_key(job.id), value, way.headers)
        return replace(outcome, tier=way.tier), await self._sink.send(record)

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
            bare = progress.bare()
        try:
            return await self._send_reply(bare, failure, dead=dead)
        except RecordTooLarge:
            # The topic of a service takes next to nothing: ours takes this.
            return await self._send_reply(bare, failure, dead=dead, ours=True)

    async def _send_reply(
        self,
        progress: JobProgress,
        ending: Completed | Failure,
        *,
        dead: bool,
        ours: bool = False,
    ) -> Awaitable[object]:
        job, settings = progress.job, self._settings
        status, provenance = "failed", None
        if isinstance(ending, Completed):
            status, provenance = "completed", ending.provenance.value
        elif ending.failure_class is FailureClass.CANCELLED:
            status = "cancelled"
        about = _about(job, progress.record) + headers.encode(
            ((headers.STATUS, status), (headers.PROVENANCE, provenance))
        )
        value = _built(
            lambda: outgoing.reply(
                progress, ending, dead=dead, worker=settings.worker, now=self._clock.now()
            )
        )
        return await self._sink.send(self._reply_record(job, value, about, ours=ours))

    def _reply_record(
        self, job: Job, value: bytes, about: list[tuple[str, bytes]], *, ours: bool = False
    ) -> OutgoingRecord:
        """Where the job asks for it, or in the fleet's own topic."""
        address = job.reply_to
        if ours or address is None or not self.may_reply_to(address):
            return OutgoingRecord(self._settings.topics.replies, job_key(job.id), value, about)
        return OutgoingRecord(address.topic, job_key(job.id), value, about, address.partition)

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
                (headers.ATTEMPTS, str(progress.calls)),
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


def _built(build: Callable[[], Made]) -> Made:
    """What `build` makes. Raises Unbuildable."""
    try:
        return build()
    except Exception as error:
        raise Unbuildable(error) from error


def _place(lies: object) -> ReplyPlace | None:
    """From what a sink says of a record that is written: Kafka's client and doubles differ."""
    match lies:
        case object(topic=str() as topic, partition=int() as partition, offset=int() as offset):
            return ReplyPlace(topic, partition, offset)
        case _:
            return None


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
