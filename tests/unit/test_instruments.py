"""Counters and histograms are served as prometheus_client serves its own."""

import prometheus_client
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, generate_latest

from tollway_workers.telemetry.definitions import Metric
from tollway_workers.telemetry.instruments import Counter, Histogram

_COUNTED = Metric("jobs_total", "counter", "Jobs.", "Look.", ("route", "outcome"))
_SEEN = Metric("job_seconds", "histogram", "Seconds.", "Look.", ("route",), (0.1, 1.0, 4096.0))
_ALONE = Metric("failures_total", "counter", "Failures.", "Look.")
_LABELS = st.sampled_from(["a", 'with "quotes"', "line\nbreak", "\\", ""])


@given(
    st.lists(st.tuples(_LABELS, _LABELS, st.floats(0, 1e9)), max_size=8),
    st.lists(st.tuples(_LABELS, st.sampled_from([0.0, 0.1, 0.5, 1.0, 4096.0, 1e6])), max_size=8),
)
def test_what_is_served_is_what_prometheus_client_would_serve(
    counted: list[tuple[str, str, float]], seen: list[tuple[str, float]]
) -> None:
    ours, theirs = CollectorRegistry(), CollectorRegistry()
    counters = (
        Counter(_COUNTED, ours),
        prometheus_client.Counter(
            _COUNTED.name, _COUNTED.meaning, _COUNTED.labels, registry=theirs
        ),
    )
    histograms = (
        Histogram(_SEEN, ours),
        prometheus_client.Histogram(
            _SEEN.name, _SEEN.meaning, _SEEN.labels, registry=theirs, buckets=_SEEN.buckets
        ),
    )
    Counter(_ALONE, ours)
    prometheus_client.Counter(_ALONE.name, _ALONE.meaning, registry=theirs)

    for counter in counters:
        for route, outcome, amount in counted:
            counter.labels(route, outcome).inc(amount)
    for histogram in histograms:
        for route, value in seen:
            histogram.labels(route).observe(value)

    assert _served(ours) == _served(theirs)


def _served(registry: CollectorRegistry) -> list[str]:
    """Without the times at which series began: workers do not serve them."""
    lines = generate_latest(registry).decode().splitlines()
    return [line for line in lines if "_created" not in line]
