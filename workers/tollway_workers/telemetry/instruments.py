"""What counts a metric: prometheus_client's own instruments, made as its definition says."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from tollway_workers.telemetry.definitions import Metric


def counter(metric: Metric, registry: CollectorRegistry) -> Counter:
    """A counter; without labels it is there as 0 from now on."""
    return Counter(metric.name, metric.meaning, metric.labels, registry=registry)


def gauge(metric: Metric, registry: CollectorRegistry) -> Gauge:
    """A gauge; without labels it is there as 0 from now on."""
    return Gauge(metric.name, metric.meaning, metric.labels, registry=registry)


def histogram(metric: Metric, registry: CollectorRegistry) -> Histogram:
    """A histogram with the buckets of its definition."""
    return Histogram(
        metric.name, metric.meaning, metric.labels, registry=registry, buckets=metric.buckets
    )
