"""Numbers that one event loop counts, read by prometheus_client when somebody asks.

prometheus_client's own counters take a lock for every update, which a job updates a dozen of; here
one thread counts, so an update is an addition.
"""

from bisect import bisect_left
from collections.abc import Iterator
from math import inf

from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from tollway_workers.telemetry.definitions import Metric as Definition


class Number:
    """A counter or a gauge."""

    __slots__ = ("value",)

    def __init__(self) -> None:
        self.value = 0.0

    def inc(self, amount: float = 1.0) -> None:
        """Add."""
        self.value += amount

    def dec(self) -> None:
        """Take one away."""
        self.value -= 1.0

    def set(self, value: float) -> None:
        """Replace."""
        self.value = value


class Spread:
    """A histogram."""

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        #: Observations by bucket, each in one only; the last is beyond all bounds.
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def observe(self, value: float) -> None:
        """One more observation."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value

    def buckets(self) -> list[tuple[str, float]]:
        """Upper bound and how many observations are at most it, as Prometheus wants them."""
        cumulative, buckets = 0, []
        for bound, count in zip((*self.bounds, inf), self.counts, strict=True):
            cumulative += count
            buckets.append((_text(bound), float(cumulative)))
        return buckets


def _text(bound: float) -> str:
    # Untyped in the library.
    return str(floatToGoString(bound))  # type: ignore[no-untyped-call]  # untyped there


class Numbers(Collector):
    """One counter or gauge with its labels' children."""

    def __init__(self, definition: Definition) -> None:
        self._definition = definition
        self._children: dict[tuple[str, ...], Number] = {}

    def labels(self, *values: str) -> Number:
        """The child of these label values; look it up once where it is updated for every job."""
        child = self._children.get(values)
        if child is None:
            child = self._children[values] = Number()
        return child

    def collect(self) -> Iterator[Metric]:
        """What prometheus_client writes down."""
        definition = self._definition
        kind = CounterMetricFamily if definition.kind == "counter" else GaugeMetricFamily
        family = kind(definition.name, definition.meaning, labels=definition.labels)
        for values, child in self._children.items():
            family.add_metric(values, child.value)
        yield family


class Spreads(Collector):
    """One histogram with its labels' children."""

    def __init__(self, definition: Definition) -> None:
        self._definition = definition
        self._children: dict[tuple[str, ...], Spread] = {}

    def labels(self, *values: str) -> Spread:
        """The child of these label values; look it up once where it is updated for every job."""
        child = self._children.get(values)
        if child is None:
            child = self._children[values] = Spread(self._definition.buckets)
        return child

    def collect(self) -> Iterator[Metric]:
        """What prometheus_client writes down."""
        definition = self._definition
        family = HistogramMetricFamily(
            definition.name, definition.meaning, labels=definition.labels
        )
        for values, child in self._children.items():
            family.add_metric(values, child.buckets(), child.total)
        yield family
