"""A similar prompt's answer in place of a failure, as often as it may be wrong."""

from tollway_workers.job.outcome import Completed
from tollway_workers.job.progress import JobProgress
from tollway_workers.pipeline.semantic_cache import SemanticCache


class SimilarAnswers:
    """A `Rung`, behind that of known answers, which says where the job's own would be kept."""

    def __init__(self, cache: SemanticCache) -> None:
        self._cache = cache

    async def find(self, job: JobProgress) -> Completed | None:
        """See `Rung`."""
        return await self._cache.answer(job)
