"""Workers' heartbeats: each worker writes its own; the command line reads all, and so do workers
that may send jobs to lanes of others.

They have a Kafka client of their own, so that trouble with them stops and slows nothing else.
"""

import asyncio
import time
from collections.abc import Callable
from typing import Any

import structlog
from aiokafka import AIOKafkaProducer

from tollway_schemas.codec import decode, encode
from tollway_schemas.errors import SchemaError
from tollway_schemas.heartbeat import Heartbeat
from tollway_workers.clock import Clock
from tollway_workers.kafka.connect import given_up_after, started, stopped
from tollway_workers.kafka.read.log_reader import LogReader
from tollway_workers.lanes.live_beats import LIVE, Heard, LiveBeats
from tollway_workers.ownership.partition import Partition
from tollway_workers.safe_traceback import error_fields

log = structlog.get_logger(__name__)

#: Seconds between two heartbeats.
INTERVAL = 1.0
#: Seconds after which one that Kafka did not take is dropped.
_PATIENCE = 3.0
#: Seconds without a heartbeat after which no worker is there: each writes one a second.
_LISTEN = 2.5
#: Seconds between two tries to read them.
_AGAIN = 5.0
#: Bytes of a heartbeat: those of a worker with 400 lanes, decoded in some 30 ms.
_LARGEST = 256 * 1024
#: Bytes of heartbeats that a worker keeps of others: those of thousands.
_MOST_KEPT = 16 * 1024 * 1024
#: Seconds that the last one of a worker may take.
_LAST_WORD = 1.0


class HeartbeatWriter:
    """Writes what `beat` says once a second, one after the other: what fails is dropped.

    State: `_failing`, whether the last one was dropped, which is logged once; `_due`, whether the
    next one is.
    """

    def __init__(
        self, client: dict[str, Any], topic: str, beat: Callable[[], Heartbeat], clock: Clock
    ) -> None:
        """`client`: arguments that every aiokafka client takes, servers and security."""
        self._client = client
        self._topic = topic
        self._beat = beat
        self._clock = clock
        self._producer: AIOKafkaProducer | None = None
        self._failing = False
        self._due = asyncio.Event()

    async def once(self) -> None:
        """Write one, or drop it."""
        try:
            await self._write(self._beat())
        except Exception as error:  # noqa: BLE001 a worker works, whether or not anybody sees it
            if not self._failing:
                log.info(
                    "Kafka did not take a heartbeat: `tollway workers` may miss this worker",
                    **error_fields(error),
                )
            self._failing = True
        else:
            self._failing = False

    async def run(self) -> None:
        """Write until cancelled."""
        while True:
            timer = self._clock.call_later(INTERVAL, self._due.set)
            try:
                await self._due.wait()
            finally:
                timer.cancel()
            self._due.clear()
            await self.once()

    def soon(self) -> None:
        """Write the next one now: an operator's command waits for it."""
        self._due.set()

    async def stop(self) -> None:
        """Write the final heartbeat and disconnect, within a moment; idempotent."""
        if self._producer is not None:
            await given_up_after(_LAST_WORD, self.once(), "the last heartbeat")
            producer, self._producer = self._producer, None
            await stopped(producer, _LAST_WORD, "the writer of heartbeats")

    async def _write(self, beat: Heartbeat) -> None:
        if self._producer is None:
            producer = AIOKafkaProducer(
                **self._client, acks=1, request_timeout_ms=int(_PATIENCE * 1000)
            )
            await started(producer, self._client)
            self._producer = producer
        await self._producer.send_and_wait(self._topic, encode(beat), beat.worker.encode())


