"""What is learned of each stored answer: a fit, made anew where more was observed. Bounded.

Pure but for `read`, which looks into this worker's copy of what all workers observed.
"""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import inf

from tollway_schemas.cache import CacheEntry, KeptPrompt
from tollway_schemas.semantic import Observations
from tollway_workers.cache.semantic.agreement import answer_digest
from tollway_workers.cache.semantic.merged import merged
from tollway_workers.cache.semantic.observing import Asked, with_asked
from tollway_workers.cache.semantic.rule import Fit, fitted

#: Answers whose fits are kept, and that this worker has observed and not read back yet.
_MOST_FITS, _MOST_OWN = 10_000, 1_000
#: Seconds until what a busy answer has taught since is fitted again: a fit takes milliseconds.
_FITTED_AGAIN = 0.5


@dataclass(slots=True)
class _Known:
    #: Of the entry that the rest is about.
    answered_at: float
    digest: str
    fit: Fit | None = None
    fitted_at: float = -inf
    #: Whether nothing was observed since.
    up_to_date: bool = False


class Fits:
    """State: `_known` of each answer, and `_own`, what this worker has observed and not read back,
    by key; of both the last used ones.
    """

    def __init__(self, worker: str, read: Callable[[bytes], Sequence[Observations]]) -> None:
        """`read`: what workers observed of the answer of a key, as far as it is read back."""
        self._worker = worker
        self._read = read
        self._known: OrderedDict[bytes, _Known] = OrderedDict()
        self._own: OrderedDict[bytes, Observations] = OrderedDict()

    def fit(self, entry: CacheEntry, prompt: KeptPrompt, now: float) -> Fit | None:
        """What is learned of an answer; None: too little. `now`: monotonic seconds."""
        key = bytes.fromhex(entry.key)
        known = self._of(key, entry)
        if not known.up_to_date and now - known.fitted_at >= _FITTED_AGAIN:
            records = self._records(key)
            known.fit = fitted(merged(records, known.digest, prompt.embedder))
            known.fitted_at, known.up_to_date = now, True
        return known.fit

    def note(self, entry: CacheEntry, prompt: KeptPrompt, asked: Asked) -> Observations:
        """What this worker knows of an answer from now on, for all."""
        key = bytes.fromhex(entry.key)
        known = self._of(key, entry)
        before = next((each for each in self._records(key) if each.worker == self._worker), None)
        if before is None:
            before = self._nothing(entry, prompt, known.digest, asked)
        elif (before.answer, before.embedder) != (known.digest, prompt.embedder):
            about = {"answer": known.digest, "embedder": prompt.embedder, "recent": ()}
            before = before.model_copy(update=about)
        own = self._own[key] = with_asked(before, asked)
        self._own.move_to_end(key)
        if len(self._own) > _MOST_OWN:
            self._own.popitem(last=False)
        known.up_to_date = known.up_to_date and not asked.teaches
        return own

    def changed(self, observed: Observations) -> None:
        """A worker's record was read back."""
        key = bytes.fromhex(observed.key)
        if observed.worker == self._worker:
            own = self._own.get(key)
            if own is not None and own.written_at <= observed.written_at:
                del self._own[key]
            return
        known = self._known.get(key)
        if known is not None:
            known.up_to_date = False

    def gone(self, key: bytes) -> None:
        """An answer is not stored any more."""
        self._known.pop(key, None)
        self._own.pop(key, None)

    def clear(self) -> None:
        """Nothing is known."""
        self._known.clear()
        self._own.clear()

    def _of(self, key: bytes, entry: CacheEntry) -> _Known:
        known, answered_at = self._known.get(key), entry.answered_at.timestamp()
        if known is None or known.answered_at != answered_at:
            known = self._known[key] = _Known(answered_at, answer_digest(entry.answer))
            if len(self._known) > _MOST_FITS:
                self._known.popitem(last=False)
        self._known.move_to_end(key)
        return known

    def _records(self, key: bytes) -> list[Observations]:
        """The last record of each worker."""
        own = self._own.get(key)
        read = [each for each in self._read(key) if own is None or each.worker != self._worker]
        return read if own is None else [*read, own]

    def _nothing(
        self, entry: CacheEntry, prompt: KeptPrompt, digest: str, asked: Asked
    ) -> Observations:
        return Observations(
            key=entry.key,
            worker=self._worker,
            route=entry.route,
            tenant=entry.tenant,
            answer=digest,
            embedder=prompt.embedder,
            written_at=asked.at,
        )
