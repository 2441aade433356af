"""A service asks for what no answer has: its jobs become dead letters, and are mended for free."""

from collections.abc import Mapping
from typing import Any

from examples.demo.act import Ended, Row, Side

#: Jobs of the service, and the route that they ask for.
JOBS, ROUTE = 50, "describe"


class DeadLetters:
    """Beside the fleet's own work: publish, see why all failed, correct the schema, revalidate."""

    faults = ""
    rows: tuple[Row, ...] = ()

    def __init__(self) -> None:
        self._came: set[str] = set()

    def meanwhile(self, side: Side, answered: float) -> None:
        """The service comes when the side is at work."""
        if answered > 0 and side.name not in self._came:
            self._came.add(side.name)
            side.serve_another()

    def told(self, side: Ended) -> str:
        """What came of it."""
        if not side.service:
            return "a service asked with a wrong schema, and had no answers when the fleet ended"
        return story(side.service)


def story(figures: Mapping[str, Any]) -> str:
    """What the service counted, in words."""
    causes = "one likely cause" if figures["groups"] == 1 else f"{figures['groups']} likely causes"
    return (
        f"a service asked with a wrong schema: {figures['failed']} of its {figures['jobs']} jobs "
        f"became dead letters, of {causes} ({figures['why']}); with the corrected one "
        f"`tollway dead-letters redrive --revalidate` had {figures['answered']} of them answered "
        f"by the answers that were paid for: {figures['calls']} calls"
    )
