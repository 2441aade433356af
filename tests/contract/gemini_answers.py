"""Answers of Gemini's generateContent, as Google's documentation shows them. Data.

https://ai.google.dev/api/generate-content, https://ai.google.dev/gemini-api/docs/troubleshooting
"""

from typing import Any

import orjson
from openai_answers import Answer, Means

from tollway_schemas.failure import FailureClass
from tollway_workers.providers.base import Finish

Class = FailureClass
Json = dict[str, Any]

#: Thoughts stand beside the answer's tokens; what is cached is a part of the prompt's.
_USAGE: Json = {
    "promptTokenCount": 12,
    "cachedContentTokenCount": 4,
    "candidatesTokenCount": 6,
    "thoughtsTokenCount": 3,
    "totalTokenCount": 21,
    "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 12}],
}
_ENVELOPE: Json = {"modelVersion": "gemini-3-flash", "responseId": "r-1"}
_RATINGS = [{"category": "HARM_CATEGORY_HARASSMENT", "probability": "NEGLIGIBLE"}]


def _response(*parts: Json, finish: str | None = "STOP", **fields: Any) -> Json:
    candidate: Json = {"index": 0, "safetyRatings": _RATINGS}
    if parts:
        candidate["content"] = {"role": "model", "parts": list(parts)}
    if finish is not None:
        candidate["finishReason"] = finish
    return {"candidates": [candidate], "usageMetadata": _USAGE, **_ENVELOPE, **fields}


def _whole(*parts: Json, finish: str | None = "STOP", **fields: Any) -> bytes:
    return orjson.dumps(_response(*parts, finish=finish, **fields))


def _event(data: Any) -> bytes:
    return b"data: " + (data if isinstance(data, bytes) else orjson.dumps(data)) + b"\r\n\r\n"


def _chunk(*parts: Json, finish: str | None = None) -> bytes:
    return _event(_response(*parts, finish=finish))


def _text(text: str) -> Json:
    return {"text": text}


def _blocked(reason: str) -> Json:
    """A prompt that was not let to the model: there is no candidate."""
    usage = {"promptTokenCount": 12, "totalTokenCount": 12}
    return {"promptFeedback": {"blockReason": reason}, "usageMetadata": usage, **_ENVELOPE}


_CALL: Json = {"functionCall": {"name": "f", "args": {"a": 1}}, "thoughtSignature": "c2ln"}
_TOOLS = Means(finish=Finish.TOOL, reason="STOP", tools=(("f", '{"a":1}'),))
_HELLO = Means("Hello \u2028 wörld", reason="STOP")
_CUT = Means("Hel", Finish.LENGTH, "MAX_TOKENS")
_A = Means("a", reason="STOP")
_NO_ANSWER = (12, 0, 0, 0)


def _stopped(finish: Finish, *reasons: str) -> tuple[Answer, ...]:
    return tuple(
        Answer(reason, _whole(finish=reason), Means(None, finish, reason)) for reason in reasons
    )


