"""OpenAI's errors, and those of servers that speak its protocol: what each one means. Pure.

The status comes first; the body may be an object, a list, text or a proxy's HTML. Sources:
https://platform.openai.com/docs/guides/error-codes and the error pages of vLLM, Ollama, Groq,
Together, OpenRouter, DeepSeek and Azure.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from tollway_schemas.failure import ErrorScope, FailureClass
from tollway_workers.errors import ProviderFailure
from tollway_workers.providers.openai_error_body import ErrorDetail, detail_of, read_error
from tollway_workers.providers.openai_error_words import (
    CONTENT_POLICY_PHRASES,
    CONTEXT_LENGTH_PHRASES,
    OVERLOADED_PHRASES,
    STATUS_CLASSES,
    WORD_CLASSES,
)
from tollway_workers.providers.redact import redact
from tollway_workers.providers.retry_after import RateHeaders, retry_after

_SCOPES = {
    FailureClass.RATE_LIMIT: ErrorScope.MODEL,
    FailureClass.QUOTA_EXHAUSTED: ErrorScope.ACCOUNT,
    FailureClass.OVERLOADED: ErrorScope.MODEL,
    FailureClass.TRANSIENT: ErrorScope.MODEL,
    FailureClass.AUTH: ErrorScope.KEY,
    FailureClass.MODEL_NOT_FOUND: ErrorScope.MODEL,
}

#: Said in our own words: the provider's may quote the prompt or a part of the key.
_OWN_WORDS = {
    FailureClass.CONTENT_POLICY: "the provider refused the prompt for its content",
    FailureClass.AUTH: "the provider refused the key or what it may do",
}

_WRONG_PATH = (
    "nothing is served at this address: check base_url (it usually ends in /v1) and the model"
)
_REDIRECTED = "the server redirects to another address, which is never followed: check base_url"


_LONGEST_ID = 256


def classify(status: int, headers: Mapping[str, str], body: bytes) -> ProviderFailure:
    """What the answer of a failed call means. Never raises, whatever the body holds."""
    return _failure(status, headers, read_error(body), body)


def _failure(
    status: int, headers: Mapping[str, str], detail: ErrorDetail, body: bytes
) -> ProviderFailure:
    failure_class = class_of(status, detail)
    return ProviderFailure(
        failure_class=failure_class,
        message=_message(status, failure_class, detail),
        scope=_scope(status, failure_class, detail),
        status=status,
        provider_code=_code(detail),
        provider_request_id=request_id(headers),
        retry_after=_wait(failure_class, headers, detail),
        body=body,
    )


def _wait(
    failure_class: FailureClass, headers: Mapping[str, str], detail: ErrorDetail
) -> float | None:
    """Seconds that the provider asks us to wait; else, until what is used up is there again."""
    wait = retry_after(headers, detail.message, delay=detail.retry_delay)
    if wait is None and failure_class is FailureClass.RATE_LIMIT:
        said = RateHeaders.parse(headers)
        wait = None if said is None else said.reset
    return wait


def request_id(headers: Mapping[str, str]) -> str | None:
    """The provider's own name for a call; what is not ASCII in it could not be written as JSON."""
    said = headers.get("x-request-id")
    if not said:
        return None
    return (
        said[:_LONGEST_ID]
        if said.isascii()
        else said[:_LONGEST_ID].encode("ascii", "replace").decode()
    )


def classify_in_answer(headers: Mapping[str, str], parsed: Any, body: bytes) -> ProviderFailure:
    """What an error means that came with status 200 (OpenRouter passes failures on like that)."""
    detail = detail_of(parsed)
    if detail.number is not None and 400 <= detail.number < 600:
        status = detail.number
    else:
        status = 429 if "rate_limit_exceeded" in detail.words else 502
    return replace(_failure(status, headers, detail, body), status=200)


def class_of(status: int, detail: ErrorDetail) -> FailureClass:
    """The class of an error by its status, then its code or type, then its message."""
    if status == 429:
        return _too_many_requests(detail)
    if status in (401, 407) or 300 <= status < 400:
        return STATUS_CLASSES.get(status, FailureClass.MODEL_NOT_FOUND)
    if status == 402 and detail.limit_source == "openrouter_in_flight_budget":
        return FailureClass.RATE_LIMIT
    return (
        _by_word(detail)
        or _by_phrase(detail)
        or STATUS_CLASSES.get(status)
        or (FailureClass.TRANSIENT if status >= 500 else FailureClass.UNKNOWN)
    )


def _too_many_requests(detail: ErrorDetail) -> FailureClass:
    """Too many now, too many for the account's money, or one that will never fit."""
    message = detail.message.lower()
    if "request too large" in message:
        return FailureClass.INVALID_REQUEST
    word = _by_word(detail)
    if word is FailureClass.QUOTA_EXHAUSTED:
        return word
    if word is FailureClass.OVERLOADED or any(p in message for p in OVERLOADED_PHRASES):
        return FailureClass.OVERLOADED
    return FailureClass.RATE_LIMIT


def _by_word(detail: ErrorDetail) -> FailureClass | None:
    for word in detail.words:
        if word in WORD_CLASSES:
            return WORD_CLASSES[word]
    return None


def _by_phrase(detail: ErrorDetail) -> FailureClass | None:
    text = detail.message.lower()
    # A field such as `user` that is too long says nothing of the prompt's length.
    if "string_above_max_length" not in detail.words and any(
        phrase in text for phrase in CONTEXT_LENGTH_PHRASES
    ):
        return FailureClass.CONTEXT_LENGTH
    if any(phrase in text for phrase in CONTENT_POLICY_PHRASES):
        return FailureClass.CONTENT_POLICY
    if "api key not valid" in text:
        return FailureClass.AUTH
    return None


def _scope(status: int, failure_class: FailureClass, detail: ErrorDetail) -> ErrorScope:
    if failure_class is FailureClass.MODEL_NOT_FOUND and _is_address(status, detail):
        return ErrorScope.PROVIDER
    return _SCOPES.get(failure_class, ErrorScope.REQUEST)


def _is_address(status: int, detail: ErrorDetail) -> bool:
    """Whether the address is at fault, not the model: no model server words a 404 without one."""
    said = f"{detail.message} {' '.join(detail.words)}".lower()
    return status < 400 or ("model" not in said and "deployment" not in said)


def _message(status: int, failure_class: FailureClass, detail: ErrorDetail) -> str:
    code = _code(detail)
    named = f"HTTP {status}, {code}" if code else f"HTTP {status}"
    if 300 <= status < 400:
        return f"{_REDIRECTED} (HTTP {status})"
    if failure_class is FailureClass.MODEL_NOT_FOUND and _is_address(status, detail):
        return f"{_WRONG_PATH} ({named})"
    own = _OWN_WORDS.get(failure_class)
    if own is not None:
        return f"{own} ({named})"
    said = redact(detail.message)
    return redact(f"{said} ({named})") if said else f"the server gave no reason ({named})"


def _code(detail: ErrorDetail) -> str | None:
    """The provider's word for the error, short: it goes into metrics and fingerprints."""
    code = detail.words[0] if detail.words else ""
    return redact(code)[:64] or None
