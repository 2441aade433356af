"""The answers that this worker has published and has not read back yet. Bounded; no clock."""

from collections import OrderedDict

from tollway_schemas.cache import CacheEntry

#: Entries, and the bytes of their answers, that are remembered at most.
MOST_ENTRIES = 10_000
MOST_BYTES = 8 * 2**20


class RecentAnswers:
    """What `put` brought last, the oldest first. State: `_entries`, with their bytes, and `bytes`,
    of all of them.
    """

    def __init__(self) -> None:
        # A dict finds its first key more slowly the more were removed before it.
        self._entries: OrderedDict[bytes, tuple[CacheEntry, int]] = OrderedDict()
        self.bytes = 0

    def put(self, key: bytes, entry: CacheEntry, size: int) -> None:
        """Remember an answer of so many bytes, and lose the oldest where there is no room."""
        self.drop(key)
        self._entries[key] = entry, size
        self.bytes += size
        while self.bytes > MOST_BYTES or len(self._entries) > MOST_ENTRIES:
            self.drop(next(iter(self._entries)))

    def get(self, key: bytes) -> CacheEntry | None:
        """The answer under a key, however old."""
        known = self._entries.get(key)
        return known and known[0]

    def drop(self, key: bytes) -> None:
        """Forget it; nothing where it is not known."""
        known = self._entries.pop(key, None)
        if known is not None:
            self.bytes -= known[1]

    def __len__(self) -> int:
        return len(self._entries)

    def __repr__(self) -> str:
        return f"<RecentAnswers [{len(self)} answers | {self.bytes} bytes]>"
