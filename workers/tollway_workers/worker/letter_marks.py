"""Says how redriven jobs ended, of the dead letters that they were: nobody waits for it."""

import asyncio
from collections.abc import Mapping

import structlog

from tollway_workers.config.shape.route import RouteSettings
from tollway_workers.job.outcome import Outcome
from tollway_workers.job.ports import OutgoingRecord
from tollway_workers.job.progress import JobProgress
from tollway_workers.pipeline.publish import OutcomePublisher
from tollway_workers.safe_traceback import error_fields

log = structlog.get_logger(__name__)

#: Marks on their way at most, of half a kilobyte each; what comes beyond is not written.
_MOST_WAITING = 1_000
#: Seconds that the last ones have as the worker leaves.
_LAST = 1.0
_NOT_WRITTEN = "could not write how a redriven job ended: its dead letter stays marked redriven"


class LetterMarks:
    """State: `_writing` (the marks on their way; of their jobs nothing is kept)."""

    def __init__(self, publisher: OutcomePublisher, routes: Mapping[str, RouteSettings]) -> None:
        self._publisher = publisher
        self._routes = routes
        self._writing: set[asyncio.Task[None]] = set()

    def say(self, job: JobProgress, outcome: Outcome) -> None:
        """Begin to write what became of the dead letter that a job was, if it was one."""
        if job.job.redrive is None:
            return
        mark = self._publisher.mark_of(job, outcome, self._routes)
        if mark is None:
            return
        if len(self._writing) >= _MOST_WAITING:
            log.warning(_NOT_WRITTEN, error="Kafka has not taken those before it")
            return
        writing = asyncio.create_task(self._write(mark), name="a mark")
        self._writing.add(writing)
        writing.add_done_callback(self._writing.discard)

    async def leave(self) -> None:
        """Give the last ones a moment, then give them up."""
        if not self._writing:
            return
        _, late = await asyncio.wait(self._writing, timeout=_LAST)
        for each in late:
            each.cancel()
        await asyncio.gather(*late, return_exceptions=True)

    async def _write(self, mark: OutgoingRecord) -> None:
        try:
            await self._publisher.publish_mark(mark)
        except Exception as error:  # noqa: BLE001 whatever Kafka's client says, the job has ended
            log.warning(_NOT_WRITTEN, **error_fields(error))
