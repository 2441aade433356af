"""Counts dead letters by likely cause, and keeps the newest. Memory is bounded by both."""

import heapq
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from tollway.dead_letters.entry import Entry
from tollway.dead_letters.hints import hint_for

#: Groups that are kept apart; what comes beyond counts in the total alone.
MOST_GROUPS = 1_000


@dataclass(frozen=True, slots=True)
class Group:
    """Dead letters of likely one cause: those of one fingerprint."""

    count: int
    """How many there are."""
    example: Entry
    """The newest."""
    first: datetime
    """When the first one was given up."""
    last: datetime
    """When the last one was."""
    cost: int
    """Pico-USD of their calls, as far as that is known."""
    cost_unknown: int = 0
    """How many have calls whose cost nobody knows."""

    @property
    def fingerprint(self) -> str:
        """What they have in common."""
        return self.example.fingerprint

    @property
    def route(self) -> str | None:
        """The route that they asked for."""
        return self.example.route

    @property
    def failure_class(self) -> str:
        """The kind of failure."""
        return self.example.failure_class

    @property
    def hint(self) -> str:
        """What to do about it, one sentence."""
        return hint_for(self.example.failure_class)

    def with_one(self, entry: Entry) -> "Group":
        """The same with one more."""
        return Group(
            count=self.count + 1,
            example=entry if entry.dead_at >= self.example.dead_at else self.example,
            first=min(self.first, entry.dead_at),
            last=max(self.last, entry.dead_at),
            cost=self.cost + (entry.cost or 0),
            cost_unknown=self.cost_unknown + (entry.cost is None),
        )


class Overview:
    """Dead letters by likely cause, and the newest of them.

    Mutable state: a group for each fingerprint, and the newest entries.
    """

    def __init__(self, limit: int = 0) -> None:
        """`limit`: how many single ones are kept."""
        self.total = 0
        self.ungrouped = 0
        """Those of further causes than are kept apart."""
        self._limit = limit
        self._groups: dict[str, Group] = {}
        # A heap, oldest first; partition and offset make no two equal.
        self._newest: list[tuple[datetime, int, int, Entry]] = []

    def add(self, entry: Entry) -> None:
        """Count one."""
        self.total += 1
        group = self._groups.get(entry.fingerprint)
        if group is not None:
            self._groups[entry.fingerprint] = group.with_one(entry)
        elif len(self._groups) < MOST_GROUPS:
            at, unknown = entry.dead_at, entry.cost is None
            self._groups[entry.fingerprint] = Group(1, entry, at, at, entry.cost or 0, int(unknown))
        else:
            self.ungrouped += 1
        if self._limit:
            self._keep(entry)

    @property
    def groups(self) -> list[Group]:
        """Likely causes, the most frequent first."""
        return sorted(self._groups.values(), key=lambda group: -group.count)

    def newest(self) -> Iterator[Entry]:
        """The newest dead letters, newest first."""
        for *_, entry in sorted(self._newest, key=lambda item: item[:3], reverse=True):
            yield entry

    def _keep(self, entry: Entry) -> None:
        item = (entry.dead_at, entry.partition, entry.offset, entry)
        if len(self._newest) < self._limit:
            heapq.heappush(self._newest, item)
        else:
            heapq.heappushpop(self._newest, item)
