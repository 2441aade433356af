"""Outstanding and finished work of a worker, by topic."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from math import inf
from typing import Self

from tollway_workers.kafka.consume.backlog import Backlog
from tollway_workers.ownership.owned_partitions import OwnedPartitions


@dataclass(slots=True)
class Work:
    """Records of owned partitions."""

    #: Not finished, read or not.
    outstanding: int = 0
    #: Finished since this worker owns their partitions.
    finished: int = 0
    #: When the oldest that is read and not finished was written, in seconds since 1970.
    oldest: float = inf

    def add(self, other: "Work") -> None:
        """Take those of another topic or partition in."""
        self.outstanding += other.outstanding
        self.finished += other.finished
        self.oldest = min(self.oldest, other.oldest)

    @classmethod
    def of(cls, several: Iterable["Work"]) -> Self:
        """All together."""
        total = cls()
        for each in several:
            total.add(each)
        return total


def work_by_topic(partitions: OwnedPartitions, backlog: Backlog) -> dict[str, Work]:
    """The work in each topic of which this worker owns a partition."""
    found: dict[str, Work] = defaultdict(Work)
    for partition in partitions:
        tracker = partitions.tracker(partition)
        # The reading of ends is some seconds old: what we have read since is known to be there.
        end = max(backlog.ends.get(partition, 0), tracker.next_offset)
        oldest = inf if tracker.oldest is None else tracker.oldest
        found[partition[0]].add(Work(tracker.outstanding(end), tracker.finished, oldest))
    return dict(found)
