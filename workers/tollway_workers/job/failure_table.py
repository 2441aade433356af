"""One table decides what each class of failure leads to.

Sources: the providers' error documentation, and what gateways learned from outages. Only classes
caused by the lane pause or park it; only classes caused by the job make it a dead letter at once.
"""

from dataclasses import dataclass
from enum import Enum

from tollway_schemas.failure import FailureClass
from tollway_workers.config.shape.route import DEFAULT_BACKOFF_MAX


class Next(Enum):
    """What follows a failed call."""

    #: Call again after a growing, jittered wait.
    RETRY = "retry"
    #: The lane waits as long as the provider says; the job goes behind the others.
    WAIT_FOR_LANE = "wait for the lane"
    #: The lane is parked until one job's probe gets through.
    PARK_LANE = "park the lane"
    #: Ask once more with room for a longer answer.
    RETRY_LARGER = "retry larger"
    #: Feed the errors of the answer back to the model.
    REASK = "re-ask"
    #: Ask at once in the words that the server takes.
    REPHRASE = "rephrase"
    #: Give the job up: a dead letter and a failure reply.
    DEAD_LETTER = "dead letter"
    #: Give the job up with a failure reply alone.
    FAIL = "fail"

    @property
    def waits_for_lane(self) -> bool:
        """Whether the job goes behind the others of its lane, for as long as that says."""
        return self in (Next.WAIT_FOR_LANE, Next.PARK_LANE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """What one class of failure leads to."""

    next: Next
    #: Most repetitions for this class within one job generation; the attempt budget holds besides.
    #: A route's own `max_attempts` takes its place, but where it is `firm`.
    most: int = 0
    #: Whether the call counts in the job's attempt budget.
    charged: bool = True
    #: Seconds that doubling of the wait stops at, where the route does not say.
    longest_wait: float = DEFAULT_BACKOFF_MAX
    #: Whether the call counts as a failure of the lane.
    lane_fault: bool = False
    #: Whether the lane has to slow down: see `slows`.
    slow_lane: bool = False
    #: Whether another lane could do better.
    forward: bool = False
    #: Whether `most` holds whatever a route says: each call may have been billed.
    firm: bool = False

    @property
    def about_job(self) -> bool:
        """Whether it says nothing against the lane: that is alive, or nobody asked it."""
        return not (self.next is Next.PARK_LANE or self.slow_lane or self.lane_fault)

    def slows(self, retry_after: float | None) -> bool:
        """Whether the lane has to slow down after this failure.

        What counts for the breaker slows a lane only where the provider asks for a wait: a third of
        all calls told that the server is overloaded would leave a twentieth of the pace, and says
        nothing of how many calls were right.
        """
        return self.slow_lane and (not self.lane_fault or retry_after is not None)


_AT_ONCE = Row(next=Next.DEAD_LETTER)
_TIMEOUT = Row(next=Next.RETRY, most=1, lane_fault=True, forward=True, firm=True)

FAILURE_TABLE: dict[FailureClass, Row] = {
    FailureClass.RATE_LIMIT: Row(
        next=Next.WAIT_FOR_LANE, charged=False, slow_lane=True, forward=True
    ),
    FailureClass.QUOTA_EXHAUSTED: Row(next=Next.PARK_LANE, charged=False, forward=True),
    FailureClass.OVERLOADED: Row(
        next=Next.RETRY, most=2, longest_wait=20.0, lane_fault=True, slow_lane=True, forward=True
    ),
    FailureClass.TRANSIENT: Row(next=Next.RETRY, most=2, lane_fault=True, forward=True),
    # An answer that no API gives. Where the gate doubts the address it is MODEL_NOT_FOUND.
    FailureClass.NO_COMPLETION: Row(next=Next.RETRY, most=2, lane_fault=True, forward=True),
    # Nothing was sent, so nothing is charged; the lane is tried by one job at a time.
    FailureClass.CONNECT: Row(next=Next.PARK_LANE, charged=False, lane_fault=True, forward=True),
    # A call that timed out may have been billed: once more, not twice.
    FailureClass.TIMEOUT_FIRST_TOKEN: _TIMEOUT,
    FailureClass.TIMEOUT_IDLE: _TIMEOUT,
    FailureClass.TIMEOUT_TOTAL: _TIMEOUT,
    FailureClass.CONTEXT_LENGTH: Row(next=Next.DEAD_LETTER, forward=True),
    FailureClass.CONTENT_POLICY: _AT_ONCE,
    FailureClass.TRUNCATED: Row(next=Next.RETRY_LARGER, most=1, firm=True),
    FailureClass.INVALID_REQUEST: _AT_ONCE,
    # The server is asked in other words from now on; that it did not know ours costs nobody.
    FailureClass.UNSUPPORTED_FIELD: Row(next=Next.REPHRASE, charged=False),
    FailureClass.AUTH: Row(next=Next.PARK_LANE, charged=False, forward=True),
    FailureClass.MODEL_NOT_FOUND: Row(next=Next.PARK_LANE, charged=False, forward=True),
    # How often is the route's `reasks`.
    FailureClass.BAD_OUTPUT: Row(next=Next.REASK, forward=True),
    FailureClass.UNKNOWN: _AT_ONCE,
    # Found by the fleet itself, before or after any call.
    FailureClass.EXPIRED: Row(next=Next.FAIL),
    FailureClass.CANCELLED: Row(next=Next.FAIL),
    FailureClass.BUDGET_EXCEEDED: Row(next=Next.FAIL),
    FailureClass.UNKNOWN_ROUTE: _AT_ONCE,
    FailureClass.INVALID_JOB: _AT_ONCE,
    FailureClass.BEYOND_LIMITS: Row(next=Next.DEAD_LETTER, forward=True),
    FailureClass.UNDECODABLE: _AT_ONCE,
    FailureClass.UNSUPPORTED_VERSION: _AT_ONCE,
    FailureClass.REPLY_TOO_LARGE: _AT_ONCE,
    FailureClass.REPLY_UNDELIVERABLE: _AT_ONCE,
    FailureClass.HOPS_EXHAUSTED: _AT_ONCE,
    FailureClass.WORKER_CRASHED: _AT_ONCE,
}
