"""What sliding windows see of amounts that are spent at moments. Pure.

An amount is a moment (seconds) and units.
"""

from collections import deque
from collections.abc import Iterable

Amount = tuple[float, float]


def busiest(amounts: Iterable[Amount], window: float) -> float:
    """The most units that any window of so many seconds sees."""
    inside: deque[Amount] = deque()
    most = total = 0.0
    for at, units in sorted(amounts):
        while inside and inside[0][0] <= at - window:
            total -= inside.popleft()[1]
        inside.append((at, units))
        total += units
        most = max(most, total)
    return most


def most_beyond(amounts: Iterable[Amount], rate: float) -> float:
    """The most units that any window of any length sees beyond `rate` units a second.

    It is what a token bucket of that rate must hold to let all of this through.
    """
    most = level = 0.0
    before = None
    for at, units in sorted(amounts):
        if before is not None:
            level = max(0.0, level - rate * (at - before))
        level += units
        most = max(most, level)
        before = at
    return most


def spent(amounts: Iterable[Amount], begin: float, end: float) -> float:
    """Units from `begin` until before `end`."""
    return sum(units for at, units in amounts if begin <= at < end)
