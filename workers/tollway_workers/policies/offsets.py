"""Out-of-order completion of one partition's records.

An offset is *incomplete* from when its record is taken until its job's outcome is safely written.
What may be committed is the lowest incomplete offset, with the map of what is complete above it.
"""

from collections.abc import Set

from tollway_workers.policies import offset_map


class OffsetTracker:
    """What is taken, incomplete and complete in one partition since it became ours.

    Mutable state, all of it changed by the three methods below: `_base` (all below it is complete),
    `_next` (all below it has been read), `_incomplete` (with the time of each record), and `_done`
    (complete offsets from `_base` on, which includes offsets that an earlier owner completed and we
    have not read yet).
    """

    __slots__ = ("_base", "_done", "_incomplete", "_next", "owned")

    def __init__(self, committed: int, metadata: str | None = "") -> None:
        self._base = self._next = committed
        self._done = offset_map.decode(committed, metadata)
        self._incomplete: dict[int, float] = {}
        #: Falls once, when the partition goes to another worker: what is taken is then theirs.
        self.owned = True

    def start(self, offset: int, since: float = 0.0) -> bool:
        """Take the record at `offset`; False if it is complete or taken already.

        `since`: when the record was written, in seconds since 1970.
        """
        if offset < self._next:
            return False
        # Offsets that never arrive (transaction markers, compacted records) are passed over here.
        self._next = offset + 1
        if offset in self._done:
            return False
        self._incomplete[offset] = since
        return True

    def finish(self, offset: int) -> None:
        """The outcome of the record at `offset` is safely written."""
        if offset in self._incomplete:
            del self._incomplete[offset]
            self._done.add(offset)

    def committable(self, position: int | None = None) -> tuple[int, str]:
        """The offset and the metadata to commit.

        `position` is the consumer's own: where nothing is incomplete it passes what never arrives
        at the end of the log, so that an idle partition commits its end.
        """
        if position is not None and not self._incomplete and position > self._next:
            self._next = position
        base = self._oldest_offset
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
        return self._incomplete.keys()

    @property
    def oldest(self) -> float | None:
        """When the lowest record that is taken and not complete was written; None without one."""
        return self._incomplete.get(self._oldest_offset)

    def outstanding(self, end: int) -> int:
        """Records before `end`, the end of the partition, that are not complete: the true lag."""
        return max(0, end - self._base - len(self._done))

    @property
    def _oldest_offset(self) -> int:
        """The lowest incomplete one: they are taken in ascending order, so it is the first."""
        return next(iter(self._incomplete), self._next)

    @property
    def has_room(self) -> bool:
        """Whether another record may be taken without the map outgrowing its place."""
        return self._next - self._oldest_offset < offset_map.OFFSET_WINDOW

    def __repr__(self) -> str:
        return (
            f"<OffsetTracker base {self._base}, next {self._next}, "
            f"{len(self._incomplete)} incomplete, {len(self._done)} done above>"
        )
