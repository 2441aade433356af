"""Out-of-order completion of one partition's records.

An offset is *incomplete* from when its record is taken until its job's outcome is safely written.
What may be committed is the lowest incomplete offset, with the map of what is complete above it.
"""

from collections.abc import Set

from tollway_workers.policies import offset_map


class OffsetTracker:
    """What is taken, incomplete and complete in one partition since it became ours.

    Mutable state, all of it changed by the three methods below: `_base` (all below it is complete),
    `_next` (all below it has been read), `_incomplete`, and `_done` (complete offsets from `_base`
    on, which includes offsets that an earlier owner completed and we have not read yet).
    """

    __slots__ = ("_base", "_done", "_incomplete", "_next", "owned")

    def __init__(self, committed: int, metadata: str | None = "") -> None:
        self._base = self._next = committed
        self._done = offset_map.decode(committed, metadata)
        self._incomplete: set[int] = set()
        #: Falls once, when the partition goes to another worker: what is taken is then theirs.
        self.owned = True

    def start(self, offset: int) -> bool:
        """Take the record at `offset`; False if it is complete or taken already."""
        if offset < self._next:
            return False
        # Offsets that never arrive (transaction markers, compacted records) are passed over here.
        self._next = offset + 1
        if offset in self._done:
            return False
        self._incomplete.add(offset)
        return True

    def finish(self, offset: int) -> None:
        """The outcome of the record at `offset` is safely written."""
        if offset in self._incomplete:
            self._incomplete.remove(offset)
            self._done.add(offset)

    def committable(self, position: int | None = None) -> tuple[int, str]:
        """The offset and the metadata to commit.

        `position` is the consumer's own: where nothing is incomplete it passes what never arrives
        at the end of the log, so that an idle partition commits its end.
        """
        if position is not None and not self._incomplete and position > self._next:
            self._next = position
        base = min(self._incomplete) if self._incomplete else self._next
        if base > self._base:
            self._base = base
            self._done = {offset for offset in self._done if offset >= base}
        return self._base, offset_map.encode(self._base, self._done)

    @property
    def next_offset(self) -> int:
        """The first offset that has not been read."""
        return self._next

    @property
    def incomplete(self) -> Set[int]:
        """Offsets taken and not complete."""
        return self._incomplete

    @property
    def has_room(self) -> bool:
        """Whether another record may be taken without the map outgrowing its place."""
        oldest = min(self._incomplete) if self._incomplete else self._next
        return self._next - oldest < offset_map.OFFSET_WINDOW

    def __repr__(self) -> str:
        return (
            f"<OffsetTracker base {self._base}, next {self._next}, "
            f"{len(self._incomplete)} incomplete, {len(self._done)} done above>"
        )
