"""How a job leaves a worker: a value, decided by pure code; publisher and worker act on it."""

from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple

from tollway_schemas.cache import CacheEntry
from tollway_schemas.failure import Failure
from tollway_schemas.provenance import Provenance
from tollway_schemas.redrive import StoredAnswer
from tollway_schemas.reply import Answer


class Completed(NamedTuple):
    """It has a validated answer."""

    answer: Answer
    provenance: Provenance
    lane: str
    model: str | None
    #: Whether a simulator answered, and no model.
    scripted: bool = False
    #: The provider's whole answer as JSON, for the reply; empty where there is none.
    body: bytes = b""
    #: Whether the reply has room for all of it, and its readers can read it.
    whole: bool = True
    #: What the job carried, where that is its answer and no call was made.
    stored: StoredAnswer | None = None
    #: The known answer that it was given instead of a call, and its age in seconds.
    cached: CacheEntry | None = None
    age: float = 0.0
    #: How similar the prompt of that answer is to the job's, where it is not the same.
    similarity: float | None = None

    def __repr__(self) -> str:
        return f"<Completed {self.provenance} by {self.lane}>"


@dataclass(frozen=True, slots=True)
class Failed:
    """It ends in a failure reply without a dead letter: an operator cannot mend it (it expired)."""

    failure: Failure


@dataclass(frozen=True, slots=True)
class Cancelled:
    """An operator cancelled it: it ends in a failure reply without a dead letter."""

    failure: Failure


@dataclass(frozen=True, slots=True)
class DeadLettered:
    """It is given up: a dead letter first, then a failure reply."""

    failure: Failure
    #: What was wrong, for the fingerprint: an error code, or a problem with its place.
    detail: str = ""


class Ask(Enum):
    """What the next call asks."""

    SAME = "the same"
    LARGER = "the same, with room for a longer answer"
    REASK = "the job's request, with the bad answer and its errors"


@dataclass(frozen=True, slots=True)
class RetryLater:
    """It is called again on this lane, not before `delay` seconds from now."""

    delay: float
    ask: Ask = Ask.SAME
    #: It queues behind the lane's others, as the lane failed and not the job: so that no job uses
    #: up its calls alone. Else before those of its tenant.
    behind: bool = False


@dataclass(frozen=True, slots=True)
class Forwarded:
    """It is published to a lane's topic, perhaps its own lane's, with the history of its calls."""

    lane: str
    #: A stable word for metrics: retry, released, retired, fallback, accept, or a failure class.
    reason: str
    #: No call before it, in seconds since 1970; 0: at once.
    not_before: float = 0.0
    #: Delay in seconds of the retry topic that it waits in; the publisher fills it in.
    tier: float | None = None
    #: Why it leaves, where a sentence says more.
    why: str = ""


Outcome = Completed | Failed | Cancelled | DeadLettered | RetryLater | Forwarded


@dataclass(frozen=True, slots=True)
class StandIn:
    """No lane is to answer it now: what may stand in for one is asked."""

    #: What becomes of the job where nothing stands in.
    otherwise: Outcome


#: What is decided of a job: an outcome, or that a stand-in is asked for one.
Decision = Outcome | StandIn
