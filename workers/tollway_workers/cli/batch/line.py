"""One line of OpenAI's Batch format to a job, or to a sentence that says why not. Pure.

Format: https://platform.openai.com/docs/api-reference/batch/request-input
"""

from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import orjson

from tollway_schemas import ChatRequest, FailureClass, InvalidValue, OutputSchema
from tollway_workers.cli.batch.chat_body import read_body

_URL = "/v1/chat/completions"
#: How the path of the one call that is served ends, whatever the server calls what is before it.
_CALL = "/chat/completions"
_KEYS = ("custom_id", "method", "url", "body")


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchJob:
    """A line that asks for something. `model` is the line's own word; it names the route."""

    line: int
    custom_id: str
    model: str | None
    request: ChatRequest
    output: OutputSchema | None


@dataclass(frozen=True, slots=True, kw_only=True)
class BadLine:
    """A line that is no job: it becomes an error line of the output, and nothing else."""

    line: int
    message: str
    #: Absent where the line has none that can be read.
    custom_id: str | None = None
    failure_class: FailureClass = FailureClass.INVALID_JOB


def read_line(number: int, raw: bytes) -> BatchJob | BadLine:
    """Line `number` (from 1). Raises nothing: what is wrong with it is in the BadLine."""
    try:
        item = _object(raw)
    except InvalidValue as error:
        return BadLine(line=number, message=str(error))
    try:
        custom_id = _envelope(item)
        body = read_body(item["body"])
    except InvalidValue as error:
        return BadLine(line=number, message=str(error), custom_id=_readable_id(item))
    return BatchJob(
        line=number,
        custom_id=custom_id,
        model=body.model,
        request=body.request,
        output=body.output,
    )


def _object(raw: bytes) -> dict[str, Any]:
    try:
        raw.decode()
    except UnicodeDecodeError as error:
        raise InvalidValue(f"is not UTF-8: byte {error.start + 1} of the line") from None
    try:
        item = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        # Its text says what is wrong and where, and quotes nothing. A raw NUL ends here too; as
        # \u0000 inside a string it is JSON like any other character, and reaches the provider.
        raise InvalidValue(f"is not JSON: {error.msg} at character {error.pos + 1}") from None
    if not isinstance(item, dict):
        raise InvalidValue("is not a JSON object")
    return item


def _envelope(item: dict[str, Any]) -> str:
    """The line's custom_id, once everything around the body is as the format wants it."""
    if missing := [key for key in _KEYS if item.get(key) is None]:
        raise InvalidValue(f"lacks {', '.join(missing)}")
    if unknown := sorted(item.keys() - set(_KEYS)):
        raise InvalidValue(f"has a key that the format does not know: {unknown[0][:40]!r}")
    if not isinstance(item["custom_id"], str) or not item["custom_id"]:
        raise InvalidValue("custom_id: must be text, not empty")
    if item["method"] != "POST":
        raise InvalidValue("method: must be POST")
    if not _is_chat(item["url"]):
        raise InvalidValue(f"url: must be {_URL}, or end so: nothing else is served")
    if not isinstance(item["body"], dict):
        raise InvalidValue("body: must be an object")
    return str(item["custom_id"])


def _is_chat(url: object) -> bool:
    """Whether it is a chat completion, in any provider's form of the path or as a full address."""
    if not isinstance(url, str):
        return False
    try:
        path = urlsplit(url.strip()).path
    except ValueError:
        return False
    return f"/{path}".rstrip("/").endswith(_CALL)


def _readable_id(item: dict[str, Any]) -> str | None:
    custom_id = item.get("custom_id")
    return custom_id if isinstance(custom_id, str) and custom_id else None
