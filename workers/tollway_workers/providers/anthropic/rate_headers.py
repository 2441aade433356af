"""Anthropic's `anthropic-ratelimit-*` headers. Pure; garbage is None, never an error.

https://platform.claude.com/docs/en/api/rate-limits: requests, prompt tokens and answer tokens have
limits apart; `tokens` repeats the one of both that is nearest to its end. What remains is rounded
to thousands; a reset is a time (RFC 3339).
"""

from collections.abc import Mapping

from tollway_workers.providers.http.retry_after import reset_seconds, sent_at
from tollway_workers.providers.rate_headers import RateHeaders, amount

_BEGINNING = "anthropic-ratelimit-"
_KINDS = ("requests", "tokens", "input-tokens", "output-tokens")
_AMOUNTS = frozenset(
    f"{_BEGINNING}{kind}-{what}" for kind in _KINDS for what in ("limit", "remaining")
)


def limits(headers: Mapping[str, str]) -> RateHeaders | None:
    """The amounts, without the resets; None if there are none."""
    if _AMOUNTS.isdisjoint(headers):
        return None
    return RateHeaders(
        limit_requests=_count(headers, "requests-limit"),
        limit_tokens=_count(headers, "tokens-limit"),
        limit_input_tokens=_count(headers, "input-tokens-limit"),
        limit_output_tokens=_count(headers, "output-tokens-limit"),
        remaining_requests=_count(headers, "requests-remaining"),
        remaining_tokens=_count(headers, "tokens-remaining"),
        remaining_input_tokens=_count(headers, "input-tokens-remaining"),
        remaining_output_tokens=_count(headers, "output-tokens-remaining"),
    )


def resets(headers: Mapping[str, str]) -> RateHeaders | None:
    """The amounts, and when what is used up of them is there again; None if there are none."""
    said = limits(headers)
    if said is None:
        return None
    at = sent_at(headers)
    waits = [
        wait
        for kind in _KINDS[1:]
        if _count(headers, f"{kind}-remaining") == 0
        and (wait := reset_seconds(headers.get(f"{_BEGINNING}{kind}-reset", ""), now=at))
        is not None
    ]
    return said._replace(
        remaining_tokens=0 if waits else said.remaining_tokens,
        reset_requests_seconds=reset_seconds(
            headers.get(f"{_BEGINNING}requests-reset", ""), now=at
        ),
        reset_tokens_seconds=max(waits, default=None),
    )


def _count(headers: Mapping[str, str], name: str) -> int | None:
    return amount(headers.get(f"{_BEGINNING}{name}"))
