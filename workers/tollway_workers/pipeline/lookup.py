"""Answers that need no call: looked up when a job is read, and again at the head of its queue."""

from collections.abc import Callable
from enum import Enum
from typing import NamedTuple, Protocol

from tollway_workers.job.outcome import Completed, Outcome
from tollway_workers.job.progress import JobProgress
from tollway_workers.pipeline.publish import Written

#: Begins to write the outcome of a job that was not called.
EndJob = Callable[[JobProgress, Outcome], None]


class Following(Enum):
    """What a lookup says of a job for which it will know more."""

    FOLLOWS = "an answer is on its way: the job waits beside its lane's queue"


FOLLOWS = Following.FOLLOWS


class Lookup(Protocol):
    """One place where answers are. Synchronous: what takes longer is followed."""

    def find(self, job: JobProgress, /) -> Completed | Following | None:
        """The answer, if it is here; None where the job has to be called.

        FOLLOWS where it is on its way: the lookup then calls `resume` of `FollowingJobs` once it
        knows, or ends the job itself after `take_following`.
        """
        ...

    def learn(self, job: JobProgress, written: Written, /) -> None:
        """A job's outcome is safely written, whatever it is."""
        ...

    def forget(self, job: JobProgress, /) -> None:
        """A job left this worker without an outcome: another will call it."""
        ...


class FollowingJobs(Protocol):
    """The jobs that wait for an answer which a lookup knows to be on its way."""

    def take_following(self, job: JobProgress, /) -> bool:
        """Remove it, to be ended; False where it has ended otherwise meanwhile."""
        ...

    def resume(self, job: JobProgress, /, *, behind: bool = False) -> None:
        """There was no answer: it is at the head of its queue again, if it is still here; or
        `behind` the others of its tenant, as it never stood in line.
        """
        ...


class Lookups(NamedTuple):
    """All lookups, the nearest first."""

    #: Of a job whose route keeps no answers: most lookups would have nothing to say of it.
    plain: tuple[Lookup, ...] = ()
    #: Of one whose route does.
    caching: tuple[Lookup, ...] = ()

    def of(self, job: JobProgress) -> tuple[Lookup, ...]:
        """Those that are asked about a job, and are told how it ended."""
        return self.caching if job.route.cache.exact else self.plain

    def find(self, job: JobProgress) -> Completed | Following | None:
        """What the first lookup says that knows anything of the job."""
        for lookup in self.of(job):
            found = lookup.find(job)
            if found is not None:
                return found
        return None
