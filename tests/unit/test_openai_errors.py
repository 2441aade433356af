"""Every error in the providers' documentation, and what it means to us."""

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tollway_schemas.failure import ErrorScope, FailureClass
from tollway_workers.providers.openai.errors import classify
from tollway_workers.providers.redact import redact

C = FailureClass


def _openai(code: str | int | None, message: str = "", kind: str = "invalid_request_error") -> Any:
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}


TOO_LARGE = (
    "Request too large for gpt-4o in organization org-a on tokens per min (TPM): "
    "Limit 30000, Requested 40000."
)
FLAGGED = "Invalid prompt: your prompt was flagged as potentially violating our usage policy."

#: status, body, class: facts of OpenAI first, then of the servers that speak its protocol.
ROWS: list[tuple[int, Any, FailureClass]] = [
    (400, _openai("context_length_exceeded"), C.CONTEXT_LENGTH),
    (400, _openai(None, "This model's maximum context length is 8192 tokens."), C.CONTEXT_LENGTH),
    (400, _openai("content_policy_violation"), C.CONTENT_POLICY),
    (400, _openai("invalid_prompt", FLAGGED), C.CONTENT_POLICY),
    (400, _openai("unsupported_parameter"), C.INVALID_REQUEST),
    (400, _openai("unsupported_value"), C.INVALID_REQUEST),
    (400, _openai("invalid_json_schema", "Invalid schema for response_format"), C.INVALID_REQUEST),
    (
        400,
        _openai(
            "string_above_max_length",
            "Invalid 'user': string too long. Expected a string with maximum length 64.",
        ),
        C.INVALID_REQUEST,
    ),
    (400, _openai(None), C.INVALID_REQUEST),
    (401, _openai("invalid_api_key"), C.AUTH),
    (403, _openai("unsupported_country_region_territory"), C.AUTH),
    (404, _openai("model_not_found", "The model `x` does not exist"), C.MODEL_NOT_FOUND),
    (404, _openai(None, "Invalid URL (POST /chat)"), C.MODEL_NOT_FOUND),
    (408, _openai(None), C.TRANSIENT),
    (409, _openai(None), C.TRANSIENT),
    (429, _openai("rate_limit_exceeded", "Rate limit reached", "tokens"), C.RATE_LIMIT),
    (429, _openai("slow_down"), C.RATE_LIMIT),
    (429, _openai("rate_limit_exceeded", TOO_LARGE, "tokens"), C.INVALID_REQUEST),
    (429, _openai("insufficient_quota", kind="insufficient_quota"), C.QUOTA_EXHAUSTED),
    (429, _openai(None, kind="insufficient_quota"), C.QUOTA_EXHAUSTED),
    (429, _openai("billing_hard_limit_reached"), C.QUOTA_EXHAUSTED),
    (429, _openai("credit_balance_exhausted"), C.QUOTA_EXHAUSTED),
    (429, _openai("organization_spend_limit_exceeded"), C.QUOTA_EXHAUSTED),
    (429, _openai("project_spend_limit_exceeded"), C.QUOTA_EXHAUSTED),
    (429, _openai("organization_usage_limit_exceeded"), C.QUOTA_EXHAUSTED),
    (429, _openai("resource_unavailable", "Resource Unavailable"), C.OVERLOADED),
    (429, _openai(None, "Resource Unavailable"), C.OVERLOADED),
    (429, _openai("engine_overloaded"), C.OVERLOADED),
    (500, _openai(None, "The server had an error", "server_error"), C.TRANSIENT),
    (502, b"<html><h1>502 Bad Gateway</h1></html>", C.TRANSIENT),
    (503, _openai("server_is_overloaded"), C.OVERLOADED),
    (503, _openai(None, "Slow Down", "service_unavailable_error"), C.OVERLOADED),
    (504, b"", C.TRANSIENT),
    # Groq
    (413, _openai("rate_limit_exceeded", TOO_LARGE), C.INVALID_REQUEST),
    (422, _openai(None), C.INVALID_REQUEST),
    (424, _openai(None), C.TRANSIENT),
    (498, _openai("capacity_exceeded"), C.OVERLOADED),
    (499, b"", C.TRANSIENT),
    (
        400,
        {"error": {"code": "json_validate_failed", "failed_generation": "{"}},
        C.TRANSIENT,
    ),
    (400, _openai("model_decommissioned"), C.MODEL_NOT_FOUND),
    # Together
    (402, _openai(None), C.QUOTA_EXHAUSTED),
    (
        403,
        _openai(
            None,
            "Input is longer than the model's context length: it is longer than the "
            "model's context length",
        ),
        C.CONTEXT_LENGTH,
    ),
    (429, {"error": {"message": "", "error_type": "dynamic_token_limited"}}, C.RATE_LIMIT),
    (524, b"<!DOCTYPE html><title>524</title>", C.TRANSIENT),
    (529, b"", C.OVERLOADED),
    # OpenRouter
    (402, {"error": {"code": 402, "message": "Insufficient credits"}}, C.QUOTA_EXHAUSTED),
    (
        402,
        {"error": {"code": 402, "metadata": {"limit_source": "openrouter_in_flight_budget"}}},
        C.RATE_LIMIT,
    ),
    (
        403,
        {"error": {"code": 403, "message": "Your chosen model requires moderation"}},
        C.CONTENT_POLICY,
    ),
    (
        403,
        {"error": {"code": 403, "metadata": {"error_type": "content_policy_violation"}}},
        C.CONTENT_POLICY,
    ),
    (
        503,
        {"error": {"code": 503, "metadata": {"error_type": "provider_overloaded"}}},
        C.OVERLOADED,
    ),
    # DeepSeek
    (402, _openai(None, "Insufficient Balance"), C.QUOTA_EXHAUSTED),
    (401, b"Authentication Fails (governor)", C.AUTH),
    # vLLM
    (401, {"error": "Unauthorized"}, C.AUTH),
    (404, _openai(404, "The model `m` does not exist.", "NotFoundError"), C.MODEL_NOT_FOUND),
    (
        400,
        _openai(400, "This model's maximum context length is 4096 tokens.", "BadRequestError"),
        C.CONTEXT_LENGTH,
    ),
    # llama.cpp, Mistral, Azure, a proxy, Gemini's OpenAI endpoint
    (400, _openai(400, "the request exceeds the available context size"), C.CONTEXT_LENGTH),
    (401, {"detail": "Unauthorized"}, C.AUTH),
    (422, {"detail": [{"loc": ["body", "n"], "msg": "too small", "input": 0}]}, C.INVALID_REQUEST),
    (
        400,
        {
            "error": {
                "code": "content_filter",
                "innererror": {"code": "ResponsibleAIPolicyViolation"},
            }
        },
        C.CONTENT_POLICY,
    ),
    (407, b"", C.AUTH),
    (400, [{"error": {"code": 400, "message": "API key not valid."}}], C.AUTH),
    # Nobody's
    (301, b"", C.MODEL_NOT_FOUND),
    (302, b"<a>", C.MODEL_NOT_FOUND),
    (405, b"", C.MODEL_NOT_FOUND),
    (418, b"teapot", C.UNKNOWN),
    (599, b"", C.TRANSIENT),
    (100, b"", C.UNKNOWN),
]


