"""One line of a batch format to a job, or to a sentence that says why not. Pure.

OpenAI's, for chat completions and for responses, and Anthropic's. Formats:
https://platform.openai.com/docs/api-reference/batch/request-input and
https://platform.claude.com/docs/en/api/creating-message-batches
"""

from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import orjson

from tollway_schemas import ChatRequest, FailureClass, InvalidValue, OutputSchema
from tollway_schemas.no_json import has_long_number, no_json_in
from tollway_workers.cli.batch.forms.anthropic_params import read_params
from tollway_workers.cli.batch.forms.body import Body, object_at
from tollway_workers.cli.batch.forms.chat_body import read_body
from tollway_workers.cli.batch.forms.responses_body import read_response_body
from tollway_workers.cli.batch.labels import LineForm

#: How the paths of the calls that are served end, whatever a server calls what is before them.
_CALLS = {"/chat/completions": LineForm.CHAT, "/responses": LineForm.RESPONSES}
_KEYS = ("custom_id", "method", "url", "body")
_ANTHROPIC_KEYS = ("custom_id", "params")


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchJob:
    """A line that asks for something. `model` is the line's own word; it names the route."""

    line: int
    custom_id: str
    model: str | None
    request: ChatRequest
    output: OutputSchema | None
    form: LineForm = LineForm.CHAT


@dataclass(frozen=True, slots=True, kw_only=True)
class BadLine:
    """A line that is no job: it becomes an error line of the output, and nothing else."""

    line: int
    message: str
    #: Absent where the line has none that can be read.
    custom_id: str | None = None
    failure_class: FailureClass = FailureClass.INVALID_JOB
    form: LineForm = LineForm.CHAT


def read_line(number: int, raw: bytes, wanted: LineForm | None = None) -> BatchJob | BadLine:
    """Line `number` (from 1). Raises nothing: what is wrong with it is in the BadLine.

    `wanted`: the form that it has to have; None: any of those that are known.
    """
    try:
        item = _object(raw)
    except InvalidValue as error:
        form = wanted or LineForm.CHAT
        return BadLine(line=number, message=str(error), form=form)
    form = LineForm.ANTHROPIC if _is_anthropic(item, wanted) else LineForm.CHAT
    try:
        custom_id, form, body = _read(item, form, wanted)
    except InvalidValue as error:
        return BadLine(line=number, message=str(error), custom_id=_readable_id(item), form=form)
    return BatchJob(
        line=number,
        custom_id=custom_id,
        model=body.model,
        request=body.request,
        output=body.output,
        form=form,
    )


def _is_anthropic(item: dict[str, Any], wanted: LineForm | None) -> bool:
    if wanted is not None:
        return wanted is LineForm.ANTHROPIC
    return "params" in item and item.keys().isdisjoint(("method", "url", "body"))


def _read(
    item: dict[str, Any], form: LineForm, wanted: LineForm | None
) -> tuple[str, LineForm, Body]:
    """The line's custom_id, its form and what it asks. Raises InvalidValue."""
    if form is LineForm.ANTHROPIC:
        custom_id = _custom_id(item, _ANTHROPIC_KEYS)
        return custom_id, form, read_params(object_at(item["params"], "params"))
    custom_id, form = _envelope(item)
    if wanted is not None and form is not wanted:
        raise InvalidValue(f"url: is of form {form}, and --format says {wanted}")
    read = read_response_body if form is LineForm.RESPONSES else read_body
    return custom_id, form, read(item["body"])


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
    if has_long_number(raw) and (found := no_json_in(raw)) is not None:
        raise InvalidValue(found)
    return item


def _custom_id(item: dict[str, Any], keys: tuple[str, ...]) -> str:
    if missing := [key for key in keys if item.get(key) is None]:
        raise InvalidValue(f"lacks {', '.join(missing)}")
    if unknown := sorted(item.keys() - set(keys)):
        raise InvalidValue(f"has a key that the format does not know: {unknown[0][:40]!r}")
    if not isinstance(item["custom_id"], str) or not item["custom_id"]:
        raise InvalidValue("custom_id: must be text, not empty")
    return str(item["custom_id"])


def _envelope(item: dict[str, Any]) -> tuple[str, LineForm]:
    """The line's custom_id, once everything around the body is as the format wants it."""
    custom_id = _custom_id(item, _KEYS)
    if item["method"] != "POST":
        raise InvalidValue("method: must be POST")
    form = _form_of(item["url"])
    if form is None:
        raise InvalidValue(
            "url: must be /v1/chat/completions or /v1/responses, or end so: nothing else is served"
        )
    object_at(item["body"], "body")
    return custom_id, form


def _form_of(url: object) -> LineForm | None:
    """What is called, in any provider's form of the path or as a full address."""
    if not isinstance(url, str):
        return None
    try:
        path = urlsplit(url.strip()).path
    except ValueError:
        return None
    ending = f"/{path}".rstrip("/")
    return next((form for call, form in _CALLS.items() if ending.endswith(call)), None)


def _readable_id(item: dict[str, Any]) -> str | None:
    custom_id = item.get("custom_id")
    return custom_id if isinstance(custom_id, str) and custom_id else None
