"""Answers of servers that speak OpenAI's protocol, as their documentation shows them. Data."""

from dataclasses import dataclass, field
from typing import Any

import orjson

from tollway_schemas.failure import FailureClass
from tollway_workers.providers.base import Finish

Class = FailureClass
Json = dict[str, Any]


@dataclass(frozen=True)
class Means:
    """What an answer is to be taken for."""

    text: str | None = None
    finish: Finish = Finish.STOP
    #: The server's own word.
    reason: str | None = "stop"
    #: Name and arguments of each.
    tools: tuple[tuple[str, str], ...] = ()
    #: Prompt, of it cached; answer, of it reasoning.
    usage: tuple[int, int, int, int] | None = (12, 4, 9, 3)
    #: Pieces of the body that is kept with the reply.
    keeps: tuple[str, ...] = ()


@dataclass(frozen=True)
class Answer:
    """A response, and what it means: a completion, or a failure of a class."""

    name: str
    body: bytes
    means: Means | Class
    status: int = 200
    headers: dict[str, str] = field(default_factory=lambda: {"content-type": "application/json"})


_USAGE: Json = {
    "prompt_tokens": 12,
    "completion_tokens": 9,
    "prompt_tokens_details": {"cached_tokens": 4},
    "completion_tokens_details": {"reasoning_tokens": 3},
}


def _whole(message: Json, finish: Any = "stop", **choice: Any) -> bytes:
    """A chat completion, as the API reference shows it."""
    return orjson.dumps(
        {
            "id": "chatcmpl-1",
            "object": "chat.completion",
            "created": 1_700_000_000,
            "model": "m-2026",
            "choices": [
                {
                    "index": 0,
                    "message": {"role": "assistant", **message},
                    "finish_reason": finish,
                    **choice,
                }
            ],
            "usage": _USAGE,
        }
    )


def _event(data: Any) -> bytes:
    return b"data: " + (data if isinstance(data, bytes) else orjson.dumps(data)) + b"\n\n"


def _chunk(delta: Json, finish: str | None = None, **choice: Any) -> bytes:
    return _event(
        {
            "id": "chatcmpl-1",
            "object": "chat.completion.chunk",
            "model": "m-2026",
            "choices": [{"index": 0, "delta": delta, "finish_reason": finish, **choice}],
        }
    )


_ROLE = _chunk({"role": "assistant", "content": ""})
_TOTALS = _event({"choices": [], "usage": _USAGE})
_DONE = _event(b"[DONE]")


def _stream(*events: bytes, finish: str = "stop") -> bytes:
    return b"".join((_ROLE, *events, _chunk({}, finish), _TOTALS, _DONE))


_CALL = {"name": "f", "arguments": '{"a":1}'}
_TOOL = {"id": "call_1", "type": "function", "function": _CALL}
_TOOLS = Means(finish=Finish.TOOL, reason="tool_calls", tools=(("f", '{"a":1}'),))
_HELLO = Means("Hello \u2028 wörld")
_REFUSED = Means(finish=Finish.REFUSAL)
_CUT = Means("Hel", Finish.LENGTH, "length")

COMPLETIONS = (
    Answer("plain", _whole({"content": _HELLO.text}), _HELLO),
    Answer("schema", _whole({"content": '{"a":1}'}), Means('{"a":1}')),
    Answer("tools", _whole({"content": None, "tool_calls": [_TOOL]}, "tool_calls"), _TOOLS),
    Answer("tool arguments as an object", _whole({"tool_calls": [
        {"function": {"name": "f", "arguments": {"a": 1}}}]}, "tool_calls"), _TOOLS),
    Answer("the older function_call", _whole({"function_call": _CALL}, "function_call"),
           Means(finish=Finish.TOOL, reason="function_call", tools=_TOOLS.tools)),
    Answer("refusal", _whole({"content": None, "refusal": "I can't."}), _REFUSED),
    Answer("refusal as a part", _whole({"content": [{"type": "refusal", "refusal": "no"}]}),
           _REFUSED),
    Answer("truncation", _whole({"content": "Hel"}, "length"), _CUT),
    Answer("truncation in another word", _whole({"content": "Hel"}, "MAX_TOKENS"),
           Means("Hel", Finish.LENGTH, "MAX_TOKENS")),
    Answer("a content filter", _whole({"content": ""}, "content_filter"),
           Means(None, Finish.CONTENT_FILTER, "content_filter")),
    Answer("a reason nobody knows", _whole({"content": "a"}, "abort"),
           Means("a", Finish.UNKNOWN, "abort")),
    Answer("no reason", _whole({"content": "a"}, None), Means("a", Finish.NOT_SAID, None)),
    Answer("content as parts", _whole({"content": [
        {"type": "text", "text": "Hello "}, {"type": "text", "text": "there"}]}),
        Means("Hello there")),
    Answer("reasoning_content", _whole({"content": "a", "reasoning_content": "hm"}),
           Means("a", keeps=('"reasoning_content":"hm"',))),
    Answer("reasoning", _whole({"content": "a", "reasoning": "hm"}),
           Means("a", keeps=('"reasoning":"hm"',))),
    Answer("annotations", _whole({"content": "a", "annotations": [
        {"type": "url_citation", "url_citation": {"url": "https://x"}}]}),
        Means("a", keeps=('"url_citation"',))),
    Answer("logprobs", _whole({"content": "a"}, logprobs={"content": [{"token": "a"}]}),
           Means("a", keeps=('"logprobs":{"content":[{"token":"a"}]}',))),
    Answer("blanks before JSON", b"\n\n\n" + _whole({"content": "a"}), Means("a")),
    Answer("a byte order mark", b"\xef\xbb\xbf" + _whole({"content": "a"}), Means("a")),
    Answer("no usage", orjson.dumps({"choices": [
        {"message": {"content": "a"}, "finish_reason": "stop"}]}), Means("a", usage=None)),
)  # fmt: skip

