"""What counts a metric, made as its definition says.

Counters and histograms are ours: the event loop that counts serves them too, so none needs a lock,
and counting costs a third of what prometheus_client's own takes.
"""

from abc import abstractmethod
from bisect import bisect_left
from collections.abc import Iterator
from itertools import accumulate
from typing import Generic, TypeVar

from prometheus_client import CollectorRegistry, Gauge
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from tollway_workers.telemetry.definitions import Metric


class Count:
    """What a counter has counted under one set of labels."""

    __slots__ = ("value",)

    def __init__(self) -> None:
        self.value = 0.0

    def inc(self, amount: float = 1.0) -> None:
        """Count so much more."""
        self.value += amount


class Spread:
    """What a histogram has seen under one set of labels: `counts` by bucket, the last for all that
    is above the highest bound.
    """

    __slots__ = ("_bounds", "counts", "sum")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self._bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.sum = 0.0

    def observe(self, value: float) -> None:
        """Count a value where it belongs."""
        self.counts[bisect_left(self._bounds, value)] += 1
        self.sum += value


Child = TypeVar("Child")


class _Instrument(Collector, Generic[Child]):
    """A metric's children, by the values of its labels; without labels there is one from now on."""

    def __init__(self, metric: Metric, registry: CollectorRegistry) -> None:
        self._metric = metric
        self._children: dict[tuple[str, ...], Child] = {}
        if not metric.labels:
            self.labels()
        registry.register(self)

    def labels(self, *values: str) -> Child:
        """The child of these values, in the order of the labels."""
        child = self._children.get(values)
        if child is None:
            child = self._children[values] = self._new()
        return child

    @abstractmethod
    def _new(self) -> Child: ...


class Counter(_Instrument[Count]):
    """Counts what happens."""

    def collect(self) -> Iterator[Family]:
        """See `Collector`."""
        metric = self._metric
        family = CounterMetricFamily(metric.name, metric.meaning, labels=metric.labels)
        for values, count in self._children.items():
            family.add_metric(values, count.value)
        yield family

    def _new(self) -> Count:
        return Count()


class Histogram(_Instrument[Spread]):
    """Counts values by size."""

    def collect(self) -> Iterator[Family]:
        """See `Collector`."""
        metric = self._metric
        bounds = (*map(floatToGoString, metric.buckets), "+Inf")
        family = HistogramMetricFamily(metric.name, metric.meaning, labels=metric.labels)
        for values, spread in self._children.items():
            buckets = list(zip(bounds, accumulate(spread.counts), strict=True))
            family.add_metric(values, buckets, spread.sum)
        yield family

    def _new(self) -> Spread:
        return Spread(self._metric.buckets)


def gauge(metric: Metric, registry: CollectorRegistry) -> Gauge:
    """A gauge; without labels it is there as 0 from now on."""
    return Gauge(metric.name, metric.meaning, metric.labels, registry=registry)
