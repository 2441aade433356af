"""Counts prompts on lanes that have a tokenizer: in a thread, and only those of the jobs that go
next. So the event loop is not held up, and who has 20,000 jobs waiting does not have them all
counted before somebody else's one.
"""

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

from tollway_workers.job.outcome import Decision
from tollway_workers.job.progress import JobProgress
from tollway_workers.limits.call_cost import Cost
from tollway_workers.pipeline.admit import Admission
from tollway_workers.pipeline.dispatch import Dispatcher

#: Jobs of a lane that are counted before it is their turn; counting begins when half are left.
_AHEAD = 32
#: Bytes of jobs that are counted at once, at least one: some 50 ms.
_BATCH_BYTES = 64 * 1024


class Counting:
    """State: `_busy` (lanes of which prompts are being counted)."""

    def __init__(
        self,
        dispatcher: Dispatcher,
        admissions: Mapping[str, Admission],
        *,
        check: Callable[[JobProgress], Decision | None],
        go: Callable[[Coroutine[Any, Any, None]], object],
        end: Callable[[JobProgress, Decision], object],
    ) -> None:
        """`check`: whether a job need not be called; `go` runs a task; `end` writes an outcome."""
        self._dispatcher = dispatcher
        self._admissions = admissions
        self._check = check
        self._go = go
        self._end = end
        self._busy: set[str] = set()

    def count_ahead(self, lane: str) -> None:
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
        ended = {job: outcome for job in jobs if (outcome := self._check(job)) is not None}
        if ended:
            # Some may have gone on meanwhile: their partition, their deadline, an operator.
            for job in self._dispatcher.take(lambda each: each in ended and each.owned):
                self._end(job, ended[job])
        self._dispatcher.pump(lane)


def _batch(jobs: list[JobProgress]) -> list[JobProgress]:
    """As many of the first as are counted at once, at least one."""
    size = 0
    for index, progress in enumerate(jobs):
        size += len(progress.record.value or b"")
        if size > _BATCH_BYTES:
            return jobs[: max(index, 1)]
    return jobs


def _costs(admission: Admission, jobs: list[JobProgress]) -> list[Cost]:
    return [admission.count(progress) for progress in jobs]
