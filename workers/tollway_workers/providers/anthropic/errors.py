"""Anthropic's errors. Pure.

https://platform.claude.com/docs/en/api/errors: `error.details.error_code` says more than
`error.type`, which says more than the sentence.
"""

import re
from collections.abc import Mapping
from functools import partial
from typing import Any

from tollway_schemas.failure import FailureClass
from tollway_workers.providers.anthropic.rate_headers import limits, resets
from tollway_workers.providers.failures import classify as shared
from tollway_workers.providers.failures.classify import ErrorRules
from tollway_workers.providers.failures.error_body import ErrorDetail

#: Of the whole account, until somebody raises them or a month turns.
_SPENT = frozenset(
    {
        "enforced_spend_limit_reached",
        "contract_spend_limit_reached",
        "linked_organization_spend_limit_reached",
        "billing_error",
    }
)
_SPENT_PHRASES = (
    "you have reached your specified api usage limits",
    "you have reached your specified workspace api usage limits",
    "credit balance is too low",
)
#: A thing that a request names; where nothing is served, some servers say `File Not Found` alone.
_NOT_THERE = re.compile(
    r"\b(?:file|container|skill)s?\b.{0,40}not found: ?\S|\b(?:file|container|skill)_\w{4,}"
)
#: The status that each type comes with; in a stream it comes without.
_STATUSES = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "billing_error": 402,
    "permission_error": 403,
    "not_found_error": 404,
    "conflict_error": 409,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "api_error": 500,
    "timeout_error": 504,
    "overloaded_error": 529,
}


def _class_of(status: int, detail: ErrorDetail, headers: Mapping[str, str]) -> FailureClass:
    message = detail.message.lower()
    if not _SPENT.isdisjoint(detail.words) or any(each in message for each in _SPENT_PHRASES):
        return FailureClass.QUOTA_EXHAUSTED
    if status == 404 and "not_found_error" in detail.words and _NOT_THERE.search(message):
        return FailureClass.INVALID_REQUEST
    if status == 429 and "rate_limit_error" in detail.words:
        return _rate_limit(detail, headers)
    return shared.class_of(status, detail, headers)


def _rate_limit(detail: ErrorDetail, headers: Mapping[str, str]) -> FailureClass:
    """Too many for now, or for the account's money: only the former says when to come back."""
    in_stream = "event-stream" in headers.get("content-type", "")
    if "ramp_limit_exceeded" in detail.words or in_stream:
        return FailureClass.RATE_LIMIT
    said = limits(headers)
    used_up = said is not None and 0 in (
        said.remaining_requests,
        said.remaining_tokens,
        said.remaining_input_tokens,
        said.remaining_output_tokens,
    )
    if used_up or "retry-after" in headers or "retry-after-ms" in headers:
        return FailureClass.RATE_LIMIT
    return FailureClass.QUOTA_EXHAUSTED


RULES = ErrorRules(
    class_of=_class_of,
    request_ids=("request-id", "x-request-id"),
    resets=resets,
    word_statuses=_STATUSES,
    base_url_ends="in /v1",
)

classify_in_answer = partial(shared.classify_in_answer, RULES)
no_completion = partial(shared.no_completion, RULES)
request_id = partial(shared.request_id, RULES)


def says_error(parsed: Mapping[str, Any]) -> bool:
    """Whether an answer with status 200 calls itself an error."""
    return parsed.get("type") == "error" or bool(parsed.get("error"))
