"""Obeys operators: lanes that pause, break and go on, jobs that are cancelled.

All of a command happens within `apply`: who hears that it was applied knows that no call starts
against it any more. What waits is answered without a call; what is in flight is broken off.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import structlog

from tollway_workers.job.endings import cancelled
from tollway_workers.job.outcome import Outcome
from tollway_workers.job.progress import JobProgress
from tollway_workers.pipeline.dispatch import Dispatcher
from tollway_workers.worker.parts import Parts

log = structlog.get_logger(__name__)

End = Callable[[JobProgress, Outcome], object]


class Operators:
    """State: until when lanes are broken by command (seconds since 1970), and whether a record that
    is no command was met, which is said once.
    """

    def __init__(
        self,
        parts: Parts,
        dispatcher: Dispatcher,
        calls: Mapping[JobProgress, asyncio.Task[Any]],
        end: End,
    ) -> None:
        """`calls`: those in flight, and what asks a stand-in.

        `end` writes the outcome of a job that waits for nothing.
        """
        self._commands = parts.commands
        self._topics_of_lane = {name: parts.reader.topics_of(name) for name in parts.lanes}
        self._dispatcher = dispatcher
        self._calls = calls
        self._lanes = parts.lanes
        self._clock = parts.clock
        self._end = end
        self._broken: dict[str, float] = {}
        self._met_nonsense = False

    def apply(self, records: Iterable[tuple[bytes | None, bytes | None]]) -> None:
        """Obey records of the commands topic, by key and value, in their order."""
        now, said = self._clock.now(), 0
        for key, value in records:
            said += 1
            problem = self._commands.apply(key, value, now)
            if problem is not None and not self._met_nonsense:
                self._met_nonsense = True
                log.warning(
                    "ignored a record of the commands topic that is no command; "
                    "further ones are ignored without a word",
                    problem=problem,
                )
        self._open_and_break(now)
        called = [each for each in self._calls if not each.cancelled and self._is_cancelled(each)]
        for progress in called:
            progress.cancelled = True
            # A task that has not begun yet must begin: it has a permit to give back.
            asyncio.get_running_loop().call_soon(self._break_off, progress, self._calls[progress])
        waited = self._dispatcher.take(lambda each: each.owned and self._is_cancelled(each))
        for progress in waited:
            self._end(progress, cancelled(progress.lane))
        self._dispatcher.pump_all()
        if said:
            log.info(
                "operators' commands applied", records=said, waited=len(waited), called=len(called)
            )

    def is_paused(self, lane: str) -> bool:
        """Whether an operator paused a lane."""
        return self._commands.paused_until(lane, self._clock.now()) is not None

    @property
    def resting_topics(self) -> list[str]:
        """Topics of lanes on which no call is to start."""
        now = self._clock.now()
        return [
            topic
            for lane, topics in self._topics_of_lane.items()
            if self._commands.paused_until(lane, now) is not None
            for topic in topics
        ]

    def _open_and_break(self, now: float) -> None:
        reopened = self._commands.take_reopened()
        for name, lane in self._lanes.items():
            before, until = self._broken.pop(name, None), self._commands.broken_until(name, now)
            taken_back = before is not None and now < before and until is None
            if name in reopened or taken_back:
                lane.admission.reopen()
                before = None
            if until is not None:
                self._broken[name] = until
                # A resume does not end it: that opens what the provider refused.
                if until != before:
                    lane.admission.break_lane(until - now)

    def _is_cancelled(self, progress: JobProgress) -> bool:
        return self._commands.is_cancelled(progress, self._clock.now())

    def _break_off(self, progress: JobProgress, call: asyncio.Task[Any]) -> None:
        if self._calls.get(progress) is call:
            call.cancel()