COMPLETIONS = (
    Answer("plain", _whole(_text(_HELLO.text or "")), _HELLO),
    Answer("schema", _whole(_text('{"a":1}')), Means('{"a":1}', reason="STOP")),
    Answer("tools", _whole(_CALL), _TOOLS),
    Answer("tools without arguments", _whole({"functionCall": {"name": "f"}}),
           Means(finish=Finish.TOOL, reason="STOP", tools=(("f", "{}"),))),
    Answer("truncation", _whole(_text("Hel"), finish="MAX_TOKENS"), _CUT),
    Answer("truncation before a word", _whole(finish="MAX_TOKENS"),
           Means(None, Finish.LENGTH, "MAX_TOKENS")),
    Answer("thoughts", _whole({"text": "hm", "thought": True}, _text("a")),
           Means("a", reason="STOP", keeps=('"hm"',))),
    Answer("text in parts", _whole(_text("Hello "), _text("there")),
           Means("Hello there", reason="STOP")),
    Answer("a reason nobody knows", _whole(_text("a"), finish="ESCALATION"),
           Means("a", Finish.UNKNOWN, "ESCALATION")),
    Answer("no reason", _whole(_text("a"), finish=None), Means("a", Finish.NOT_SAID, None)),
    Answer("no content", _whole(), Means(None, reason="STOP")),
    Answer("grounding", _whole(_text("a"), promptFeedback={"safetyRatings": _RATINGS}),
           Means("a", reason="STOP", keeps=('"promptFeedback"',))),
    Answer("no usage", orjson.dumps({"candidates": [
        {"content": {"parts": [_text("a")]}, "finishReason": "STOP"}]}),
        Means("a", reason="STOP", usage=None)),
    Answer("no count of the answer", _whole(_text("a"), usageMetadata={
        "promptTokenCount": 12, "cachedContentTokenCount": 4, "thoughtsTokenCount": 3,
        "totalTokenCount": 21}), _A),
    Answer("what tools brought", _whole(_text("a"), usageMetadata={
        **_USAGE, "promptTokenCount": 10, "toolUsePromptTokenCount": 2}), _A),
    Answer("a list of chunks", orjson.dumps([
        _response(_text("Hello \u2028"), finish=None), _response(_text(" wörld"))]), _HELLO),
    *_stopped(Finish.CONTENT_FILTER, "SAFETY", "RECITATION", "LANGUAGE", "BLOCKLIST",
              "PROHIBITED_CONTENT", "SPII", "MODEL_ARMOR", "IMAGE_SAFETY",
              "IMAGE_PROHIBITED_CONTENT", "IMAGE_RECITATION"),
    *_stopped(Finish.UNKNOWN, "OTHER", "MALFORMED_FUNCTION_CALL", "MALFORMED_RESPONSE",
              "UNEXPECTED_TOOL_CALL", "TOO_MANY_TOOL_CALLS", "MISSING_THOUGHT_SIGNATURE",
              "NO_IMAGE", "IMAGE_OTHER", "CONTINUATION", "FINISH_REASON_UNSPECIFIED"),
    *(Answer(f"prompt blocked: {reason}", orjson.dumps(_blocked(reason)),
             Means(None, Finish.CONTENT_FILTER, reason, usage=_NO_ANSWER))
      for reason in ("SAFETY", "OTHER", "BLOCKLIST", "PROHIBITED_CONTENT", "IMAGE_SAFETY",
                     "JAILBREAK")),
    Answer("no candidate, no reason", orjson.dumps({"usageMetadata": {"promptTokenCount": 12}}),
           Means(None, Finish.NOT_SAID, None, usage=_NO_ANSWER)),
)  # fmt: skip

STREAMS = (
    Answer("stream", _chunk(_text("Hello \u2028")) + _chunk(_text(" wörld"), finish="STOP"),
           _HELLO),
    Answer("the end in a chunk of its own", _chunk(_text("a")) + _chunk(_text(""), finish="STOP"),
           _A),
    Answer("an end without content", _chunk(_text("a")) + _chunk(finish="STOP"), _A),
    Answer("a reason in every chunk", _chunk(_text("Hello \u2028"), finish="STOP")
           + _chunk(_text(" wörld"), finish="STOP"), _HELLO),
    Answer("tools in a stream", _chunk(_CALL) + _chunk(finish="STOP"), _TOOLS),
    Answer("thoughts in a stream", _chunk({"text": "h", "thought": True})
           + _chunk({"text": "m", "thought": True}) + _chunk(_text("a"), finish="STOP"),
           Means("a", reason="STOP", keeps=('"hm"',))),
    Answer("a signature at the end", _chunk(_text("a"))
           + _chunk({"text": "", "thoughtSignature": "c2ln"}, finish="STOP"),
           Means("a", reason="STOP", keeps=("c2ln",))),
    Answer("truncation in a stream", _chunk(_text("Hel")) + _chunk(finish="MAX_TOKENS"), _CUT),
    Answer("a filter in a stream", _chunk(_text("Hel")) + _chunk(finish="SAFETY"),
           Means("Hel", Finish.CONTENT_FILTER, "SAFETY")),
    Answer("a prompt that is blocked", _event(_blocked("SAFETY")),
           Means(None, Finish.CONTENT_FILTER, "SAFETY", usage=_NO_ANSWER)),
    Answer("JSON instead of a stream", _whole(_text("a")), _A),
)  # fmt: skip


