"""One worker's part of a limit that all workers share: divided by how many there are. Pure.

Not as exact as a lane's shards are: for the seconds in which workers do not know of each other yet
more may be sent. A vector can be done without, so that what is over the limit waits for nothing.
"""

from collections.abc import Callable
from math import inf

#: Part of a limit that is used.
_SHARE = 0.95
#: Seconds of the rate that may be spent at once; one call may be in any case.
_BURST = 2.0
#: Seconds of the rate that may be owed for what a provider counted: it may count anything.
_MOST_OWED = 60.0
_MINUTE = 60.0


class _Level:
    """A bucket whose rate may change. State: `_level`, at `_at` monotonic seconds."""

    def __init__(self, per_minute: float) -> None:
        self._per_second = per_minute * _SHARE / _MINUTE
        self._level = 0.0
        self._at: float | None = None

    def fill(self, workers: int, now: float) -> float:
        """Units a second that are ours; the level has risen by them."""
        rate = self._per_second / workers
        most = max(1.0, rate * _BURST)
        gone = most if self._at is None else rate * max(0.0, now - self._at)
        self._level, self._at = min(most, self._level + gone), now
        return rate

    def wait(self, amount: float, rate: float) -> float:
        """Seconds until so much may be spent; what is larger than the bucket leaves a debt."""
        most = max(1.0, rate * _BURST)
        return max(0.0, (min(amount, most) - self._level) / rate)

    def spend(self, amount: float) -> None:
        self._level -= amount

    def correct(self, amount: float, workers: int) -> None:
        """Spend so much more, or less where it is negative."""
        lowest = -_MOST_OWED * self._per_second / workers
        self._level = max(self._level - amount, min(self._level, lowest))


class RateShare:
    """State: the levels of requests and tokens, and `_until`, before which nothing may start."""

    def __init__(
        self,
        requests_per_minute: float | None,
        tokens_per_minute: float | None,
        workers: Callable[[], int],
    ) -> None:
        """`workers`: how many there are; 0 while that is not known."""
        self._requests = None if requests_per_minute is None else _Level(requests_per_minute)
        self._tokens = None if tokens_per_minute is None else _Level(tokens_per_minute)
        self._workers = workers
        self._until = -inf

    def wait(self, tokens: float, now: float) -> float:
        """Seconds until a call of so many tokens may start: 0 at once, infinite: nobody knows."""
        longest = max(0.0, self._until - now)
        workers = self._workers()
        for level, amount in ((self._requests, 1.0), (self._tokens, tokens)):
            if level is None:
                continue
            if workers < 1:
                return inf
            rate = level.fill(workers, now)
            longest = max(longest, level.wait(amount, rate))
        return longest

    def take(self, tokens: float) -> None:
        """A call of so many tokens starts: `wait` has just answered 0."""
        for level, amount in ((self._requests, 1.0), (self._tokens, tokens)):
            if level is not None:
                level.spend(amount)

    def correct(self, tokens: float, counted: float) -> None:
        """The provider has counted other tokens than were taken."""
        if self._tokens is not None:
            self._tokens.correct(counted - tokens, max(1, self._workers()))

    def pause(self, seconds: float, now: float) -> None:
        """The provider asks for a wait."""
        self._until = max(self._until, now + seconds)
