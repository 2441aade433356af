"""OpenAI's Responses as they look on the wire: bodies and events. Pure."""

from collections.abc import Iterator
from typing import Any

import orjson

from tollway_workers.local.simulator.answer import Completion, ToolCall
from tollway_workers.local.simulator.refusals import Refusal, Why
from tollway_workers.local.simulator.wire.dialect import pieces
from tollway_workers.local.simulator.wire.openai.errors import error_of

#: Each with the tokens that are spoken by then.
_Events = Iterator[tuple[int, dict[str, Any]]]
#: Why a response is incomplete.
_CUT = {"length": "max_output_tokens", "content_filter": "content_filter"}
#: How an item looks before anything of it is said.
_OPENED: dict[str, dict[str, Any]] = {
    "message": {"status": "in_progress", "content": []},
    "function_call": {"status": "in_progress", "arguments": ""},
    "reasoning": {"summary": []},
}


def body(completion: Completion) -> bytes:
    """The plain answer."""
    return orjson.dumps(_response(completion))


def events(completion: Completion) -> Iterator[tuple[int, bytes]]:
    """The events in their order, each with its number."""
    for number, (tokens, event) in enumerate(_events(completion)):
        fields = event | {"sequence_number": number}
        kind = str(fields["type"]).encode()
        yield tokens, b"event: %b\ndata: %b\n\n" % (kind, orjson.dumps(fields))


def broken(completion: Completion, events: int) -> bytes:
    """The event of a stream that breaks off: the response has failed."""
    error = error_of(Refusal(why=Why.SERVER_ERROR))
    failed = _envelope(completion, "failed") | {"output": [], "usage": None}
    failed["error"] = {"code": "server_error", "message": error.message}
    event = {"type": "response.failed", "response": failed, "sequence_number": events}
    return b"event: response.failed\ndata: %b\n\n" % orjson.dumps(event)


def _events(completion: Completion) -> _Events:
    begun = _envelope(completion, "in_progress") | {"output": [], "usage": None}
    yield 0, {"type": "response.created", "response": begun}
    yield 0, {"type": "response.in_progress", "response": begun}
    spoken = 0
    for index, item in enumerate(_output(completion)):
        opened = item | _OPENED[item["type"]]
        at = {"output_index": index, "item_id": item["id"]}
        yield spoken, {"type": "response.output_item.added", "output_index": index, "item": opened}
        for tokens, event in _within(item, completion):
            spoken = tokens
            yield tokens, event | at
        yield spoken, {"type": "response.output_item.done", "output_index": index, "item": item}
    whole = _response(completion)
    yield (
        completion.answer.completion_tokens,
        {
            "type": f"response.{whole['status']}",
            "response": whole,
        },
    )


def _response(completion: Completion) -> dict[str, Any]:
    reason = _CUT.get(completion.answer.finish_reason)
    whole = _envelope(completion, "completed" if reason is None else "incomplete")
    if reason is None:
        whole["completed_at"] = completion.created
    else:
        whole["incomplete_details"] = {"reason": reason}
    return whole | {"output": list(_output(completion)), "usage": _usage(completion)}


def _output(completion: Completion) -> Iterator[dict[str, Any]]:
    """The items, each as it is at its end."""
    answer = completion.answer
    status = "incomplete" if answer.finish_reason in _CUT else "completed"
    if answer.reasoning_tokens:
        yield _reasoning(completion)
    if not answer.calls and (answer.content or not answer.reasoning_tokens or answer.refusal):
        part: dict[str, Any] = {"type": "refusal", "refusal": answer.refusal}
        if answer.refusal is None:
            said = answer.content or ""
            part = {"type": "output_text", "text": said, "annotations": [], "logprobs": []}
        yield {
            "id": completion.id("msg_"),
            "type": "message",
            "status": status,
            "role": "assistant",
            "content": [part],
        }
    for number, call in enumerate(answer.calls):
        yield _call(completion, number, call, status)