def _error(code: int, status: str, message: str, *details: Json) -> Json:
    return {"error": {"code": code, "message": message, "status": status,
                      "details": list(details)}}  # fmt: skip


def _failure(name: str, means: Class, code: int, status: str, message: str, *details: Json) -> Any:
    return Answer(name, orjson.dumps(_error(code, status, message, *details)), means, code)


def _info(reason: str) -> Json:
    return {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": reason,
            "domain": "googleapis.com"}  # fmt: skip


def _quota(*ids: str) -> Json:
    return {"@type": "type.googleapis.com/google.rpc.QuotaFailure",
            "violations": [{"quotaMetric": "generativelanguage.googleapis.com/requests",
                            "quotaId": each, "quotaValue": "10"} for each in ids]}  # fmt: skip


_RETRY: Json = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "34s"}
_QUOTA_TEXT = "You exceeded your current quota, please check your plan and billing details."
_MINUTE = "GenerateRequestsPerMinutePerProjectPerModel"
_DAY = "GenerateRequestsPerDayPerProjectPerModel"
_TOO_MANY = "RESOURCE_EXHAUSTED"
_INVALID = "INVALID_ARGUMENT"

FAILURES = (
    _failure("rate limit", Class.RATE_LIMIT, 429, _TOO_MANY, _QUOTA_TEXT, _quota(_MINUTE), _RETRY),
    _failure("tokens", Class.RATE_LIMIT, 429, _TOO_MANY, _QUOTA_TEXT,
             _quota("GenerateContentPaidTierInputTokensPerModelPerMinute"), _RETRY),
    _failure("rate limit in few words", Class.RATE_LIMIT, 429, _TOO_MANY,
             "Resource has been exhausted (e.g. check quota)."),
    _failure("the day's quota", Class.QUOTA_EXHAUSTED, 429, _TOO_MANY, _QUOTA_TEXT,
             _quota(_MINUTE, _DAY), _RETRY),
    _failure("no quota at all", Class.QUOTA_EXHAUSTED, 429, _TOO_MANY,
             f"{_QUOTA_TEXT}\n* Quota exceeded for metric: requests, limit: 0, model: m"),
    _failure("spent", Class.QUOTA_EXHAUSTED, 429, _TOO_MANY,
             "Your project has exceeded its monthly spending cap."),
    _failure("credits", Class.QUOTA_EXHAUSTED, 429, _TOO_MANY,
             "Your prepayment credits are depleted."),
    _failure("billing", Class.QUOTA_EXHAUSTED, 400, "FAILED_PRECONDITION",
             "Gemini API free tier is not available in your country. Please enable billing on "
             "your project in Google AI Studio."),
    _failure("billing is off", Class.QUOTA_EXHAUSTED, 403, "PERMISSION_DENIED",
             "This API method requires billing to be enabled.", _info("BILLING_DISABLED")),
    _failure("region", Class.AUTH, 400, "FAILED_PRECONDITION",
             "User location is not supported for the API use."),
    _failure("key", Class.AUTH, 400, _INVALID, "API key not valid. Please pass a valid API key.",
             _info("API_KEY_INVALID")),
    _failure("key that is over", Class.AUTH, 400, _INVALID,
             "API key expired. Please renew the API key.", _info("API_KEY_INVALID")),
    _failure("no key", Class.AUTH, 403, "PERMISSION_DENIED",
             "Method doesn't allow unregistered callers (callers without established identity)."),
    _failure("token", Class.AUTH, 401, "UNAUTHENTICATED", "Request had invalid credentials."),
    _failure("service", Class.AUTH, 403, "PERMISSION_DENIED", "API has not been used in project.",
             _info("SERVICE_DISABLED")),
    _failure("another's cache", Class.INVALID_REQUEST, 403, "PERMISSION_DENIED",
             "CachedContent not found (or permission denied)"),
    _failure("another's file", Class.INVALID_REQUEST, 403, "PERMISSION_DENIED",
             "You do not have permission to access the File abc or it may not exist."),
    _failure("model", Class.MODEL_NOT_FOUND, 404, "NOT_FOUND",
             "models/m is not found for API version v1beta, or is not supported for "
             "generateContent."),
    _failure("context", Class.CONTEXT_LENGTH, 400, _INVALID,
             "The input token count (1200000) exceeds the maximum number of tokens allowed "
             "(1048576)."),
    _failure("invalid", Class.INVALID_REQUEST, 400, _INVALID,
             'Invalid JSON payload received. Unknown name "x": Cannot find field.',
             {"@type": "type.googleapis.com/google.rpc.BadRequest", "fieldViolations": [
                 {"field": "generation_config", "description": "Unknown name"}]}),
    _failure("too large", Class.INVALID_REQUEST, 413, _INVALID, "Request payload size exceeds"),
    _failure("internal", Class.TRANSIENT, 500, "INTERNAL", "An internal error has occurred."),
    _failure("cancelled", Class.TRANSIENT, 499, "CANCELLED", "The operation was cancelled."),
    _failure("overloaded", Class.OVERLOADED, 503, "UNAVAILABLE",
             "The model is overloaded. Please try again later."),
    _failure("deadline", Class.TRANSIENT, 504, "DEADLINE_EXCEEDED", "Deadline expired before."),
    Answer("a list of one error", orjson.dumps([_error(503, "UNAVAILABLE", "overloaded")]),
           Class.OVERLOADED, 503),
    Answer("a page of Google's", b"<!DOCTYPE html><title>Error 404 (Not Found)!!1</title>",
           Class.MODEL_NOT_FOUND, 404, {"content-type": "text/html"}),
    Answer("an error as an event", _event(_error(429, _TOO_MANY, "x", _quota(_MINUTE))),
           Class.RATE_LIMIT, 429, {"content-type": "text/event-stream"}),
    Answer("teapot", b"", Class.UNKNOWN, 418),
)  # fmt: skip

