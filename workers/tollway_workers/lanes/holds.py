"""Why a lane let nothing through of late, for the jobs that waited meanwhile. Pure."""

from collections import deque
from dataclasses import dataclass, field
from typing import NamedTuple

from tollway_workers.lanes.lane_wait import Hold

#: Times that are remembered: a job that waited through more has waited for the longest of these.
_MOST = 8
#: Seconds below which a wait is not worth a word.
_BRIEF = 1.0


class _Held(NamedTuple):
    reason: str
    since: float
    until: float


@dataclass(slots=True)
class Holds:
    """State: why it is held now and since when, and the last times that it was. Times are monotonic
    seconds.
    """

    _reason: str | None = None
    _since: float = 0.0
    _past: deque[_Held] = field(default_factory=lambda: deque(maxlen=_MOST))

    def look(self, hold: Hold | None, now: float) -> None:
        """How it is now. The usual short pause after a 429 is none."""
        reason = None if hold is None or hold.is_brief(now) else said(hold)
        if reason == self._reason:
            return
        if self._reason is not None:
            self._past.append(_Held(self._reason, self._since, now))
        self._reason = reason
        if hold is not None:
            began = self._past[-1].until if self._past else hold.since
            self._since = min(now, max(hold.since, began))

    def why(self, since: float, now: float) -> str | None:
        """What held up a job for longest that waited from `since` on; None where nothing did."""
        if self._reason is None and (not self._past or self._past[-1].until <= since):
            return None
        here = [] if self._reason is None else [_Held(self._reason, self._since, now)]
        times: dict[str, float] = {}
        for reason, began, ended in (*self._past, *here):
            shared = min(ended, now) - max(began, since)
            times[reason] = times.get(reason, 0.0) + max(0.0, shared)
        longest = max(times, key=lambda each: times[each])
        return longest if times[longest] >= _BRIEF else None


def said(hold: Hold) -> str:
    """Why a lane is held, in a sentence that begins with its state."""
    return f"{hold.state}: {hold.reason}"
