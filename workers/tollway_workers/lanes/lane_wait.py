"""The reason why a lane lets no calls through, as one sentence that is the same everywhere. Pure.

It is made of the failure's class, the HTTP status and the provider's code. A provider's own
sentence is never in it: it goes into logs and heartbeats, and may quote a prompt.
"""

import re
from dataclasses import dataclass
from math import ceil

from tollway_schemas.failure import ErrorScope, FailureClass
from tollway_workers.errors import ProviderFailure
from tollway_workers.lanes.state import LaneState

#: Characters of a reason at most.
LONGEST_REASON = 500
#: Seconds within which the next try of a lane that was just refused is too near to be told.
BRIEF = 3.0

#: A code is a word: what is none is not repeated.
_CODE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:/-]{0,63}")

_WORDS = {
    FailureClass.AUTH: "the provider refused the key, or the key has no right to do that",
    FailureClass.QUOTA_EXHAUSTED: "the account's quota or credit is used up",
    FailureClass.MODEL_NOT_FOUND: "the provider does not know the model {model}",
    FailureClass.RATE_LIMIT: "the provider limits the rate",
    FailureClass.OVERLOADED: "the provider is overloaded",
    FailureClass.CONNECT: "no connection to the provider",
}
#: What a status makes plainer.
_PLAINER = {
    (FailureClass.AUTH, 401): "the provider refused the key",
    (FailureClass.AUTH, 403): "the key has no right to do that",
    (FailureClass.AUTH, 407): "the proxy asks for a login",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    """A lane that lets nothing through but single tries. Times are monotonic seconds."""

    reason: str
    since: float
    #: When the next call may start; in the past: with the next job, or one is on its way.
    next_try: float
    #: Until when the provider asked to be left alone; a try before it is one call.
    asked_until: float = 0.0
    state: LaneState = LaneState.SLOWED

    def is_brief(self, now: float) -> bool:
        """Whether it has just begun and is about to end: the usual pause after a 429."""
        return self.next_try - now < BRIEF and now - self.since < BRIEF


def reason_of(failure: ProviderFailure, model: str) -> str:
    """Why a lane waits after this failure of a call for `model`."""
    if failure.scope is ErrorScope.PROVIDER:
        # Of an address nothing but our own words is told.
        return failure.message[:LONGEST_REASON]
    kind = failure.failure_class
    words = _PLAINER.get((kind, failure.status or 0)) or _WORDS.get(kind)
    if words is None:
        words = f"calls end in {kind.value.replace('_', ' ')}"
    said = ", ".join(_said(failure))
    return words.format(model=model) + (f" ({said})" if said else "")


def reason_of_class(failure_class: FailureClass) -> str:
    """The same where nothing is known but the class."""
    return reason_of(ProviderFailure(failure_class=failure_class, message=""), "asked for")


def stated_limit(amount: float, noun: str) -> str:
    """Why a lane waits whose provider states a limit far below the lane's own."""
    return f"the provider states a limit of {amount:,.0f} {noun} a minute"


def waiting(
    reason: str,
    seconds: float | None,
    *,
    until: str | None = None,
    state: LaneState = LaneState.SLOWED,
) -> str:
    """The whole sentence; `seconds` until the next try, None where it is made now or by nobody.

    `until`: until when the provider asked to be left alone.
    """
    asked = f"; the provider asks to wait until {until}" if until else ""
    by_breaker = state in (LaneState.BROKEN, LaneState.PROBING)
    said = f"{state if by_breaker else 'waiting'}: {reason}{asked}"
    if seconds is None:
        return said
    if state is LaneState.PROBING:
        return f"{said}; {f'more calls in {span(seconds)}' if seconds > 0 else 'trying now'}"
    next_try = "probing in" if by_breaker else "next try in"
    return f"{said}; {f'{next_try} {span(seconds)}' if seconds > 0 else 'trying now'}"


def span(seconds: float) -> str:
    """A duration in whole seconds, rounded up: 8 s, 4 m 10 s, 2 h 05 m, 3 d 4 h."""
    whole = ceil(max(0.0, seconds))
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes} m {rest:02} s" if rest else f"{minutes} m"
    hours, minutes = divmod(minutes, 60)
    if hours < 24:
        return f"{hours} h {minutes:02} m"
    return f"{hours // 24} d {hours % 24} h"


def _said(failure: ProviderFailure) -> list[str]:
    status = [] if failure.status is None else [f"HTTP {failure.status}"]
    code = failure.provider_code or ""
    # A gateway's code often is the status once more.
    is_word = _CODE.fullmatch(code) is not None and code != str(failure.status)
    return [*status, *([code] if is_word else [])]
