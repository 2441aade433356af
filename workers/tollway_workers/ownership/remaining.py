"""The records of a partition that are not complete: lag without what is done out of order. Pure."""

from dataclasses import dataclass

from tollway_workers.ownership import offset_map


@dataclass(frozen=True, slots=True)
class Span:
    """The records of a partition that a group has not completed."""

    #: The first one that may be.
    first: int
    #: The offset behind the last.
    end: int
    #: Offsets in between that are complete.
    done: frozenset[int] = frozenset()

    def __contains__(self, offset: object) -> bool:
        return (
            isinstance(offset, int) and self.first <= offset < self.end and offset not in self.done
        )

    @property
    def count(self) -> int:
        """How many there are."""
        return max(0, self.end - self.first) - len(self.done)


def span(begin: int, end: int, committed: int | None, metadata: str | None) -> Span:
    """Of the records from `begin` to before `end`, those not complete by the group's last commit.

    `committed` and `metadata` are what the commit says; None where the group never committed.
    """
    if committed is None or committed < 0:
        return Span(begin, end)
    # What retention has deleted is no work any more.
    first = max(begin, committed)
    done = (offset for offset in offset_map.decode(committed, metadata) if first <= offset < end)
    return Span(first, end, frozenset(done))
