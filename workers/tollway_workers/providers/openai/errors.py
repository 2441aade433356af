"""OpenAI's errors, and those of servers that speak its protocol. Pure."""

import re
from collections.abc import Mapping
from functools import partial
from typing import Any

from tollway_schemas.failure import FailureClass
from tollway_workers.providers.failures import classify as shared
from tollway_workers.providers.failures.classify import ErrorRules
from tollway_workers.providers.failures.error_body import ErrorDetail
from tollway_workers.providers.openai.rate_headers import limits_and_resets

#: A file, an earlier answer or the like that a request names: the request is at fault, not the
#: address.
_NOT_THERE = re.compile(r"no such [\w ]{1,40} object\b|\bwith id\b.{1,200}\bnot found")


def class_of(status: int, detail: ErrorDetail, headers: Mapping[str, str]) -> FailureClass:
    """The class of an error by what OpenAI says of it, else as of any other server."""
    if status in (400, 404) and "invalid_request_error" in detail.words:
        if "previous_response_not_found" in detail.words:
            return FailureClass.INVALID_REQUEST
        if _NOT_THERE.search(detail.message.lower()):
            return FailureClass.INVALID_REQUEST
    return shared.class_of(status, detail, headers)


RULES = ErrorRules(
    class_of=class_of,
    resets=limits_and_resets,
    word_statuses={"rate_limit_exceeded": 429},
)

classify = partial(shared.classify, RULES)
classify_in_answer = partial(shared.classify_in_answer, RULES)
no_completion = partial(shared.no_completion, RULES)
request_id = partial(shared.request_id, RULES)


def says_error(parsed: dict[str, Any]) -> bool:
    """Whether an answer with status 200 calls itself an error."""
    if parsed.get("error") or parsed.get("errors"):
        return True
    if parsed.get("choices"):
        return False
    return (
        parsed.get("success") is False
        or "error" in (parsed.get("object"), parsed.get("type"), parsed.get("status"))
        or any(_is_error_number(parsed.get(name)) for name in ("code", "status", "statusCode"))
        or _is_error_number(_in_response(parsed))
    )


def _in_response(parsed: dict[str, Any]) -> Any:
    """MiniMax's status, beside choices that are null."""
    response = parsed.get("base_resp")
    return response.get("status_code") if isinstance(response, dict) else None


def _is_error_number(value: Any) -> bool:
    """200 and 0 are words for success."""
    if isinstance(value, str) and value.isdecimal():
        value = int(value[:9])
    return isinstance(value, int) and not isinstance(value, bool) and value not in (0, 200)
