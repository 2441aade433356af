"""What a lane does at the moment, in one word that is the same everywhere. Pure."""

from enum import StrEnum


class LaneState(StrEnum):
    """The states of a lane in one worker; what is further down yields to what is above it."""

    #: In no route any more: what it still holds is forwarded.
    RETIRED = "retired"
    #: By an operator.
    PAUSED = "paused"
    #: The key, the account, the model or the address is refused: single probes.
    PARKED = "parked"
    #: The breaker is open: nothing starts.
    BROKEN = "broken"
    #: The breaker lets probes through, and then a growing part of the usual calls.
    PROBING = "probing"
    #: The provider limits the rate: the pace is what it said.
    SLOWED = "slowed"
    OPEN = "open"


def shown(by_calls: LaneState, *, paused: bool) -> LaneState:
    """The state that people see of one that calls decide."""
    return LaneState.PAUSED if paused else by_calls
