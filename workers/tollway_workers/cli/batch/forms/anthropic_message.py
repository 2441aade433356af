"""A reply's answer as an Anthropic message, and as a result of an Anthropic batch. Pure.

https://platform.claude.com/docs/en/api/retrieving-message-batch-results
"""

from typing import Any

import orjson

from tollway_schemas import Answer, FailureClass, Reply, Usage
from tollway_workers.cli.batch.forms.said import (
    JsonObject,
    body_with,
    finish_of,
    listed,
    model_named,
)
from tollway_workers.job.readable_json import exact_value
from tollway_workers.providers.base import Finish

#: Blocks that the fleet reads, and writes over.
_READ = ("text", "tool_use")
_STOPS = {
    Finish.TOOL: "tool_use",
    Finish.LENGTH: "max_tokens",
    Finish.CONTEXT: "model_context_window_exceeded",
    Finish.REFUSAL: "refusal",
    Finish.CONTENT_FILTER: "refusal",
}
#: What a failure is in Anthropic's words, where it is another than its own.
_TYPES = {
    FailureClass.INVALID_REQUEST: "invalid_request_error",
    FailureClass.INVALID_JOB: "invalid_request_error",
    FailureClass.CONTEXT_LENGTH: "invalid_request_error",
    FailureClass.BEYOND_LIMITS: "invalid_request_error",
    FailureClass.UNKNOWN_ROUTE: "not_found_error",
    FailureClass.MODEL_NOT_FOUND: "not_found_error",
    FailureClass.AUTH: "authentication_error",
    FailureClass.QUOTA_EXHAUSTED: "billing_error",
    FailureClass.RATE_LIMIT: "rate_limit_error",
    FailureClass.OVERLOADED: "overloaded_error",
}


def anthropic_message(reply: Reply, answer: Answer) -> JsonObject:
    """The message of a line that succeeded."""
    said = body_with(answer, "content")
    kept = [block for block in listed(said.get("content")) if _is_kept(block)]
    last = reply.attempts[-1] if reply.attempts else None
    text = [] if answer.text is None else [{"type": "text", "text": answer.text}]
    calls = [
        {
            "type": "tool_use",
            "id": call.id,
            "name": call.function.name,
            "input": _arguments(call.function.arguments),
        }
        for call in answer.tool_calls or ()
    ]
    return {
        "stop_sequence": None,
        **said,
        "id": said.get("id") or f"msg_{reply.job_id}",
        "type": "message",
        "role": "assistant",
        "model": said.get("model") or model_named(reply),
        "content": [*kept, *text, *calls],
        "stop_reason": _stop(answer, said),
        "usage": _usage((last and last.usage) or reply.usage, said.get("usage")),
    }


def anthropic_error(code: str, message: str) -> JsonObject:
    """The result of a line that has no answer."""
    if code == FailureClass.EXPIRED.value:
        return {"type": "expired"}
    if code in (FailureClass.CANCELLED.value, "cancelled"):
        return {"type": "canceled"}
    kind = next((name for known, name in _TYPES.items() if known.value == code), "api_error")
    error = {"type": kind, "message": message, "details": {"error_code": code}}
    return {"type": "errored", "error": {"type": "error", "error": error}}


def _is_kept(block: Any) -> bool:
    return isinstance(block, dict) and block.get("type") not in _READ


def _stop(answer: Answer, said: JsonObject) -> str:
    finish = finish_of(answer)
    own = said.get("stop_reason")
    if isinstance(own, str) and (own != "tool_use" or answer.tool_calls):
        return own
    return _STOPS.get(finish, "end_turn")


def _arguments(text: str) -> Any:
    try:
        return exact_value(text.strip() or "{}")
    except orjson.JSONDecodeError:
        return {}


def _usage(counted: Usage | None, said: Any) -> JsonObject | None:
    said = said if isinstance(said, dict) else {}
    if counted is None:
        return said or None
    written = counted.input_cache_write_5m + counted.input_cache_write_1h
    return {
        **said,
        "input_tokens": max(counted.input_total - counted.input_cached_read - written, 0),
        "cache_read_input_tokens": counted.input_cached_read,
        "cache_creation_input_tokens": written,
        "cache_creation": {
            "ephemeral_5m_input_tokens": counted.input_cache_write_5m,
            "ephemeral_1h_input_tokens": counted.input_cache_write_1h,
        },
        "output_tokens": counted.output_total,
        "output_tokens_details": {"thinking_tokens": counted.reasoning},
        "service_tier": counted.service_tier,
    }
