"""Counts prompts on lanes that have a tokenizer: in a thread, and only those of the jobs that go
next. So the event loop is not held up, and who has 20,000 jobs waiting does not have them all
counted before somebody else's one.
"""

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

import structlog

from tollway_workers.job.endings import beyond_limits, bug
from tollway_workers.job.outcome import Outcome
from tollway_workers.job.progress import JobProgress
from tollway_workers.limits.call_cost import Cost
from tollway_workers.pipeline.admit import Admission
from tollway_workers.pipeline.dispatch import Dispatcher
from tollway_workers.safe_traceback import error_fields

log = structlog.get_logger(__name__)

#: Jobs of a lane that are counted before it is their turn; counting begins when half are left.
_AHEAD = 32
#: Bytes of records that are counted at once: some 50 ms.
_BATCH_BYTES = 64 * 1024


class Counting:
    """State: `_busy` (lanes of which prompts are being counted)."""

    def __init__(
        self,
        dispatcher: Dispatcher,
        admissions: Mapping[str, Admission],
        *,
        go: Callable[[Coroutine[Any, Any, None]], object],
        end: Callable[[JobProgress, Outcome], object],
    ) -> None:
        """`go` runs a task; `end` writes the outcome of a job that waits for nothing."""
        self._dispatcher = dispatcher
        self._admissions = admissions
        self._go = go
        self._end = end
        self._busy: set[str] = set()

    def ends(self, progress: JobProgress) -> bool:
        """Whether a job is larger than its lane ever lets through; its end is then begun.

        So is that of one whose estimate meets a bug in us. One whose prompt is not counted yet is
        looked at when it is.
        """
        try:
            why = self._admissions[progress.lane].never(progress)
        except Exception as error:  # noqa: BLE001 a bug met by one job must not end the others'
            log.error(
                "unexpected exception while estimating a job's tokens: "
                "it is a dead letter, the others go on",
                job=progress.job.id,
                **error_fields(error),
            )
            self._end(progress, bug(error, progress.lane))
            return True
        if why is None:
            return False
        self._end(progress, beyond_limits(why, progress.lane))
        return True

    def look_ahead(self, lane: str) -> None:
        """See that the prompts of the jobs that go next on a lane are counted."""
        if lane in self._busy:
            return
        uncounted = self._admissions[lane].uncounted
        upcoming = self._dispatcher.upcoming(lane, _AHEAD)
        if any(map(uncounted, upcoming[: _AHEAD // 2])):
            self._busy.add(lane)
            self._go(self._count(lane, _batch([each for each in upcoming if uncounted(each)])))

    async def _count(self, lane: str, jobs: list[JobProgress]) -> None:
        try:
            costs = await asyncio.to_thread(_costs, self._admissions[lane], jobs)
        finally:
            self._busy.discard(lane)
        for progress, cost in zip(jobs, costs, strict=True):
            progress.cost = cost
        never = self._admissions[lane].never
        beyond = {progress for progress in jobs if never(progress) is not None}
        if beyond:
            # Some may have gone on meanwhile: their partition, their deadline, an operator.
            for progress in self._dispatcher.take(lambda each: each in beyond and each.owned):
                self.ends(progress)
        self._dispatcher.pump(lane)


def _batch(jobs: list[JobProgress]) -> list[JobProgress]:
    """As many of the first as are counted at once, at least one."""
    size = 0
    for index, progress in enumerate(jobs):
        size += progress.record.size
        if size > _BATCH_BYTES:
            return jobs[: max(index, 1)]
    return jobs


def _costs(admission: Admission, jobs: list[JobProgress]) -> list[Cost]:
    return [admission.count(progress) for progress in jobs]
