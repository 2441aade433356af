"""Why a call gets no answer: every error the simulator sends, in OpenAI's words."""

from tollway_workers.local.simulator.faults import Fault, FaultKind
from tollway_workers.local.simulator.rates import OverLimit, go_duration
from tollway_workers.local.simulator.wire import ApiError

UNAUTHORIZED = ApiError(
    status=401,
    code="invalid_api_key",
    type="invalid_request_error",
    message="Incorrect API key provided. This simulator knows another one.",
)
INSUFFICIENT_QUOTA = ApiError(
    status=429,
    code="insufficient_quota",
    type="insufficient_quota",
    message="You exceeded your current quota, please check your plan and billing details.",
)

_SCRIPTED = {
    FaultKind.UNAUTHORIZED: UNAUTHORIZED,
    FaultKind.INSUFFICIENT_QUOTA: INSUFFICIENT_QUOTA,
    FaultKind.MODEL_NOT_FOUND: ApiError(
        status=404,
        code="model_not_found",
        type="invalid_request_error",
        message="The model does not exist or you do not have access to it.",
    ),
    FaultKind.CONTEXT_LENGTH: ApiError(
        status=400,
        code="context_length_exceeded",
        type="invalid_request_error",
        param="messages",
        message="This model's maximum context length is 8192 tokens. Please reduce the messages.",
    ),
    FaultKind.RATE_LIMIT: ApiError(
        status=429,
        code="rate_limit_exceeded",
        type="requests",
        message="Rate limit reached on requests per min (RPM). Please try again later.",
        retry_after_seconds=1.0,
    ),
    FaultKind.SERVER_ERROR: ApiError(
        status=500,
        code=None,
        type="server_error",
        message="The server had an error while processing your request. Sorry about that!",
    ),
    FaultKind.HTML_ERROR: ApiError(
        status=500, code=None, type="server_error", message="Internal Server Error", html=True
    ),
    FaultKind.UNAVAILABLE: ApiError(
        status=503,
        code="service_unavailable",
        type="service_unavailable_error",
        message="The service is temporarily unavailable.",
    ),
    FaultKind.OVERLOADED: ApiError(
        status=529,
        code="server_is_overloaded",
        type="overloaded_error",
        message="The server is overloaded. Please try again later.",
    ),
}
_MAY_ASK_TO_WAIT = {FaultKind.RATE_LIMIT, FaultKind.UNAVAILABLE, FaultKind.OVERLOADED}


def scripted_error(fault: Fault) -> ApiError | None:
    """The error a fault stands for; none for a fault of another kind (a hang, a bad answer)."""
    error = _SCRIPTED.get(fault.kind)
    if error is None or fault.kind not in _MAY_ASK_TO_WAIT or fault.retry_after_seconds is None:
        return error
    return ApiError(
        status=error.status,
        code=error.code,
        type=error.type,
        message=error.message,
        retry_after_seconds=fault.retry_after_seconds,
    )


def over_limit(over: OverLimit, model: str) -> ApiError:
    """The 429 of the rate limit."""
    limit = "requests per min (RPM)" if over.unit == "requests" else "tokens per min (TPM)"
    if over.too_large:
        message = (
            f"Request too large for {model} in organization org-simulated on {limit}: "
            f"Limit {over.limit}, Requested {over.requested}. "
            "The input or output tokens must be reduced in order to run successfully."
        )
        wait = None
    else:
        message = (
            f"Rate limit reached for {model} in organization org-simulated on {limit}: "
            f"Limit {over.limit}, Used {over.used}, Requested {over.requested}. "
            f"Please try again in {go_duration(over.retry_after_seconds)}."
        )
        wait = over.retry_after_seconds
    return ApiError(
        status=429,
        code="rate_limit_exceeded",
        type=over.unit,
        message=message,
        retry_after_seconds=wait,
    )


def over_concurrency(status: int, most: int) -> ApiError:
    """The refusal of a call beyond the most that may run at once."""
    if status == 429:
        return ApiError(
            status=429,
            code="rate_limit_exceeded",
            type="concurrency",
            message=f"Too many concurrent requests: at most {most} may run at once.",
        )
    return ApiError(
        status=503,
        code="server_is_overloaded",
        type="service_unavailable_error",
        message=f"The engine is overloaded: at most {most} requests may run at once.",
    )


def unknown_model(model: str) -> ApiError:
    return ApiError(
        status=404,
        code="model_not_found",
        type="invalid_request_error",
        param="model",
        message=f"The model `{model[:100]}` does not exist or you do not have access to it.",
    )


def unknown_path() -> ApiError:
    return ApiError(
        status=404,
        code="unknown_url",
        type="invalid_request_error",
        message="Unknown request URL. The simulator has POST /v1/chat/completions, GET /v1/models, "
        "GET /health, GET and DELETE /calls, GET /calls/summary.",
    )


def bad_query(name: str, wanted: str = "a number of seconds since 1970") -> ApiError:
    return ApiError(
        status=400,
        code="invalid_value",
        type="invalid_request_error",
        param=name,
        message=f"'{name}' must be {wanted}.",
    )


def too_large_body(most_bytes: int) -> ApiError:
    return ApiError(
        status=413,
        code="request_too_large",
        type="invalid_request_error",
        message=f"The request body is larger than {most_bytes} bytes.",
    )
