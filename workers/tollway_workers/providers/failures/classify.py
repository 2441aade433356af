"""The errors of providers, whatever their protocol: what each one means. Pure.

The status comes first; the body may be an object, a list, text or a proxy's HTML. What a protocol's
errors have of their own are its `ErrorRules`. Sources:
https://platform.openai.com/docs/guides/error-codes and the error pages of vLLM, Ollama, Groq,
Together, OpenRouter, DeepSeek and Azure; those of other protocols stand in their folders.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from tollway_schemas.failure import ErrorScope, FailureClass
from tollway_workers.errors import ProviderFailure
from tollway_workers.providers.failures.error_body import ErrorDetail, detail_of, read_error
from tollway_workers.providers.failures.error_text import plain_reason
from tollway_workers.providers.failures.error_words import (
    CONTENT_POLICY_PHRASES,
    CONTEXT_LENGTH_PHRASES,
    KEY_PHRASES,
    OVERLOADED_PHRASES,
    PAGE_STATUSES,
    PLAIN_HTTP_PHRASES,
    STATUS_CLASSES,
    TRUNCATED_PHRASES,
    WORD_CLASSES,
)
from tollway_workers.providers.http.retry_after import retry_after
from tollway_workers.providers.quoted_prompt import texts_of
from tollway_workers.providers.rate_headers import RateHeaders
from tollway_workers.providers.redact import MOST_CHARACTERS, redact

_SCOPES = {
    FailureClass.RATE_LIMIT: ErrorScope.MODEL,
    FailureClass.QUOTA_EXHAUSTED: ErrorScope.ACCOUNT,
    FailureClass.OVERLOADED: ErrorScope.MODEL,
    FailureClass.TRANSIENT: ErrorScope.MODEL,
    FailureClass.AUTH: ErrorScope.KEY,
    FailureClass.MODEL_NOT_FOUND: ErrorScope.MODEL,
}

_REFUSED_KEY = "the provider refused the key or what it may do"
#: Said in our own words alone: the provider's are about the prompt.
_REFUSED_PROMPT = "the provider refused the prompt for its content"

_WRONG_PATH = (
    "nothing is served at this address: check base_url (it usually ends {ends}) and the model"
)
_REDIRECTED = "the server redirects to another address, which is never followed: check base_url"
#: How servers name what they lack; `model` alone stands in many an address.
_NAMES_MODEL = re.compile(r"model|deployment")

_LONGEST_ID = 256


def class_of(status: int, detail: ErrorDetail, headers: Mapping[str, str]) -> FailureClass:
    """The class of an error by its status, then its code or type, then its message."""
    if status == 429:
        return _too_many_requests(detail)
    if status in (401, 407) or 300 <= status < 400:
        return STATUS_CLASSES.get(status, FailureClass.MODEL_NOT_FOUND)
    if status == 402 and detail.limit_source == "openrouter_in_flight_budget":
        return FailureClass.RATE_LIMIT
    return (
        by_word(detail)
        or by_phrase(detail)
        or (FailureClass.NO_COMPLETION if detail.page and status in PAGE_STATUSES else None)
        or STATUS_CLASSES.get(status)
        or (FailureClass.TRANSIENT if status >= 500 else FailureClass.UNKNOWN)
    )


def _no_resets(_: Mapping[str, str]) -> RateHeaders | None:
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorRules:
    """What a protocol's errors have of their own."""

    #: What an error of this status, with this detail and these headers, means.
    class_of: Callable[[int, ErrorDetail, Mapping[str, str]], FailureClass] = class_of
    #: The provider's own name for a call, by header, the most telling first.
    request_ids: tuple[str, ...] = ("x-request-id",)
    #: When what a 429 says is used up will be there again.
    resets: Callable[[Mapping[str, str]], RateHeaders | None] = _no_resets
    #: Which status an error has that says none, by its code or type.
    word_statuses: Mapping[str, int] = field(default_factory=dict)
    #: How the address should end, as the operator is told where nothing is served there.
    base_url_ends: str = "in /v1"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Said:
    """A failed call's answer, and what had been sent."""

    #: Of the answer.
    status: int
    headers: Mapping[str, str]
    detail: ErrorDetail
    body: bytes
    sent: bytes
    rules: ErrorRules
    #: What a status inside the answer says, which decides more than the answer's own.
    inner: int | None = None


