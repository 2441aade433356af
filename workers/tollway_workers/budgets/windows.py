"""Windows of budgets, by UTC and Kafka's clock: when each turns, and which one it is now. Pure."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from math import inf
from typing import NamedTuple

from tollway_schemas.ledger import FOR_EVER
from tollway_workers.config.shape.budget import Per

#: Kafka says milliseconds, cut: so much later a record may have been appended, in seconds.
_CUT = 0.001
#: Seconds by which two clocks part in a second, at most, after one was read by the other.
_DRIFT = 1e-4


class Window(NamedTuple):
    """One window; times in seconds since 1970."""

    name: str
    begins: float
    #: When the next one begins; inf: never.
    ends: float


#: Of budgets that never turn.
ALWAYS = Window(FOR_EVER, 0.0, inf)


def window_at(per: Per, at: float) -> Window:
    """The window of the moment `at`, in seconds since 1970."""
    if per in ("total", "run"):
        return ALWAYS
    moment = datetime.fromtimestamp(at, UTC)
    day = moment.replace(hour=0, minute=0, second=0, microsecond=0)
    match per:
        case "hour":
            begins = moment.replace(minute=0, second=0, microsecond=0)
            name, ends = f"{begins:%Y-%m-%dT%H}", begins + timedelta(hours=1)
        case "day":
            begins = day
            name, ends = f"{begins:%Y-%m-%d}", begins + timedelta(days=1)
        case "week":
            begins = day - timedelta(days=day.weekday())
            name, ends = f"{begins:%G-W%V}", begins + timedelta(weeks=1)
        case _:
            begins = day.replace(day=1)
            name, ends = f"{begins:%Y-%m}", (begins + timedelta(days=32)).replace(day=1)
    return Window(name, begins.timestamp(), ends.timestamp())


@dataclass(slots=True)
class KafkaTime:
    """Kafka's clock, as far as this process can tell: it lies between two bounds.

    State: the bounds of what Kafka's clock is ahead of ours (`boottime`), and when they held.
    """

    _low: float = -inf
    _high: float = inf
    _since: float = -inf

    def observe(self, sent: float, appended: float, read: float) -> None:
        """A record of ours was sent and read back at these moments of our clock; `appended` is
        Kafka's time of it, in seconds since 1970.
        """
        low, high = appended - read, appended + _CUT - sent
        drift = (read - self._since) * _DRIFT
        known = max(low, self._low - drift), min(high, self._high + drift)
        # Bounds that exclude each other: one of the clocks was set. What was seen last holds.
        self._low, self._high = known if known[0] <= known[1] else (low, high)
        self._since = read

    def at(self, now: float) -> tuple[float, float] | None:
        """The earliest and the latest that it may be there, in seconds since 1970, at our `now`;
        None where it was never measured.
        """
        if self._since == -inf:
            return None
        drift = (now - self._since) * _DRIFT
        return now + self._low - drift, now + self._high + drift

    def known_within(self, seconds: float, now: float) -> bool:
        """Whether it was measured so lately, at our `now`."""
        return now - self._since <= seconds

    @property
    def known(self) -> bool:
        """Whether it was measured."""
        return self._since != -inf
