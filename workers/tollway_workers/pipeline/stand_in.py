"""What may answer a job that no lane is to answer now: an ordered tuple of rungs. A new one is a
new file in `stand_ins/`, and a line where the worker is put together.
"""

from collections.abc import Sequence
from typing import Protocol

import structlog

from tollway_workers.job.accepted import accepted
from tollway_workers.job.outcome import Completed
from tollway_workers.job.progress import JobProgress
from tollway_workers.safe_traceback import error_fields

log = structlog.get_logger(__name__)


class Rung(Protocol):
    """A rung of the degradation ladder below the lanes."""

    async def find(self, job: JobProgress, /) -> Completed | None:
        """An answer that is held to all that the job asks for; None where this rung has none.

        It takes a bounded time, and may be cancelled at any moment.
        """
        ...


class StandIns:
    """The rungs below the lanes, the strongest first."""

    def __init__(self, rungs: Sequence[Rung] = ()) -> None:
        self._rungs = tuple(rungs)

    async def find(self, job: JobProgress) -> Completed | None:
        """The answer of the first rung that has one which the job accepts; raises nothing."""
        for rung in self._rungs:
            try:
                found = await rung.find(job)
            except Exception as error:  # noqa: BLE001 a bug of one rung leaves the next ones
                log.error(
                    "unexpected exception while looking for a stand-in: the next rung is asked",
                    job=job.job.id,
                    **error_fields(error),
                )
                continue
            if found is not None and found.provenance in accepted(job):
                return found
        return None
