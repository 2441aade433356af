"""What this worker wrote to the cache's topic itself, until it comes back. Bounded; no clock."""

from tollway_workers.cache.kept import Kept

#: Bytes of answers that are remembered.
_MOST_BYTES = 2 * 2**20


class OwnAnswers:
    """Answers that are read back need not be validated a second time.

    State: `_written`, by the key of their record, and `_bytes` of them.
    """

    def __init__(self) -> None:
        self._written: dict[bytes, Kept] = {}
        self._bytes = 0

    def add(self, kept: Kept) -> None:
        """Remember one."""
        if self._bytes > _MOST_BYTES:
            # What never came back, or not soon: it is read as others' answers are.
            self._written.clear()
            self._bytes = 0
        self._written[kept.key.encode()] = kept
        self._bytes += len(kept.value)

    def take(self, key: bytes | None, value: bytes | None) -> Kept | None:
        """The answer of a record that has come back, if it is exactly what was written."""
        if key is None or (written := self._written.pop(key, None)) is None:
            return None
        self._bytes -= len(written.value)
        return written if written.value == value else None