#: With status 200, and no completion.
ODD_ENVELOPES = (
    Answer("an error with a number", orjson.dumps(_error(503, "UNAVAILABLE", "overloaded")),
           Class.OVERLOADED),
    Answer("a list of one error after all", orjson.dumps([_error(429, _TOO_MANY, "x")]),
           Class.RATE_LIMIT),
    Answer("an error at the end of a list", orjson.dumps([
        _response(_text("Hel"), finish=None), _error(500, "INTERNAL", "x")]), Class.TRANSIENT),
    Answer("a list that was cut", orjson.dumps([_response(_text("Hel"), finish=None)]),
           Class.TRANSIENT),
    Answer("a cut list", orjson.dumps([_response(_text("Hel"))])[:-9], Class.TRANSIENT),
    Answer("an error as a string", b'{"error":"model is loading"}', Class.NO_COMPLETION),
    Answer("another protocol's answer", b'{"choices":[{"message":{"content":"a"}}]}',
           Class.NO_COMPLETION),
    Answer("a page", b"<!DOCTYPE html><title>Sign in</title>", Class.NO_COMPLETION,
           headers={"content-type": "text/html"}),
    Answer("a string", b'"ok"', Class.NO_COMPLETION),
    Answer("a list of nothing", b"[]", Class.NO_COMPLETION),
    Answer("null", b"null", Class.NO_COMPLETION),
    Answer("nothing", b"", Class.NO_COMPLETION),
    Answer("a candidate that is none", b'{"candidates":[7]}', Class.TRANSIENT),
    Answer("cut JSON", _whole(_text("Hello"))[:60], Class.TRANSIENT),
)  # fmt: skip

#: A stream that is no answer, after a 200.
BROKEN_STREAMS = (
    Answer("an error in mid-stream", _chunk(_text("Hel"))
           + _event(_error(503, "UNAVAILABLE", "The model is overloaded.")), Class.OVERLOADED),
    Answer("a limit in mid-stream", _chunk(_text("Hel"))
           + _event([_error(429, _TOO_MANY, "x", _quota(_MINUTE))]), Class.RATE_LIMIT),
    Answer("an end before the answer's", _chunk(_text("Hel")), Class.TRANSIENT),
    Answer("a chunk that is no JSON", _chunk(_text("Hel")) + _event(b'{"candidates":[')
           + _chunk(_text("lo"), finish="STOP"), Class.TRANSIENT),
    Answer("no chunk at all", b": keep-alive\n\n", Class.TRANSIENT,
           headers={"content-type": "text/event-stream"}),
)  # fmt: skip
