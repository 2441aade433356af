"""Copies of jobs: each gets the reply of the first, instead of a call of its own.

A service that enqueues a job twice, or a producer that does not know whether its record was
written, makes copies. They meet in one partition because their key is the job id. What else has
that id, of another route or tenant, with another request or address, is a job of its own.
"""

from collections.abc import Callable, Coroutine
from typing import Any

from tollway_schemas.headers import Headers
from tollway_workers.job.duplicates import Duplicates, Identity, ReplyPlace
from tollway_workers.job.endings import ends_it_alone
from tollway_workers.job.envelopes import reply_to_copy
from tollway_workers.job.outcome import Forwarded
from tollway_workers.job.progress import JobProgress
from tollway_workers.kafka.read.one_record import ReplyFinder
from tollway_workers.pipeline.lookup import FOLLOWS, Following, FollowingJobs
from tollway_workers.pipeline.publish import Written

#: Replies whose places are remembered.
MOST_REPLIES = 20_000


class Copies:
    """A `Lookup`: the jobs that are here, and the replies that were written not long ago.

    State: its memory of both.
    """

    def __init__(
        self,
        replies: ReplyFinder,
        following: FollowingJobs,
        *,
        go: Callable[[Coroutine[Any, Any, None]], object],
        answer: Callable[[JobProgress, bytes, Headers], Coroutine[Any, Any, None]],
    ) -> None:
        """`go` runs a task; `answer` writes a copy's reply, with its headers, and ends the copy."""
        self._replies = replies
        self._following = following
        self._go = go
        self._answer = answer
        self._memory: Duplicates[JobProgress] = Duplicates(MOST_REPLIES)

    def find(self, job: JobProgress) -> Following | None:
        """None: it is the first of its kind here. A copy follows the first, or a reply's place."""
        if job.first is not None:
            return None
        identity = _identity(job)
        found = self._memory.admit(identity, job)
        if isinstance(found, ReplyPlace):
            self._go(self._read(job, found))
            return FOLLOWS
        if not found:
            return FOLLOWS
        job.first = identity
        return None

    def learn(self, job: JobProgress, written: Written) -> None:
        """What the first was told is told to its copies, wherever that is known to stand.

        A deadline that passed and a cancelling operator ended that job alone: its copies go on. So
        they do where it was sent on without a reply.
        """
        identity = job.first
        if identity is None:
            self._memory.gone(_identity(job), job)
        elif isinstance(written.outcome, Forwarded) or ends_it_alone(written.outcome):
            self.forget(job)
        else:
            job.first = None
            for copy in self._memory.replied(identity, written.reply):
                if written.reply is None:
                    self._following.resume(copy)
                else:
                    self._go(self._read(copy, written.reply))

    def forget(self, job: JobProgress) -> None:
        """A job went elsewhere without a reply: the next of its copies is the first."""
        identity = job.first
        if identity is None:
            self._memory.gone(_identity(job), job)
            return
        job.first = None
        for copy in self._memory.left(identity):
            self._following.resume(copy)

    async def _read(self, copy: JobProgress, place: ReplyPlace) -> None:
        """End a copy with the reply that stands there; where none does, it is a job like others."""
        identity = _identity(copy)
        found = await self._replies.find(place, identity)
        value = None if found is None else reply_to_copy(found.value, copy.job)
        if found is None or value is None:
            self._memory.forget(identity, place)
            self._following.resume(copy)
        elif self._following.take_following(copy):
            await self._answer(copy, value, found.headers)


def _identity(job: JobProgress) -> Identity:
    """As it came to this worker: what is tried here does not make it another job."""
    about = job.job
    return Identity(about.id, about.generation, job.last_elsewhere, about.hops, job.digest)
