"""The ledger topic: a worker reads all of it before it spends anything, and writes what it asks for
and what it settled.

It has one partition, whose order grants money. Its writer is a producer of its own, so that nothing
else waits for it; the calls of budgets that have blocks left go on while Kafka is away.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from math import inf
from typing import Any

import structlog
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from tollway_schemas.codec import encode
from tollway_schemas.errors import SchemaError
from tollway_schemas.ledger import presence_key
from tollway_workers.budgets.ledger import LedgerRecord, key_of
from tollway_workers.budgets.spending import Spending
from tollway_workers.clock import Clock
from tollway_workers.errors import BrokerUnavailable
from tollway_workers.kafka.connect import STOP_TIMEOUT, started, stopped
from tollway_workers.kafka.read.log_reader import LoggedRecord, LogReader
from tollway_workers.kafka.topic_admin import existing_topics
from tollway_workers.ownership.partition import Partition
from tollway_workers.safe_traceback import error_fields

log = structlog.get_logger(__name__)

#: The one partition: another would have an order of its own.
PARTITION = 0
#: Seconds between two tries to go on where reading or writing failed.
_AGAIN = 1.0
#: Seconds between two looks at what has changed slowly.
_TICK = 0.5
#: Seconds between two readings of Kafka's clock.
_CLOCK_EVERY = 15.0
#: Seconds that this process's own first record may take to come back.
_FIRST = 30.0
#: Seconds without an acknowledgement after which it is looked why.
_SILENT = 10.0
#: Seconds between two looks for a topic that nothing needs yet.
_LOOK_AGAIN = 10.0
#: Seconds that such a look may take.
_LOOK = 5.0
#: Seconds that the last records may take at the end, and that a Kafka which did not take them has
#: to let us go.
_LAST_WORDS, _GIVEN_UP = 1.5, 0.5


class LedgerLog:
    """State: the reader and the producer, `_next` (the offset that is read next), `_asked` (this
    process's clock records on their way, with when they were sent), and what was said once.
    """

    def __init__(
        self,
        client: dict[str, Any],
        topic: str,
        spending: Spending,
        clock: Clock,
        configuration: Callable[[], str] = str,
    ) -> None:
        """`client`: arguments of every aiokafka client."""
        self._client = client
        self._topic = topic
        self._spending = spending
        self._clock = clock
        self._configuration = configuration
        self._reader: LogReader | None = None
        self._producer: AIOKafkaProducer | None = None
        self._next = 0
        self._number = 0
        self._asked: dict[int, float] = {}
        self._clock_read = asyncio.Event()
        self._awake = asyncio.Event()
        self._sent: dict[asyncio.Future[Any], float] = {}
        self._said_silent = False
        self._broken = False
        self._met_nonsense = self._said_partitions = False
        spending.wake = self._awake.set

    async def start(self) -> None:
        """Read all of the ledger, and Kafka's clock by a record of our own. Raises
        BrokerUnavailable where something is budgeted; else jobs of a run that may have one wait.
        """
        spending = self._spending
        try:
            spending.absent = not spending.budgets and not await self._exists()
            if not spending.absent:
                await self._begin()
                return
            problem = "its topic does not exist: make it with `tollway topics apply`"
        except (BrokerUnavailable, KafkaError, OSError) as error:
            if spending.budgets:
                raise
            problem = str(error) or type(error).__name__
            await self._close_reader()
        log.warning(
            "the ledger cannot be read or written: jobs of a run that may have a budget wait, all "
            "others go on",
            topic=self._topic,
            problem=problem,
        )

    async def _begin(self) -> None:
        await self._open_reader()
        await self._open_producer()
        await self._say_present()
        try:
            async with asyncio.timeout(_FIRST):
                while not self._spending.time.known:
                    await self._read_some()
        except TimeoutError:
            raise BrokerUnavailable(
                f"a record written to {self._topic} does not come back: see whether Kafka's "
                "brokers are in sync"
            ) from None

    async def run(self) -> None:
        """Read and write until cancelled; `start` comes before it."""
        while self._spending.absent:
            await self._clock.sleep(_LOOK_AGAIN)
            with contextlib.suppress(BrokerUnavailable, KafkaError, OSError):
                self._spending.absent = not await self._exists()
        async with asyncio.TaskGroup() as both:
            both.create_task(self._keep(self._read_on, "read"), name="ledger reader")
            both.create_task(self._keep(self._write_on, "write"), name="ledger writer")

    async def stop(self) -> None:
        """Give back what is spare, say that we leave, and disconnect; idempotent."""
        self._spending.leave()
        await asyncio.gather(self._close_writer(), self._close_reader())

    async def _close_writer(self) -> None:
        names = self._spending.unsaid
        said = await self._say_last()
        if names and not said and (self._producer is not None or self._broken):
            log.warning(
                "Kafka did not take the last records of the ledger in time: what this worker was "
                "granted and had not settled may stay in doubt, until the window turns or "
                "`tollway ledger close` ends it",
                topic=self._topic,
                processes=names,
            )
        producer, self._producer = self._producer, None
        if producer is not None:
            # A Kafka that did not take them takes nothing else.
            patience = STOP_TIMEOUT if said else _GIVEN_UP
            await stopped(producer, patience, "the writer of the ledger")

    async def _say_last(self) -> bool:
        """Whether Kafka has our last records."""
        if self._producer is None or self._broken:
            return False
        try:
            async with asyncio.timeout(_LAST_WORDS):
                await self._write_due(everything=True)
                await self._send(presence_key(self._spending.process), None)
                await asyncio.gather(*self._sent)
        except (TimeoutError, KafkaError, OSError):
            return False
        return True

    async def _close_reader(self) -> None:
        reader, self._reader = self._reader, None
        if reader is not None:
            await reader.stop()

    async def _exists(self) -> bool:
        return self._topic in await existing_topics(self._client)

    # Reading.

    async def _open_reader(self) -> None:
        partitions = (await existing_topics(self._client)).get(self._topic)
        if partitions is not None and partitions > 1 and not self._said_partitions:
            self._said_partitions = True
            log.warning(
                "the ledger has one partition too many: only its first is read and written, whose "
                "order grants money",
                topic=self._topic,
                partitions=partitions,
            )
        reader = self._reader = LogReader(self._client)
        await reader.start()
        partition = (self._topic, PARTITION)
        ends: dict[Partition, int] = {partition: (await reader.ends([self._topic]))[partition]}
        if self._next > ends[partition]:
            log.error(
                "the ledger was deleted and made anew: what processes that are gone had spent is "
                "known to those alone that were here before",
                topic=self._topic,
            )
            self._next = 0
            self._spending.start_anew()
        starts = await reader.starts(ends, None)
        starts[partition] = max(starts[partition], self._next)
        async for record in reader.between(starts, ends):
            self._apply(record)
        self._next = max(self._next, ends[partition])
        reader.follow({partition: self._next})

    async def _read_on(self) -> None:
        if self._reader is None:
            await self._open_reader()
        while True:
            await self._read_some()

    async def _read_some(self) -> None:
        assert self._reader is not None  # noqa: S101 opened before
        for record in await self._reader.read():
            if record.offset < self._next:
                raise BrokerUnavailable("the ledger begins anew")
            self._apply(record)

    def _apply(self, record: LoggedRecord) -> None:
        self._next = record.offset + 1
        try:
            self._spending.apply(record.key, record.value, record.timestamp)
        except SchemaError as error:
            if not self._met_nonsense:
                self._met_nonsense = True
                log.warning(
                    "ignored a record of the ledger that is none; further ones are ignored without "
                    "a word: see who may write the topic",
                    topic=self._topic,
                    offset=record.offset,
                    problem=str(error),
                )
        if record.key == presence_key(self._spending.process):
            self._read_clock(record)

    def _read_clock(self, record: LoggedRecord) -> None:
        said = self._spending.ledger.present.get(self._spending.process)
        sent = None if said is None else self._asked.pop(said.number, None)
        if sent is not None:
            self._spending.time.observe(sent, record.timestamp, self._clock.boottime())
            # All that stands before this record in the log was read before it.
            self._spending.ready = True

    # Writing.

    async def _open_producer(self) -> None:
        self._producer = AIOKafkaProducer(
            **self._client, acks="all", enable_idempotence=True, linger_ms=0
        )
        self._broken = False
        await started(self._producer, self._client)

    async def _write_on(self) -> None:
        if self._broken and self._producer is not None:
            producer, self._producer = self._producer, None
            await stopped(producer, STOP_TIMEOUT)
        if self._producer is None:
            await self._open_producer()
        await self._say_present()
        told = last = self._clock.monotonic()
        while not self._broken:
            await self._until_woken()
            now = self._clock.monotonic()
            # By the clock: a process whose calls want something all the time is woken all the time.
            ticked = now - last >= _TICK
            last = now if ticked else last
            if now - told >= _CLOCK_EVERY:
                told = now
                await self._say_present()
                for key, value in self._spending.folded():
                    await self._send(key, value)
            await self._write_due(everything=ticked)
            if ticked:
                await self._look_why_silent()
        raise BrokerUnavailable("a record of the ledger was not acknowledged")

    async def _look_why_silent(self) -> None:
        """Say once why nothing is acknowledged."""
        oldest = min(self._sent.values(), default=inf)
        if self._said_silent or self._clock.monotonic() - oldest < _SILENT:
            return
        self._said_silent = True
        try:
            async with asyncio.timeout(_LOOK):
                is_there = await self._exists()
        except (BrokerUnavailable, KafkaError, OSError):
            log.warning(
                "Kafka takes no records of the ledger: budgeted calls go on with what is granted, "
                "and then wait until it is back",
                topic=self._topic,
            )
            return
        log.error(
            "the ledger takes no records: budgeted calls go on with what is granted, and then wait"
            if is_there
            else "the ledger's topic does not exist: budgeted calls go on with what is granted, "
            "and then wait; make it with `tollway topics apply`",
            topic=self._topic,
        )

    async def _until_woken(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_TICK):
                await self._awake.wait()

    async def _write_due(self, *, everything: bool) -> None:
        self._awake.clear()
        for entry in self._spending.due(everything=everything):
            await self._send(*_written(entry))

    async def _say_present(self) -> None:
        self._number += 1
        self._asked = {self._number: self._clock.boottime()}
        present = self._spending.presence(self._number, self._configuration())
        await self._send(*_written(present))

    async def _send(self, key: bytes, value: bytes | None) -> None:
        """Hand over a record; a failure is seen when it is not acknowledged."""
        assert self._producer is not None  # noqa: S101 opened before
        try:
            sent = await self._producer.send(self._topic, value, key, partition=PARTITION)
        except (KafkaError, OSError):
            self._fail()
            raise
        self._sent[sent] = self._clock.monotonic()
        sent.add_done_callback(self._acknowledged)

    def _acknowledged(self, sent: "asyncio.Future[Any]") -> None:
        del self._sent[sent]
        if sent.cancelled() or sent.exception() is not None:
            self._fail()
        else:
            self._said_silent = False

    def _fail(self) -> None:
        """Whether a record was written is not known: it may come into the log later than what
        follows it. So what follows has another name.
        """
        if not self._broken:
            self._broken = True
            self._spending.start_anew()
            self._awake.set()

    async def _keep(self, work: Callable[[], Awaitable[None]], what: str) -> None:
        """Do it again until cancelled."""
        while True:
            try:
                await work()
            except Exception as error:  # noqa: BLE001 calls go on with what was granted
                # Why nothing is acknowledged was said in one sentence.
                tell = log.debug if self._said_silent else log.warning
                tell(
                    f"cannot {what} the ledger: budgeted calls go on with what is granted, and "
                    f"then wait; trying again in {_AGAIN:g} s",
                    topic=self._topic,
                    **error_fields(error),
                )
            if what == "read":
                await self._close_reader()
            await self._clock.sleep(_AGAIN)


def _written(record: LedgerRecord) -> tuple[bytes, bytes]:
    return key_of(record), encode(record)
