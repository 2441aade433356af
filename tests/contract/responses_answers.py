"""Answers of OpenAI's Responses, as its documentation shows them. Data.

https://platform.openai.com/docs/api-reference/responses
"""

import re
from typing import Any

import orjson
from openai_answers import FAILURES as OF_CHAT
from openai_answers import Answer, Means

from tollway_schemas.failure import FailureClass
from tollway_workers.providers.base import Finish

Class = FailureClass
Json = dict[str, Any]

_USAGE: Json = {
    "input_tokens": 12,
    "input_tokens_details": {"cached_tokens": 4, "cache_write_tokens": 0},
    "output_tokens": 9,
    "output_tokens_details": {"reasoning_tokens": 3},
    "total_tokens": 21,
}


def _response(*items: Json, status: Any = "completed", **fields: Any) -> Json:
    return {
        "id": "resp_1",
        "object": "response",
        "created_at": 1_700_000_000,
        "status": status,
        "error": None,
        "incomplete_details": None,
        "model": "m-2026",
        "output": list(items),
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
        "usage": _USAGE,
        **fields,
    }


def _whole(*items: Json, status: Any = "completed", **fields: Any) -> bytes:
    return orjson.dumps(_response(*items, status=status, **fields))


def _said(*parts: Json, **fields: Any) -> Json:
    return {"id": "msg_1", "type": "message", "role": "assistant", "status": "completed",
            "content": list(parts), **fields}  # fmt: skip


def _text(text: str) -> Json:
    return {"type": "output_text", "text": text, "annotations": []}


def _event(kind: str, **fields: Any) -> bytes:
    data = orjson.dumps({"type": kind, "sequence_number": 0, **fields})
    return b"event: " + kind.encode() + b"\ndata: " + data + b"\n\n"


def _delta(text: str, kind: str = "response.output_text.delta") -> bytes:
    return _event(kind, item_id="msg_1", output_index=0, content_index=0, delta=text)


def _ended(*items: Json, how: str = "completed", **fields: Any) -> bytes:
    return _event(f"response.{how}", response=_response(*items, status=how, **fields))


_OPENING = (
    _event("response.created", response=_response(status="in_progress", usage=None))
    + _event("response.in_progress", response=_response(status="in_progress", usage=None))
    + _event("response.output_item.added", output_index=0, item=_said(status="in_progress"))
    + _event("response.content_part.added", output_index=0, content_index=0, part=_text(""))
)

_REASONING: Json = {"id": "rs_1", "type": "reasoning", "summary": []}
_CALL: Json = {"id": "fc_1", "type": "function_call", "call_id": "call_1", "name": "f",
               "arguments": '{"a":1}', "status": "completed"}  # fmt: skip
_NO_CALL: Json = {**_CALL, "arguments": "", "status": "in_progress"}
_TOOLS = Means(finish=Finish.TOOL, reason="completed", tools=(("f", '{"a":1}'),))
_HELLO = Means("Hello \u2028 wörld", reason="completed")
_A = Means("a", reason="completed")
_REFUSED = Means(finish=Finish.REFUSAL, reason="completed")
_REFUSAL: Json = {"type": "refusal", "refusal": "I can't."}
_CUT = Means("Hel", Finish.LENGTH, "max_output_tokens")
_LONG: Json = {"incomplete_details": {"reason": "max_output_tokens"}}