def classify(
    rules: ErrorRules, status: int, headers: Mapping[str, str], body: bytes, sent: bytes = b""
) -> ProviderFailure:
    """What the answer of a failed call means. Never raises, whatever the body holds.

    `sent` is the body of the call: what the answer repeats of its texts is taken out of `message`.
    """
    detail = read_error(body)
    said = _Said(status=status, headers=headers, detail=detail, body=body, sent=sent, rules=rules)
    return _failure(said, rules.class_of(status, detail, headers))


def _failure(said: _Said, failure_class: FailureClass) -> ProviderFailure:
    detail = said.detail
    return ProviderFailure(
        failure_class=failure_class,
        message=_message(said, failure_class),
        scope=_scope(said, failure_class),
        status=said.status,
        provider_code=_code(detail),
        provider_request_id=request_id(said.rules, said.headers),
        retry_after=_wait(said, failure_class),
        body=said.body,
    )


def _wait(said: _Said, failure_class: FailureClass) -> float | None:
    """Seconds that the provider asks us to wait; else, until what is used up is there again."""
    wait = retry_after(said.headers, said.detail.message, delay=said.detail.retry_delay)
    if wait is None and failure_class is FailureClass.RATE_LIMIT:
        limits = said.rules.resets(said.headers)
        wait = None if limits is None else limits.reset
    return wait


def request_id(rules: ErrorRules, headers: Mapping[str, str]) -> str | None:
    """The provider's own name for a call; what is not ASCII in it could not be written as JSON."""
    for name in rules.request_ids:
        if said := headers.get(name):
            return said[:_LONGEST_ID].encode("ascii", "replace").decode()
    return None


def classify_in_answer(
    rules: ErrorRules, headers: Mapping[str, str], parsed: Any, body: bytes, sent: bytes = b""
) -> ProviderFailure:
    """What an error means that came with status 200 (OpenRouter passes failures on like that).

    One that says neither by number nor by word what it is may come from any web server.
    """
    detail = detail_of(parsed)
    said = _Said(
        status=200,
        headers=headers,
        detail=detail,
        body=body,
        sent=sent,
        rules=rules,
        inner=_inner_status(rules, detail),
    )
    if said.inner is not None:
        return _failure(said, rules.class_of(said.inner, detail, headers))
    return _failure(said, by_word(detail) or by_phrase(detail) or FailureClass.NO_COMPLETION)


def _inner_status(rules: ErrorRules, detail: ErrorDetail) -> int | None:
    if detail.number is not None and 400 <= detail.number < 600:
        return detail.number
    statuses = rules.word_statuses
    return next((statuses[word] for word in detail.words if word in statuses), None)


def _too_many_requests(detail: ErrorDetail) -> FailureClass:
    """Too many now, too many for the account's money, or one that will never fit."""
    message = detail.message.lower()
    if "request too large" in message:
        return FailureClass.INVALID_REQUEST
    word = by_word(detail)
    if word is FailureClass.QUOTA_EXHAUSTED:
        return word
    if word is FailureClass.OVERLOADED or any(p in message for p in OVERLOADED_PHRASES):
        return FailureClass.OVERLOADED
    return FailureClass.RATE_LIMIT


def by_word(detail: ErrorDetail) -> FailureClass | None:
    """The class of the first code or type that says more than the status."""
    for word in detail.words:
        if word in WORD_CLASSES:
            return WORD_CLASSES[word]
    return None


