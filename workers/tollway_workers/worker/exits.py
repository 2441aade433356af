"""The ways out of a worker. A job has an outcome, which is written before its record is complete;
or it stops being ours: it is dropped, unread or handed on.
"""

import asyncio
from collections.abc import Callable
from typing import Any

from tollway_schemas.headers import Headers
from tollway_workers.job.endings import cancelled, copy_too_large
from tollway_workers.job.envelopes import Exchange
from tollway_workers.job.outcome import Decision, Forwarded, Outcome, RetryLater, StandIn
from tollway_workers.job.progress import JobProgress
from tollway_workers.ownership.record import ReceivedRecord
from tollway_workers.pipeline.lookup import Lookups
from tollway_workers.pipeline.publish import Written
from tollway_workers.pipeline.read import Refused
from tollway_workers.pipeline.write import OutcomeWriter
from tollway_workers.worker.commits import Commits
from tollway_workers.worker.handover import is_leaving
from tollway_workers.worker.letter_marks import LetterMarks
from tollway_workers.worker.parts import Parts
from tollway_workers.worker.tasks import Tasks


class Exits:
    """State: `bytes`, of the records that wait, run or are written; `asking`, the jobs that a
    stand-in is asked for, and the tasks in which they wait for it.
    """

    def __init__(
        self,
        parts: Parts,
        writer: OutcomeWriter,
        commits: Commits,
        tasks: Tasks,
        again: Callable[[JobProgress, RetryLater], None],
    ) -> None:
        """`again` queues a job whose last attempt is written, and that is called once more."""
        self._source = parts.source
        self._events = parts.events
        self._stand_ins = parts.stand_ins
        self.marks = LetterMarks(parts.publisher, parts.reader.routes)
        self._writer = writer
        self._commits = commits
        self._tasks = tasks
        self._again = again
        #: Told of every job that leaves. The worker sets them once, before any job comes: they
        #: end jobs by this object in their turn.
        self.lookups = Lookups()
        self.bytes = 0
        self.asking: dict[JobProgress, asyncio.Task[Any]] = {}

    def end(self, job: JobProgress, decision: Decision) -> None:
        """Begin to write the outcome of a job that was not called."""
        self._tasks.go(self.write(job, decision, None))

    async def write(self, job: JobProgress, decision: Decision, exchange: Exchange | None) -> None:
        """Write what is decided of a job, however long that takes, and act on it."""
        outcome = decision
        if isinstance(outcome, StandIn):
            outcome = await self._stood_in(job, outcome, exchange)
        written = await self._writer.write(job, outcome, exchange)
        if isinstance(written.outcome, RetryLater):
            self._again(job, written.outcome)
            return
        self._complete(job.record)
        if isinstance(written.outcome, Forwarded):
            self._commits.soon()
            self._events.job_forwarded(written.outcome)
        else:
            self._events.job_ended(job, written.outcome)
            self.marks.say(job, written.outcome)
        self._learn(job, written)

    async def _stood_in(
        self, job: JobProgress, decision: StandIn, exchange: Exchange | None
    ) -> Outcome:
        """The answer of a stand-in, else what becomes of the job without one.

        Cancelled, as the worker or the job's partition leaves, the job goes on without one; as an
        operator cancels the job, it ends so.
        """
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 a coroutine runs in a task
        self.asking[job] = task
        try:
            found = await self._stand_ins.find(job)
        except asyncio.CancelledError:
            if job.cancelled:
                return cancelled(job.lane)
            if job.owned or exchange is not None:
                self._tasks.go(self.write(job, decision.otherwise, exchange))
            else:
                self.drop(job)
            raise
        finally:
            del self.asking[job]
        return decision.otherwise if found is None else found

    async def answer_copy(self, copy: JobProgress, value: bytes, about: Headers) -> None:
        """Write the reply that another job had, `about` being its headers, as the copy's own.

        Where that is too large for any topic the copy is a dead letter.
        """
        if not await self._writer.answer_copy(copy, value, about):
            await self.write(copy, copy_too_large(copy.lane), None)
            return
        self._complete(copy.record)
        self._events.copy_answered(copy.job.route)

    def refuse(self, refused: Refused) -> None:
        """Begin to write the dead letter of a record that holds no job."""
        self._tasks.go(self._refuse(refused))

    def leave(self, job: JobProgress) -> None:
        """A job that waits is not called here: its partition or its lane is another worker's."""
        if not job.owned:
            # The partition's owner reads it where it lies; handed on, it would be called twice.
            self.drop(job)
        elif is_leaving(job) and not job.begun:
            self._unread(job)
        else:
            self._hand_on(job)

    def break_off(self, job: JobProgress) -> None:
        """A job's call was broken off. It may go on at its provider, so nobody may count on it."""
        job.record.tracker.aborted = True
        if is_leaving(job):
            self.leave(job)
        else:
            self._unread(job)

    def drop(self, job: JobProgress) -> None:
        """Its partition is another worker's already, which reads it there."""
        self.bytes -= job.record.size
        for lookup in self.lookups.of(job):
            lookup.forget(job)

    def _unread(self, job: JobProgress) -> None:
        """It was never called: the partition's next owner reads it as if we had not."""
        self._source.unread(job.record)
        self.drop(job)

    def _hand_on(self, job: JobProgress) -> None:
        """It was called here: it goes to its lane's topic with its attempts."""
        self.end(job, Forwarded(job.lane, "released", job.not_before))

    async def _refuse(self, refused: Refused) -> None:
        await self._writer.refuse(*refused)
        self._complete(refused.record)
        self._events.record_refused(refused.route, refused.failure)

    def _complete(self, record: ReceivedRecord) -> None:
        self._source.complete(record)
        self.bytes -= record.size

    def _learn(self, job: JobProgress, written: Written) -> None:
        for lookup in self.lookups.of(job):
            lookup.learn(job, written)
