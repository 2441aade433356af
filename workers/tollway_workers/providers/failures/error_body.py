"""The error in a body, in whichever envelope it comes, of all protocols. Pure.

Servers have their reasons under a dozen names, one inside the other,
as text that is JSON again, as Python's `repr`, or on a web page.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

from tollway_workers.job.readable_json import read_body
from tollway_workers.providers.failures.error_text import (
    LONGEST_MESSAGE,
    joined,
    plain_reason,
    problems_in,
    reason_in_text,
)

#: Where an object says why, the most telling first; each may be text, an object or a list.
_REASONS = (
    "message", "Message", "msg", "error_message", "errorMessage", "error_msg", "status_msg",
    "faultstring", "title", "error_description", "error", "detail", "details", "errors",
    "description", "raw", "innererror", "fault", "base_resp", "fieldViolations",
)  # fmt: skip
#: Names under which an object holds the real error.
_ENVELOPES = ("error", "detail", "message", "fault", "base_resp", "errors")

#: Where an object repeats the request or an answer, or names what is no reason.
_NO_REASONS = frozenset(
    {
        "input", "prompt", "messages", "content", "text", "body", "request", "data", "output",
        "choices", "response", "failed_generation", "flagged_input", "model", "object", "id",
        "request_id", "requestId", "trace_id", "timestamp", "path", "type", "@type", "code",
        "status", "param", "provider_name", "user_id", "loc", "url", "link",
    }
)  # fmt: skip

_DEEPEST = 8
_MOST_ITEMS = 10

JsonObject = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorDetail:
    """What an error body says."""

    #: Not redacted yet.
    message: str = ""
    #: Codes and types in lower case, the most telling first.
    words: tuple[str, ...] = ()
    #: OpenRouter's word for whose limit it was.
    limit_source: str | None = None
    #: Google's `RetryInfo.retryDelay`, such as `34s`.
    retry_delay: str = ""
    #: The number where `code` is one: OpenRouter and vLLM repeat the status there.
    number: int | None = None
    #: The fields of the request that it names as its cause, such as `response_format.type`.
    fields: tuple[str, ...] = ()
    #: Whether the body is a web page: then no API said this.
    page: bool = False


def read_error(body: bytes) -> ErrorDetail:
    """The error in `body`; an empty detail where there is none."""
    try:
        return detail_of(read_body(body, {}).value)
    except ValueError:
        text, page = plain_reason(body)
        return ErrorDetail(message=text, page=page)


def detail_of(parsed: Any) -> ErrorDetail:
    """The error in a parsed body: an object, a list with one in it, or a plain string."""
    message = joined(_reasons(parsed, 0)) or joined(islice(_texts(parsed, "", 0), _MOST_ITEMS))
    found = list(_objects(parsed))
    metadata = [each for each in (_object(error.get("metadata")) for error in found) if each]
    return ErrorDetail(
        message=message,
        words=tuple(dict.fromkeys(word for error in found for word in _words(error))),
        limit_source=_first(metadata, "limit_source") or None,
        retry_delay=next((delay for error in found if (delay := _retry_delay(error))), ""),
        number=next((n for error in found if (n := _number(error)) is not None), None),
        fields=tuple(_fields(parsed, message)),
    )


def _objects(parsed: Any, depth: int = 0) -> Iterator[JsonObject]:
    """The objects that are envelopes of the error, the innermost first."""
    if isinstance(parsed, list):
        parsed = next((item for item in parsed if isinstance(item, dict)), None)
    if not isinstance(parsed, dict) or depth > _DEEPEST:
        return
    for name in _ENVELOPES:
        if isinstance(parsed.get(name), dict | list):
            yield from _objects(parsed[name], depth + 1)
    yield parsed


def _reasons(value: Any, depth: int) -> Iterator[str]:
    """The sentences of a body, the outermost first."""
    if depth > _DEEPEST:
        return
    if isinstance(value, str):
        yield reason_in_text(value)
    elif isinstance(value, list):
        for item in value[:_MOST_ITEMS]:
            yield from _reasons(item, depth + 1)
    elif isinstance(value, dict):
        yield from _reasons_of_object(value, depth)


def _reasons_of_object(value: JsonObject, depth: int) -> Iterator[str]:
    place = _place(value)
    for name in _REASONS:
        for reason in _reasons(value.get(name), depth + 1):
            yield f"{place}: {reason}" if place and name in ("msg", "description") else reason
    metadata = _object(value.get("metadata"))
    if metadata:
        yield from _reasons(metadata.get("raw"), depth + 1)
    code = value.get("code")
    # xAI says why in `code`.
    if isinstance(code, str) and " " in code.strip():
        yield reason_in_text(code)


def _texts(value: Any, name: str, depth: int) -> Iterator[str]:
    """Of a body that says nothing under any known name: its texts, each with its own name."""
    if depth > _DEEPEST:
        return
    if isinstance(value, str) and value.strip():
        said = reason_in_text(value)
        yield f"{name}: {said}" if name else said
    elif isinstance(value, list):
        for item in value[:_MOST_ITEMS]:
            yield from _texts(item, name, depth + 1)
    elif isinstance(value, dict):
        for key, item in value.items():
            if key not in _NO_REASONS:
                yield from _texts(item, key, depth + 1)


def _place(problem: JsonObject) -> str:
    """Where FastAPI and Google saw it: `body.max_tokens`."""
    loc = problem.get("loc")
    if isinstance(loc, list):
        return ".".join(str(part) for part in loc)
    field = problem.get("field")
    return field if isinstance(field, str) else ""


def _fields(parsed: Any, message: str) -> Iterator[str]:
    """The fields that structured errors name; a path's `body` is left out."""
    for error in _objects(parsed):
        param = error.get("param")
        if isinstance(param, str) and param:
            yield param[:LONGEST_MESSAGE].removeprefix("body.")
        if place := _place(error):
            yield place.removeprefix("body.")
    for place, _ in problems_in(message):
        yield place.removeprefix("body.")


