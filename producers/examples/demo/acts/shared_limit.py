"""Two processes share the requests a minute of one account."""

from collections import defaultdict, deque
from collections.abc import Sequence

from examples.demo.act import Ended, Row, Side
from examples.demo.provider import LIMIT

#: Seconds over which calls are counted: providers hold a limit by the minute over shorter times.
WINDOW = 10
ALLOWED = LIMIT * WINDOW // 60


def refused(side: Ended) -> float:
    """Calls over the limit."""
    return sum(call.ending == "429" for call in side.calls)


def busiest_window(side: Ended) -> float:
    """Most calls for one model that arrived within WINDOW seconds, as a part of its limit."""
    by_model: defaultdict[str, list[float]] = defaultdict(list)
    for call in side.calls:
        by_model[call.model].append(call.started)
    return max((_most(sorted(starts)) / ALLOWED for starts in by_model.values()), default=0.0)


def _most(starts: Sequence[float]) -> int:
    inside: deque[float] = deque()
    most = 0
    for started in starts:
        inside.append(started)
        while inside[0] <= started - WINDOW:
            inside.popleft()
        most = max(most, len(inside))
    return most


class SharedLimit:
    """Nothing goes wrong but that there are two."""

    faults = ""
    rows = (
        Row(name="calls refused with 429", figure=refused),
        Row(
            name=f"calls in the busiest {WINDOW} s, of {ALLOWED} allowed",
            figure=busiest_window,
            shown="{:.0%}".format,
        ),
    )

    def meanwhile(self, side: Side, answered: float) -> None:
        """Nothing: they run."""

    def told(self, side: Ended) -> str:
        """Nothing: the rows are all."""
        return ""
