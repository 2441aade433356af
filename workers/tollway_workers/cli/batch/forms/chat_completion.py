"""A reply's answer as an OpenAI chat completion: what was validated, and all that came beside it.

Fields: https://platform.openai.com/docs/api-reference/chat/object. What the provider sent stays in
its place; what the fleet read or validated is written over it.
"""

from collections.abc import Iterator
from typing import Any

from tollway_schemas import Answer, Reply, Usage
from tollway_workers.cli.batch.forms.said import JsonObject, finish_of, model_named
from tollway_workers.providers.base import Finish

#: Why a model stopped, in the words of this form.
_FINISHES = {
    Finish.LENGTH: "length",
    Finish.CONTEXT: "length",
    Finish.TOOL: "tool_calls",
    Finish.CONTENT_FILTER: "content_filter",
    Finish.REFUSAL: "content_filter",
}


def chat_completion(reply: Reply, answer: Answer) -> JsonObject:
    """The body of a completed line."""
    said = _said(answer)
    choice = _choices(said)[0] if said else {}
    last = reply.attempts[-1] if reply.attempts else None
    model = model_named(reply)
    created = said.get("created")
    return {
        **said,
        "id": _text(said.get("id")) or f"chatcmpl-{reply.job_id}",
        "object": "chat.completion",
        "created": created if type(created) is int else int(reply.finished_at.timestamp()),
        "model": _text(said.get("model")) or model,
        "choices": [
            {
                **choice,
                "index": 0,
                "message": _message(answer, _object(choice.get("message"))),
                "logprobs": choice.get("logprobs"),
                "finish_reason": _finish(answer, said),
            }
        ],
        "usage": _usage((last and last.usage) or reply.usage, said.get("usage")),
    }


def beside_the_completion(answer: Answer) -> JsonObject:
    """What an answer had that a chat completion with one validated choice has no place for."""
    said = _said(answer)
    beside: JsonObject = {}
    if said:
        first, *others = _choices(said)
        content = _object(first.get("message")).get("content")
        if content is not None and content != answer.text and answer.text is not None:
            beside["provider_content"] = content
        if others:
            beside["other_choices"] = others
    elif answer.body is not None:
        beside["provider_body"] = answer.body
    if answer.body_elsewhere is not None:
        beside["body_elsewhere"] = answer.body_elsewhere.model_dump(mode="json")
    return beside


def _finish(answer: Answer, said: JsonObject) -> str:
    """The provider's own word where that is a chat completion's."""
    if answer.finish_reason and (said or answer.body is None):
        return answer.finish_reason
    return _FINISHES.get(finish_of(answer), "stop")


def _said(answer: Answer) -> JsonObject:
    """The provider's own chat completion; empty where its answer is none."""
    body = answer.body or {}
    choices = body.get("choices")
    is_one = isinstance(choices, list) and bool(choices) and isinstance(choices[0], dict)
    return body if is_one else {}


def _choices(said: JsonObject) -> list[Any]:
    choices: list[Any] = said["choices"]
    return choices


def _message(answer: Answer, said: JsonObject) -> JsonObject:
    content = said.get("content") if answer.text is None else answer.text
    message = {**said, "role": "assistant", "content": content, "refusal": said.get("refusal")}
    if not answer.tool_calls:
        return message
    calls: Iterator[JsonObject] = (
        call.model_dump(mode="json", exclude_none=True) for call in answer.tool_calls
    )
    older = _object(said.get("function_call"))
    if older and not said.get("tool_calls"):
        message["function_call"] = {**older, **next(calls)["function"]}
        return message
    given = said.get("tool_calls")
    own = [
        {**call, **next(calls, {})} if _is_function(call) else call
        for call in (given if isinstance(given, list) else ())
    ]
    message["tool_calls"] = [*own, *calls]
    return message


def _is_function(call: Any) -> bool:
    return isinstance(_object(_object(call).get("function")).get("name"), str)


def _usage(counted: Usage | None, said: Any) -> JsonObject | None:
    """What the fleet counts by, and what else the provider said of it."""
    said = _object(said)
    if counted is None:
        return said or None
    return {
        **said,
        "prompt_tokens": counted.input_total,
        "completion_tokens": counted.output_total,
        "total_tokens": counted.input_total + counted.output_total,
        "prompt_tokens_details": {
            **_object(said.get("prompt_tokens_details")),
            "cached_tokens": counted.input_cached_read,
        },
        "completion_tokens_details": {
            **_object(said.get("completion_tokens_details")),
            "reasoning_tokens": counted.reasoning,
        },
    }


def _object(value: Any) -> JsonObject:
    return value if isinstance(value, dict) else {}


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None
