"""Known answers of several workers in memory: an `AnswerCache` that a test looks into."""

from collections.abc import Iterable

from tollway_schemas.cache import CacheEntry
from tollway_schemas.codec import decode, encode
from tollway_schemas.semantic import Observations
from tollway_workers.cache.arrivals import Arrivals
from tollway_workers.cache.forgotten import Spoken
from tollway_workers.cache.kept import Kept
from tollway_workers.cache.ports import Found
from tollway_workers.cache.semantic.similar import SimilarPrompts
from tollway_workers.cache.semantic.table import Changes, StoredPrompt


class MemoryAnswers:
    """What is put is read back at once, or not before `deliver` where `late`.

    `forgets`: routes and tenants of which a mark speaks.
    """

    def __init__(self, *, late: bool = False) -> None:
        self._similar: list[SimilarPrompts] = []
        self.records: dict[bytes, Observations] = {}
        self.entries: dict[bytes, CacheEntry] = {}
        self.put_entries: list[CacheEntry] = []
        self.forgets: set[str | None] = set()
        self.arrivals = Arrivals()
        self.looks = 0
        #: Whether the copy has caught up.
        self.serves = True
        self._late = late
        self._own: dict[bytes, Kept] = {}

    def get(self, key: bytes, now: float) -> Found | None:
        """See `AnswerCache`."""
        self.looks += 1
        if not self.serves:
            return None
        own = self._own.get(key)
        entry = self.entries.get(key) if own is None else own.entry()
        if entry is None or self.forgotten(entry) or entry.stale_until.timestamp() <= now:
            return None
        return Found(entry, entry.expires_at.timestamp() <= now)

    def seen(self, key: bytes) -> int:
        """See `AnswerCache`."""
        return 7

    def forgotten(self, entry: Spoken) -> bool:
        """See `AnswerCache`."""
        return not self.forgets.isdisjoint((entry.route, entry.tenant))

    def put(self, kept: Kept) -> None:
        """See `AnswerCache`."""
        if self.forgotten(kept):
            return
        # As it travels: what cannot be written is noticed here.
        self.put_entries.append(kept.entry())
        self._own[kept.digest] = kept
        self.arrivals.add((kept.digest,))
        if not self._late:
            self.deliver()

    def deliver(self) -> None:
        """Read back all that was put."""
        self.arrivals.add(bytes.fromhex(entry.key) for entry in self.put_entries)
        for entry in self.put_entries:
            self.entries[bytes.fromhex(entry.key)] = entry
        self._own.clear()
        for each in self._similar:
            each.apply(self._prompts(self.put_entries))

    def observe(self, record: Observations) -> None:
        """See `AllObservations`."""
        self.records[record.record_key] = decode(Observations, encode(record))
        for each in self._similar:
            each.apply(Changes(observed=[record]))

    def observed(self, key: bytes) -> list[Observations]:
        """What was observed of the answer of a key."""
        return [each for each in self.records.values() if each.key == key.hex()]

    def follow(self, similar: SimilarPrompts) -> None:
        """Another worker's, which knows all that is known here."""
        for _ in similar.catch_up():
            pass
        similar.apply(self._prompts(self.entries.values()))
        self._similar.append(similar)

    def _prompts(self, entries: Iterable[CacheEntry]) -> Changes:
        last = {each.key: each for each in entries}.values()
        prompts = (StoredPrompt.of(entry) for entry in last)
        gone = tuple(bytes.fromhex(each.key) for each in last if each.prompt is None)
        return Changes(gone, [each for each in prompts if each is not None])
