"""The calls of a run: as its replies tell, and as its own workers count them. Pure."""

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from tollway_schemas.failure import FailureClass
from tollway_workers.job.failure_table import FAILURE_TABLE
from tollway_workers.local.fleet.worker_look import WorkerLook
from tollway_workers.telemetry import definitions as d

_ATTEMPTS = re.compile(rf'^{d.ATTEMPTS.name}\{{.*ending="([a-z_]+)".*\}} (\S+)$', re.MULTILINE)
_IN_FLIGHT = re.compile(rf"^{d.IN_FLIGHT.name}(?:\{{.*\}})? (\S+)$", re.MULTILINE)
_NOT_CHARGED = {each.value for each, row in FAILURE_TABLE.items() if not row.charged}
_NOT_CONNECTED = FailureClass.CONNECT.value


@dataclass(frozen=True, slots=True, kw_only=True)
class Calls:
    """Calls to providers, however they ended."""

    total: int = 0
    #: Of these: refused for the lane's sake (key, quota, rate), which no attempt budget pays for.
    refused: int = 0
    #: Of these: nobody was reached.
    unconnected: int = 0

    def __add__(self, other: "Calls") -> "Calls":
        return Calls(
            total=self.total + other.total,
            refused=self.refused + other.refused,
            unconnected=self.unconnected + other.unconnected,
        )

    def __sub__(self, other: "Calls") -> "Calls":
        return Calls(
            total=self.total - other.total,
            refused=self.refused - other.refused,
            unconnected=self.unconnected - other.unconnected,
        )

    @property
    def text(self) -> str:
        """5 (4 refused, not charged; 1 without a connection)."""
        parts = []
        if self.refused:
            parts.append(f"{self.refused:,} refused, not charged")
        if self.unconnected:
            parts.append(f"{self.unconnected:,} without a connection")
        return f"{self.total:,}" + (f" ({'; '.join(parts)})" if parts else "")


#: None were made.
NO_CALLS = Calls()


def calls_of(endings: Iterable[tuple[str | None, int]]) -> Calls:
    """Calls by how they ended: a failure class, or something else for a good answer."""
    counts: Counter[str | None] = Counter()
    for ending, count in endings:
        counts[ending] += count
    unconnected = counts[_NOT_CONNECTED]
    refused = sum(counts[each] for each in _NOT_CHARGED) - unconnected
    return Calls(total=counts.total(), refused=refused, unconnected=unconnected)


class CallCounts:
    """Follows the workers' own counts over restarts: a worker that starts again counts from 0.

    Mutable state: by slot, the process and what it had counted when it was last read; what their
    predecessors had counted; and the calls in flight at the last look.
    """

    def __init__(self) -> None:
        self._last: dict[int, tuple[int, Calls]] = {}
        self._before = Calls()
        self.in_flight = 0

    def update(self, looks: Iterable[WorkerLook]) -> None:
        """What the workers say of themselves now; one that says nothing keeps what it had said."""
        self.in_flight = 0
        for look in looks:
            if look.metrics is None:
                continue
            pid, counted = self._last.get(look.slot, (look.pid, Calls()))
            if pid != look.pid:
                self._before += counted
            self._last[look.slot] = look.pid, calls_of(_attempts(look.metrics))
            self.in_flight += sum(int(float(each)) for each in _IN_FLIGHT.findall(look.metrics))

    @property
    def made(self) -> Calls:
        """All that these workers called."""
        return sum((calls for _, calls in self._last.values()), self._before)


def _attempts(metrics: str) -> list[tuple[str | None, int]]:
    return [(ending, int(float(value))) for ending, value in _ATTEMPTS.findall(metrics)]
