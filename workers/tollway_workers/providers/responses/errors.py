"""The errors of OpenAI's Responses: those of chat, and those that a response itself holds. Pure.

https://platform.openai.com/docs/api-reference/responses/object#responses-object-error
"""

from dataclasses import replace
from functools import partial
from typing import Any

from tollway_workers.providers.failures import classify as shared
from tollway_workers.providers.openai.errors import RULES as CHAT

#: What a response that failed says instead of a status, and that status: what the request is to
#: blame for, what the account is, and what nobody is. Those of content are known by their words.
_STATUSES = {
    "rate_limit_exceeded": 429,
    "insufficient_quota": 429,
    "authentication_error": 401,
    "server_error": 500,
    "vector_store_timeout": 504,
    **dict.fromkeys(
        (
            *("data_residency_mismatch", "invalid_image", "invalid_image_format"),
            *("invalid_base64_image", "invalid_image_url", "image_too_large", "image_too_small"),
            *("image_parse_error", "invalid_image_mode", "image_file_too_large"),
            *("unsupported_image_media_type", "empty_image_file", "failed_to_download_image"),
            *("image_file_not_found", "invalid_request_error", "invalid_json_schema"),
        ),
        400,
    ),
}

RULES = replace(CHAT, word_statuses=_STATUSES)

classify_in_answer = partial(shared.classify_in_answer, RULES)
no_completion = partial(shared.no_completion, RULES)
request_id = partial(shared.request_id, RULES)


def of_response(error: Any) -> dict[str, Any]:
    """The error of a response as an envelope; one that says nothing known is the server's own."""
    if not isinstance(error, dict):
        return {"error": {"status": 500, "message": error if isinstance(error, str) else ""}}
    known = any(
        isinstance(said := error.get(name), str) and said in _STATUSES for name in ("code", "type")
    )
    return {"error": error if known else {"status": 500, **error}}
