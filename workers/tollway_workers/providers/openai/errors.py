"""OpenAI's errors, and those of servers that speak its protocol. Pure."""

from functools import partial
from typing import Any

from tollway_workers.providers.failures import classify as shared
from tollway_workers.providers.failures.classify import ErrorRules
from tollway_workers.providers.openai.rate_headers import limits_and_resets

RULES = ErrorRules(resets=limits_and_resets, word_statuses={"rate_limit_exceeded": 429})

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
