"""Every error the simulator sends, in Anthropic's words, and what it tells of limits. Pure."""

import math
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import NamedTuple

import orjson

from tollway_workers.local.simulator.rates import Left
from tollway_workers.local.simulator.refusals import Refusal, Why
from tollway_workers.local.simulator.wire.dialect import SaidError
from tollway_workers.local.simulator.wire.html import html_error


class _Error(NamedTuple):
    status: int
    type: str
    message: str
    #: What clients shall go by.
    error_code: str | None = None


_PLAIN = {
    Why.UNAUTHORIZED: _Error(401, "authentication_error", "invalid x-api-key"),
    Why.NO_QUOTA: _Error(
        429,
        "rate_limit_error",
        "You have reached your specified API usage limits.",
        "enforced_spend_limit_reached",
    ),
    Why.CONTEXT_LENGTH: _Error(
        400, "invalid_request_error", "prompt is too long: 215000 tokens > 200000 maximum"
    ),
    Why.SERVER_ERROR: _Error(500, "api_error", "Internal server error"),
    Why.UNAVAILABLE: _Error(503, "api_error", "Service temporarily unavailable"),
    Why.OVERLOADED: _Error(529, "overloaded_error", "Overloaded"),
    Why.BODY_TOO_LARGE: _Error(
        413, "request_too_large", "Request exceeds the maximum allowed number of bytes."
    ),
}
_UNITS = {
    "requests": "requests",
    "tokens": "input tokens",
    "input-tokens": "input tokens",
    "output-tokens": "output tokens",
}


def refuse(refusal: Refusal, request_id: str) -> SaidError:
    """The error as it is sent."""
    if refusal.why is Why.HTML_ERROR:
        return html_error(500)
    error = _error_of(refusal)
    said: dict[str, object] = {"type": error.type, "message": error.message}
    if error.error_code is not None:
        said["details"] = {"error_code": error.error_code}
    body = {"type": "error", "error": said, "request_id": request_id}
    return SaidError(
        status=error.status,
        code=error.error_code or error.type,
        body=orjson.dumps(body),
        headers=_to_wait(refusal),
    )


def limits(left: Mapping[str, Left], now: float) -> dict[str, str]:
    """`anthropic-ratelimit-*`; those of `tokens` are of the limit that is the nearest."""
    shown = dict(left)
    if "tokens" in shown and "input-tokens" not in shown:
        shown["input-tokens"] = shown["tokens"]
    counted = [each for unit, each in shown.items() if unit.endswith("-tokens")]
    if counted:
        shown["tokens"] = min(counted, key=lambda each: each.remaining / each.limit)
    headers: dict[str, str] = {}
    for unit, stands in shown.items():
        named = f"anthropic-ratelimit-{unit}"
        # Tokens are told in thousands.
        rest = stands.remaining if unit == "requests" else round(stands.remaining, -3)
        headers[f"{named}-limit"] = str(stands.limit)
        headers[f"{named}-remaining"] = str(rest)
        headers[f"{named}-reset"] = _instant(now + stands.refill_seconds)
    return headers


def _instant(seconds: float) -> str:
    """RFC 3339, whole seconds, never too early."""
    return datetime.fromtimestamp(math.ceil(seconds), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _error_of(refusal: Refusal) -> _Error:
    match refusal.why:
        case Why.BAD_REQUEST:
            return _Error(400, "invalid_request_error", refusal.message)
        case Why.BAD_SCHEMA:
            place = (
                "tools.0.custom.input_schema" if refusal.of_tool else "output_config.format.schema"
            )
            return _Error(
                400, "invalid_request_error", f"{place}: JSON schema is invalid: {refusal.message}"
            )
        case Why.UNKNOWN_MODEL:
            return _Error(404, "not_found_error", f"model: {refusal.model[:100]}")
        case Why.RATE_LIMIT:
            return _Error(429, "rate_limit_error", _why_over(refusal))
        case Why.CONCURRENCY if refusal.status == 429:
            return _Error(
                429,
                "rate_limit_error",
                "Number of concurrent connections has exceeded your rate limit.",
            )
        case Why.CONCURRENCY:
            return _PLAIN[Why.OVERLOADED]
        case why:
            return _PLAIN[why]


def _why_over(refusal: Refusal) -> str:
    over = refusal.over
    if over is None or not refusal.hints:
        return "This request would exceed your organization's rate limit."
    return (
        "This request would exceed your organization's rate limit of "
        f"{over.limit} {_UNITS[over.unit]} per minute (model: {refusal.model})."
    )


def _to_wait(refusal: Refusal) -> dict[str, str]:
    wait = refusal.retry_after_seconds
    if refusal.why is Why.CONCURRENCY and refusal.status == 429:
        wait = 1.0
    if wait is None or not refusal.hints:
        return {}
    # Whole seconds.
    return {"retry-after": str(math.ceil(wait))}
