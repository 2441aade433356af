"""Which of a job's calls are listed: those that were charged, and a few of the others.

A job may wait for its lane through any number of refusals (a revoked key, a spent quota, 429s):
what is kept of them in memory, on the way and in its reply must not grow with the wait.
"""

from collections.abc import Sequence

from tollway_schemas.attempt import Attempt
from tollway_schemas.failure import FailureClass

#: Calls that were not charged and are listed: how the trouble began, and how it went on.
FIRST, LAST = 2, 8


def listed(attempts: Sequence[Attempt]) -> list[Attempt]:
    """The calls that are kept, in order."""
    uncharged = [attempt.number for attempt in attempts if not attempt.charged]
    left_out = set(uncharged[FIRST:-LAST])
    return [attempt for attempt in attempts if attempt.number not in left_out]


def counted(attempts: Sequence[Attempt]) -> dict[FailureClass, int]:
    """Calls that were not charged, by the class of their failure."""
    counts: dict[FailureClass, int] = {}
    for attempt in attempts:
        if not attempt.charged and attempt.failure_class is not None:
            counts[attempt.failure_class] = counts.get(attempt.failure_class, 0) + 1
    return counts
