"""The commands topic: workers follow it, the command line writes to it.

It has one partition, so that commands have one order and one offset says how far a worker is.
"""

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import structlog
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from tollway_workers.clock import Clock
from tollway_workers.errors import BrokerUnavailable
from tollway_workers.kafka.connect import STOP_TIMEOUT, started, stopped
from tollway_workers.kafka.read.log_reader import LogReader
from tollway_workers.operators.commands import Commands
from tollway_workers.operators.freshness import Freshness
from tollway_workers.ownership.partition import Partition
from tollway_workers.safe_traceback import error_fields

log = structlog.get_logger(__name__)

#: The one partition: another would have an order of its own.
PARTITION = 0
#: Seconds between two tries to read on where reading failed.
_AGAIN = 1.0

Apply = Callable[[Iterable[tuple[bytes | None, bytes | None]]], None]


class CommandFollower:
    """Applies commands as they are read, from the oldest on.

    State: `applied`, the offset before which every command is applied.
    """

    def __init__(
        self, client: dict[str, Any], topic: str, commands: Commands, apply: Apply, clock: Clock
    ) -> None:
        """`client`: arguments of every aiokafka client; `commands` learns how fresh they are."""
        self._client = client
        self._topic = topic
        self._commands = commands
        self._apply = apply
        self._clock = clock
        self._reader: LogReader | None = None
        self.applied = 0

    async def start(self) -> None:
        """Apply all commands written until now. Raises BrokerUnavailable."""
        reader = self._reader = LogReader(self._client)
        await reader.start()
        began, partition = self._clock.boottime(), (self._topic, PARTITION)
        ends: dict[Partition, int] = {partition: (await reader.ends([self._topic]))[partition]}
        records = reader.between(await reader.starts(ends, None), ends)
        self._apply([(record.key, record.value) async for record in records])
        self.applied, self._commands.known_until = ends[partition], began

    async def run(self) -> None:
        """Go on until cancelled; `start` comes before it."""
        try:
            while True:
                try:
                    await self._follow()
                except Exception as error:  # noqa: BLE001 calls go on without operators' commands
                    log.warning(
                        "cannot read operators' commands: none is applied or acknowledged; "
                        f"trying again in {_AGAIN:g} s",
                        **error_fields(error),
                    )
                self._commands.known_until = None
                await self.stop()
                await self._clock.sleep(_AGAIN)
        finally:
            await self.stop()

    async def stop(self) -> None:
        """Disconnect; idempotent."""
        if self._reader is not None:
            reader, self._reader = self._reader, None
            await reader.stop()

    async def _follow(self) -> None:
        if self._reader is None:
            self._reader = LogReader(self._client)
            await self._reader.start()
        freshness, partition = Freshness(), (self._topic, PARTITION)
        self._reader.follow({partition: self.applied})
        while True:
            began = self._clock.boottime()
            records = await self._reader.read()
            if records:
                self._apply([(record.key, record.value) for record in records])
                self.applied = records[-1].offset + 1
            known = freshness.answered(await self._reader.answered(partition), began)
            if known is not None:
                self._commands.known_until = known


class WrittenRecord(NamedTuple):
    """A record's offset, and Kafka's time of it in seconds since 1970."""

    offset: int
    at: float


async def send(
    client: dict[str, Any], topic: str, records: Iterable[tuple[bytes, bytes | None]]
) -> WrittenRecord | None:
    """Write records by key and value, in order; the last of them. Raises BrokerUnavailable."""
    producer = AIOKafkaProducer(**client, acks="all", enable_idempotence=True)
    await started(producer, client)
    last = None
    try:
        for key, value in records:
            last = await producer.send_and_wait(topic, value, key, partition=PARTITION)
    except KafkaError as error:
        raise BrokerUnavailable(
            f"Kafka does not take a record for {topic} ({type(error).__name__}): "
            "this user needs the right to write it"
        ) from error
    finally:
        await stopped(producer, STOP_TIMEOUT, "the writer of commands")
    return None if last is None else WrittenRecord(last.offset, last.timestamp / 1000)


async def latest_by_key(client: dict[str, Any], topic: str) -> dict[bytes, bytes]:
    """The last value of each key, without tombstones. Raises BrokerUnavailable."""
    reader = LogReader(client)
    await reader.start()
    try:
        partition = (topic, PARTITION)
        ends: dict[Partition, int] = {partition: (await reader.ends([topic]))[partition]}
        found: dict[bytes, bytes] = {}
        async for record in reader.between(await reader.starts(ends, None), ends):
            if record.key is None:
                continue
            found.pop(record.key, None)
            if record.value:
                found[record.key] = record.value
        return found
    finally:
        await reader.stop()
