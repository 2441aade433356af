"""A reply's answer as an object of OpenAI's Responses. Pure.

https://platform.openai.com/docs/api-reference/responses/object
"""

from typing import Any

from tollway_schemas import Answer, Reply, Usage
from tollway_workers.cli.batch.forms.said import JsonObject, body_with, listed, model_named

#: Items that the fleet reads, and writes over.
_READ = ("message", "function_call")


def response_object(reply: Reply, answer: Answer) -> JsonObject:
    """The body of a line that has an answer."""
    said = body_with(answer, "output")
    last = reply.attempts[-1] if reply.attempts else None
    kept = [item for item in listed(said.get("output")) if _is_kept(item)]
    created = said.get("created_at")
    return {
        "error": None,
        "incomplete_details": None,
        **said,
        "id": said.get("id") or f"resp_{reply.job_id}",
        "object": "response",
        "created_at": created
        if isinstance(created, int | float)
        else int(reply.finished_at.timestamp()),
        "status": "completed",
        "model": said.get("model") or model_named(reply),
        "output": [*kept, *_message(reply, answer), *_calls(reply, answer)],
        "usage": _usage((last and last.usage) or reply.usage, said.get("usage")),
    }


def _is_kept(item: Any) -> bool:
    return isinstance(item, dict) and item.get("type") not in _READ


def _message(reply: Reply, answer: Answer) -> list[JsonObject]:
    if answer.text is None:
        return []
    part = {"type": "output_text", "text": answer.text, "annotations": []}
    return [
        {
            "type": "message",
            "id": f"msg_{reply.job_id}",
            "status": "completed",
            "role": "assistant",
            "content": [part],
        }
    ]


def _calls(reply: Reply, answer: Answer) -> list[JsonObject]:
    return [
        {
            "type": "function_call",
            "id": f"fc_{reply.job_id}_{index}",
            "call_id": call.id,
            "name": call.function.name,
            "arguments": call.function.arguments,
            "status": "completed",
        }
        for index, call in enumerate(answer.tool_calls or ())
    ]


def _usage(counted: Usage | None, said: Any) -> JsonObject | None:
    said = said if isinstance(said, dict) else {}
    if counted is None:
        return said or None
    return {
        **said,
        "input_tokens": counted.input_total,
        "input_tokens_details": {
            **_object(said.get("input_tokens_details")),
            "cached_tokens": counted.input_cached_read,
        },
        "output_tokens": counted.output_total,
        "output_tokens_details": {
            **_object(said.get("output_tokens_details")),
            "reasoning_tokens": counted.reasoning,
        },
        "total_tokens": counted.input_total + counted.output_total,
    }


def _object(value: Any) -> JsonObject:
    return value if isinstance(value, dict) else {}