@pytest.mark.parametrize(("status", "body", "expected"), ROWS)
def test_an_error_has_the_class_its_provider_means(
    status: int, body: Any, expected: FailureClass
) -> None:
    sent = body if isinstance(body, bytes) else orjson.dumps(body)

    failure = classify(status, {}, sent)

    assert failure.failure_class is expected
    assert failure.status == status
    assert 0 < len(failure.message) <= 1_000


def test_a_429_says_how_long_to_wait_and_whose_call_it_was() -> None:
    failure = classify(429, {"retry-after-ms": "1500", "x-request-id": "req_1"}, b"{}")

    assert failure.retry_after == 1.5
    assert failure.provider_request_id == "req_1"
    assert failure.scope is ErrorScope.MODEL


@pytest.mark.parametrize(
    ("details", "wait"),
    [
        ([{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "34s"}], 34.0),
        (
            [
                {"@type": "type.googleapis.com/google.rpc.QuotaFailure", "violations": []},
                {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "0.25s"},
            ],
            0.25,
        ),
        ([{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": 34}], None),
        ([None, "x", {}], None),
        ({"retryDelay": "34s"}, None),
    ],
)
def test_google_says_how_long_to_wait_in_the_body(details: object, wait: float | None) -> None:
    error = {"code": 429, "message": "Quota exceeded", "status": "RESOURCE_EXHAUSTED"}

    failure = classify(429, {}, orjson.dumps([{"error": error | {"details": details}}]))

    assert (failure.failure_class, failure.retry_after) == (C.RATE_LIMIT, wait)


def test_a_wrong_address_is_told_from_a_wrong_model() -> None:
    address = classify(404, {}, b"<html>nginx</html>")
    model = classify(404, {}, orjson.dumps(_openai("model_not_found", "The model `x` ...")))
    redirect = classify(308, {}, b"")

    assert "check base_url" in address.message
    assert address.scope is ErrorScope.PROVIDER
    assert "The model `x`" in model.message
    assert model.scope is ErrorScope.MODEL
    assert "never followed" in redirect.message


SECRETS = [
    "Incorrect API key provided: sk-proj-********abcd. You can find your key at ...",
    "Your api key: ****abcd is invalid",
    "bad header Authorization: Bearer abcdabcd",
    "cannot open https://user:abcd@proxy.example:1/",
    "GET /x?key=abcd failed",
    'invalid value: "' + "a long prompt abcd " * 10 + '"',
    "1 validation error [type=x, input_value={'role': 'abcd'}]",
    "gsk_abcdabcdabcd and AIzaabcdabcd",
]


@pytest.mark.parametrize("message", SECRETS)
def test_a_message_loses_what_looks_like_a_key_or_a_prompt(message: str) -> None:
    assert "abcd" not in redact(message)


@pytest.mark.parametrize("status", [400, 401, 403, 429, 500])
def test_no_class_lets_a_key_through(status: int) -> None:
    body = orjson.dumps(_openai(None, "Incorrect API key provided: sk-proj-secretsecret."))

    assert "secretsecret" not in classify(status, {}, body).message


def test_a_refused_prompt_is_not_quoted() -> None:
    body = orjson.dumps(_openai("invalid_prompt", "flagged: how to bake bread"))

    message = classify(400, {}, body).message

    assert "bread" not in message
    assert "invalid_prompt" in message


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(),
    lambda inner: (
        st.lists(inner)
        | st.dictionaries(
            st.sampled_from(["error", "message", "code", "type", "metadata", "detail", "status"])
            | st.text(),
            inner,
        )
    ),
)


@given(status=st.integers(0, 999), body=st.binary() | JSON.map(orjson.dumps))
def test_any_answer_has_a_class(status: int, body: bytes) -> None:
    failure = classify(status, {"retry-after": "x"}, body)

    assert isinstance(failure.failure_class, FailureClass)
    assert len(failure.message) <= 1_000


@pytest.mark.parametrize(
    "body",
    [
        b'\xef\xbb\xbf{"error": {"message": "it is full", "code": "x"}}',
        rb'{"error": {"message": "it is full", "code": "x", "at": "\ud83d"}}',
        b'{"error": {"message": "it is full", "code": "x", "load": NaN}}',
        '{"error": {"message": "it is full", "code": "x"}}'.encode("utf-16"),
    ],
)
def test_an_error_is_read_as_leniently_as_an_answer(body: bytes) -> None:
    failure = classify(503, {}, body)

    assert (failure.message, failure.provider_code) == ("it is full (HTTP 503, x)", "x")
