"""Partitions that are blocked by an open transaction of any producer.

Under `read_committed` Kafka returns no record behind an open transaction, and no error either: such
a partition would look empty.
"""

from typing import Any

from tollway_workers.clock import Clock
from tollway_workers.ownership.partition import Partition

#: Seconds that a transaction may be open: those of ours take one.
_LONG = 10.0
#: Seconds without an answer of Kafka, after which what it said of a partition is old.
_OLD = 5.0


class OpenTransactions:
    """State: `_open`, where the first open transaction of a partition begins, and since when."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._open: dict[Partition, tuple[int, float]] = {}

    def look(self, consumer: Any) -> None:
        """Note what Kafka's last answers to a consumer say."""
        now = self._clock.monotonic()
        found: dict[Partition, tuple[int, float]] = {}
        for at in consumer.assignment():
            stable, end = consumer.last_stable_offset(at), consumer.highwater(at)
            said = consumer.last_poll_timestamp(at)
            if stable is None or end is None or stable >= end or said is None:
                continue
            if said / 1000 < self._clock.now() - _OLD:
                continue
            partition = at.topic, at.partition
            known = self._open.get(partition)
            found[partition] = known if known is not None and known[0] == stable else (stable, now)
        self._open = found

    @property
    def stalled(self) -> dict[Partition, float]:
        """Partitions that have stood still for long, and for how many seconds."""
        now = self._clock.monotonic()
        ages = {partition: now - since for partition, (_, since) in self._open.items()}
        return {partition: age for partition, age in ages.items() if age >= _LONG}
