"""Writes outcomes: journal, reply, dead letter. Only then is the record's offset complete."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple, assert_never

from tollway_schemas import headers
from tollway_schemas.failure import Failure
from tollway_schemas.job import ReplyAddress
from tollway_schemas.keys import dead_letter_key, job_key
from tollway_schemas.topics import TopicNames
from tollway_workers.clock import Clock
from tollway_workers.config.shape.route import RouteSettings
from tollway_workers.forwarding.leaving import leaving
from tollway_workers.job import envelopes as outgoing
from tollway_workers.job.duplicates import ReplyPlace
from tollway_workers.job.endings import keeping_answer, too_large, undeliverable
from tollway_workers.job.envelopes import Exchange, Writer, built
from tollway_workers.job.marks import ending_mark
from tollway_workers.job.outcome import (
    Cancelled,
    Completed,
    DeadLettered,
    Failed,
    Forwarded,
    Outcome,
    RetryLater,
)
from tollway_workers.job.ports import (
    OutgoingRecord,
    RecordSink,
    RecordTooLarge,
    TopicUnavailable,
)
from tollway_workers.job.progress import JobProgress
from tollway_workers.job.raw_letter import raw_dead_letter
from tollway_workers.ownership.record import ReceivedRecord
from tollway_workers.pipeline.reply import ReplyWriter, about


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
    #: Says what is equal for equal settings of the fleet.
    configuration: Callable[[], str | None] = lambda: None


class Written(NamedTuple):
    """What was written: the outcome, and where its reply stands, if it has one and that is known.

    The place may be that of an earlier record of the same batch.
    """

    outcome: Outcome
    reply: ReplyPlace | None


class OutcomePublisher:
    """The only writer of a worker. Every method returns when Kafka has safely what it wrote."""

    def __init__(self, sink: RecordSink, settings: PublisherSettings, clock: Clock) -> None:
        self._sink = sink
        self._settings = settings
        self._clock = clock
        self._replies = ReplyWriter(
            sink, settings.topics, settings.worker, settings.reply_topics, clock
        )

    def may_reply_to(self, address: ReplyAddress) -> bool:
        """Whether a job may have its reply there."""
        return self._replies.may_go_to(address)

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
        journaled = await self._journal(progress, outcome, exchange)
        ended: Outcome = outcome
        metadata: object = None
        if not isinstance(outcome, RetryLater):
            try:
                ended, last = await self._write(progress, outcome)
                metadata = await last
            except TopicUnavailable as unavailable:
                ended, metadata = await self._reply_elsewhere(progress, outcome, unavailable)
        for line in journaled:
            await line
        replied = not isinstance(ended, RetryLater | Forwarded)
        return Written(ended, _place(metadata) if replied else None)

    async def publish_copy(self, copy: JobProgress, value: bytes, about: headers.Headers) -> bool:
        """The reply that the first of two copies has had, to where the second asks for its own.

        False where no topic takes it.
        """
        return await self._replies.copy(copy, value, about)

    async def publish_undecodable(
        self, record: ReceivedRecord, failure: Failure, route: str
    ) -> None:
        """A record that holds no job: a dead letter of its raw bytes, described in its headers."""
        settings = self._settings
        key, value, about = raw_dead_letter(
            record,
            failure,
            route,
            by=self._writer(),
            now=self._clock.now(),
            most_bytes=settings.most_bytes,
        )
        await self._send(OutgoingRecord(settings.topics.dead_letters, key, value, about))

    def mark_of(
        self, progress: JobProgress, outcome: Outcome, routes: Mapping[str, RouteSettings]
    ) -> OutgoingRecord | None:
        """What is to be said of the dead letter that a redriven job was, if anything is."""
        worker, now = self._settings.worker, self._clock.now()
        mark = ending_mark(progress, outcome, routes, worker=worker, now=now)
        return None if mark is None else OutgoingRecord(self._settings.topics.marks, *mark, [])

    async def publish_mark(self, mark: OutgoingRecord) -> None:
        """Return once it is written: a courtesy to operators."""
        await self._send(mark)

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
                    return outcome, await self._replies.send(progress, outcome, dead=False)
                except RecordTooLarge:
                    if isinstance(outcome, Completed) and outcome.body and outcome.whole:
                        # The answer matters more than what came with it.
                        return await self._write(progress, outcome._replace(whole=False))
                    return await self._too_large(progress, outcome)
            case Failed(failure) | Cancelled(failure):
                return outcome, await self._replies.tell(progress, failure, dead=False)
            case DeadLettered():
                return outcome, await self._given_up(progress, outcome)
            case _:
                assert_never(outcome)

    async def _forward(
        self, progress: JobProgress, outcome: Forwarded
    ) -> tuple[Forwarded, Awaitable[object]]:
        settings, job = self._settings, progress.job
        way = built(
            leaving,
            progress,
            outcome,
            names=settings.topics,
            tiers=settings.tiers,
            now=self._clock.now(),
            most_bytes=settings.most_bytes,
        )
        value = progress.record.value or b""
        record = OutgoingRecord(way.topic, job_key(job.id), value, way.headers)
        return replace(outcome, tier=way.tier), await self._sink.send(record)

    async def _too_large(
        self, progress: JobProgress, outcome: Completed | Forwarded
    ) -> tuple[Outcome, Awaitable[object]]:
        given_up = too_large(outcome, progress.lane)
        if isinstance(outcome, Completed):
            # What was paid for is kept, and a redrive need not pay for it again.
            progress = keeping_answer(progress, outcome, given_up.failure.message)
        return given_up, await self._given_up(progress, given_up)

    async def _given_up(self, progress: JobProgress, outcome: DeadLettered) -> Awaitable[object]:
        """The dead letter is safe before anybody is told of it."""
        await self._letter(progress, outcome)
        return await self._replies.tell(progress, outcome.failure, dead=True)

    async def _reply_elsewhere(
        self, progress: JobProgress, outcome: Outcome, unavailable: TopicUnavailable
    ) -> tuple[Outcome, object]:
        """The reply in our own topic, and a dead letter of what should have been delivered."""
        ended = outcome
        if isinstance(outcome, Completed | Failed):
            ours = self._settings.topics.replies
            ended = undeliverable(str(unavailable), ours, progress.lane)
            await self._letter(keeping_answer(progress, outcome, unavailable.why), ended)
        return ended, await self._replies.elsewhere(progress, outcome, ended)

    async def _letter(self, progress: JobProgress, outcome: DeadLettered) -> None:
        try:
            await self._dead_letter(progress, outcome)
        except RecordTooLarge:
            await self._dead_letter(progress.bare(), outcome)

    async def _journal(
        self, progress: JobProgress, outcome: Outcome, exchange: Exchange | None
    ) -> list[Awaitable[object]]:
        """A line for the call that was made, and one for an answer that none was made for."""
        if progress.route.journal == "off":
            return []
        settings = self._settings
        worker, most = settings.worker, settings.most_bytes
        lines: list[Awaitable[object]] = []
        if exchange is not None:
            value = built(
                outgoing.journal_record, progress, exchange, worker=worker, most_bytes=most
            )
            lines.append(await self._sink.send(self._journal_line(progress, value)))
        if isinstance(outcome, Completed) and _without_a_call(outcome):
            now = self._clock.now()
            value = built(
                outgoing.journal_answer, progress, outcome, worker=worker, now=now, most_bytes=most
            )
            lines.append(await self._sink.send(self._journal_line(progress, value)))
        return lines

    def _journal_line(self, progress: JobProgress, value: bytes) -> OutgoingRecord:
        return OutgoingRecord(self._settings.topics.journal, job_key(progress.job.id), value, [])

    async def _dead_letter(self, progress: JobProgress, outcome: DeadLettered) -> None:
        job, settings = progress.job, self._settings
        value = built(
            outgoing.dead_letter,
            progress,
            outcome,
            by=self._writer(),
            now=self._clock.now(),
            most_bytes=settings.most_bytes,
        )
        described = about(
            progress,
            progress.tenant,
            (headers.FAILURE_CLASS, outcome.failure.failure_class),
            (headers.ATTEMPTS, str(progress.calls)),
        )
        await self._send(
            OutgoingRecord(
                settings.topics.dead_letters,
                dead_letter_key(job.id, job.generation),
                value,
                described,
            )
        )

    def _writer(self) -> Writer:
        return Writer(self._settings.worker, self._settings.configuration())

    async def _send(self, record: OutgoingRecord) -> None:
        """Send and wait: what follows depends on it."""
        await (await self._sink.send(record))


def _without_a_call(outcome: Completed) -> bool:
    return outcome.stored is not None or not outcome.provenance.of_a_call


def _place(metadata: object) -> ReplyPlace | None:
    """From what a sink says of a record that is written: Kafka's client and doubles differ."""
    match metadata:
        case object(topic=str() as topic, partition=int() as partition, offset=int() as offset):
            return ReplyPlace(topic, partition, offset)
        case _:
            return None
