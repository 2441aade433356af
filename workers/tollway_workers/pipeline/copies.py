"""Copies of jobs: each gets the reply of the first, instead of a call of its own.

A service that enqueues a job twice, or a producer that does not know whether its record was
written, makes copies. They meet in one partition because their key is the job id. What else has
that id, of another route or tenant, with another request or address, is a job of its own.
"""

from collections.abc import Callable, Coroutine
from math import inf
from typing import Any

from tollway_workers.job.duplicates import Duplicates, Identity, ReplyPlace
from tollway_workers.job.endings import ends_it_alone
from tollway_workers.job.envelopes import reply_to_copy
from tollway_workers.job.outcome import Outcome
from tollway_workers.job.progress import JobProgress
from tollway_workers.kafka.read.one_record import ReplyFinder
from tollway_workers.pipeline.write import OutcomeWriter
from tollway_workers.telemetry.events import FleetEvents

#: Replies whose places are remembered, at about 700 bytes each.
MOST_REPLIES = 20_000


class Copies:
    """State: its memory, of jobs that are here and of replies written not long ago.

    And `_earliest`: no deadline among the copies that wait is before it.
    """

    def __init__(
        self,
        replies: ReplyFinder,
        writer: OutcomeWriter,
        events: FleetEvents,
        *,
        go: Callable[[Coroutine[Any, Any, None]], object],
        work_on: Callable[[JobProgress], None],
        done_with: Callable[[JobProgress], None],
    ) -> None:
        """`go` runs a task, `work_on` is for copies without a reply, `done_with` for the others."""
        self._replies = replies
        self._writer = writer
        self._events = events
        self._go = go
        self._work_on = work_on
        self._done_with = done_with
        self._memory: Duplicates[JobProgress] = Duplicates(MOST_REPLIES)
        self._earliest = inf

    def is_first(self, progress: JobProgress) -> bool:
        """Whether a job is to be worked on; a copy is taken care of here."""
        found = self._memory.admit(_identity(progress), progress)
        if isinstance(found, ReplyPlace):
            self._go(self._answer(progress, found))
            return False
        progress.first = found
        if not found:
            self._earliest = min(self._earliest, progress.deadline)
        return found

    def take_expired(self, now: float) -> list[JobProgress]:
        """Remove and return the waiting copies whose own deadline has passed (`now`: seconds UTC).

        What the first waits for, with a later one, is nothing to them.
        """
        if self._earliest > now:
            return []
        taken = self._memory.take(lambda copy: copy.deadline <= now and copy.owned)
        self._earliest = min((copy.deadline for copy in self._memory.waiting), default=inf)
        return taken

    def replied(self, progress: JobProgress, outcome: Outcome, place: ReplyPlace | None) -> None:
        """A job's reply is safely written, there if that is known: so its copies have it too.

        A deadline that passed and a cancelling operator ended that job alone: its copies go on.
        """
        if not progress.first:
            return
        if ends_it_alone(outcome):
            self.left(progress)
            return
        progress.first = False
        for copy in self._memory.replied(_identity(progress), place):
            if place is None:
                self._work_on(copy)
            else:
                self._go(self._answer(copy, place))

    def left(self, progress: JobProgress) -> None:
        """A job went elsewhere without a reply: the next of its copies is the first."""
        if progress.first:
            progress.first = False
            for copy in self._memory.left(_identity(progress)):
                self._work_on(copy)

    async def _answer(self, copy: JobProgress, place: ReplyPlace) -> None:
        identity = _identity(copy)
        found = await self._replies.find(place, identity)
        value = None if found is None else reply_to_copy(found.value, copy.job)
        if found is None or value is None:
            self._memory.forget(identity, place)
            self._work_on(copy)
            return
        await self._writer.answer_copy(copy, value, found.headers)
        self._done_with(copy)
        self._events.copy_answered(copy.job.route)


def _identity(progress: JobProgress) -> Identity:
    """As it came to this worker: what is tried here does not make it another job."""
    job = progress.job
    return Identity(job.id, job.generation, progress.last_elsewhere, job.hops, progress.digest)
