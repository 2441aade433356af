"""OpenAI's `x-ratelimit-*` headers. Pure; garbage is None, never an error.

Source: https://platform.openai.com/docs/guides/rate-limits.
"""

from collections.abc import Mapping

from tollway_workers.providers.http.retry_after import reset_seconds, sent_at
from tollway_workers.providers.rate_headers import RateHeaders, amount

#: Those that say how much. Most responses have none of them, or all.
_AMOUNTS = frozenset(
    f"x-ratelimit-{about}-{what}"
    for what in ("requests", "tokens")
    for about in ("limit", "remaining")
)
#: Those that say when what is used up is there again.
_RESETS = ("x-ratelimit-reset-requests", "x-ratelimit-reset-tokens")


def limits(headers: Mapping[str, str]) -> RateHeaders | None:
    """The amounts, without the resets, which only who was refused has to know; None if there are
    none.
    """
    if _AMOUNTS.isdisjoint(headers):
        return None
    return _amounts(headers)


def limits_and_resets(
    headers: Mapping[str, str], *, now: float | None = None
) -> RateHeaders | None:
    """All six; None if there are none. `now` as `retry_after` has it."""
    if _AMOUNTS.union(_RESETS).isdisjoint(headers):
        return None
    at = sent_at(headers, now)
    return _amounts(headers)._replace(
        reset_requests_seconds=reset_seconds(headers.get(_RESETS[0], ""), now=at),
        reset_tokens_seconds=reset_seconds(headers.get(_RESETS[1], ""), now=at),
    )


def _amounts(headers: Mapping[str, str]) -> RateHeaders:
    return RateHeaders(
        limit_requests=amount(headers.get("x-ratelimit-limit-requests")),
        limit_tokens=amount(headers.get("x-ratelimit-limit-tokens")),
        remaining_requests=amount(headers.get("x-ratelimit-remaining-requests")),
        remaining_tokens=amount(headers.get("x-ratelimit-remaining-tokens")),
    )