def _reasoning(completion: Completion) -> dict[str, Any]:
    asked = completion.fields.get("reasoning")
    shown = isinstance(asked, dict) and asked.get("summary") is not None
    text = completion.answer.reasoning
    item: dict[str, Any] = {
        "id": completion.id("rs_"),
        "type": "reasoning",
        "summary": [{"type": "summary_text", "text": text}] if shown else [],
    }
    included = completion.fields.get("include")
    if isinstance(included, list) and "reasoning.encrypted_content" in included:
        item["encrypted_content"] = completion.id("enc_")
    return item


def _call(completion: Completion, number: int, call: ToolCall, status: str) -> dict[str, Any]:
    return {
        "id": completion.id("fc_", number + 1),
        "type": "function_call",
        "status": status,
        "call_id": completion.id("call_", number + 1),
        "name": call.name,
        "arguments": call.arguments,
    }


def _within(item: dict[str, Any], completion: Completion) -> _Events:
    """The events of an item between its first and its last."""
    match item["type"]:
        case "message":
            yield from _message_events(item["content"][0], completion)
        case "function_call":
            total = completion.answer.completion_tokens
            kind = "response.function_call_arguments"
            for _, piece in pieces(item["arguments"], 0):
                yield total, {"type": f"{kind}.delta", "delta": piece}
            named = {"arguments": item["arguments"], "name": item["name"]}
            yield total, {"type": f"{kind}.done", **named}
        case "reasoning":
            yield from _summary_events(item["summary"], completion.answer.reasoning_tokens)


def _message_events(part: dict[str, Any], completion: Completion) -> _Events:
    name = "text" if part["type"] == "output_text" else "refusal"
    kind, at = f"response.{part['type']}", {"content_index": 0}
    extra: dict[str, Any] = {"logprobs": []} if name == "text" else {}
    total, thinks = completion.answer.completion_tokens, completion.answer.reasoning_tokens
    yield thinks, {"type": "response.content_part.added", "part": part | {name: ""}, **at}
    for tokens, piece in pieces(part[name], total - thinks):
        yield thinks + tokens, {"type": f"{kind}.delta", "delta": piece, **at, **extra}
    yield total, {"type": f"{kind}.done", name: part[name], **at, **extra}
    yield total, {"type": "response.content_part.done", "part": part, **at}


def _summary_events(summary: list[dict[str, Any]], tokens: int) -> _Events:
    kind = "response.reasoning_summary"
    for index, part in enumerate(summary):
        at = {"summary_index": index}
        yield 0, {"type": f"{kind}_part.added", "part": part | {"text": ""}, **at}
        for spoken, piece in pieces(part["text"], tokens):
            yield spoken, {"type": f"{kind}_text.delta", "delta": piece, **at}
        yield tokens, {"type": f"{kind}_text.done", "text": part["text"], **at}
        yield tokens, {"type": f"{kind}_part.done", "part": part, **at}


def _usage(completion: Completion) -> dict[str, Any]:
    used = completion.usage
    return {
        "input_tokens": used.input_total,
        "input_tokens_details": {
            "cached_tokens": used.input_cached_read,
            "cache_write_tokens": used.input_cache_write_5m,
        },
        "output_tokens": used.output_total,
        "output_tokens_details": {"reasoning_tokens": used.reasoning},
        "total_tokens": used.input_total + used.output_total,
    }


def _envelope(completion: Completion, status: str) -> dict[str, Any]:
    """What a response repeats of its request, and what it says of itself."""
    asked = completion.fields
    return {
        "id": completion.id("resp_"),
        "object": "response",
        "created_at": completion.created,
        "status": status,
        "background": False,
        "error": None,
        "incomplete_details": None,
        "instructions": asked.get("instructions"),
        "max_output_tokens": asked.get("max_output_tokens"),
        "metadata": asked.get("metadata") or {},
        "model": completion.model,
        "parallel_tool_calls": asked.get("parallel_tool_calls") is not False,
        "previous_response_id": None,
        "reasoning": asked.get("reasoning") or {"effort": None, "summary": None},
        "service_tier": "default",
        "store": asked.get("store") is not False,
        "temperature": asked.get("temperature", 1.0),
        "text": asked.get("text") or {"format": {"type": "text"}},
        "tool_choice": asked.get("tool_choice") or "auto",
        "tools": asked.get("tools") or [],
        "top_p": asked.get("top_p", 1.0),
        "truncation": asked.get("truncation") or "disabled",
        "user": None,
    }
