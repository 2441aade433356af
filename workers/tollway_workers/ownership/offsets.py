"""Out-of-order completion of one partition's records.

An offset is *incomplete* from when its record is taken until its job's outcome is safely written.
What may be committed is the lowest incomplete offset, with the map of what is complete above it.
"""

from collections.abc import Set

from tollway_workers.ownership import commit_note, offset_map
from tollway_workers.ownership.commit_note import CommitNote


class OffsetTracker:
    """Offsets taken, incomplete and complete in one partition since this worker owns it.

    Mutable state, all of it changed by the methods below: `_base` (all below it is complete),
    `_next` (all below it has been read), `_incomplete` (with the time of each record), and `_done`
    (complete offsets from `_base` on, which includes offsets that an earlier owner completed and we
    have not read yet), `finished`. Others raise the flags `owned`, `releasing` and `aborted`.
    """

    __slots__ = (
        "_base",
        "_done",
        "_incomplete",
        "_next",
        "aborted",
        "finished",
        "owned",
        "releasing",
    )

    def __init__(self, committed: int, metadata: str | None = "") -> None:
        self._base = self._next = committed
        self._done = offset_map.decode(committed, metadata)
        self._incomplete: dict[int, float] = {}
        #: False once the partition is another worker's, which then calls the jobs taken here.
        self.owned = True
        #: The partition is being released: no more of its jobs may start.
        self.releasing = False
        #: A call of it was aborted here and may go on at its provider.
        self.aborted = False
        #: Offsets completed since this worker owns it.
        self.finished = 0

    def start(self, offset: int, since: float = 0.0) -> bool:
        """Take the record at `offset`; False if it is complete or taken already.

        `since`: when the record was written, in seconds since 1970.
        """
        if offset < self._next:
            return False
        # Offsets that never arrive (transaction markers, compacted records) are passed over here.
        self._next = offset + 1
        if offset in self._done or offset in self._incomplete:
            return False
        again = offset < next(reversed(self._incomplete), -1)
        self._incomplete[offset] = since
        if again:
            self._incomplete = dict(sorted(self._incomplete.items()))
        return True

    def unread(self, offset: int) -> None:
        """The record at `offset` was taken and not begun: it is to be read again."""
        if self._incomplete.pop(offset, None) is not None:
            self._next = min(self._next, offset)

    def finish(self, offset: int) -> None:
        """The outcome of the record at `offset` is safely written."""
        if offset in self._incomplete:
            del self._incomplete[offset]
            self._done.add(offset)
            self.finished += 1

    def committable(
        self, position: int | None = None, note: CommitNote | None = None
    ) -> tuple[int, str]:
        """The offset and the metadata to commit, with a note for the next owner.

        `position` is the consumer's own: where nothing is incomplete it passes what never arrives
        at the end of the log, so that an idle partition commits its end.
        """
        if position is not None and not self._incomplete and position > self._next:
            self._next = position
        base = self._oldest_offset
        if base > self._base:
            self._base = base
            self._done = {offset for offset in self._done if offset >= base}
        return self._base, commit_note.write(self._base, self._done, note)

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
    def lowest(self) -> int:
        """The lowest offset that is not complete: what the next commit begins with."""
        return self._oldest_offset

    def unfinished(self, end: int) -> list[int]:
        """Offsets from the base to `end` that are not known to be complete, in ascending order."""
        return [offset for offset in range(self._base, end) if offset not in self._done]

    @property
    def _oldest_offset(self) -> int:
        """The lowest that is not complete: they are kept in ascending order, so the first."""
        return min(next(iter(self._incomplete), self._next), self._next)

    @property
    def has_room(self) -> bool:
        """Whether another record may be taken without the map outgrowing its place."""
        return self._next - self._oldest_offset < offset_map.OFFSET_WINDOW

    def __repr__(self) -> str:
        return (
            f"<OffsetTracker base {self._base}, next {self._next}, "
            f"{len(self._incomplete)} incomplete, {len(self._done)} done above>"
        )
