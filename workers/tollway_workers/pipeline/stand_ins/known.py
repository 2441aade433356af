"""A known answer in place of a failure: fresh where nothing else is accepted, else past its age."""

from tollway_workers.job.outcome import Completed
from tollway_workers.job.progress import JobProgress
from tollway_workers.pipeline.exact_cache import ExactCache


class KnownAnswers:
    """A `Rung`, or two of them: `cached` before `stale`. It is held to all that the job asks for:
    that is in its key.
    """

    def __init__(self, cache: ExactCache) -> None:
        self._cache = cache

    async def find(self, job: JobProgress) -> Completed | None:
        """See `Rung`."""
        job.stale_asked = True
        return self._cache.find(job) or self._cache.find_stale(job)
