"""What is learned of each stored answer, from what all workers observed of it. Bounded; no clock.

Pure but for `read`, which looks into this worker's copy of what was observed.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from tollway_schemas.cache import CacheEntry, KeptPrompt
from tollway_schemas.semantic import Observations
from tollway_workers.cache.semantic.agreement import answer_digest
from tollway_workers.cache.semantic.merged import merged
from tollway_workers.cache.semantic.observing import Asked, about, with_asked
from tollway_workers.cache.semantic.prior import Prior
from tollway_workers.cache.semantic.rule import Learned, Observation

#: Answers of which it is kept what is learned, and those that this worker has observed and not read
#: back yet.
_MOST_KNOWN, _MOST_OWN = 20_000, 1_000
#: Tenants of routes of which it is kept what is expected: a tenant may be an end user.
_MOST_PRIORS = 1_000


@dataclass(slots=True)
class _Known:
    #: Of the entry that the rest is about.
    answered_at: float
    digest: str
    #: None: more was observed since.
    learned: Learned | None = None


class Experience:
    """State: `_known` of each answer, and `_own`, what this worker has observed and not read back,
    by key; of both the last used ones. `_priors`, by route, tenant and embedder, from what this
    worker has observed since it began: nobody's questions decide what others are given.
    """

    def __init__(self, worker: str, read: Callable[[bytes], Sequence[Observations]]) -> None:
        """`read`: what workers observed of the answer of a key, as far as it is read back."""
        self._worker = worker
        self._read = read
        self._known: OrderedDict[bytes, _Known] = OrderedDict()
        self._own: OrderedDict[bytes, Observations] = OrderedDict()
        self._priors: OrderedDict[tuple[str, str | None, str], Prior] = OrderedDict()

    def chance_to_explore(
        self,
        entry: CacheEntry,
        near: Iterable[CacheEntry],
        similarity: float,
        error_bound: float,
    ) -> float:
        """The rule's chance for a candidate, by what is learned of its answer and of others."""
        learned = self.learned_among(entry, near)
        embedder = "" if entry.prompt is None else entry.prompt.embedder
        prior = self._priors.get((entry.route, entry.tenant, embedder))
        expected = None if prior is None else prior.expected_wrong(learned, similarity)
        return learned.chance_to_explore(similarity, error_bound, expected)

    def learned(self, entry: CacheEntry, prompt: KeptPrompt) -> Learned:
        """What all workers have found out about an answer."""
        key = bytes.fromhex(entry.key)
        known = self._of(key, entry)
        if known.learned is None:
            known.learned = merged(self._records(key), known.digest, prompt.embedder)
        return known.learned

    def learned_among(self, entry: CacheEntry, near: Iterable[CacheEntry]) -> Learned:
        """The same, together with those of `near` that say the same: one answer to prompts in
        several wordings. `entry` counts once, whether it is among them or not.
        """
        digest = self._of(bytes.fromhex(entry.key), entry).digest
        same = {each.key: each for each in (*near, entry)}.values()
        return Learned.together(
            self.learned(each, each.prompt)
            for each in same
            if each.prompt is not None and self._of(bytes.fromhex(each.key), each).digest == digest
        )

    def note(self, entry: CacheEntry, prompt: KeptPrompt, asked: Asked) -> Observations:
        """What this worker knows of an answer from now on, for all."""
        key = bytes.fromhex(entry.key)
        known = self._of(key, entry)
        before = next((each for each in self._records(key) if each.worker == self._worker), None)
        if before is None:
            before = self._nothing(entry, prompt, known.digest, asked)
        if asked.teaches and asked.agreed is not None:
            prior = self._prior(entry, prompt)
            prior.add(self.learned(entry, prompt), Observation(asked.similarity, asked.agreed))
        own = with_asked(about(before, known.digest, prompt.embedder), asked)
        self._own[key] = own
        self._own.move_to_end(key)
        if len(self._own) > _MOST_OWN:
            self._own.popitem(last=False)
        known.learned = None
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
            known.learned = None

    def gone(self, key: bytes) -> None:
        """An answer is not stored any more."""
        self._known.pop(key, None)
        self._own.pop(key, None)

    def clear(self) -> None:
        """Nothing is known."""
        self._known.clear()
        self._own.clear()
        self._priors.clear()

    def _of(self, key: bytes, entry: CacheEntry) -> _Known:
        known, answered_at = self._known.get(key), entry.answered_at.timestamp()
        if known is None or known.answered_at != answered_at:
            known = self._known[key] = _Known(answered_at, answer_digest(entry.answer))
            if len(self._known) > _MOST_KNOWN:
                self._known.popitem(last=False)
        self._known.move_to_end(key)
        return known

    def _prior(self, entry: CacheEntry, prompt: KeptPrompt) -> Prior:
        of = entry.route, entry.tenant, prompt.embedder
        prior = self._priors.setdefault(of, Prior())
        self._priors.move_to_end(of)
        if len(self._priors) > _MOST_PRIORS:
            self._priors.popitem(last=False)
        return prior

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
