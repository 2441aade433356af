"""Jobs on their way into Kafka."""

import asyncio
import logging
from dataclasses import dataclass
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.errors import (
    KafkaError,
    KafkaTimeoutError,
    MessageSizeTooLargeError,
    OutOfOrderSequenceNumber,
    TopicAuthorizationFailedError,
)

from tollway.connection import KafkaConnection
from tollway.errors import (
    BrokerUnreachable,
    JobTooLarge,
    NotAcknowledged,
    NotAllowed,
    ProducerClosed,
)
from tollway.reach import why_unreachable
from tollway.topics import Advice, KnownTopics
from tollway.transport import OutgoingRecord

log = logging.getLogger("tollway")

#: Bytes. Below the fleet's `message.max.bytes` of 4 MiB with room for the batch: a record that the
#: broker itself refuses breaks the idempotent producer.
MAX_REQUEST_SIZE = 4 * 1024 * 1024 - 200

_STOP_TIMEOUT = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeouts:
    """Seconds."""

    start: float = 10.0
    """For the first contact with Kafka."""
    acknowledge: float = 30.0
    """For one job to be acknowledged; a broken cluster needs up to half a minute to recover."""


class JobSender:
    """Writes records and returns when Kafka has acknowledged them (all replicas in sync)."""

    # Mutable state: the producer in use, the ones that are being retired.
    def __init__(self, connection: KafkaConnection, timeouts: Timeouts) -> None:
        self._connection = connection
        self._timeouts = timeouts
        self._producer: Any = None
        self._replacing = asyncio.Lock()
        self._retiring: set[asyncio.Task[None]] = set()
        self._topics = KnownTopics(self._metadata)

    async def start(self) -> None:
        """Connect. Raises BrokerUnreachable or InvalidSettings."""
        self._producer = await self._connect()

    async def stop(self) -> None:
        """Wait for what was sent, within a bound, and disconnect."""
        producer, self._producer = self._producer, None
        await self._topics.stop()
        if producer is not None:
            await self._retire(producer)
        await asyncio.gather(*self._retiring)

    async def partitions(self, topic: str, advice: Advice) -> frozenset[int]:
        """The partitions of a topic. Raises UnknownTopic or BrokerUnreachable."""
        return await self._topics.partitions(topic, advice)

    async def send(self, record: OutgoingRecord) -> None:
        """Return when the record is acknowledged. See Transport.send for what it raises."""
        try:
            async with asyncio.timeout(self._timeouts.acknowledge):
                await self._send(record)
        except TimeoutError:
            reason = f"no answer within {self._timeouts.acknowledge:g} s"
            raise NotAcknowledged(record.job_id, reason) from None

    async def _send(self, record: OutgoingRecord) -> None:
        producer = self._running()
        try:
            await self._write(producer, record)
        except MessageSizeTooLargeError:
            await self._replace(producer)
            raise JobTooLarge(record.job_id, len(record.value), limit=None) from None
        except OutOfOrderSequenceNumber:
            # A record before this one was refused by the broker; this one is not written.
            await self._replace(producer)
            await self._write(self._running(), record)
        except TopicAuthorizationFailedError:
            raise NotAllowed(record.topic) from None
        except KafkaTimeoutError:
            reason = "its topic takes no more records; the job was not sent"
            raise BrokerUnreachable(self._connection.bootstrap_servers, reason) from None
        except KafkaError as error:
            raise NotAcknowledged(record.job_id, type(error).__name__) from error

    async def _write(self, producer: Any, record: OutgoingRecord) -> None:
        acknowledged: asyncio.Future[object] = await producer.send(
            record.topic, record.value, key=record.key, headers=record.headers
        )
        # Nobody may be left to look at it, if this wait is cancelled.
        acknowledged.add_done_callback(lambda future: future.cancelled() or future.exception())
        await asyncio.wait([acknowledged])
        acknowledged.result()

    def _running(self) -> Any:
        if self._producer is None:
            raise ProducerClosed
        return self._producer

    async def _connect(self) -> Any:
        producer = AIOKafkaProducer(
            **self._connection.client_options(),
            enable_idempotence=True,
            acks="all",
            compression_type="zstd",
            linger_ms=0,
            max_batch_size=256 * 1024,
            max_request_size=MAX_REQUEST_SIZE,
        )
        try:
            async with asyncio.timeout(self._timeouts.start):
                await producer.start()
        except (KafkaError, OSError) as error:
            # TimeoutError is an OSError.
            await self._retire(producer)
            servers = self._connection.bootstrap_servers
            raise BrokerUnreachable(servers, await why_unreachable(self._connection)) from error
        except BaseException:
            await self._retire(producer)
            raise
        return producer

    async def _replace(self, broken: Any) -> None:
        """Put a new producer in the place of one that refuses everything from now on."""
        async with self._replacing:
            if self._running() is not broken:
                return
            self._producer = await self._connect()
        retiring = asyncio.create_task(self._retire(broken))
        self._retiring.add(retiring)
        retiring.add_done_callback(self._retiring.discard)

    async def _retire(self, producer: Any) -> None:
        # Without a broker, stop() waits for acknowledgements that may never come.
        try:
            async with asyncio.timeout(_STOP_TIMEOUT):
                await producer.stop()
        except TimeoutError:
            log.warning("closed while Kafka was away: jobs that it did not acknowledge may be lost")
            await producer.client.close()
        except KafkaError as error:
            log.debug("a broken producer was closed: %s", type(error).__name__)

    async def _metadata(self) -> Any:
        try:
            async with asyncio.timeout(self._timeouts.start):
                return await self._running().client.fetch_all_metadata()
        except (KafkaError, OSError) as error:
            servers = self._connection.bootstrap_servers
            raise BrokerUnreachable(servers, await why_unreachable(self._connection)) from error
