"""A log line that repeats is counted instead of written: an outage must not fill a disk."""

from collections.abc import MutableMapping
from typing import Any

import structlog

from tollway_workers.clock import Clock

#: Seconds that a count goes over.
_WINDOW = 60.0
#: Lines of one event that are written in a window before the rest are counted.
_WRITTEN = 3
#: Events that are told apart; they are constant texts, so there are far fewer.
_MOST_EVENTS = 500


class _Window:
    """One event's lines since `began`, in monotonic seconds."""

    __slots__ = ("began", "lines")

    def __init__(self, began: float) -> None:
        self.began = began
        self.lines = 0


class RepeatLimit:
    """A structlog processor: three lines of an event a minute; the next one counts the others."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._windows: dict[str, _Window] = {}

    def __call__(
        self, logger: object, method: str, line: MutableMapping[str, Any]
    ) -> MutableMapping[str, Any]:
        """The line, and in `repeated` how many before it were held. Raises DropEvent to hold it."""
        now, event = self._clock.monotonic(), str(line.get("event"))
        window = self._windows.get(event)
        if window is None or now - window.began >= _WINDOW:
            if held := self._begin(event, now):
                line["repeated"] = held
            window = self._windows[event]
        window.lines += 1
        if window.lines > _WRITTEN:
            raise structlog.DropEvent
        return line

    def _begin(self, event: str, now: float) -> int:
        """A new window; how many lines the one before held."""
        before = self._windows.pop(event, None)
        if len(self._windows) >= _MOST_EVENTS:
            # The event that began to repeat first.
            del self._windows[next(iter(self._windows))]
        self._windows[event] = _Window(now)
        return max(0, before.lines - _WRITTEN) if before is not None else 0
