"""An agent loops: it stops at the budget of its run, and the others go on."""

from collections.abc import Mapping
from typing import Any

from examples.demo.act import Ended, Row, Side

#: The route that the agent asks, what its run may cost in US dollars, and how often it would ask. A
#: job without money waits 15 s while calls in flight may give some back: the fleet has to be there.
ROUTE, BUDGET_USD, TURNS = "loop", "0.0004", 120


class LoopingAgent:
    """Beside the fleet's own work: a service asks again and again, and never thinks of the cost."""

    faults = ""
    rows: tuple[Row, ...] = ()

    def __init__(self) -> None:
        self._began: set[str] = set()

    def meanwhile(self, side: Side, answered: float) -> None:
        """The agent begins when half is done: what a worker that is killed has claimed stays in
        doubt, and would be waited for."""
        if answered > 0.5 and side.name not in self._began:
            self._began.add(side.name)
            side.loop()

    def told(self, side: Ended) -> str:
        """What came of it."""
        if not side.loop:
            return "an agent looped, and had not come to its budget when the fleet ended"
        return story(side.loop)


def story(figures: Mapping[str, Any]) -> str:
    """What the agent counted, in words."""
    return (
        f"an agent looped: `run_budget_usd` stopped it after {figures['calls']} calls and "
        f"${figures['usd']} of its ${BUDGET_USD}, while the others went on; a plain script that "
        f"loops {TURNS} times was billed ${figures['script_usd']}"
    )
