"""The acknowledged part of a batch, so that a re-run enqueues only the rest. Pure."""

from collections import deque
from collections.abc import Mapping

from tollway_workers.ownership.partition import Partition


class Acknowledged:
    """Lines in the order they are sent, and what Kafka has acknowledged of them.

    A producer keeps the order within a partition, so a line that is not acknowledged yet will lie
    behind everything there that is.
    """

    # Mutable state: lines begun and not counted yet, in order; where lines that cannot be counted
    # yet lie (None: needs no record, its answer is in OUT); the last line counted; and per place
    # the offset behind every counted line.
    def __init__(
        self,
        line: int,
        offsets: Mapping[Partition, int],
        found: Mapping[int, tuple[Partition, int]],
    ) -> None:
        """`found` are lines above `line` whose records a former run wrote."""
        self._begun: deque[int] = deque()
        self._acknowledged: dict[int, tuple[Partition, int] | None] = dict(found)
        self._line = line
        self._behind = dict(offsets)

    def begin(self, line: int) -> bool:
        """Take the next line of the batch; False if its record is there already."""
        self._begun.append(line)
        if line in self._acknowledged:
            self._count()
            return False
        return True

    def acknowledge(self, line: int, at: tuple[Partition, int] | None) -> None:
        """Kafka has `line`, at that place and offset."""
        self._acknowledged[line] = at
        self._count()

    def snapshot(self) -> tuple[int, dict[Partition, int]]:
        """A line N and offsets: all lines to N are acknowledged, all others lie at or behind."""
        offsets = dict(self._behind)
        for at in self._acknowledged.values():
            if at is not None:
                partition, offset = at
                offsets[partition] = min(offset, offsets.get(partition, offset))
        return self._line, offsets

    def _count(self) -> None:
        while self._begun and self._begun[0] in self._acknowledged:
            self._line = self._begun.popleft()
            at = self._acknowledged.pop(self._line)
            if at is not None:
                partition, offset = at
                self._behind[partition] = max(offset + 1, self._behind.get(partition, 0))
