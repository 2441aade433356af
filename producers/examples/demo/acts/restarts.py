"""One process crashes, and later the other is restarted as a deployment does it."""

from collections import Counter

from examples.demo.act import Ended, Row, Side

CRASH_AT, DEPLOY_AT = 0.35, 0.65


def paid_again(side: Ended) -> float:
    """Calls that were billed, met no fault, and came to nothing because their client forgot them.

    Of each job one good answer is needed, so every further billed call without a fault is one.
    """
    good = Counter(call.job for call in side.calls if call.billed and call.fault is None)
    return sum(calls - 1 for calls in good.values())


class Restarts:
    """SIGKILL to one process, SIGTERM to the other; each is started again at once."""

    faults = ""
    rows = (Row(name="calls paid for twice", figure=paid_again),)

    def __init__(self) -> None:
        self._crashed: set[str] = set()
        self._deployed: set[str] = set()

    def meanwhile(self, side: Side, answered: float) -> None:
        """Crash at a third, deploy at two thirds of the jobs."""
        if answered >= CRASH_AT and side.name not in self._crashed:
            self._crashed.add(side.name)
            side.crash()
        if answered >= DEPLOY_AT and side.name not in self._deployed:
            self._deployed.add(side.name)
            side.deploy()

    def told(self, side: Ended) -> str:
        """Nothing: the rows are all."""
        return ""
