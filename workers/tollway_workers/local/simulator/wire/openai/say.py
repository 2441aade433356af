"""OpenAI's chat completions as they look on the wire: bodies and chunks. Pure."""

from collections.abc import Iterator
from typing import Any

import orjson

from tollway_workers.local.simulator.answer import Completion, ToolCall
from tollway_workers.local.simulator.refusals import Refusal, Why
from tollway_workers.local.simulator.wire.dialect import pieces
from tollway_workers.local.simulator.wire.openai.errors import error_of

#: Says that no model made this answer: readers label it `scripted`.
SYSTEM_FINGERPRINT = "scripted"
DONE = b"data: [DONE]\n\n"


def headers(request_id: str, seconds: float) -> dict[str, str]:
    """Headers of any answer."""
    return {
        "x-request-id": request_id,
        "openai-processing-ms": str(int(seconds * 1000)),
        "openai-version": "2020-10-01",
    }


def body(completion: Completion) -> bytes:
    """The plain answer."""
    answer = completion.answer
    message: dict[str, Any] = {
        "role": "assistant",
        "content": answer.content,
        "refusal": answer.refusal,
        "annotations": [],
    }
    if answer.calls:
        message["tool_calls"] = [_call(completion, *each) for each in enumerate(answer.calls)]
    choice = {
        "index": 0,
        "message": message,
        "logprobs": None,
        "finish_reason": answer.finish_reason,
    }
    return orjson.dumps(
        _envelope(completion, "chat.completion") | {"choices": [choice], "usage": usage(completion)}
    )


def events(completion: Completion) -> Iterator[tuple[int, bytes]]:
    """The chunks: a role, what is said, the calls; then the reason, the usage, `[DONE]`."""
    answer, total = completion.answer, completion.answer.completion_tokens
    has_usage = _wants_usage(completion)
    text = None if answer.content is None else ""
    opening = {"role": "assistant", "content": text, "refusal": None}
    yield 0, _chunk(completion, opening, has_usage)
    part = "content" if answer.content is not None else "refusal"
    for tokens, piece in pieces(answer.text, total):
        yield tokens, _chunk(completion, {part: piece}, has_usage)
    for number, call in enumerate(answer.calls):
        for delta in _call_deltas(completion, number, call):
            yield total, _chunk(completion, {"tool_calls": [delta]}, has_usage)
    last = _chunk(completion, {}, has_usage, answer.finish_reason)
    if has_usage:
        last += _event(completion, {"choices": [], "usage": usage(completion)})
    yield total, last + DONE


def broken(_completion: Completion, _events: int) -> bytes:
    """The event of a stream that breaks off."""
    return b"data: %b\n\n" % error_of(Refusal(why=Why.OVERLOADED)).body()


def usage(completion: Completion) -> dict[str, Any]:
    """What the call took."""
    used = completion.usage
    return {
        "prompt_tokens": used.input_total,
        "completion_tokens": used.output_total,
        "total_tokens": used.input_total + used.output_total,
        "prompt_tokens_details": {
            "cached_tokens": used.input_cached_read,
            "cache_write_tokens": used.input_cache_write_5m,
            "audio_tokens": 0,
        },
        "completion_tokens_details": {
            "reasoning_tokens": used.reasoning,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }


def _call(completion: Completion, number: int, call: ToolCall) -> dict[str, Any]:
    return {
        "id": completion.id("call_", number + 1),
        "type": "function",
        "function": {"name": call.name, "arguments": call.arguments},
    }


def _call_deltas(completion: Completion, number: int, call: ToolCall) -> Iterator[dict[str, Any]]:
    opened = _call(completion, number, ToolCall(name=call.name, arguments=""))
    yield {"index": number, **opened}
    for _, piece in pieces(call.arguments, 0):
        yield {"index": number, "function": {"arguments": piece}}


def _wants_usage(completion: Completion) -> bool:
    options = completion.fields.get("stream_options")
    return isinstance(options, dict) and options.get("include_usage") is True


def _chunk(
    completion: Completion,
    delta: dict[str, Any],
    has_usage: bool,
    finish_reason: str | None = None,
) -> bytes:
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
    # With usage asked for, every chunk before the last says that it has none.
    empty = {"usage": None} if has_usage else {}
    return _event(completion, {"choices": [choice], **empty})


def _event(completion: Completion, fields: dict[str, Any]) -> bytes:
    return b"data: %b\n\n" % orjson.dumps(_envelope(completion, "chat.completion.chunk") | fields)


def _envelope(completion: Completion, kind: str) -> dict[str, Any]:
    return {
        "id": completion.id("chatcmpl-"),
        "object": kind,
        "created": completion.created,
        "model": completion.model,
        "service_tier": "default",
        "system_fingerprint": SYSTEM_FINGERPRINT,
    }


def model_list(models: tuple[str, ...], created: int) -> bytes:
    """The body of `GET /v1/models`."""
    data = [
        {"id": model, "object": "model", "created": created, "owned_by": "simulator"}
        for model in models
    ]
    return orjson.dumps({"object": "list", "data": data})
