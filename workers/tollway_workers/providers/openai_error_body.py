"""The error in a body, in whichever of the five known envelopes it comes. Pure."""

from dataclasses import dataclass
from typing import Any

from tollway_workers.policies.readable_json import read_body

#: A body that is no JSON but short may be the reason itself (DeepSeek, proxies).
_LONGEST_PLAIN_TEXT = 300

#: Messages are searched for phrases: enough of one, not megabytes.
_LONGEST_MESSAGE = 4_000


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


def read_error(body: bytes) -> ErrorDetail:
    """The error in `body`; an empty detail where there is none."""
    try:
        return detail_of(read_body(body, {}).value)
    except ValueError:
        text = body[: _LONGEST_PLAIN_TEXT + 1].decode(errors="replace").strip()
        is_reason = len(body) <= _LONGEST_PLAIN_TEXT and not text.startswith(("<", "{", "["))
        return ErrorDetail(message=text if is_reason else "")


def detail_of(parsed: Any) -> ErrorDetail:
    """The error in a parsed body: an object, a list with one in it, or a plain string."""
    if isinstance(parsed, list):
        parsed = parsed[0] if parsed else None
    if isinstance(parsed, str):
        return ErrorDetail(message=parsed[:_LONGEST_MESSAGE])
    if not isinstance(parsed, dict):
        return ErrorDetail()
    error = parsed.get("error")
    if isinstance(error, str):
        return ErrorDetail(message=error[:_LONGEST_MESSAGE], words=_words(parsed.get("code")))
    return _of_object(error if isinstance(error, dict) else parsed)


def _of_object(error: dict[str, Any]) -> ErrorDetail:
    metadata = error.get("metadata")
    metadata = metadata if isinstance(metadata, dict) else {}
    inner = error.get("innererror")
    inner = inner if isinstance(inner, dict) else {}
    source = metadata.get("limit_source")
    code = error.get("code")
    return ErrorDetail(
        message=_text(error.get("message")) or _validation_text(error.get("detail")),
        words=_words(
            code,
            inner.get("code"),
            metadata.get("error_type"),
            error.get("error_type"),
            error.get("type"),
            error.get("status"),
        ),
        limit_source=source if isinstance(source, str) else None,
        retry_delay=_retry_delay(error.get("details")),
        number=code if isinstance(code, int) and not isinstance(code, bool) else None,
    )


def _retry_delay(details: Any) -> str:
    """Of Google's list of details (https://google.aip.dev/193), which its servers for OpenAI's
    protocol send too."""
    for each in details if isinstance(details, list) else ():
        if isinstance(each, dict) and str(each.get("@type")).endswith("google.rpc.RetryInfo"):
            return _text(each.get("retryDelay"))
    return ""


def _words(*values: Any) -> tuple[str, ...]:
    words = (value.strip().lower() for value in values if isinstance(value, str))
    return tuple(word for word in words if word and not word.isdecimal())


def _text(value: Any) -> str:
    return value[:_LONGEST_MESSAGE] if isinstance(value, str) else ""


def _validation_text(detail: Any) -> str:
    """FastAPI's `detail`: a sentence, or a list of places; what was given there is left out."""
    if not isinstance(detail, list):
        return _text(detail)
    problems: list[str] = []
    for item in detail[:10]:
        if isinstance(item, dict) and isinstance(item.get("msg"), str):
            place = item.get("loc")
            path = ".".join(str(part) for part in place) if isinstance(place, list) else ""
            problems.append(f"{path}: {item['msg']}")
    return "; ".join(problems)[:_LONGEST_MESSAGE]
