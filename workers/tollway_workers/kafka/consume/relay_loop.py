"""The relay: puts jobs from retry topics back on their lane's topic when they are due.

Every worker runs one, in a consumer group of its own kind. It calls no provider and keeps no
timers: each turn it looks at the head of each partition, the earliest due record there.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Protocol

import structlog

from tollway_schemas import headers
from tollway_schemas.failure import Failure, FailureClass
from tollway_workers.clock import Clock
from tollway_workers.forwarding.relay import RelayTargets, is_due, onward
from tollway_workers.job.ports import OutgoingRecord, RecordSink, RecordTooLarge
from tollway_workers.kafka.consume.tier_reader import TierSource
from tollway_workers.ownership.record import ReceivedRecord
from tollway_workers.safe_traceback import error_fields

log = structlog.get_logger(__name__)

#: Records written before the next commit: at most so many come twice if a process is killed.
_MOST_AT_ONCE = 500
#: Seconds between tries to write what Kafka does not take.
_WRITE_AGAIN = 1.0
#: Seconds after which a relay that failed is started again.
_RUN_AGAIN = 2.0

#: Writes a dead letter of a record's bytes, for a route.
GiveUp = Callable[[ReceivedRecord, Failure, str], Awaitable[None]]


class RelayEvents(Protocol):
    """Events of a relay; metrics listen."""

    def job_relayed(self, late: float) -> None:
        """A job was put back on its lane, `late` seconds after its retry topic let it go."""
        ...

    def relay_failed(self, error: Exception) -> None:
        """The relay ended and is to be started again."""
        ...


class Relay:
    """Runs until it is stopped, or cancelled: the batch at hand may then come twice."""

    def __init__(
        self,
        source: TierSource,
        sink: RecordSink,
        targets: RelayTargets,
        clock: Clock,
        give_up: GiveUp,
        events: RelayEvents | None = None,
    ) -> None:
        """`give_up` is for records that became too large: no job may block those behind it."""
        self._source = source
        self._sink = sink
        self._targets = targets
        self._clock = clock
        self._give_up = give_up
        self._events = events
        self._tiers = {targets.names.retry(tier): tier for tier in targets.tiers}
        self._stopping = False
        #: Jobs put back so far.
        self.relayed = 0

    async def keep_running(self) -> None:
        """Run until `stop`, and start again after a failure, which must not end the worker."""
        while not self._stopping:
            try:
                await self.run()
            except Exception as error:  # noqa: BLE001 whatever it was, jobs wait to be put back
                log.error(
                    "the relay of retry topics failed; starting it again in "
                    f"{_RUN_AGAIN:g} s, due jobs wait until then",
                    **error_fields(error),
                )
                if self._events is not None:
                    self._events.relay_failed(error)
                await self._clock.sleep(_RUN_AGAIN)

    async def run(self) -> None:
        """Put back what is due, until `stop`. Raises BrokerUnavailable if it cannot begin."""
        try:
            await self._source.start()
            while not self._stopping:
                await self._source.poll()
                await self.pass_on()
        finally:
            await self._source.leave()

    def stop(self) -> None:
        """Finish the batch at hand and leave; idempotent."""
        self._stopping = True
        self._source.wake()

    async def pass_on(self) -> None:
        """Put back all that is due and was read, batch by batch, each committed at once."""
        while taken := self._source.take(self._is_due, _MOST_AT_ONCE):
            todo: list[ReceivedRecord] = taken
            while todo := await self._unwritten(todo):
                await self._clock.sleep(_WRITE_AGAIN)
            await self._source.commit(taken)
            self._note(taken)

    def _is_due(self, record: ReceivedRecord) -> bool:
        if record.unreadable is not None:
            return True
        return is_due(record.headers, self._clock.now(), self._tiers[record.topic])

    async def _unwritten(self, records: Iterable[ReceivedRecord]) -> list[ReceivedRecord]:
        """Write records; those that Kafka did not take are returned."""
        todo = list(records)
        ended = await asyncio.gather(*map(self._write, todo), return_exceptions=True)
        failed = [(record, error) for record, error in zip(todo, ended, strict=True) if error]
        if not failed:
            return []
        kinds = sorted({type(error).__name__ for _, error in failed})
        log.warning(
            f"Kafka did not take due jobs for their lanes' topics; trying again in "
            f"{_WRITE_AGAIN:g} s",
            jobs=len(failed),
            errors=kinds,
        )
        try:
            await self._sink.recover()
        except Exception as error:  # noqa: BLE001 Kafka is away: the jobs are held all the same
            log.warning(
                "could not reconnect the relay's producer to Kafka; trying again in "
                f"{_WRITE_AGAIN:g} s",
                **error_fields(error),
            )
        return [record for record, _ in failed]

    async def _write(self, record: ReceivedRecord) -> None:
        if record.unreadable is not None:
            failure = Failure(failure_class=FailureClass.UNDECODABLE, message=record.unreadable)
            route = headers.get(record.headers, headers.ROUTE) or ""
            return await self._give_up(record, failure, route)
        topic, about = onward(record.headers, self._targets, self._clock.now())
        outgoing = OutgoingRecord(topic, record.key, record.value or b"", about)
        try:
            written = await self._sink.send(outgoing)
        except RecordTooLarge:
            failure = Failure(
                failure_class=FailureClass.INVALID_JOB,
                message="the job is larger than its lane's topic takes",
            )
            await self._give_up(record, failure, headers.get(about, headers.ROUTE) or "")
            return
        await written

    def _note(self, taken: Iterable[ReceivedRecord]) -> None:
        now = self._clock.now()
        for record in taken:
            self.relayed += 1
            due = headers.number(record.headers, headers.DUE)
            if self._events is not None:
                self._events.job_relayed(0.0 if due is None else max(0.0, now - due))
