"""The end offsets of partitions, for the metric of outstanding records."""

from collections.abc import Callable, Collection, Mapping
from typing import Any

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from tollway_workers.clock import Clock
from tollway_workers.kafka.connect import STOP_TIMEOUT, started, stopped
from tollway_workers.safe_traceback import error_fields

log = structlog.get_logger(__name__)

#: Seconds between two readings.
_INTERVAL = 5.0


class Backlog:
    """Reads ends with a consumer that does nothing else.

    The working consumer answers such a question only after its long poll, half a second later.
    `ends` holds the last reading, by topic and partition: that of a while ago while Kafka is away.
    """

    def __init__(
        self,
        client: dict[str, Any],
        partitions: Callable[[], Collection[tuple[str, int]]],
        clock: Clock,
    ) -> None:
        """`client`: arguments that every aiokafka client takes; `partitions`: which to ask for."""
        self._client = client
        self._partitions = partitions
        self._clock = clock
        self.ends: Mapping[tuple[str, int], int] = {}

    async def run(self) -> None:
        """Read until cancelled."""
        while True:
            try:
                await self._read_often()
            except Exception as error:  # noqa: BLE001 a number to look at: the last reading stays
                log.info(
                    "cannot read where partitions end: the lag metric keeps its last value",
                    **error_fields(error),
                )
            await self._clock.sleep(_INTERVAL)

    async def _read_often(self) -> None:
        consumer = AIOKafkaConsumer(**self._client, enable_auto_commit=False)
        await started(consumer, self._client)
        try:
            while True:
                await self._read(consumer)
                await self._clock.sleep(_INTERVAL)
        finally:
            await stopped(consumer, STOP_TIMEOUT, "the reader of partition ends")

    async def _read(self, consumer: AIOKafkaConsumer) -> None:
        partitions = [TopicPartition(*partition) for partition in self._partitions()]
        if not partitions:
            self.ends = {}
            return
        if set(partitions) != consumer.assignment():
            # Ends are asked for where the client knows the leaders: of what it is assigned.
            consumer.assign(partitions)
            consumer.pause(*partitions)
        try:
            self.ends = await consumer.end_offsets(partitions)
        except KafkaError as error:
            log.info(
                "cannot read where partitions end: the lag metric keeps its last value",
                error=type(error).__name__,
            )
