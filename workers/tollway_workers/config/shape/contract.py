"""What a limit group's provider allows, and the slice of it that each shard may use.

A slice is a token bucket of its own: it refills by 1/S of `share` of the limit, and holds at most
`capacity`. So what all S of them let through in any window of the limit's period is at most
`share x limit + S x capacity`, whichever worker has which, and `share` is what keeps that sum at
the limit: it gives way to large requests.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum

#: Seconds.
MINUTE = 60.0
#: The most of a limit that is used, steadily: clocks and counting differ from the provider's.
MOST_SHARE = 0.95
#: The least: a limit of which less could be used is refused.
LEAST_SHARE = 0.5
#: The least that shards which nobody asked for may cost.
GOOD_SHARE = 0.85
#: Tokens of the largest call where nobody says: so many where there is room for them,
_USUAL_REQUEST = 32_000.0
#: so many even where there is little room.
_LARGE_REQUEST = 4_000.0


class Resource(IntEnum):
    """What a call uses up: its place in a `Cost`."""

    REQUESTS = 0
    TOKENS = 1
    INPUT_TOKENS = 2
    OUTPUT_TOKENS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class RateLimit:
    """One limit of a provider, for one lane or for all of its group."""

    #: As the configuration calls it.
    name: str
    #: None: for all lanes of the group together.
    lane: str | None
    resource: Resource
    #: Units in each period.
    amount: float
    #: Seconds.
    period: float
    #: The part of the amount that may be spent at once, by all shards together.
    burst: float
    #: Units of the largest call; None: as many as leave most of the limit usable.
    largest: float | None

    @property
    def key(self) -> str:
        """Its name among all limits of its group."""
        return f"{self.lane or ''}:{self.name}"

    def capacity(self, shards: int) -> float:
        """Units that one shard may spend at once: no larger call gets through."""
        return max(self.amount * self.burst / shards, self._largest(shards))

    def believable(self, shards: int) -> float:
        """Units that a provider may say it counted for one call; more is a mistake of its.

        Of a limit by the day, of which much may be spent at once, only what one call may be.
        """
        return self.capacity(shards) if self.period == MINUTE else self._largest(shards)

    def share(self, shards: int) -> float:
        """The part of the amount that may be used steadily; may be far below what is useful."""
        # Calls are whole: a window that has room for 10.99 of them sees ten.
        whole = 0.99 if self.resource is Resource.REQUESTS else 0.0
        spare = self.amount + whole - shards * self.capacity(shards)
        return min(MOST_SHARE, spare / self.amount)

    def rate(self, shards: int) -> float:
        """Units a second that one shard may use steadily."""
        return max(0.0, self.share(shards)) * self.amount / shards / self.period

    def _largest(self, shards: int) -> float:
        if self.largest is not None:
            return self.largest
        if self.resource is Resource.REQUESTS:
            return 1.0
        slice_ = self.amount / shards
        least = min(_LARGE_REQUEST, slice_ * (1.0 - LEAST_SHARE))
        return max(least, min(_USUAL_REQUEST, slice_ * (1.0 - GOOD_SHARE)))


@dataclass(frozen=True, slots=True, kw_only=True)
class CallLimit:
    """The most calls in flight, of one lane or of all of its group."""

    lane: str | None
    most: int

    @property
    def key(self) -> str:
        """Its name among all limits of its group."""
        return f"{self.lane or ''}:concurrency"

    def slots(self, shard: int, shards: int) -> int:
        """The part of one shard; what S does not divide goes to the lowest ones."""
        least, left = divmod(self.most, shards)
        return least + (shard < left)


@dataclass(frozen=True, slots=True, kw_only=True)
class Contract:
    """All limits of a group."""

    group: str
    shards: int
    rates: tuple[RateLimit, ...] = ()
    calls: tuple[CallLimit, ...] = ()
    #: Seconds that the slots of a shard lost in a crash are withheld: the calls that its owner had
    #: in flight may go on for so long.
    withheld: float = 0.0

    @property
    def amounts(self) -> dict[str, float]:
        """Every limit by its key, for those who have another configuration."""
        return {limit.key: limit.amount for limit in self.rates} | {
            limit.key: float(limit.most) for limit in self.calls
        }

    def at_most(self, amounts: Mapping[str, float], shards: int) -> "Contract":
        """The same in `shards` parts, each limit lowered to that in `amounts`, where it is there.

        Workers with other configurations divide the same group at that moment.
        """
        return Contract(
            group=self.group,
            shards=shards,
            rates=tuple(_lowered(limit, amounts) for limit in self.rates),
            calls=tuple(
                CallLimit(lane=each.lane, most=int(min(each.most, amounts.get(each.key, math.inf))))
                for each in self.calls
            ),
            withheld=self.withheld,
        )


def _lowered(limit: RateLimit, amounts: Mapping[str, float]) -> RateLimit:
    amount = min(limit.amount, amounts.get(limit.key, math.inf))
    return RateLimit(
        name=limit.name,
        lane=limit.lane,
        resource=limit.resource,
        amount=amount,
        period=limit.period,
        burst=limit.burst,
        largest=limit.largest,
    )
