"""Where the time of a command went, phase by phase. Standard library only: it is there first."""

import time
from collections.abc import Callable


class Timeline:
    """Phases of a command, one after the other. `begin` each; the one before has then ended.

    State: the phases so far with their seconds, the one that goes on and since when.
    """

    def __init__(
        self, *, told: bool = False, before: float = 0.0, now: Callable[[], float] = time.monotonic
    ) -> None:
        """`told`: whether a person wants to see it; `before`: seconds that went by until now."""
        self.told = told
        self._now = now
        self._phase = "command"
        self._since = now() - before
        self._seconds: dict[str, float] = {}

    def begin(self, phase: str, *, ago: float = 0.0) -> None:
        """From now on, or from `ago` seconds ago, time goes to this phase."""
        at = max(self._since, self._now() - max(ago, 0.0))
        self._seconds[self._phase] = self._seconds.get(self._phase, 0.0) + at - self._since
        self._phase, self._since = phase, at

    def lines(self) -> list[str]:
        """Every phase so far with its seconds, in the order in which they began, then their sum."""
        self.begin(self._phase)
        phases = [*self._seconds.items(), ("all", sum(self._seconds.values()))]
        return [f"{phase:<14}{seconds:6.2f} s" for phase, seconds in phases]
