"""Anthropic's Messages as they look on the wire: bodies and events. Pure."""

from collections.abc import Iterator
from typing import Any

import orjson

from tollway_workers.local.simulator.answer import Answer, Completion, ToolCall
from tollway_workers.local.simulator.wire.dialect import pieces

_STOP_REASONS = {
    "stop": "end_turn",
    "length": "max_tokens",
    "tool_calls": "tool_use",
    "content_filter": "refusal",
}
_PING = {"type": "ping"}

#: A block of the answer's content, and the deltas that it comes in.
_Block = tuple[dict[str, Any], list[tuple[int, dict[str, Any]]]]


def headers(request_id: str, _seconds: float) -> dict[str, str]:
    """Headers of any answer."""
    return {"request-id": request_id, "anthropic-organization-id": "org-simulated"}


def body(completion: Completion) -> bytes:
    """The plain answer."""
    answer = completion.answer
    return orjson.dumps(
        _message(completion)
        | {"content": [_whole(block) for block in _content(completion)]}
        | _stop(answer)
        | {"usage": _usage(completion)}
    )


def events(completion: Completion) -> Iterator[tuple[int, bytes]]:
    """The events: the message opens, each block comes in deltas, the reason and the usage."""
    answer, total = completion.answer, completion.answer.completion_tokens
    opened = _message(completion) | {"content": [], "stop_reason": None, "stop_sequence": None}
    opened["usage"] = _usage(completion) | {"output_tokens": 1, "output_tokens_details": None}
    yield 0, _event({"type": "message_start", "message": opened})
    for index, (block, deltas) in enumerate(_content(completion)):
        start = {"type": "content_block_start", "index": index, "content_block": block}
        yield 0, _event(start) + (b"" if index else _event(_PING))
        for tokens, delta in deltas:
            yield tokens, _event({"type": "content_block_delta", "index": index, "delta": delta})
        yield total, _event({"type": "content_block_stop", "index": index})
    used = _usage(completion)
    counted = {name: each for name, each in used.items() if name.endswith(("tokens", "details"))}
    last = _event({"type": "message_delta", "delta": _stop(answer), "usage": counted})
    yield total, last + _event({"type": "message_stop"})


def broken(_completion: Completion, _events: int) -> bytes:
    """The event of a stream that breaks off."""
    error = {"type": "overloaded_error", "message": "Overloaded"}
    return _event({"type": "error", "error": error})


def _message(completion: Completion) -> dict[str, Any]:
    return {
        "id": completion.id("msg_"),
        "type": "message",
        "role": "assistant",
        "model": completion.model,
    }


def _content(completion: Completion) -> Iterator[_Block]:
    """The blocks as they open, with their deltas."""
    answer = completion.answer
    thinks = answer.reasoning_tokens
    if answer.reasoning and _shows_thoughts(completion):
        thought = list(pieces(answer.reasoning, thinks))
        deltas = [(n, {"type": "thinking_delta", "thinking": piece}) for n, piece in thought]
        signed = {"type": "signature_delta", "signature": completion.id("sig")}
        yield {"type": "thinking", "thinking": "", "signature": ""}, [*deltas, (thinks, signed)]
    if answer.content:
        said = pieces(answer.content, answer.completion_tokens - thinks)
        deltas = [(thinks + n, {"type": "text_delta", "text": piece}) for n, piece in said]
        yield {"type": "text", "text": "", "citations": None}, deltas
    for number, call in enumerate(answer.calls):
        yield _tool_use(completion, number, call)


def _tool_use(completion: Completion, number: int, call: ToolCall) -> _Block:
    opened = {
        "type": "tool_use",
        "id": completion.id("toolu_", number + 1),
        "name": call.name,
        "input": {},
    }
    parts = ["", *(piece for _, piece in pieces(call.arguments, 0))]
    total = completion.answer.completion_tokens
    return opened, [(total, {"type": "input_json_delta", "partial_json": part}) for part in parts]


def _whole(block: _Block) -> dict[str, Any]:
    """A block with all its deltas."""
    opened, deltas = block
    said: dict[str, str] = {}
    for _, delta in deltas:
        for name, piece in delta.items():
            if name != "type":
                said[name] = said.get(name, "") + piece
    if "partial_json" in said:
        return opened | {"input": _input(said["partial_json"])}
    return opened | said


def _input(arguments: str) -> dict[str, Any]:
    """The arguments as an object, which they are here whatever the model wrote."""
    try:
        value = orjson.loads(arguments)
    except orjson.JSONDecodeError:
        value = None
    return value if isinstance(value, dict) else {"INVALID_JSON": arguments}


def _stop(answer: Answer) -> dict[str, Any]:
    reason = _STOP_REASONS[answer.finish_reason] if answer.refusal is None else "refusal"
    details = None
    if reason == "refusal":
        details = {"type": "refusal", "category": "general_harms", "explanation": answer.refusal}
    return {"stop_reason": reason, "stop_sequence": None, "stop_details": details}


def _shows_thoughts(completion: Completion) -> bool:
    thinking = completion.fields.get("thinking")
    return isinstance(thinking, dict) and thinking.get("display") != "omitted"


def _usage(completion: Completion) -> dict[str, Any]:
    used = completion.usage
    written = used.input_cache_write_5m + used.input_cache_write_1h
    return {
        # What follows the last beginning that is cached.
        "input_tokens": used.input_total - used.input_cached_read - written,
        "cache_creation_input_tokens": written,
        "cache_read_input_tokens": used.input_cached_read,
        "cache_creation": {
            "ephemeral_5m_input_tokens": used.input_cache_write_5m,
            "ephemeral_1h_input_tokens": used.input_cache_write_1h,
        },
        "output_tokens": used.output_total,
        "output_tokens_details": {"thinking_tokens": used.reasoning},
        "service_tier": "standard",
        "inference_geo": "not_available",
    }


def _event(fields: dict[str, Any]) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (str(fields["type"]).encode(), orjson.dumps(fields))
