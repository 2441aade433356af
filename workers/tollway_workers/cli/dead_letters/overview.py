"""Counts dead letters by likely cause, and keeps the newest. Memory is bounded by both."""

import heapq
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from tollway_workers.cli.dead_letters.entry import Entry

#: Groups that are kept apart; what comes beyond counts in the total alone.
MOST_GROUPS = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Filters:
    """Which dead letters are meant; what is absent is not asked for."""

    route: str | None = None
    failure_class: str | None = None
    run: str | None = None
    tenant: str | None = None
    since: datetime | None = None

    @property
    def any(self) -> bool:
        """Whether anything is asked for."""
        return any((self.route, self.failure_class, self.run, self.tenant, self.since))

    def match(self, entry: Entry) -> bool:
        """Whether this one is meant."""
        return (
            self.route in (None, entry.route)
            and self.failure_class in (None, entry.failure_class)
            and self.run in (None, entry.run)
            and self.tenant in (None, entry.tenant)
            and (self.since is None or entry.dead_at >= self.since)
        )


@dataclass(frozen=True, slots=True)
class Group:
    """Dead letters of likely one cause; `example` is the newest."""

    count: int
    example: Entry


class Overview:
    """Mutable state: a count and an example for each fingerprint, and the newest entries."""

    def __init__(self, limit: int) -> None:
        """`limit`: how many single ones are kept."""
        self.total = 0
        self._limit = limit
        self._groups: dict[str, Group] = {}
        # A heap, oldest first; partition and offset make no two equal.
        self._newest: list[tuple[datetime, int, int, Entry]] = []

    def add(self, entry: Entry) -> None:
        """Count one."""
        self.total += 1
        group = self._groups.get(entry.fingerprint)
        if group is not None:
            newer = entry if entry.dead_at >= group.example.dead_at else group.example
            self._groups[entry.fingerprint] = Group(group.count + 1, newer)
        elif len(self._groups) < MOST_GROUPS:
            self._groups[entry.fingerprint] = Group(1, entry)
        heapq.heappush(self._newest, (entry.dead_at, entry.partition, entry.offset, entry))
        if len(self._newest) > self._limit:
            heapq.heappop(self._newest)

    @property
    def groups(self) -> list[Group]:
        """The causes, most frequent first."""
        return sorted(self._groups.values(), key=lambda group: -group.count)

    def newest(self) -> Iterator[Entry]:
        """The newest dead letters, newest first."""
        for *_, entry in sorted(self._newest, key=lambda item: item[:3], reverse=True):
            yield entry
