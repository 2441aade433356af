"""The answers that this worker has published last, until they are read back. Bounded; no clock."""

from collections import OrderedDict

from tollway_workers.cache.kept import Kept

#: Entries, and the bytes of their answers, that are remembered at most.
MOST_ENTRIES = 10_000
MOST_BYTES = 8 * 2**20


class RecentAnswers:
    """What `put` brought last, the oldest first. State: `_kept`, and `bytes` of their answers."""

    def __init__(self) -> None:
        # A dict finds its first key more slowly the more were removed before it.
        self._kept: OrderedDict[bytes, Kept] = OrderedDict()
        self.bytes = 0

    def put(self, key: bytes, kept: Kept) -> None:
        """Remember an answer, and lose the oldest where there is no room."""
        self.take(key)
        self._kept[key] = kept
        self.bytes += kept.size
        while self.bytes > MOST_BYTES or len(self._kept) > MOST_ENTRIES:
            self.take(next(iter(self._kept)))

    def get(self, key: bytes) -> Kept | None:
        """The answer under a key, however old."""
        return self._kept.get(key)

    def take(self, key: bytes) -> Kept | None:
        """The same, and it is forgotten."""
        known = self._kept.pop(key, None)
        if known is not None:
            self.bytes -= known.size
        return known

    def __len__(self) -> int:
        return len(self._kept)

    def __repr__(self) -> str:
        return f"<RecentAnswers [{len(self)} answers | {self.bytes} bytes]>"
