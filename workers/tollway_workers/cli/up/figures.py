"""What a fleet's workers have done, read from their metrics. Pure."""

from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass

from prometheus_client.parser import text_string_to_metric_families

from tollway_workers.lanes.state import LaneState
from tollway_workers.local.fleet.worker_look import WorkerLook
from tollway_workers.telemetry import definitions as d

#: The state of a worker all of whose lanes are called.
READY = "ready"
#: Seconds that jobs per second are taken over.
_RATE_WINDOW = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerFigures:
    """One slot: what it is doing, and what it has done since `up` began."""

    slot: int
    pid: int
    state: str
    partitions: int = 0
    waiting: int = 0
    in_flight: int = 0
    completed: int = 0
    failed: int = 0
    dead_lettered: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    #: US dollars.
    cost: float = 0.0
    unpriced_calls: int = 0

    @property
    def done(self) -> int:
        """Jobs that have their outcome."""
        return self.completed + self.failed + self.dead_lettered


class FleetFigures:
    """Follows counters over restarts: a worker that is started again counts from 0.

    Mutable state: each slot's counters as last read and those of its predecessors, and the number
    of done jobs over the last seconds.
    """

    def __init__(self) -> None:
        self._last: dict[int, tuple[int, Counter[str]]] = {}
        self._before: dict[int, Counter[str]] = {}
        self._history: deque[tuple[float, int]] = deque()

    def update(self, looks: list[WorkerLook], now: float) -> list[WorkerFigures]:
        """The figures of all slots; `now` is in seconds of any clock that goes forward."""
        figures = [self._slot(look) for look in looks]
        self._history.append((now, sum(each.done for each in figures)))
        while now - self._history[0][0] > _RATE_WINDOW:
            self._history.popleft()
        return figures

    @property
    def jobs_per_second(self) -> float:
        """Over the last seconds."""
        if len(self._history) < 2:
            return 0.0
        (began, first), (ended, last) = self._history[0], self._history[-1]
        return (last - first) / (ended - began) if ended > began else 0.0

    def _slot(self, look: WorkerLook) -> WorkerFigures:
        pid, counted = self._last.get(look.slot, (look.pid, Counter()))
        gauges: Counter[str] = Counter()
        if look.metrics is not None:
            sums = _sums(look.metrics)
            fresh = Counter({name: sums[key] for name, key in _COUNTERS.items()})
            gauges = Counter({name: sums[key] for name, key in _GAUGES.items()})
            if pid != look.pid:
                self._before.setdefault(look.slot, Counter()).update(counted)
            counted = fresh
            self._last[look.slot] = look.pid, fresh
        total = Counter(counted)
        total.update(self._before.get(look.slot, Counter()))
        numbers = {name: int(total[name]) for name in _COUNTERS if name != "cost"}
        return WorkerFigures(
            slot=look.slot,
            pid=look.pid,
            state=_state(look, gauges),
            partitions=int(gauges["partitions"]),
            waiting=int(gauges["waiting"]),
            in_flight=int(gauges["in_flight"]),
            cost=float(total["cost"]),
            **numbers,
        )


#: States of a lane that are told of a worker, the worst first: it is ready, and its jobs wait.
_TROUBLES = (LaneState.PAUSED, LaneState.PARKED, LaneState.BROKEN, LaneState.PROBING)
#: A sample's name and, where one matters, the value of its label.
_Key = tuple[str, str]

_GAUGES: dict[str, _Key] = {
    "partitions": (d.PARTITIONS.name, ""),
    "waiting": (d.WAITING.name, ""),
    "in_flight": (d.IN_FLIGHT.name, ""),
    **{state: (d.LANE_STATE.name, state.value) for state in _TROUBLES},
}
_COUNTERS: dict[str, _Key] = {
    "completed": (d.JOBS.name, "completed"),
    "failed": (d.JOBS.name, "failed"),
    "dead_lettered": (d.JOBS.name, "dead_lettered"),
    "input_tokens": (f"{d.TOKENS.name}_sum", "input"),
    "output_tokens": (f"{d.TOKENS.name}_sum", "output"),
    "cost": (d.COST.name, ""),
    "unpriced_calls": (d.UNPRICED.name, ""),
}
_TOLD_APART = {
    d.JOBS.name: "outcome",
    f"{d.TOKENS.name}_sum": "gen_ai_token_type",
    d.LANE_STATE.name: "state",
}


def _sums(text: str) -> Mapping[_Key, float]:
    """The samples of a worker, summed over the labels that do not matter here."""
    sums: Counter[_Key] = Counter()
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            label = _TOLD_APART.get(sample.name)
            key = (sample.name, sample.labels.get(label, "") if label else "")
            sums[key] += sample.value  # type: ignore[assignment] # counts may be fractions here
    return sums


def _state(look: WorkerLook, gauges: Counter[str]) -> str:
    if look.metrics is None:
        return "starting"
    if not look.is_ready:
        return "joining"
    return next((f"lane {state}" for state in _TROUBLES if gauges[state]), READY)