COMPLETIONS = (
    Answer("plain", _whole(_said(_text(_HELLO.text or ""))), _HELLO),
    Answer("schema", _whole(_said(_text('{"a":1}'))), Means('{"a":1}', reason="completed")),
    Answer("tools", _whole(_REASONING, _CALL), _TOOLS),
    Answer("tool arguments as an object", _whole({**_CALL, "arguments": {"a": 1}}), _TOOLS),
    Answer("refusal", _whole(_said(_REFUSAL)), _REFUSED),
    Answer("truncation", _whole(_said(_text("Hel")), status="incomplete", **_LONG), _CUT),
    Answer("truncation before a word", _whole(_REASONING, status="incomplete", **_LONG),
           Means(None, Finish.LENGTH, "max_output_tokens")),
    Answer("a content filter", _whole(_said(_text("Hel")), status="incomplete",
                                      incomplete_details={"reason": "content_filter"}),
           Means("Hel", Finish.CONTENT_FILTER, "content_filter")),
    Answer("incomplete, and no reason", _whole(_said(_text("a")), status="incomplete"),
           Means("a", Finish.UNKNOWN, "incomplete")),
    *(Answer(status, _whole(_said(_text("a")), status=status), Means("a", Finish.UNKNOWN, status))
      for status in ("in_progress", "queued", "cancelled")),
    Answer("no status", _whole(_said(_text("a")), status=None), Means("a", Finish.NOT_SAID, None)),
    Answer("reasoning", _whole({**_REASONING, "summary": [{"type": "summary_text", "text": "hm"}]},
                               _said(_text("a"))), Means("a", reason="completed", keeps=('"hm"',))),
    Answer("text in parts", _whole(_said(_text("Hello "), _text("there"))),
           Means("Hello there", reason="completed")),
    Answer("commentary before the answer", _whole(
        _said(_text("Let me look."), phase="commentary"), _said(_text("a"), phase="final_answer")),
        Means("a", reason="completed", keeps=("Let me look.",))),
    Answer("a search of the provider's own", _whole(
        {"id": "ws_1", "type": "web_search_call", "status": "completed"}, _said(_text("a"))), _A),
    Answer("content as text", _whole({"type": "message", "content": "a"}), _A),
    Answer("no output", _whole(), Means(None, reason="completed")),
    Answer("no usage", _whole(_said(_text("a")), usage=None),
           Means("a", reason="completed", usage=None)),
)  # fmt: skip

STREAMS = (
    Answer("stream", _OPENING + _delta("Hello \u2028") + _delta(" wörld")
           + _event("response.output_text.done", output_index=0, text=_HELLO.text)
           + _ended(_said(_text(_HELLO.text or ""))), _HELLO),
    Answer("no kinds of events", re.sub(
        rb"event: .*\n", b"", _OPENING + _delta("a") + _ended(_said(_text("a")))), _A),
    Answer("tools in a stream", _event("response.output_item.added", output_index=0, item=_NO_CALL)
           + _delta('{"a"', "response.function_call_arguments.delta")
           + _delta(":1}", "response.function_call_arguments.delta") + _ended(_CALL), _TOOLS),
    Answer("refusal in pieces", _OPENING + _delta("I can't.", "response.refusal.delta")
           + _ended(_said(_REFUSAL)), _REFUSED),
    Answer("truncation in a stream", _OPENING + _delta("Hel")
           + _ended(_said(_text("Hel")), how="incomplete", **_LONG), _CUT),
    Answer("reasoning in pieces", _delta("hm", "response.reasoning_summary_text.delta")
           + _OPENING + _delta("a") + _ended(_said(_text("a"))), _A),
    Answer("an event that is new", _OPENING + _event("response.confetti", amount=3) + _delta("a")
           + _ended(_said(_text("a"))), _A),
    Answer("[DONE] after it", _OPENING + _ended(_said(_text("a"))) + b"data: [DONE]\n\n", _A),
    # Servers that leave the output out of the last event.
    Answer("the output in items", _OPENING + _delta("a") + _event(
        "response.output_item.done", output_index=0, item=_said(_text("a"))) + _ended(), _A),
    Answer("the output in pieces alone", _delta("a") + _ended(), _A),
    Answer("tools in pieces alone", _event(
        "response.output_item.added", output_index=0, item=_NO_CALL)
        + _delta('{"a":1}', "response.function_call_arguments.delta") + _ended(), _TOOLS),
    Answer("JSON instead of a stream", _whole(_said(_text("a"))), _A),
)  # fmt: skip

