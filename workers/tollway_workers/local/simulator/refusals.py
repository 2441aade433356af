"""Why a call gets no answer, in words that belong to no protocol. Pure."""

from dataclasses import dataclass
from enum import StrEnum

from tollway_workers.local.simulator.faults import Fault, FaultKind
from tollway_workers.local.simulator.rates import OverLimit


class Why(StrEnum):
    """The kind of a refusal."""

    BAD_REQUEST = "bad_request"
    BAD_SCHEMA = "bad_schema"
    UNAUTHORIZED = "unauthorized"
    UNKNOWN_MODEL = "unknown_model"
    NO_QUOTA = "no_quota"
    CONTEXT_LENGTH = "context_length"
    RATE_LIMIT = "rate_limit"
    CONCURRENCY = "concurrency"
    SERVER_ERROR = "server_error"
    HTML_ERROR = "html_error"
    UNAVAILABLE = "unavailable"
    OVERLOADED = "overloaded"
    BODY_TOO_LARGE = "body_too_large"


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """A refused call; each protocol has words of its own for it."""

    why: Why
    model: str = ""
    #: Of a bad request: what is wrong with it, and where. Of a bad schema: why it is bad.
    message: str = ""
    param: str | None = None
    code: str | None = None
    #: Of a rate limit: which one; none where a script says so.
    over: OverLimit | None = None
    #: What a limit on concurrency or on bytes allows.
    most: int = 0
    #: How a call beyond the concurrency is refused.
    status: int = 429
    #: Whether it was bound to a schema that is a tool's.
    of_tool: bool = False
    #: What the provider asks the client to wait.
    retry_after_seconds: float | None = None
    #: Whether the client is told the figures of a limit, and when to come again.
    hints: bool = True


class Refused(Exception):
    """A call gets `refusal` instead of an answer; `scripted` if a fault of the script says so."""

    def __init__(self, refusal: Refusal, *, scripted: bool = False) -> None:
        self.refusal = refusal
        self.scripted = scripted
        super().__init__(refusal.message or refusal.why.value)


_SCRIPTED = {
    FaultKind.UNAUTHORIZED: Why.UNAUTHORIZED,
    FaultKind.INSUFFICIENT_QUOTA: Why.NO_QUOTA,
    FaultKind.MODEL_NOT_FOUND: Why.UNKNOWN_MODEL,
    FaultKind.CONTEXT_LENGTH: Why.CONTEXT_LENGTH,
    FaultKind.RATE_LIMIT: Why.RATE_LIMIT,
    FaultKind.SERVER_ERROR: Why.SERVER_ERROR,
    FaultKind.HTML_ERROR: Why.HTML_ERROR,
    FaultKind.UNAVAILABLE: Why.UNAVAILABLE,
    FaultKind.OVERLOADED: Why.OVERLOADED,
}
_MAY_ASK_TO_WAIT = {FaultKind.RATE_LIMIT, FaultKind.UNAVAILABLE, FaultKind.OVERLOADED}
#: What a scripted 429 asks to wait where the script does not say.
_RATE_LIMIT_SECONDS = 1.0


def scripted_refusal(fault: Fault, model: str) -> Refusal | None:
    """The refusal a fault stands for; none for a fault of another kind (a hang, a bad answer)."""
    why = _SCRIPTED.get(fault.kind)
    if why is None:
        return None
    wait = fault.retry_after_seconds if fault.kind in _MAY_ASK_TO_WAIT else None
    if wait is None and fault.kind is FaultKind.RATE_LIMIT:
        wait = _RATE_LIMIT_SECONDS
    return Refusal(why=why, model=model, retry_after_seconds=wait)


def over_limit(over: OverLimit, model: str) -> Refusal:
    """The refusal of the rate limit."""
    wait = None if over.too_large else over.retry_after_seconds
    return Refusal(why=Why.RATE_LIMIT, model=model, over=over, retry_after_seconds=wait)


def over_concurrency(status: int, most: int) -> Refusal:
    """The refusal of a call beyond the most that may run at once."""
    return Refusal(why=Why.CONCURRENCY, status=status, most=most)
