"""Gemini's generateContent as it looks on the wire: bodies and events. Pure."""

import base64
from collections.abc import Iterator
from typing import Any

import orjson

from tollway_workers.local.simulator.answer import Answer, Completion, ToolCall
from tollway_workers.local.simulator.refusals import Refusal, Why
from tollway_workers.local.simulator.wire.dialect import pieces
from tollway_workers.local.simulator.wire.gemini.errors import refuse
from tollway_workers.local.simulator.wire.gemini.read import shows_thoughts

_FINISH = {
    "stop": "STOP",
    "length": "MAX_TOKENS",
    "tool_calls": "STOP",
    "content_filter": "PROHIBITED_CONTENT",
}


def headers(_request_id: str, seconds: float) -> dict[str, str]:
    """Headers of any answer."""
    return {"server-timing": f"gfet4t7; dur={int(seconds * 1000)}", "vary": "Origin, X-Origin"}


def body(completion: Completion) -> bytes:
    """The plain answer."""
    answer = completion.answer
    parts = [*_thoughts(completion), *([{"text": answer.content}] if answer.content else ())]
    calls, is_malformed = _calls(completion)
    return _response(
        completion,
        [*parts, *calls],
        finish=_finish(answer, is_malformed),
        spoken=answer.completion_tokens,
    )


def events(completion: Completion) -> Iterator[tuple[int, bytes]]:
    """The chunks, each a response of its own; the last says why the model stopped."""
    answer, total = completion.answer, completion.answer.completion_tokens
    thinks = answer.reasoning_tokens
    for thought in _thoughts(completion):
        yield thinks, _event(_response(completion, [thought], spoken=thinks))
    for tokens, piece in pieces(answer.content or "", total - thinks):
        spoken = thinks + tokens
        yield spoken, _event(_response(completion, [{"text": piece}], spoken=spoken))
    calls, is_malformed = _calls(completion)
    if calls:
        yield total, _event(_response(completion, calls, spoken=total))
    last: list[dict[str, Any]] = [{"text": ""}] if answer.content else []
    finish = _finish(answer, is_malformed)
    yield total, _event(_response(completion, last, finish=finish, spoken=total))


def broken(_completion: Completion, _events: int) -> bytes:
    """The event of a stream that breaks off."""
    return _event(refuse(Refusal(why=Why.OVERLOADED), "").body)


def _response(
    completion: Completion,
    parts: list[dict[str, Any]],
    *,
    spoken: int,
    finish: str | None = None,
) -> bytes:
    if finish == "PROHIBITED_CONTENT":
        return _blocked(completion)
    candidate: dict[str, Any] = {"index": 0}
    if finish not in ("SAFETY", "MALFORMED_FUNCTION_CALL"):
        # Without any part where nothing is said.
        candidate["content"] = {"role": "model"} | ({"parts": parts} if parts else {})
    if finish is not None:
        candidate["finishReason"] = finish
    if finish == "SAFETY":
        candidate["safetyRatings"] = [
            {
                "category": "HARM_CATEGORY_DANGEROUS_CONTENT",
                "probability": "HIGH",
                "blocked": True,
            }
        ]
    response = {
        "candidates": [candidate],
        "usageMetadata": _usage(completion, spoken),
        "modelVersion": completion.model,
        "responseId": completion.key,
    }
    return orjson.dumps(response)


def _blocked(completion: Completion) -> bytes:
    """No candidate: the prompt itself is blocked."""
    response = {
        "promptFeedback": {"blockReason": "PROHIBITED_CONTENT"},
        "usageMetadata": _usage(completion, 0),
        "modelVersion": completion.model,
        "responseId": completion.key,
    }
    return orjson.dumps(response)


def _thoughts(completion: Completion) -> list[dict[str, Any]]:
    reasoning = completion.answer.reasoning
    if not reasoning or not shows_thoughts(completion.fields):
        return []
    return [{"text": reasoning, "thought": True}]


def _calls(completion: Completion) -> tuple[list[dict[str, Any]], bool]:
    """The calls as parts, and whether one is none: then nothing of the answer is told."""
    answer = completion.answer
    parts: list[dict[str, Any]] = []
    for number, call in enumerate(answer.calls):
        arguments = _arguments(call)
        if arguments is None:
            # One that was cut off is left out.
            return ([], True) if answer.finish_reason != "length" else (parts, False)
        part: dict[str, Any] = {"functionCall": {"name": call.name, "args": arguments}}
        if answer.reasoning_tokens and number == 0:
            signature = base64.b64encode(completion.key.encode()).decode()
            part["thoughtSignature"] = signature
        parts.append(part)
    return parts, False


def _arguments(call: ToolCall) -> dict[str, Any] | None:
    try:
        value = orjson.loads(call.arguments)
    except orjson.JSONDecodeError:
        return None
    return value if isinstance(value, dict) else None


def _finish(answer: Answer, is_malformed: bool) -> str:
    if answer.refusal is not None:
        return "SAFETY"
    return "MALFORMED_FUNCTION_CALL" if is_malformed else _FINISH[answer.finish_reason]


def _usage(completion: Completion, spoken: int) -> dict[str, Any]:
    """What has been used when so many tokens are spoken."""
    used = completion.usage
    thought = min(used.reasoning, spoken)
    counted: dict[str, Any] = {
        "promptTokenCount": used.input_total,
        "candidatesTokenCount": spoken - thought,
        "totalTokenCount": used.input_total + spoken,
        "promptTokensDetails": [{"modality": "TEXT", "tokenCount": used.input_total}],
    }
    if thought:
        counted["thoughtsTokenCount"] = thought
    if used.input_cached_read:
        counted["cachedContentTokenCount"] = used.input_cached_read
    return counted


def _event(response: bytes) -> bytes:
    # Google ends lines as the standard of old does.
    return b"data: %b\r\n\r\n" % response
