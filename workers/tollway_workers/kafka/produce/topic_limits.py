"""The largest record that each topic takes.

A record that the client refuses does no harm; one that the broker refuses breaks an idempotent
producer. A topic of a service may take less than ours, and its limit may change at any time.
"""

import asyncio
from collections.abc import Collection
from typing import Any

import structlog
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaError

from tollway_workers.clock import Clock
from tollway_workers.errors import BrokerUnavailable
from tollway_workers.kafka.connect import started

log = structlog.get_logger(__name__)

#: Seconds between two readings.
_INTERVAL = 60.0
#: Bytes that a batch takes besides its records: its header, and what compression may add.
_BATCH_OVERHEAD = 512
_LIMIT = "max.message.bytes"


class TopicLimits:
    """Record limits of topics, from Kafka's settings and from its refusals.

    State: `_limits` (bytes of a record, by topic), `_alone` (topics whose records travel alone: a
    batch of several was refused, which does not say which of them is too large).
    """

    def __init__(self, client: dict[str, Any], most_bytes: int, clock: Clock) -> None:
        """`most_bytes`: the largest record for any topic."""
        self._client = client
        self._most_bytes = most_bytes
        self._clock = clock
        self._limits: dict[str, int] = {}
        self._alone: set[str] = set()
        self._asking = asyncio.Lock()

    def known(self, topic: str) -> int | None:
        """Bytes of the largest record, or None where it was not asked yet."""
        return self._limits.get(topic)

    def of_batch(self, topic: str) -> int:
        """Bytes that all records of a batch may have; one record may always travel."""
        return 0 if topic in self._alone else self._limits.get(topic, self._most_bytes)

    async def of(self, topic: str) -> int:
        """Bytes of the largest record; asked once. Raises BrokerUnavailable."""
        await self.ask([topic])
        return self._limits[topic]

    async def ask(self, topics: Collection[str]) -> None:
        """Make them known. Raises BrokerUnavailable."""
        async with self._asking:
            if unknown := [each for each in topics if each not in self._limits]:
                self._note(unknown, await topic_limits(self._client, unknown))

    async def run(self) -> None:
        """Read the limits of what is known again and again, until cancelled."""
        while True:
            await self._clock.sleep(_INTERVAL)
            topics = list(self._limits)
            try:
                self._note(topics, await topic_limits(self._client, topics))
            except BrokerUnavailable:
                # The limits known so far stay.
                log.info("cannot read max.message.bytes of topics: the values of before hold")

    def refused(self, topic: str, size: int, records: int) -> None:
        """Kafka has refused a batch of so many bytes: too large for its topic."""
        if records > 1:
            self._alone.add(topic)
        else:
            self._limits[topic] = min(self._limits.get(topic, size), size - 1)
        log.warning(
            "Kafka refused a batch as too large for its topic: smaller ones are sent",
            topic=topic,
            bytes=size,
            records=records,
        )

    def _note(self, topics: Collection[str], told: dict[str, int]) -> None:
        for topic in topics:
            if (limit := told.get(topic)) is not None:
                self._limits[topic] = min(self._most_bytes, limit - _BATCH_OVERHEAD)
            else:
                # We may not read the setting: only refusals tell.
                self._limits.setdefault(topic, self._most_bytes)


async def topic_limits(client: dict[str, Any], topics: Collection[str]) -> dict[str, int]:
    """Bytes by topic, as Kafka has them now; a topic that we may not ask about is left out.

    Raises BrokerUnavailable.
    """
    if not topics:
        return {}
    admin = AIOKafkaAdminClient(**client)
    await started(admin, client)
    wanted = [ConfigResource(ConfigResourceType.TOPIC, each, {_LIMIT: ""}) for each in topics]
    try:
        responses: list[Any] = await admin.describe_configs(wanted)
    except KafkaError as error:
        log.warning(
            "cannot read max.message.bytes of topics: kafka.max_job_bytes holds for them",
            error=type(error).__name__,
        )
        return {}
    finally:
        await admin.close()
    return {
        name: int(value)
        for response in responses
        for code, _, _, name, entries in response.resources
        if code == 0
        for key, value, *_ in entries
        if key == _LIMIT
    }
