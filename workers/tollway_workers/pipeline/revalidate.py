"""Revalidation: a redriven job is answered by what was paid for before, if that is its answer now.

No permit is taken and no call is made, so it goes on while the job's lane is parked or full.
"""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import structlog

from tollway_schemas.redrive import Redrive
from tollway_workers.job.endings import bug
from tollway_workers.job.outcome import Outcome
from tollway_workers.job.progress import JobProgress
from tollway_workers.pipeline.lookup import FOLLOWS, Following, FollowingJobs
from tollway_workers.pipeline.publish import Written
from tollway_workers.pipeline.stored import StoredAnswers, given_up_again
from tollway_workers.safe_traceback import error_fields
from tollway_workers.telemetry.events import FleetEvents
from tollway_workers.validation.checks import THREADS

log = structlog.get_logger(__name__)


class Revalidation:
    """A `Lookup`: the answers that a job carries itself. They answer that job, and no other.

    State: `_holding` (the tasks that hold jobs' answers to them, or wait for their turn).
    """

    def __init__(
        self,
        stored: StoredAnswers,
        following: FollowingJobs,
        events: FleetEvents,
        *,
        go: Callable[[Coroutine[Any, Any, None]], asyncio.Task[None]],
        end: Callable[[JobProgress, Outcome], None],
    ) -> None:
        """`go` runs a task; `end` begins to write the outcome of a job that was not called."""
        self._stored = stored
        self._following = following
        self._events = events
        self._go = go
        self._end = end
        # What waits for a thread of the route's check would use up the check's time.
        self._turns = asyncio.Semaphore(THREADS)
        self._holding: dict[JobProgress, asyncio.Task[None]] = {}

    def find(self, job: JobProgress) -> Following | None:
        """A job follows its own stored answers, once; it has none left where it was called."""
        redrive = job.job.redrive
        if redrive is None or job.revalidated or job.calls:
            return None
        if not redrive.answers and not redrive.only_revalidate:
            return None
        job.revalidated = True
        self._holding[job] = holding = self._go(self._hold(job, redrive))
        holding.add_done_callback(lambda _: self._holding.pop(job, None))
        return FOLLOWS

    def learn(self, job: JobProgress, written: Written) -> None:
        """A job that ended otherwise needs no answer any more."""
        self.forget(job)

    def forget(self, job: JobProgress) -> None:
        """The worker that has the job next holds its answers anew."""
        if (holding := self._holding.get(job)) is not None:
            holding.cancel()

    async def _hold(self, job: JobProgress, redrive: Redrive) -> None:
        outcome: Outcome | None
        try:
            async with self._turns:
                held = await self._stored.hold(job, redrive)
        except Exception as error:  # noqa: BLE001 a bug met by one job must not end the others'
            log.error(
                "unexpected exception while revalidating a job's stored answers: they are no use",
                job=job.job.id,
                **error_fields(error),
            )
            outcome = bug(error, job.lane) if redrive.only_revalidate else None
        else:
            self._events.answers_revalidated(job.job.route, held.found is not None)
            outcome = held.found
            if outcome is None and redrive.only_revalidate:
                outcome = given_up_again(redrive, held.refused)
                job.bad_answers = list(held.refused)
        if outcome is None:
            self._following.resume(job)
        elif self._following.take_following(job):
            self._end(job, outcome)
