"""What looking for a known answer costs a job alone, when it is read and before its call."""

import time
from pathlib import Path

from cache import entries

from tollway_workers.cache.key import lane_identity
from tollway_workers.cache.ports import Found, NoCache
from tollway_workers.cache.records import CacheRecord
from tollway_workers.cache.store import CacheStore, Origin, Reach
from tollway_workers.clock import SystemClock
from tollway_workers.config.shape.cache import CacheSettings
from tollway_workers.config.shape.fleet import FleetSettings
from tollway_workers.job.progress import JobProgress
from tollway_workers.pipeline.exact_cache import ExactCache

#: Answers that are known, and none of them to the job.
_KNOWN = 20_000


class _OneCopy(NoCache):
    """A copy without a topic."""

    def __init__(self, store: CacheStore) -> None:
        self._store = store

    @property
    def serves(self) -> bool:
        """It always does."""
        return True

    def get(self, key: bytes, now: float) -> Found | None:
        """What the file holds."""
        return self._store.get(key, now)


class Looked:
    """A job that nothing is known of, and where it is looked for."""

    def __init__(self, folder: Path, settings: FleetSettings, progress: JobProgress) -> None:
        store = CacheStore(folder, 2**30)
        store.begin(Origin("cluster", "topic"), time.time())
        records = [
            CacheRecord(0, offset, key, value)
            for offset, (key, value) in enumerate(entries(_KNOWN))
        ]
        store.apply(records, {0: Reach(_KNOWN)}, None)
        lanes = {"bench": lane_identity("bench", settings)}
        self._cache = ExactCache(_OneCopy(store), lanes, SystemClock())
        self._progress = progress
        progress.route = progress.route.model_copy(update={"cache": CacheSettings(exact=True)})

    def both_times(self) -> None:
        """When it is read, which makes its key, and right before its call."""
        progress = self._progress
        progress.keyed = None
        for _ in range(2):
            # As if other answers had come in between.
            progress.missed_at = None
            self._cache.find(progress)