def _words(error: JsonObject) -> Iterator[str]:
    inner = _object(error.get("innererror"))
    metadata = _object(error.get("metadata"))
    kind = error.get("__type")
    for value in (
        # Anthropic's own, which says more than its type.
        _object(error.get("details")).get("error_code"),
        error.get("code"),
        inner.get("code"),
        metadata.get("error_type"),
        error.get("error_type"),
        error.get("error_code"),
        error.get("type"),
        error.get("status"),
        kind.rpartition("#")[2] if isinstance(kind, str) else None,
        *_google_words(error),
    ):
        word = value.strip().lower() if isinstance(value, str) else ""
        # `type` may be a problem's address (RFC 9457), `code` a sentence.
        if word and not word.isdecimal() and " " not in word and "/" not in word:
            yield word


def _google_words(error: JsonObject) -> Iterator[Any]:
    """The reason, and the ids of the quotas that are used up, of Google's list of details."""
    for each in _list(error.get("details"))[:_MOST_ITEMS]:
        kind = str(each.get("@type")) if isinstance(each, dict) else ""
        if kind.endswith("google.rpc.ErrorInfo"):
            yield each.get("reason")
        elif kind.endswith("google.rpc.QuotaFailure"):
            for violation in _list(each.get("violations"))[:_MOST_ITEMS]:
                yield _object(violation).get("quotaId")


def _number(error: JsonObject) -> int | None:
    for name in ("code", "status", "statusCode", "status_code"):
        value = error.get(name)
        if isinstance(value, int) and not isinstance(value, bool):
            return value
        if isinstance(value, str) and len(value) == 3 and value.isdecimal():
            return int(value)
    return None


def _retry_delay(error: JsonObject) -> str:
    """Of Google's list of details (https://google.aip.dev/193), which its servers for OpenAI's
    protocol send too."""
    for each in _list(error.get("details")):
        if isinstance(each, dict) and str(each.get("@type")).endswith("google.rpc.RetryInfo"):
            delay = each.get("retryDelay")
            return delay if isinstance(delay, str) else ""
    return ""


def _first(objects: list[JsonObject], name: str) -> str:
    return next((each[name] for each in objects if isinstance(each.get(name), str)), "")


def _object(value: Any) -> JsonObject:
    return value if isinstance(value, dict) else {}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