STREAMS = (
    Answer("stream", _stream(_chunk({"content": "Hello \u2028"}), _chunk({"content": " wörld"})),
           _HELLO),
    Answer("lines end in CRLF",
           _stream(_chunk({"content": _HELLO.text})).replace(b"\n", b"\r\n"), _HELLO),
    Answer("lines end in CR", _stream(_chunk({"content": "a"})).replace(b"\n", b"\r"), Means("a")),
    Answer("comments and kinds", b": OPENROUTER PROCESSING\n\n: keep-alive\n\n" + _stream(
        b"event: message\nid: 1\nretry: 5\n" + _chunk({"content": "a"}), b": ping\n\n"),
        Means("a")),
    Answer("no space after data:", _stream(_chunk({"content": "a"})).replace(b"data: ", b"data:"),
           Means("a")),
    Answer("several data lines", _stream(_chunk({"content": "a"}).replace(b'"object"',
           b'\ndata: "object"')), Means("a")),
    Answer("no [DONE]", _stream(_chunk({"content": "a"})).removesuffix(_DONE), Means("a")),
    Answer("no usage in it", _ROLE + _chunk({"content": "a"}) + _chunk({}, "stop") + _DONE,
           Means("a", usage=None)),
    Answer("usage in x_groq", _ROLE + _chunk({"content": "a"}) + _event({
        "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}],
        "x_groq": {"usage": _USAGE}}) + _DONE, Means("a")),
    Answer("a first chunk without choices", _event({"choices": [], "prompt_filter_results": []})
           + _stream(_chunk({"content": "a"})), Means("a")),
    Answer("padding", _stream(_event({"choices": [{"index": 0, "delta": {"content": "a"}}],
                                      "obfuscation": "xyzzy"})), Means("a")),
    Answer("tools in pieces", _stream(
        _chunk({"tool_calls": [{"index": 0, "id": "call_1", "type": "function",
                                "function": {"name": "f", "arguments": ""}}]}),
        _chunk({"tool_calls": [{"index": 0, "function": {"arguments": '{"a"'}}]}),
        _chunk({"tool_calls": [{"index": 0, "function": {"arguments": ":1}"}}]}),
        finish="tool_calls"), _TOOLS),
    Answer("refusal in pieces", _stream(_chunk({"refusal": "I "}), _chunk({"refusal": "can't"})),
           _REFUSED),
    Answer("truncation in a stream", _stream(_chunk({"content": "Hel"}), finish="length"), _CUT),
    Answer("reasoning in pieces", _stream(_chunk({"reasoning_content": "h"}),
           _chunk({"reasoning_content": "m"}), _chunk({"content": "a"})),
           Means("a", keeps=('"reasoning_content":"hm"',))),
    Answer("logprobs in pieces", _stream(
        _chunk({"content": "a"}, logprobs={"content": [{"token": "a"}]}),
        _chunk({"content": "b"}, logprobs={"content": [{"token": "b"}]})),
        Means("ab", keeps=('"logprobs":{"content":[{"token":"a"},{"token":"b"}]}',))),
    Answer("annotations in a stream", _stream(_chunk({"content": "a"}), _chunk(
        {"annotations": [{"type": "url_citation", "url_citation": {"url": "https://x"}}]})),
        Means("a", keeps=('"url_citation"',))),
    Answer("the whole in one event", _event(_whole({"content": "a"})) + _DONE, Means("a")),
    # Not a stream, though one was asked for.
    Answer("JSON instead of a stream", _whole({"content": "a"}), Means("a")),
)  # fmt: skip


def _error(message: str, **fields: Any) -> bytes:
    return orjson.dumps({"error": {"message": message, **fields}})


