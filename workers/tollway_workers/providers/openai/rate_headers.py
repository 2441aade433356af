"""OpenAI's `x-ratelimit-*` headers. Pure; garbage is None, never an error.

Source: https://platform.openai.com/docs/guides/rate-limits.
"""

from collections.abc import Mapping

from tollway_workers.providers.http.retry_after import reset_seconds, sent_at
from tollway_workers.providers.rate_headers import RateHeaders

#: Those that say how much. Most responses have none of them, or all.
_AMOUNTS = frozenset(
    f"x-ratelimit-{about}-{what}"
    for what in ("requests", "tokens")
    for about in ("limit", "remaining")
)
#: Those that say when what is used up is there again.
_RESETS = frozenset(("x-ratelimit-reset-requests", "x-ratelimit-reset-tokens"))
#: Longer is no number, and Python refuses or crawls on some of them.
_MAX_VALUE = 64


def limits(headers: Mapping[str, str]) -> RateHeaders | None:
    """The amounts, without the resets, which only who was refused has to know; None if there are
    none.
    """
    if _AMOUNTS.isdisjoint(headers):
        return None
    return RateHeaders(
        limit_requests=_count(headers, "limit-requests"),
        limit_tokens=_count(headers, "limit-tokens"),
        remaining_requests=_count(headers, "remaining-requests"),
        remaining_tokens=_count(headers, "remaining-tokens"),
    )


def limits_and_resets(
    headers: Mapping[str, str], *, now: float | None = None
) -> RateHeaders | None:
    """All six; None if there are none. `now` as `retry_after` has it."""
    if _AMOUNTS.isdisjoint(headers) and _RESETS.isdisjoint(headers):
        return None
    at = sent_at(headers, now)
    return RateHeaders(
        limit_requests=_count(headers, "limit-requests"),
        limit_tokens=_count(headers, "limit-tokens"),
        remaining_requests=_count(headers, "remaining-requests"),
        remaining_tokens=_count(headers, "remaining-tokens"),
        reset_requests_seconds=reset_seconds(_rate(headers, "reset-requests"), now=at),
        reset_tokens_seconds=reset_seconds(_rate(headers, "reset-tokens"), now=at),
    )


def _rate(headers: Mapping[str, str], name: str) -> str:
    return headers.get(f"x-ratelimit-{name}", "")


def _count(headers: Mapping[str, str], name: str) -> int | None:
    value = _rate(headers, name).strip()
    return int(value) if value.isascii() and value.isdigit() and len(value) <= _MAX_VALUE else None
