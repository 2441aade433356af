"""Holds outcomes until Kafka has them: what is paid for is never given up."""

from collections.abc import Callable, Coroutine
from itertools import count
from typing import ParamSpec, TypeVar

import structlog

from tollway_schemas.failure import Failure
from tollway_schemas.headers import Headers
from tollway_workers.clock import Clock
from tollway_workers.job.endings import bug
from tollway_workers.job.envelopes import Exchange, Unbuildable
from tollway_workers.job.outcome import Outcome
from tollway_workers.job.ports import RecordSink
from tollway_workers.job.progress import JobProgress
from tollway_workers.ownership.record import ReceivedRecord
from tollway_workers.pipeline.publish import OutcomePublisher, Written
from tollway_workers.safe_traceback import error_fields
from tollway_workers.telemetry.events import FleetEvents

log = structlog.get_logger(__name__)

Given = ParamSpec("Given")
Result = TypeVar("Result")

#: Seconds between tries to write an outcome that Kafka does not take.
_WRITE_AGAIN = 1.0


class OutcomeWriter:
    """Writes each outcome however long that takes; bounded by the records that may be in memory.

    What hangs is waited for: Kafka's client writes it when the broker is back. What fails is
    written again. What cannot be built is a bug, and would fail for ever: the job becomes a dead
    letter. State: `_held` (since when each outcome is held, the oldest first).
    """

    def __init__(
        self, publisher: OutcomePublisher, sink: RecordSink, events: FleetEvents, clock: Clock
    ) -> None:
        self._publisher = publisher
        self._sink = sink
        self._events = events
        self._clock = clock
        self._held: dict[int, float] = {}
        self._tickets = count()

    @property
    def held(self) -> int:
        """Outcomes that Kafka has not acknowledged yet."""
        return len(self._held)

    @property
    def held_for(self) -> float:
        """Seconds that the oldest of them is held."""
        oldest = next(iter(self._held.values()), None)
        return 0.0 if oldest is None else self._clock.monotonic() - oldest

    async def write(
        self, progress: JobProgress, outcome: Outcome, exchange: Exchange | None
    ) -> Written:
        """Return once it is written, with the outcome that was: a dead letter if it had to be.

        Cancelled, some of it may be written: the job then comes again.
        """
        try:
            return await self._until(self._publisher.publish, progress, outcome, exchange)
        except Unbuildable as unbuildable:
            log.error(
                "unexpected exception while encoding a job's outcome: it is a dead letter",
                job=progress.job.id,
                **error_fields(unbuildable.cause),
            )
            return await self._write_bug(progress, unbuildable.cause)

    async def refuse(self, record: ReceivedRecord, route: str, failure: Failure) -> None:
        """Return once a record that holds no job is a dead letter with its raw bytes."""
        await self._until(self._publisher.publish_undecodable, record, failure, route)

    async def answer_copy(self, copy: JobProgress, value: bytes, about: Headers) -> bool:
        """Return once the reply of the first is the copy's, too; False where no topic takes it."""
        return await self._until(self._publisher.publish_copy, copy, value, about)

    async def _write_bug(self, progress: JobProgress, cause: Exception) -> Written:
        """Give the job up: with all that is known of it, or as the bytes that were read."""
        publisher, given_up = self._publisher, bug(cause, progress.lane)
        try:
            return await self._until(publisher.publish, progress, given_up, None)
        except Unbuildable as unbuildable:
            log.error(
                "unexpected exception while encoding a dead letter: the job's raw bytes are one",
                job=progress.job.id,
                **error_fields(unbuildable.cause),
            )
            failure, route = given_up.failure, progress.job.route
            await self._until(publisher.publish_undecodable, progress.record, failure, route)
        return Written(given_up, None)

    async def _until(
        self,
        write: Callable[Given, Coroutine[None, None, Result]],
        *given: Given.args,
        **named: Given.kwargs,
    ) -> Result:
        """Write until it is written. Raises Unbuildable where that would be never."""
        ticket = next(self._tickets)
        self._held[ticket] = self._clock.monotonic()
        try:
            while True:
                try:
                    return await write(*given, **named)
                except Unbuildable:
                    raise
                except Exception as error:  # noqa: BLE001 whatever Kafka's client says, it is held
                    self._events.write_failed(error)
                    log.warning(
                        f"Kafka did not take an outcome; trying again in {_WRITE_AGAIN:g} s",
                        **error_fields(error),
                    )
                await self._recover()
                await self._clock.sleep(_WRITE_AGAIN)
        finally:
            del self._held[ticket]

    async def _recover(self) -> None:
        try:
            await self._sink.recover()
        except Exception as error:  # noqa: BLE001 Kafka is away: the outcome is held all the same
            log.warning(
                f"could not reconnect the producer to Kafka; trying again in {_WRITE_AGAIN:g} s",
                **error_fields(error),
            )
