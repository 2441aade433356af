"""The exact cache: a job that asks what was asked before is given that answer, without a call."""

from collections.abc import Callable, Mapping

import structlog

from tollway_schemas.cache import CacheEntry
from tollway_schemas.provenance import Provenance
from tollway_workers.cache.entry import given, kept_of, suits
from tollway_workers.cache.key import cache_key
from tollway_workers.cache.ports import AnswerCache, Found
from tollway_workers.clock import Clock
from tollway_workers.job.accepted import may_ask_cache, may_ask_stale
from tollway_workers.job.outcome import Completed
from tollway_workers.job.progress import JobProgress, Keyed
from tollway_workers.pipeline.publish import Written
from tollway_workers.safe_traceback import error_fields

log = structlog.get_logger(__name__)

_NO_KEY = Keyed(None)
_BYTES_PER_KIB = 1024
_NOT_FOUND = "unexpected exception while looking for a known answer: the job is called"
_NOT_REMEMBERED = "unexpected exception while remembering an answer: it is not given again"


class ExactCache:
    """A `Lookup`. It fails open: whatever is wrong with it, a job is called as if it were not.

    State: by lane, whether its last answer came from a simulator.
    """

    def __init__(self, answers: AnswerCache, lanes: Mapping[str, str], clock: Clock) -> None:
        """`lanes`: the `lane_identity` of each."""
        self._answers = answers
        self._lanes = lanes
        self._clock = clock
        self._scripted: dict[str, bool] = {}

    @property
    def serves(self) -> bool:
        """Whether all that is forgotten is known here."""
        return self._answers.serves

    def find(self, job: JobProgress) -> Completed | None:
        """The answer to the same question, while it is fresh."""
        if not job.route.cache.exact or self._is_unchanged(job):
            return None
        return self._safely(self._fresh, job)

    def find_stale(self, job: JobProgress) -> Completed | None:
        """The same of an answer whose time is up: for a job that nothing better answers."""
        return self._safely(self._stale, job) if may_ask_stale(job) else None

    def learn(self, job: JobProgress, written: Written) -> None:
        """Remember an answer that was paid for, for all workers."""
        outcome = written.outcome
        if job.keyed is None or not isinstance(outcome, Completed):
            return
        try:
            self.remember(job, outcome)
        except Exception as error:  # noqa: BLE001 a bug of the cache must not touch a job
            _said(_NOT_REMEMBERED, job, error)

    def forget(self, job: JobProgress) -> None:
        """Nothing: it has no answer."""

    def told_others(self, job: JobProgress, outcome: Completed) -> Completed | None:
        """What others are given of an answer; None where it is this job's alone, or where it was
        forgotten while it was on its way.
        """
        try:
            kept = kept_of(job, outcome, self._clock.now())
            if kept is None or self._answers.forgotten(kept):
                return None
            return given(kept.entry(), Provenance.CACHED, self._clock.now())
        except Exception as error:  # noqa: BLE001 a bug of the cache must not touch a job
            _said(_NOT_REMEMBERED, job, error)
            return None

    def remember(self, job: JobProgress, outcome: Completed) -> None:
        """Remember an answer; again, where more is known of it."""
        kept = kept_of(job, outcome, self._clock.now())
        if kept is None:
            return
        self._scripted[kept.lane] = kept.scripted
        if kept.size <= job.route.cache.max_answer_kib * _BYTES_PER_KIB:
            self._answers.put(kept)

    def entry_at(self, key: bytes, job: JobProgress) -> CacheEntry | None:
        """What is kept under another key, while it is fresh and if the job takes it."""
        now = self._clock.now()
        found = self._answers.get(key, now)
        fresh = found is not None and not found.stale and suits(found.entry, job, now)
        return found.entry if found and fresh and self._is_of_its_kind(found.entry) else None

    def _safely(
        self, look: Callable[[JobProgress], Completed | None], job: JobProgress
    ) -> Completed | None:
        try:
            return look(job)
        except Exception as error:  # noqa: BLE001 a bug of the cache must not touch a job
            _said(_NOT_FOUND, job, error)
            return None

    def _fresh(self, job: JobProgress) -> Completed | None:
        # Kept even where nothing is looked for: the answer will be remembered under it.
        key = (job.keyed or self._keep(job)).key
        if key is None or not may_ask_cache(job):
            return None
        now = self._clock.now()
        known = self._known(job, key, now)
        if known is None or known.stale:
            return None
        return given(known.entry, Provenance.CACHED, now)

    def _stale(self, job: JobProgress) -> Completed | None:
        key = (job.keyed or self._keep(job)).key
        if key is None:
            return None
        now = self._clock.now()
        known = self._known(job, key, now)
        if known is None or not known.stale:
            return None
        return given(known.entry, Provenance.STALE, now)

    def _keep(self, job: JobProgress) -> Keyed:
        # First: what cannot be keyed once is not tried again.
        job.keyed = _NO_KEY
        key = cache_key(job.job, self._lanes[job.route.lanes[0]], job.route)
        if key is not None:
            job.keyed = Keyed(key, self._answers.seen(key), self._clock.now())
        return job.keyed

    def _known(self, job: JobProgress, key: bytes, now: float) -> Found | None:
        """What is kept under a job's key, if the job takes it."""
        changes = self._answers.arrivals.changes
        found = self._answers.get(key, now)
        job.missed_at = changes if found is None else None
        if found is None or not suits(found.entry, job, now):
            return None
        return found if self._is_of_its_kind(found.entry) else None

    def _is_of_its_kind(self, entry: CacheEntry) -> bool:
        """Whether no simulator stood, or stands, at its lane's address alone."""
        return self._scripted.get(entry.lane, entry.scripted) == entry.scripted

    def _is_unchanged(self, job: JobProgress) -> bool:
        """Whether nothing has come since it was looked for in vain: at the head of its queue it is
        asked again and again.
        """
        if job.missed_at is None or job.keyed is None or job.keyed.key is None:
            return False
        return not self._answers.arrivals.came(job.keyed.key, job.missed_at)


def _said(what: str, job: JobProgress, error: Exception) -> None:
    log.error(what, job=job.job.id, **error_fields(error))