def by_phrase(detail: ErrorDetail) -> FailureClass | None:
    """The class that the error's sentence tells of."""
    text = detail.message.lower()
    # A field such as `user` that is too long says nothing of the prompt's length.
    lengths = () if "string_above_max_length" in detail.words else CONTEXT_LENGTH_PHRASES
    for phrases, failure_class in (
        (lengths, FailureClass.CONTEXT_LENGTH),
        (CONTENT_POLICY_PHRASES, FailureClass.CONTENT_POLICY),
        (KEY_PHRASES, FailureClass.AUTH),
        (TRUNCATED_PHRASES, FailureClass.TRUNCATED),
        (PLAIN_HTTP_PHRASES, FailureClass.MODEL_NOT_FOUND),
    ):
        if any(phrase in text for phrase in phrases):
            return failure_class
    return None


def _scope(said: _Said, failure_class: FailureClass) -> ErrorScope:
    if failure_class is FailureClass.NO_COMPLETION or _is_address(said, failure_class):
        return ErrorScope.PROVIDER
    if failure_class is FailureClass.AUTH and said.status == 403:
        # The key is known, and may not use this model.
        return ErrorScope.MODEL
    return _SCOPES.get(failure_class, ErrorScope.REQUEST)


def _is_address(said: _Said, failure_class: FailureClass) -> bool:
    """Whether the address is at fault, not the model: no model server words a 404 without one."""
    if failure_class is not FailureClass.MODEL_NOT_FOUND:
        return False
    words = f"{said.detail.message} {' '.join(said.detail.words)}".lower()
    return 300 <= said.status < 400 or not _NAMES_MODEL.search(words)


def _message(said: _Said, failure_class: FailureClass) -> str:
    """One sentence of at most 1,000 characters, in which nothing of key and prompt stands."""
    named = _named(said)
    if 300 <= said.status < 400:
        return f"{_REDIRECTED} ({named})"
    if failure_class is FailureClass.CONTENT_POLICY:
        return f"{_REFUSED_PROMPT} ({named})"
    reason = _reason(said)
    if failure_class is FailureClass.AUTH:
        own = f"{_REFUSED_KEY} ({named})"
    elif failure_class is FailureClass.NO_COMPLETION:
        own = f"{_page_or_not(said)} ({named})"
    elif _is_address(said, failure_class):
        own = f"{_WRONG_PATH.format(ends=said.rules.base_url_ends)} ({named})"
    elif reason:
        # The provider's sentence first, then how it came.
        return f"{reason[: MOST_CHARACTERS - len(named) - 3]} ({named})"
    else:
        return f"the server gave no reason ({named})"
    return f"{own}: {reason}"[:MOST_CHARACTERS] if reason else own


def _reason(said: _Said) -> str:
    """The provider's own words, redacted."""
    message = said.detail.message
    return redact(message, prompts=texts_of(said.sent) if said.sent else ()) if message else ""


def _page_or_not(said: _Said) -> str:
    what = "a web page" if said.detail.page else "no completion"
    return f"the server answered with {what}"


def _named(said: _Said) -> str:
    """How it came: the status, one inside the answer, and the provider's word."""
    inner = said.inner if said.detail.number is not None else None
    code = _code(said.detail)
    with_inner = f"HTTP {said.status} with error {inner}" if inner else f"HTTP {said.status}"
    return f"{with_inner}, {code}" if code else with_inner


def _code(detail: ErrorDetail) -> str | None:
    """The provider's word for the error, short: it goes into metrics and fingerprints."""
    return _short(detail.words[0][:MOST_CHARACTERS]) if detail.words else None


@lru_cache(maxsize=256)
def _short(word: str) -> str | None:
    return redact(word)[:64] or None


def no_completion(
    rules: ErrorRules, status: int, headers: Mapping[str, str], body: bytes
) -> ProviderFailure:
    """What a successful answer means that holds no completion: a page, or JSON of another kind.

    Of a page its title is said, of anything else nothing: it may be an answer in another form.
    """
    text, page = plain_reason(body)
    detail = ErrorDetail(message=text if page else "", page=page)
    said = _Said(status=status, headers=headers, detail=detail, body=body, sent=b"", rules=rules)
    return _failure(said, FailureClass.NO_COMPLETION)
