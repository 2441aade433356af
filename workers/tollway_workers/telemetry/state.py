"""The gauges of a worker's state: set when somebody reads them, not counted."""

from prometheus_client import CollectorRegistry

from tollway_workers.telemetry import definitions as d
from tollway_workers.telemetry.definitions import Metric
from tollway_workers.telemetry.numbers import Number, Numbers


class StateGauges:
    """Gauges of a worker's ownership, signs of life and outstanding work."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry
        self.waiting = self._numbers(d.WAITING)
        self.parked = self._numbers(d.PARKED)
        self.partitions = self._number(d.PARTITIONS)
        self.shards = self._numbers(d.SHARDS)
        self.releasing = self._number(d.RELEASING)
        self.commit_age = self._number(d.COMMIT_AGE)
        self.commit_failures = self._number(d.COMMIT_FAILURES)
        self.lease_age = self._number(d.LEASE_AGE)
        self.loop_lag = self._number(d.LOOP_LAG)
        self.kafka_away = self._number(d.KAFKA_AWAY)
        self.held = self._number(d.HELD)
        self.held_for = self._number(d.HELD_FOR)
        self.outstanding = self._numbers(d.OUTSTANDING)
        self.oldest_job = self._number(d.OLDEST_JOB)

    def _number(self, metric: Metric) -> Number:
        return self._numbers(metric).labels()

    def _numbers(self, metric: Metric) -> Numbers:
        numbers = Numbers(metric)
        self._registry.register(numbers)
        return numbers
