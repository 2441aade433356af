"""One rate limit in one worker: a token bucket whose size follows the slices that are here."""

from tollway_workers.config.shape.contract import RateLimit

#: Seconds of its rate that a pool may owe: whatever providers count, it is closed no longer.
_MOST_OWED = 60.0
#: Levels are sums of floats: what is missing by less than this is there.
EPSILON = 1e-6


class Pool:
    """One rate limit. State: `slices` (how many), `level` as of `_at`, and what they allow.

    `pace` is the part of the rate that is used at the moment, `borne` the part that the provider
    says it bears.
    """

    __slots__ = (
        "_at",
        "_shards",
        "_slice_rate",
        "believable",
        "borne",
        "capacity",
        "key",
        "level",
        "limit",
        "pace",
        "rate",
        "resource",
        "slices",
        "spent",
    )

    def __init__(self, limit: RateLimit, shards: int, now: float) -> None:
        self.slices = 0
        self.level = 0.0
        self.pace = self.borne = 1.0
        #: Units that calls have taken so far, as far as is known.
        self.spent = 0.0
        self._at = now
        self._shards = shards
        self.limit = limit
        #: What it counts, and its name in the group; the same whatever else the limit becomes.
        self.resource, self.key = limit.resource, limit.key
        self._slice_rate = limit.rate(shards)
        #: Units that one slice may spend at once.
        self.capacity = limit.capacity(shards)
        #: Units that one call may have had, whatever its provider says.
        self.believable = limit.believable(shards)
        #: Units a second, of all slices.
        self.rate = 0.0

    def adopt(self, limit: RateLimit, shards: int, now: float) -> None:
        """Other terms from now on; what was saved up beyond them is gone, nothing is added."""
        self.refill(now)
        self._shards = shards
        self.limit = limit
        self._slice_rate = limit.rate(shards)
        self.capacity = limit.capacity(shards)
        self.believable = limit.believable(shards)
        self._rated()

    def refill(self, now: float) -> None:
        """Add what the time since the last refill brought."""
        if now > self._at:
            full = self.slices * self.capacity
            self.level = min(full, self.level + (now - self._at) * self.rate)
            self._at = now

    def wait(self, amount: float, now: float) -> float | None:
        """Seconds until `amount` may be taken; 0 if it may be now, None if never as things are."""
        self.refill(now)
        missing = amount - self.level
        if missing <= EPSILON:
            return 0.0
        if amount > self.slices * self.capacity + EPSILON or self.rate <= 0.0:
            return None
        return missing / self.rate

    def change(self, amount: float) -> None:
        """Add to the level, or take from it where `amount` is negative; it may become a debt.

        A debt is bounded, that of a slice that comes from elsewhere too.
        """
        owed = max(_MOST_OWED * self._slice_rate, self.believable)
        level = min(self.slices * self.capacity, self.level + amount)
        self.level = max(level, -self.slices * owed)

    def join(self, level: float, now: float) -> None:
        """One slice more, with what it was left with."""
        self.refill(now)
        self.slices += 1
        self._rated()
        self.change(min(level, self.capacity))

    def leave(self, now: float) -> float:
        """One slice less; returns the part of the level that it takes along."""
        self.refill(now)
        part = self.level / self.slices
        self.level -= part
        self.slices -= 1
        self._rated()
        return part

    def believe(self, remaining: float, latency: float, now: float) -> None:
        """A provider said that the account has so much left as it admitted a call, `latency`
        seconds ago: there is no more here than our part of it, and what has come back since.
        """
        self.refill(now)
        most = remaining * self.slices / self._shards + self.rate * latency
        self.level = min(self.level, most)

    def slow(self, pace: float, now: float) -> None:
        """Use this part of the rate."""
        self.refill(now)
        self.pace = pace
        self._rated()

    def state(self, amount: float, now: float) -> None:
        """The provider says that this is its limit: less than ours holds, more does not."""
        borne = min(1.0, amount / self.limit.amount)
        if borne != self.borne:
            self.refill(now)
            self.borne = borne
            self._rated()

    @property
    def part(self) -> float:
        """Which part of the limit is here."""
        return self.slices / self._shards

    def _rated(self) -> None:
        self.rate = self.slices * self._slice_rate * min(self.pace, self.borne)
        self.level = min(self.level, self.slices * self.capacity)
