"""Every error the simulator sends, in OpenAI's words. Pure."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import orjson

from tollway_workers.local.simulator.rates import Left, go_duration
from tollway_workers.local.simulator.refusals import Refusal, Why
from tollway_workers.local.simulator.wire.dialect import SaidError
from tollway_workers.local.simulator.wire.html import html_error


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiError:
    """The fields of OpenAI's error object, and its status."""

    status: int
    code: str | None
    type: str
    message: str
    param: str | None = None

    def body(self) -> bytes:
        return orjson.dumps({"error": self.fields()})

    def fields(self) -> dict[str, str | None]:
        return {
            "message": self.message,
            "type": self.type,
            "param": self.param,
            "code": self.code,
        }


_INVALID = "invalid_request_error"
_PLAIN = {
    Why.UNAUTHORIZED: ApiError(
        status=401,
        code="invalid_api_key",
        type=_INVALID,
        message="Incorrect API key provided. This simulator knows another one.",
    ),
    Why.NO_QUOTA: ApiError(
        status=429,
        code="insufficient_quota",
        type="insufficient_quota",
        message="You exceeded your current quota, please check your plan and billing details.",
    ),
    Why.CONTEXT_LENGTH: ApiError(
        status=400,
        code="context_length_exceeded",
        type=_INVALID,
        param="messages",
        message="This model's maximum context length is 8192 tokens. Please reduce the messages.",
    ),
    Why.SERVER_ERROR: ApiError(
        status=500,
        code=None,
        type="server_error",
        message="The server had an error while processing your request. Sorry about that!",
    ),
    Why.UNAVAILABLE: ApiError(
        status=503,
        code="service_unavailable",
        type="service_unavailable_error",
        message="The service is temporarily unavailable.",
    ),
    Why.OVERLOADED: ApiError(
        status=529,
        code="server_is_overloaded",
        type="overloaded_error",
        message="The server is overloaded. Please try again later.",
    ),
}


def refuse(refusal: Refusal, _request_id: str) -> SaidError:
    """The error as it is sent."""
    if refusal.why is Why.HTML_ERROR:
        return html_error(500)
    error = error_of(refusal)
    return SaidError(
        status=error.status, code=error.code, body=error.body(), headers=_to_wait(refusal)
    )


def error_of(refusal: Refusal) -> ApiError:
    """The error object of a refusal."""
    match refusal.why:
        case Why.BAD_REQUEST:
            return ApiError(
                status=400,
                code=refusal.code,
                type=_INVALID,
                message=refusal.message,
                param=refusal.param,
            )
        case Why.BAD_SCHEMA:
            return _bad_schema(refusal)
        case Why.UNKNOWN_MODEL:
            return _unknown_model(refusal.model)
        case Why.RATE_LIMIT:
            return _rate_limit(refusal)
        case Why.CONCURRENCY:
            return _concurrency(refusal)
        case Why.BODY_TOO_LARGE:
            return ApiError(
                status=413,
                code="request_too_large",
                type=_INVALID,
                message=f"The request body is larger than {refusal.most} bytes.",
            )
        case why:
            return _PLAIN[why]


def limits(left: Mapping[str, Left], _now: float) -> dict[str, str]:
    """`x-ratelimit-*` for requests and tokens."""
    headers: dict[str, str] = {}
    for unit in ("requests", "tokens"):
        if (stands := left.get(unit)) is not None:
            headers[f"x-ratelimit-limit-{unit}"] = str(stands.limit)
            headers[f"x-ratelimit-remaining-{unit}"] = str(stands.remaining)
            headers[f"x-ratelimit-reset-{unit}"] = go_duration(stands.refill_seconds)
    return headers


def _to_wait(refusal: Refusal) -> dict[str, str]:
    if refusal.retry_after_seconds is None or not refusal.hints:
        return {}
    milliseconds = math.ceil(refusal.retry_after_seconds * 1000)
    return {
        "retry-after": str(math.ceil(milliseconds / 1000)),
        "retry-after-ms": str(milliseconds),
    }


def _bad_schema(refusal: Refusal) -> ApiError:
    place = "function parameters" if refusal.of_tool else "response_format"
    return ApiError(
        status=400,
        code="invalid_function_parameters" if refusal.of_tool else "invalid_json_schema",
        type=_INVALID,
        message=f"Invalid schema for {place}: {refusal.message}",
        param="tools" if refusal.of_tool else "response_format",
    )


def _unknown_model(model: str) -> ApiError:
    return ApiError(
        status=404,
        code="model_not_found",
        type=_INVALID,
        param="model",
        message=f"The model `{model[:100]}` does not exist or you do not have access to it.",
    )


def _rate_limit(refusal: Refusal) -> ApiError:
    over = refusal.over
    return ApiError(
        status=429,
        code="rate_limit_exceeded",
        type="requests" if over is None else over.unit,
        message=_why_over(refusal),
    )


def _why_over(refusal: Refusal) -> str:
    over, model = refusal.over, refusal.model
    if over is None:
        return "Rate limit reached on requests per min (RPM). Please try again later."
    limit = "requests per min (RPM)" if over.unit == "requests" else "tokens per min (TPM)"
    if over.too_large:
        return (
            f"Request too large for {model} in organization org-simulated on {limit}: "
            f"Limit {over.limit}, Requested {over.requested}. "
            "The input or output tokens must be reduced in order to run successfully."
        )
    if not refusal.hints:
        return "Rate limit reached."
    return (
        f"Rate limit reached for {model} in organization org-simulated on {limit}: "
        f"Limit {over.limit}, Used {over.used}, Requested {over.requested}. "
        f"Please try again in {go_duration(over.retry_after_seconds)}."
    )


def _concurrency(refusal: Refusal) -> ApiError:
    if refusal.status == 429:
        return ApiError(
            status=429,
            code="rate_limit_exceeded",
            type="concurrency",
            message=f"Too many concurrent requests: at most {refusal.most} may run at once.",
        )
    return ApiError(
        status=503,
        code="server_is_overloaded",
        type="service_unavailable_error",
        message=f"The engine is overloaded: at most {refusal.most} requests may run at once.",
    )
