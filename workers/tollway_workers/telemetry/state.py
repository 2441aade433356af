"""The gauges of a worker's state: set when somebody reads them, not counted."""

from prometheus_client import CollectorRegistry

from tollway_workers.telemetry import definitions as d
from tollway_workers.telemetry.embedders import EmbedderMetrics
from tollway_workers.telemetry.instruments import counter, gauge
from tollway_workers.telemetry.similar import SimilarMetrics


class StateGauges:
    """Gauges of a worker's ownership, signs of life and outstanding work; and its embedders."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.in_flight = gauge(d.IN_FLIGHT, registry)
        self.waiting = gauge(d.WAITING, registry)
        self.parked = gauge(d.PARKED, registry)
        self.lane_state = gauge(d.LANE_STATE, registry)
        self.breaker_opened = counter(d.BREAKER_OPENED, registry)
        self.budget_used = gauge(d.BUDGET_USED, registry)
        self.budget_doubt = gauge(d.BUDGET_DOUBT, registry)
        self.budget_alert_at = gauge(d.BUDGET_ALERT_AT, registry)
        self.partitions = gauge(d.PARTITIONS, registry)
        self.shards = gauge(d.SHARDS, registry)
        self.releasing = gauge(d.RELEASING, registry)
        self.commit_age = gauge(d.COMMIT_AGE, registry)
        self.commit_failures = counter(d.COMMIT_FAILURES, registry)
        self.lease_age = gauge(d.LEASE_AGE, registry)
        self.loop_lag = gauge(d.LOOP_LAG, registry)
        self.kafka_away = gauge(d.KAFKA_AWAY, registry)
        self.held = gauge(d.HELD, registry)
        self.held_for = gauge(d.HELD_FOR, registry)
        self.outstanding = gauge(d.OUTSTANDING, registry)
        self.oldest_job = gauge(d.OLDEST_JOB, registry)
        self.cache_serves = gauge(d.CACHE_SERVES, registry)
        self.cache_entries = gauge(d.CACHE_ENTRIES, registry)
        self.cache_bytes = gauge(d.CACHE_BYTES, registry)
        self.cache_lag = gauge(d.CACHE_LAG, registry)
        self.cache_evicted = gauge(d.CACHE_EVICTED, registry)
        self.cache_dropped = counter(d.CACHE_DROPPED, registry)
        self.similar = SimilarMetrics(registry)
        self.embedders = EmbedderMetrics(registry)