#: Before there is a response, errors are those of chat; of the names of a limit this has one.
FAILURES = tuple(each for each in OF_CHAT if each.name != "field")


def _failed(code: str | None, message: str = "x") -> bytes:
    return _whole(status="failed", error={"code": code, "message": message}, usage=None)


#: With status 200, and no completion.
ODD_ENVELOPES = (
    Answer("failed at the server", _failed("server_error"), Class.TRANSIENT),
    Answer("failed at a limit", _failed("rate_limit_exceeded"), Class.RATE_LIMIT),
    Answer("failed at the prompt", _failed("invalid_prompt"), Class.CONTENT_POLICY),
    Answer("failed at a policy", _failed("bio_policy"), Class.CONTENT_POLICY),
    Answer("failed at an image's policy", _failed("image_content_policy_violation"),
           Class.CONTENT_POLICY),
    Answer("failed at an image", _failed("invalid_base64_image"), Class.INVALID_REQUEST),
    Answer("failed at an address", _failed("failed_to_download_image"), Class.INVALID_REQUEST),
    Answer("failed at a region", _failed("data_residency_mismatch"), Class.INVALID_REQUEST),
    Answer("failed at its context", _failed("context_length_exceeded"), Class.CONTEXT_LENGTH),
    Answer("failed in a new word", _failed("gremlins"), Class.TRANSIENT),
    Answer("failed without a word", _whole(status="failed"), Class.TRANSIENT),
    Answer("an error with a number", b'{"error":{"message":"x","code":502}}', Class.TRANSIENT),
    Answer("an error as a string", b'{"error":"model is loading"}', Class.NO_COMPLETION),
    Answer("chat's answer", b'{"object":"chat.completion","choices":[{"message":{}}]}',
           Class.NO_COMPLETION),
    Answer("a page", b"<!DOCTYPE html><title>Sign in</title>", Class.NO_COMPLETION,
           headers={"content-type": "text/html"}),
    Answer("a string", b'"ok"', Class.NO_COMPLETION),
    Answer("a list", b"[]", Class.NO_COMPLETION),
    Answer("null", b"null", Class.NO_COMPLETION),
    Answer("nothing", b"", Class.NO_COMPLETION),
    Answer("cut JSON", _whole(_said(_text("Hello")))[:60], Class.TRANSIENT),
)  # fmt: skip

#: A stream that is no answer, after a 200.
BROKEN_STREAMS = (
    Answer("an error in mid-stream", _OPENING + _delta("Hel") + _event(
        "error", code="server_error", message="The server had an error", param=None),
        Class.TRANSIENT),
    Answer("a limit in mid-stream", _OPENING + _event(
        "error", code="rate_limit_exceeded", message="slow", param=None), Class.RATE_LIMIT),
    Answer("an error of no code", _OPENING + _event("error", code=None, message="x", param=None),
           Class.TRANSIENT),
    Answer("an error in an object", _OPENING + _event("error", error={
        "type": "invalid_request_error", "code": "context_length_exceeded", "message": "x"}),
        Class.CONTEXT_LENGTH),
    Answer("an account's limit", _OPENING + _event("error", error={
        "type": "insufficient_quota", "code": "insufficient_quota", "message": "x"}),
        Class.QUOTA_EXHAUSTED),
    Answer("a response that fails", _OPENING + _delta("Hel") + _event(
        "response.failed", response=_response(status="failed", usage=None, error={
            "code": "server_error", "message": "The model failed to generate a response."})),
        Class.TRANSIENT),
    Answer("an end before the answer's", _OPENING + _delta("Hel"), Class.TRANSIENT),
    Answer("[DONE] before the answer's end", _OPENING + _delta("Hel") + b"data: [DONE]\n\n",
           Class.TRANSIENT),
    Answer("an event that is no JSON", _OPENING + b'data: {"type":\n\n' + _delta("a")
           + _ended(_said(_text("a"))), Class.TRANSIENT),
    Answer("no event at all", b"data: [DONE]\n\n", Class.TRANSIENT),
)  # fmt: skip
