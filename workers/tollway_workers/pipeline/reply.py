"""Replies on their way out: where each goes, and where it goes if that place does not take it."""

from collections.abc import Awaitable

from tollway_schemas import headers
from tollway_schemas.failure import Failure, FailureClass
from tollway_schemas.job import Job, ReplyAddress
from tollway_schemas.keys import job_key
from tollway_schemas.topics import TopicNames
from tollway_workers.clock import Clock
from tollway_workers.job import envelopes as outgoing
from tollway_workers.job.envelopes import built
from tollway_workers.job.outcome import Cancelled, Completed, DeadLettered, Failed, Outcome
from tollway_workers.job.ports import (
    OutgoingRecord,
    RecordSink,
    RecordTooLarge,
    TopicUnavailable,
)
from tollway_workers.job.progress import JobProgress

#: Headers that a copy's reply has from that of the first.
_OF_THE_ENDING = (headers.STATUS, headers.PROVENANCE, headers.SCRIPTED)


class ReplyWriter:
    """Hands replies to the sink; each method's awaitable is done when Kafka has the reply."""

    def __init__(
        self,
        sink: RecordSink,
        topics: TopicNames,
        worker: str,
        reply_topics: frozenset[str],
        clock: Clock,
    ) -> None:
        """`reply_topics`: those of services that jobs may name; `worker`: our instance id."""
        self._sink = sink
        self._ours = topics.replies
        self._worker = worker
        self._theirs = reply_topics
        self._clock = clock

    def may_go_to(self, address: ReplyAddress) -> bool:
        """Whether a job may have its reply there."""
        return address.topic == self._ours or address.topic in self._theirs

    async def send(
        self,
        progress: JobProgress,
        ending: Completed | Failure,
        *,
        dead: bool,
        ours: bool = False,
    ) -> Awaitable[object]:
        """To where the job asks for it; to our own topic if `ours`.

        Raises RecordTooLarge, Unbuildable, TopicUnavailable; what it returns may raise that too.
        """
        if isinstance(ending, Completed):
            status, provenance = "completed", ending.provenance
            scripted = "true" if ending.scripted else None
        else:
            cancelled = ending.failure_class is FailureClass.CANCELLED
            status, provenance, scripted = "cancelled" if cancelled else "failed", None, None
        described = about(
            progress,
            progress.job.tenant,
            (headers.STATUS, status),
            (headers.PROVENANCE, provenance),
            (headers.SCRIPTED, scripted),
        )
        value = built(
            outgoing.reply, progress, ending, dead=dead, worker=self._worker, now=self._clock.now()
        )
        return await self._sink.send(self._record(progress.job, value, described, ours=ours))

    async def tell(
        self, progress: JobProgress, failure: Failure, *, dead: bool, ours: bool = False
    ) -> Awaitable[object]:
        """The same for a failure, with fewer words where it would be too large."""
        try:
            return await self.send(progress, failure, dead=dead, ours=ours)
        except RecordTooLarge:
            bare = progress.bare()
        try:
            return await self.send(bare, failure, dead=dead, ours=ours)
        except RecordTooLarge:
            # The topic of a service takes next to nothing: ours takes this.
            return await self.send(bare, failure, dead=dead, ours=True)

    async def elsewhere(self, progress: JobProgress, outcome: Outcome, ended: Outcome) -> object:
        """To our own topic what was `outcome`, which `ended` as a dead letter perhaps."""
        dead = isinstance(ended, DeadLettered)
        if isinstance(outcome, Completed):
            try:
                return await (await self.send(progress, outcome, dead=dead, ours=True))
            except RecordTooLarge:
                outcome = ended
        assert isinstance(outcome, Failed | Cancelled | DeadLettered)  # noqa: S101 others have no reply
        return await (await self.tell(progress, outcome.failure, dead=dead, ours=True))

    async def copy(self, copy: JobProgress, value: bytes, first: headers.Headers) -> bool:
        """To the address of a copy what the first had for a reply, under the headers `first`.

        False where no topic takes it: a copy may have labels of its own.
        """
        status = [each for each in first if each[0] in _OF_THE_ENDING]
        passed = about(copy, copy.job.tenant) + status
        try:
            await (await self._sink.send(self._record(copy.job, value, passed)))
        except (RecordTooLarge, TopicUnavailable):
            bare = our_headers(copy, copy.job.tenant) + status
            try:
                await (await self._sink.send(self._record(copy.job, value, bare, ours=True)))
            except RecordTooLarge:
                return False
        return True

    def _record(
        self, job: Job, value: bytes, described: list[tuple[str, bytes]], *, ours: bool = False
    ) -> OutgoingRecord:
        address = job.reply_to
        if ours or address is None or not self.may_go_to(address):
            return OutgoingRecord(self._ours, job_key(job.id), value, described)
        return OutgoingRecord(address.topic, job_key(job.id), value, described, address.partition)


def about(
    progress: JobProgress, tenant: str | None, *more: tuple[str, str | None]
) -> list[tuple[str, bytes]]:
    """The service's own headers, then ours anew, and what is to be said besides."""
    passed = headers.of_the_service(progress.record.headers)
    return passed + our_headers(progress, tenant, *more)


def our_headers(
    progress: JobProgress, tenant: str | None, *more: tuple[str, str | None]
) -> list[tuple[str, bytes]]:
    """What a reply or a dead letter says of its job without being decoded.

    `tenant`: a reply repeats what its service said, a dead letter says whom we believed.
    """
    job = progress.job
    return headers.encode(
        (
            (headers.JOB_ID, job.id),
            (headers.GENERATION, str(job.generation)),
            (headers.ROUTE, job.route),
            (headers.TENANT, tenant),
            (headers.RUN, job.run),
            (headers.DIGEST, progress.digest),
            *more,
        )
    )