class HeartbeatReader:
    """Reads heartbeats of all workers. `start` before use; one caller at a time.

    Times are Kafka's own: no clock of this machine is compared with those of others. State:
    `_behind`, Kafka's clock less our monotonic one, and `_answered`, Kafka's last answer and when
    (monotonic) it came.
    """

    def __init__(self, client: dict[str, Any], topic: str) -> None:
        """`client`: arguments that every aiokafka client takes, servers and security."""
        self._reader = LogReader(client)
        self._partition: Partition = (topic, 0)
        self._behind = 0.0
        self._answered: tuple[int | None, float] = (None, 0.0)

    async def start(self, seconds: float, now: float | None = None) -> list[Heard]:
        """Those of the last `seconds`. Raises BrokerUnavailable.

        `now`: Kafka's time, where it is known; else the next heartbeat tells it, and where none
        comes this machine's clock has to do.
        """
        await self._reader.start()
        ends = await self._reader.ends([self._partition[0]])
        self._reader.follow(ends)
        if now is None:
            now = await self._next() or time.time()
        self._behind = now - time.monotonic()
        self._answered = (None, time.monotonic())
        starts = await self._reader.starts(ends, now - seconds)
        records = self._reader.between(starts, ends)
        found = [(record.timestamp, record.value) async for record in records]
        self._reader.follow(ends)
        return await _readable(found)

    async def read(self) -> list[Heard]:
        """The next ones; waits a moment. Never cancel it."""
        records = await self._reader.read()
        answer = await self._reader.answered(self._partition)
        if records or answer not in (None, self._answered[0]):
            self._answered = (answer, time.monotonic())
        return await _readable([(each.timestamp, each.value) for each in records])

    @property
    def now(self) -> float:
        """Kafka's time, in seconds since 1970."""
        return self._behind + time.monotonic()

    @property
    def unanswered(self) -> float:
        """Seconds since Kafka last answered."""
        return time.monotonic() - self._answered[1]

    async def stop(self) -> None:
        """Disconnect; idempotent."""
        await self._reader.stop()

    async def _next(self) -> float | None:
        """When the next heartbeat was written; None where none comes for some intervals."""
        until = time.monotonic() + _LISTEN
        while time.monotonic() < until:
            if records := await self._reader.read():
                return records[-1].timestamp
        return None


class HeartbeatFollower:
    """Keeps the last heartbeats of all workers at hand. What fails in it fails nothing.

    State: `_live` (what was heard), `_reader` (while it reads), `_failing` (that it cannot read is
    logged once), and `_tried` (whether it has read, or cannot).
    """

    def __init__(self, client: dict[str, Any], topic: str, clock: Clock) -> None:
        """`client`: arguments that every aiokafka client takes, servers and security."""
        self._client = client
        self._topic = topic
        self._clock = clock
        self._live = LiveBeats(history=0.0, most_bytes=_MOST_KEPT)
        self._reader: HeartbeatReader | None = None
        self._failing = self._tried = False

    def live(self) -> list[Heartbeat] | None:
        """The last one of each live worker; none where Kafka does not tell; None: not known yet."""
        reader = self._reader
        if reader is None or reader.unanswered > LIVE:
            return [] if self._tried else None
        return self._live.live(reader.now)

    async def run(self) -> None:
        """Follow them until cancelled."""
        while True:
            reader = HeartbeatReader(self._client, self._topic)
            try:
                await self._follow(reader)
            except Exception as error:  # noqa: BLE001 this worker goes by its own figures then
                if not self._failing:
                    log.warning(
                        "cannot read heartbeats: jobs are sent on only to lanes that this worker "
                        f"serves itself; trying again every {_AGAIN:g} s",
                        **error_fields(error),
                    )
                self._failing = self._tried = True
            finally:
                self._reader = None
                await reader.stop()
            await self._clock.sleep(_AGAIN)

    async def _follow(self, reader: HeartbeatReader) -> None:
        for heard in await reader.start(LIVE):
            self._live.hear(*heard)
        self._reader, self._tried, self._failing = reader, True, False
        while True:
            for heard in await reader.read():
                self._live.hear(*heard)
            self._live.forget_dead(reader.now)


async def _readable(found: list[tuple[float, bytes | None]]) -> list[Heard]:
    """Heartbeats that can be read: anybody may write to the topic, so that the large ones are none,
    and calls go on between the others.
    """
    beats, decoded = [], 0
    for at, value in found:
        size = len(value or b"")
        if size > _LARGEST:
            continue
        if (decoded := decoded + size) > _LARGEST:
            decoded = size
            await asyncio.sleep(0)
        try:
            beats.append(Heard(at, decode(Heartbeat, value), size))
        except SchemaError:
            continue
    return beats
