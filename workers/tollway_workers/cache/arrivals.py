"""What answers have come lately, from this worker or into its copy: who looked for a key in vain
looks again only where it came.

Bounded; no clock.
"""

from collections.abc import Iterable

#: Keys that are remembered, or a few more.
MOST_KEYS = 10_000


class Arrivals:
    """State: `_came`, when each key last came, and `_all`, when any may have: both in `changes`,
    the number of times that something came.
    """

    def __init__(self) -> None:
        self._came: dict[bytes, int] = {}
        self._all = 0
        self.changes = 0

    def add(self, keys: Iterable[bytes]) -> None:
        """These have come together."""
        self.changes += 1
        if len(self._came) > MOST_KEYS:
            self._came.clear()
            self._all = self.changes
        for key in keys:
            self._came[key] = self.changes

    def add_all(self) -> None:
        """Any key may have come."""
        self.changes += 1
        self._came.clear()
        self._all = self.changes

    def came(self, key: bytes, since: int) -> bool:
        """Whether a key may have come since `changes` was that."""
        return self._all > since or self._came.get(key, 0) > since