#: Of every class that a provider's answer can mean: what its documentation shows.
FAILURES = (
    Answer("rate limit", _error("Rate limit reached", type="tokens", code="rate_limit_exceeded"),
           Class.RATE_LIMIT, 429),
    Answer("quota", _error("You exceeded your current quota", code="insufficient_quota"),
           Class.QUOTA_EXHAUSTED, 429),
    Answer("no credit", _error("Insufficient Balance", type="unknown_error"),
           Class.QUOTA_EXHAUSTED, 402),
    Answer("overloaded", _error("Slow Down", type="service_unavailable_error"),
           Class.OVERLOADED, 503),
    Answer("overloaded at Cloudflare", b"<html><title>529</title></html>", Class.OVERLOADED, 529),
    Answer("server error", _error("The server had an error", type="server_error"),
           Class.TRANSIENT, 500),
    Answer("bad gateway", b"<html><h1>502 Bad Gateway</h1></html>", Class.TRANSIENT, 502),
    Answer("context", _error("This model's maximum context length is 8192 tokens.",
                             code="context_length_exceeded"), Class.CONTEXT_LENGTH, 400),
    Answer("context at llama.cpp", orjson.dumps({"error": {"code": 400,
        "message": "the request exceeds the available context size",
        "type": "exceed_context_size_error"}}), Class.CONTEXT_LENGTH, 400),
    Answer("policy", _error("The response was filtered", code="content_filter",
                            innererror={"code": "ResponsibleAIPolicyViolation"}),
           Class.CONTENT_POLICY, 400),
    Answer("invalid", _error("Invalid value: 'x'", type="invalid_request_error", param="messages"),
           Class.INVALID_REQUEST, 400),
    Answer("invalid at FastAPI", orjson.dumps({"detail": [{"loc": ["body", "messages"],
        "msg": "Field required", "type": "missing"}]}), Class.INVALID_REQUEST, 422),
    Answer("key", _error("Incorrect API key provided", code="invalid_api_key"), Class.AUTH, 401),
    Answer("key at vLLM", b'{"error":"Unauthorized"}', Class.AUTH, 401),
    Answer("key at DeepSeek", b"Authentication Fails (no such user)", Class.AUTH, 401),
    Answer("model", _error("The model `m` does not exist", code="model_not_found"),
           Class.MODEL_NOT_FOUND, 404),
    Answer("field", _error("Unsupported parameter: 'max_completion_tokens'",
                           code="unsupported_parameter", param="max_completion_tokens"),
           Class.UNSUPPORTED_FIELD, 400),
    Answer("teapot", b"", Class.UNKNOWN, 418),
)  # fmt: skip

#: With status 200, and no completion.
ODD_ENVELOPES = (
    Answer("an error with a number", _error("upstream", code=502), Class.TRANSIENT),
    Answer("an error as a string", b'{"error":"model is loading"}', Class.NO_COMPLETION),
    Answer("a limit in a choice", orjson.dumps({"choices": [{"error": {
        "code": 429, "message": "slow"}, "finish_reason": "error",
        "message": {"content": "Hel"}}]}), Class.RATE_LIMIT),
    Answer("Google's list", orjson.dumps([{"error": {"code": 429, "message": "x",
        "status": "RESOURCE_EXHAUSTED"}}]), Class.NO_COMPLETION),
    Answer("a page", b"<!DOCTYPE html><title>Sign in</title>", Class.NO_COMPLETION,
           headers={"content-type": "text/html"}),
    Answer("a string", b'"ok"', Class.NO_COMPLETION),
    Answer("a list", b"[]", Class.NO_COMPLETION),
    Answer("null", b"null", Class.NO_COMPLETION),
    Answer("nothing", b"", Class.NO_COMPLETION),
    Answer("no choices", b'{"choices":[]}', Class.TRANSIENT),
    Answer("cut JSON", _whole({"content": "Hello"})[:40], Class.TRANSIENT),
)  # fmt: skip

#: A stream that is no answer, after a 200.
BROKEN_STREAMS = (
    Answer("an error in mid-stream", _ROLE + _chunk({"content": "Hel"}) + _event(
        {"error": {"message": "overloaded", "code": 503}}), Class.OVERLOADED),
    Answer("an error of its own kind", _ROLE + b"event: error\n" + _event(
        {"message": "Rate limit", "code": 429}), Class.RATE_LIMIT),
    Answer("an error in a choice", _ROLE + _event({"choices": [{"index": 0, "delta": {},
        "finish_reason": "error", "error": {"code": 502, "message": "gone"}}]}) + _DONE,
        Class.TRANSIENT),
    Answer("an end before the answer's", _ROLE + _chunk({"content": "Hel"}), Class.TRANSIENT),
    Answer("[DONE] before the answer's end", _ROLE + _chunk({"content": "Hel"}) + _DONE,
           Class.TRANSIENT),
    Answer("a chunk that is no JSON", _ROLE + _event(b'{"choices":[') + _DONE, Class.TRANSIENT),
    Answer("no chunk at all", _DONE, Class.TRANSIENT),
)  # fmt: skip
