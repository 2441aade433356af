"""Writes jobs together with the marks of their dead letters: both or neither."""

import asyncio
import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from aiokafka import AIOKafkaProducer
from aiokafka.errors import (
    IllegalOperation,
    KafkaError,
    MessageSizeTooLargeError,
    ProducerFenced,
    TopicAuthorizationFailedError,
    TransactionalIdAuthorizationFailed,
)

from tollway.connection import KafkaConnection
from tollway.errors import BrokerUnreachable, Fenced, NotAllowed, ProducerError
from tollway.reach import why_unreachable
from tollway_schemas.reading.partitioner import partition_of

log = logging.getLogger("tollway")

#: Of one transaction, so that it is short: live jobs behind an open one are not read. Each letter
#: is two records.
MOST_LETTERS = 250
MOST_BYTES = 4 * 2**20
#: Bytes of the largest job that any fleet takes (kafka.max_job_bytes), and of what its record and
#: request have besides.
LARGEST_JOB = 64 * 2**20
_OVERHEAD = 64 * 1024

#: Milliseconds after which Kafka itself ends a transaction whose writer is gone.
_LEFT_OPEN = 10_000
#: Seconds for a first contact (an open transaction of another is ended first), for one
#: transaction, and to disconnect.
_START, _PATIENCE, _STOP = 20.0, 30.0, 5.0


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A record to be written."""

    topic: str
    key: bytes
    value: bytes | None
    headers: list[tuple[str, bytes]]


class RouteWriter:
    """The only one, of all operators, that works on the dead letters of a route.

    `start` fences whoever did before: what they had not committed is taken back, and their next
    write raises Fenced.
    """

    def __init__(self, connection: KafkaConnection, prefix: str, route: str) -> None:
        self._connection = connection
        self._route = route
        self._transactional_id = f"{prefix}.redrive.{route}"
        self._producer: Any = None

    async def start(self) -> None:
        """Raises BrokerUnreachable or NotAllowed."""
        producer = AIOKafkaProducer(
            **self._connection.client_options(),
            transactional_id=self._transactional_id,
            transaction_timeout_ms=_LEFT_OPEN,
            compression_type="zstd",
            linger_ms=0,
            max_batch_size=256 * 1024,
            # Each job is held to its own fleet's limit before it comes here.
            max_request_size=LARGEST_JOB + _OVERHEAD,
        )
        self._producer = producer
        try:
            async with asyncio.timeout(_START):
                await producer.start()
        except TransactionalIdAuthorizationFailed:
            raise self._not_allowed() from None
        except (KafkaError, OSError) as error:
            raise await self._away(error) from error

    async def stop(self) -> None:
        """Disconnect; idempotent."""
        producer, self._producer = self._producer, None
        if producer is None:
            return
        try:
            async with asyncio.timeout(_STOP):
                await producer.stop()
        except (TimeoutError, KafkaError, IllegalOperation, AssertionError) as error:
            log.debug("a transactional producer was left: %s", type(error).__name__)
            await producer.client.close()
        finally:
            _look_at_what_failed(producer)

    async def write(self, records: Sequence[Outgoing]) -> None:
        """Write all of these or none, and return when that is decided.

        Raises Fenced, NotAllowed or BrokerUnreachable; after that, what became of them is told by
        the marks alone, and this writer writes nothing any more.
        """
        try:
            async with asyncio.timeout(_PATIENCE):
                await self._write(self._producer, records)
        except (ProducerFenced, AssertionError, IllegalOperation):
            # aiokafka asserts where it was fenced before.
            raise Fenced(self._route) from None
        except TransactionalIdAuthorizationFailed:
            raise self._not_allowed() from None
        except TopicAuthorizationFailedError:
            raise NotAllowed(records[0].topic) from None
        except MessageSizeTooLargeError:
            raise ProducerError(
                f"a job is larger than its topic {records[0].topic!r} takes: give max_job_bytes "
                "what the fleet has as kafka.max_job_bytes"
            ) from None
        except (KafkaError, OSError) as error:
            raise await self._away(error) from error

    async def _write(self, producer: Any, records: Sequence[Outgoing]) -> None:
        await producer.begin_transaction()
        try:
            await self._send(producer, records)
        except ProducerFenced:
            raise
        except BaseException:
            # Else live jobs would wait behind it until Kafka ends it.
            await _taken_back(producer)
            raise
        await producer.commit_transaction()

    async def _send(self, producer: Any, records: Sequence[Outgoing]) -> None:
        """Every acknowledgement is looked at: one that failed would not end the transaction.

        In batches made here: aiokafka's own way costs a future and 70 us for each record.
        """
        batches = _Batches(producer)
        try:
            for each in records:
                await batches.add(each)
            await batches.flush()
        finally:
            results = await asyncio.gather(*batches.sent, return_exceptions=True)
        for result in results:
            if isinstance(result, BaseException):
                raise result

    def _not_allowed(self) -> NotAllowed:
        error = NotAllowed(self._transactional_id)
        error.args = (
            f"this user may not use the transactional id {self._transactional_id!r}: grant it "
            "Write and Describe on it",
        )
        return error

    async def _away(self, error: Exception) -> BrokerUnreachable:
        reason = f"{type(error).__name__}; {await why_unreachable(self._connection)}"
        return BrokerUnreachable(self._connection.bootstrap_servers, reason)


class _Batches:
    """Records on their way into one batch a partition. State: what is filling, what was sent."""

    def __init__(self, producer: Any) -> None:
        self._producer = producer
        self._filling: dict[tuple[str, int], Any] = {}
        self._now = int(time.time() * 1000)
        self.sent: list[asyncio.Future[object]] = []

    async def add(self, record: Outgoing) -> None:
        """Put it into its partition's batch."""
        topic = record.topic
        partitions = sorted(await self._producer.partitions_for(topic))
        number = partitions[partition_of(record.key, len(partitions))]
        batch = self._filling.get((topic, number))
        if batch is not None and self._append(batch, record):
            return
        if batch is not None:
            await self._hand_over(topic, number, batch)
        batch = self._filling[topic, number] = self._producer.create_batch()
        # The first is taken, however large it is.
        self._append(batch, record)

    async def flush(self) -> None:
        """Hand over all that is filling."""
        filling, self._filling = self._filling, {}
        for (topic, number), batch in filling.items():
            await self._hand_over(topic, number, batch)

    async def _hand_over(self, topic: str, number: int, batch: Any) -> None:
        self.sent.append(await self._producer.send_batch(batch, topic, partition=number))

    def _append(self, batch: Any, record: Outgoing) -> bool:
        added = batch.append(
            timestamp=self._now, key=record.key, value=record.value, headers=record.headers
        )
        return added is not None


