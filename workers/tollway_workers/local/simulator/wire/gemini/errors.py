"""Every error the simulator sends, in Google's words. Pure."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import orjson

from tollway_workers.local.simulator.rates import Left
from tollway_workers.local.simulator.refusals import Refusal, Why
from tollway_workers.local.simulator.wire.dialect import SaidError
from tollway_workers.local.simulator.wire.html import html_error

_TYPES = "type.googleapis.com/google.rpc."
_METRICS = "generativelanguage.googleapis.com/"
#: What a day's quota says, though no wait of a minute helps.
_DAYS_DELAY = 41.0


class _Error(NamedTuple):
    status: int
    name: str
    message: str
    details: tuple[dict[str, Any], ...] = ()


_BAD_KEY = {
    "@type": f"{_TYPES}ErrorInfo",
    "reason": "API_KEY_INVALID",
    "domain": "googleapis.com",
    "metadata": {"service": "generativelanguage.googleapis.com"},
}
_OVERLOADED = "The model is overloaded. Please try again later."
_PLAIN = {
    Why.UNAUTHORIZED: _Error(
        400,
        "INVALID_ARGUMENT",
        "API key not valid. Please pass a valid API key.",
        (_BAD_KEY,),
    ),
    Why.CONTEXT_LENGTH: _Error(
        400,
        "INVALID_ARGUMENT",
        "The input token count (1200000) exceeds the maximum number of tokens allowed (1048576).",
    ),
    Why.SERVER_ERROR: _Error(500, "INTERNAL", "An internal error has occurred. Please retry."),
    Why.UNAVAILABLE: _Error(503, "UNAVAILABLE", "The service is currently unavailable."),
    Why.OVERLOADED: _Error(503, "UNAVAILABLE", _OVERLOADED),
    Why.BODY_TOO_LARGE: _Error(400, "INVALID_ARGUMENT", "Request payload size exceeds the limit."),
}
_EXHAUSTED = "You exceeded your current quota, please check your plan and billing details."


def refuse(refusal: Refusal, _request_id: str) -> SaidError:
    """The error as it is sent."""
    if refusal.why is Why.HTML_ERROR:
        return html_error(500)
    error = _error_of(refusal)
    said: dict[str, Any] = {
        "code": error.status,
        "message": error.message,
        "status": error.name,
    }
    if error.details:
        said["details"] = error.details
    return SaidError(status=error.status, code=error.name, body=orjson.dumps({"error": said}))


def limits(_left: Mapping[str, Left], _now: float) -> dict[str, str]:
    """Nothing: it tells what is left of a limit to nobody."""
    return {}


def _error_of(refusal: Refusal) -> _Error:
    match refusal.why:
        case Why.BAD_REQUEST:
            return _Error(400, "INVALID_ARGUMENT", refusal.message)
        case Why.BAD_SCHEMA:
            return _Error(
                400, "INVALID_ARGUMENT", f"The specified schema is invalid: {refusal.message}"
            )
        case Why.UNKNOWN_MODEL:
            return _unknown_model(refusal.model)
        case Why.RATE_LIMIT:
            return _rate_limit(refusal)
        case Why.NO_QUOTA:
            spent = _violation("requests_per_day", "RequestsPerDay", 0, refusal.model)
            return _Error(429, "RESOURCE_EXHAUSTED", _EXHAUSTED, (spent, _wait(_DAYS_DELAY)))
        case Why.CONCURRENCY:
            return _concurrency(refusal.status)
        case why:
            error, wait = _PLAIN[why], refusal.retry_after_seconds
            return error if wait is None else error._replace(details=(_wait(wait),))


def _unknown_model(model: str) -> _Error:
    return _Error(
        404,
        "NOT_FOUND",
        f"models/{model[:100]} is not found for API version v1beta, or is not supported for "
        "generateContent. Call ListModels to see the list of available models and their supported "
        "methods.",
    )


def _concurrency(status: int) -> _Error:
    if status == 429:
        return _Error(429, "RESOURCE_EXHAUSTED", "Resource has been exhausted (e.g. check quota).")
    return _PLAIN[Why.OVERLOADED]


def _rate_limit(refusal: Refusal) -> _Error:
    over, wait = refusal.over, refusal.retry_after_seconds
    if over is None or over.unit == "requests":
        metric, quota = "generate_content_requests", "GenerateRequestsPerMinute"
    else:
        metric, quota = "generate_content_input_token_count", "GenerateContentInputTokensPerMinute"
    details = [_violation(metric, quota, over.limit if over else 0, refusal.model)]
    message = _EXHAUSTED
    if wait is not None and refusal.hints:
        details.append(_wait(wait))
        message = f"{_EXHAUSTED}\nPlease retry in {wait}s."
    return _Error(429, "RESOURCE_EXHAUSTED", message, tuple(details))


def _violation(metric: str, quota: str, limit: int, model: str) -> dict[str, Any]:
    violation: dict[str, Any] = {
        "quotaMetric": f"{_METRICS}{metric}",
        "quotaId": f"{quota}PerProjectPerModel-PaidTier",
        "quotaDimensions": {"location": "global", "model": model},
    }
    if limit:
        violation["quotaValue"] = str(limit)
    return {"@type": f"{_TYPES}QuotaFailure", "violations": [violation]}


def _wait(seconds: float) -> dict[str, Any]:
    # Rounded up: who waits that long has waited long enough.
    milliseconds = -int(-seconds * 1000 // 1)
    whole, rest = divmod(milliseconds, 1000)
    delay = f"{whole}.{rest:03d}s" if rest else f"{whole}s"
    return {"@type": f"{_TYPES}RetryInfo", "retryDelay": delay}