def _look_at_what_failed(producer: Any) -> None:
    """Nobody waits for these futures of aiokafka: asyncio would write their errors to the terminal.

    A fenced producer has one for each batch, and one for its transaction.
    """
    accumulator = getattr(producer, "_message_accumulator", None)
    queues = getattr(accumulator, "_batches", {}).values()
    batches = [batch for queue in queues for batch in queue]
    batches += getattr(accumulator, "_pending_batches", ())
    futures = [getattr(batch, "_drain_waiter", None) for batch in batches]
    futures.append(getattr(producer._txn_manager, "_transaction_waiter", None))
    for future in futures:
        if future is not None and future.done() and not future.cancelled():
            future.exception()


async def _taken_back(producer: Any) -> None:
    try:
        async with asyncio.timeout(_STOP):
            await producer.abort_transaction()
    except (TimeoutError, KafkaError, IllegalOperation, AssertionError) as error:
        log.debug("a transaction was left to Kafka: %s", type(error).__name__)


class RouteWriters:
    """A writer for each route that is worked on; `async with` ends them all."""

    # Mutable state: the writers, by route.
    def __init__(self, connection: KafkaConnection, prefix: str) -> None:
        self._connection = connection
        self._prefix = prefix
        self._writers: dict[str, RouteWriter] = {}

    async def take(self, routes: Sequence[str]) -> None:
        """Become the only one who works on these. Raises as RouteWriter.start."""
        # In one order: two operators who take several routes do not each take some.
        for route in sorted(routes):
            if route not in self._writers:
                writer = RouteWriter(self._connection, self._prefix, route)
                self._writers[route] = writer
                await writer.start()

    def of(self, route: str) -> RouteWriter:
        """The writer of a route that was taken."""
        return self._writers[route]

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await asyncio.gather(*(each.stop() for each in self._writers.values()))
