"""From the body of an OpenAI chat completion to a request that belongs to no provider.

No field is dropped: it is mapped, or it passes through under `extras["openai"]`, or the body is
refused. Body fields: https://platform.openai.com/docs/api-reference/chat/create
"""

from collections.abc import Mapping
from typing import Any

from tollway_schemas import ChatRequest, InvalidValue, OutputSchema
from tollway_workers.cli.batch.forms.body import Body, listed, record_of

_BODY = ("body",)
_FORMAT = ("body", "response_format", "json_schema")

#: Fields with the same name and meaning on both sides. A null means the provider's default.
_SAME = (
    "messages",
    "temperature",
    "top_p",
    "seed",
    "tools",
    "tool_choice",
    "parallel_tool_calls",
    "reasoning_effort",
)
#: Fields that are read here by name; `model` chooses the route.
_READ = {"model", "n", "stream", "stream_options", "max_tokens", "max_completion_tokens"}
_READ |= {"response_format", "stop", *_SAME}


def read_body(body: Mapping[str, Any]) -> Body:
    """The request in `body`. Raises InvalidValue, which names the field and quotes no value."""
    model = body.get("model")
    if model is not None and not isinstance(model, str):
        raise InvalidValue("body.model: must be text")
    _refuse_what_a_batch_cannot_do(body)
    fields = {name: body[name] for name in _SAME if body.get(name) is not None}
    passed_through = {name: value for name, value in body.items() if name not in _READ}
    passed_through |= _own_limit_field(body)
    fields |= {
        "max_output_tokens": _max_output_tokens(body),
        "stop": _stop(body.get("stop")),
        "extras": {"openai": passed_through} if passed_through else {},
    }
    limit = "max_tokens" if body.get("max_completion_tokens") is None else "max_completion_tokens"
    request = record_of(ChatRequest, fields, _BODY, {"max_output_tokens": limit})
    return Body(model, request, _output(body.get("response_format")))


def _refuse_what_a_batch_cannot_do(body: Mapping[str, Any]) -> None:
    n = body.get("n")
    if n is not None and (isinstance(n, bool) or n != 1):
        raise InvalidValue("body.n: must be 1: a job has one answer, so write one line for each")
    if body.get("stream") not in (None, False):
        raise InvalidValue("body.stream: must be false or absent: a batch never streams")
    if body.get("stream_options") is not None:
        raise InvalidValue("body.stream_options: a batch never streams")
    # Sound is larger than what a reply may hold, and would be paid for in vain.
    if body.get("audio") is not None or body.get("modalities") not in (None, ["text"]):
        raise InvalidValue("body.modalities: replies carry text only")


def _max_output_tokens(body: Mapping[str, Any]) -> Any:
    old, new = body.get("max_tokens"), body.get("max_completion_tokens")
    if old is not None and new is not None and old != new:
        raise InvalidValue("body.max_tokens: contradicts body.max_completion_tokens, give one")
    return old if new is None else new


def _own_limit_field(body: Mapping[str, Any]) -> dict[str, Any]:
    """The line's own name for the answer's limit, under which it reaches the server."""
    given = [name for name in ("max_tokens", "max_completion_tokens") if body.get(name) is not None]
    return {given[0]: body[given[0]]} if len(given) == 1 else {}


def _stop(stop: Any) -> Any:
    return [stop] if isinstance(stop, str) else stop


def _output(wanted: Any) -> OutputSchema | None:
    if wanted is None:
        return None
    if not isinstance(wanted, dict):
        raise InvalidValue("body.response_format: must be an object")
    kind = wanted.get("type")
    allowed = {"type", "json_schema"} if kind == "json_schema" else {"type"}
    if unknown := wanted.keys() - allowed:
        raise InvalidValue(f"body.response_format: has unknown fields ({listed(unknown)})")
    if kind == "text":
        return None
    if kind == "json_object":
        return OutputSchema(mode="json_object", json_schema={"type": "object"})
    if kind == "json_schema":
        return _schema(wanted.get("json_schema"))
    raise InvalidValue("body.response_format.type: must be text, json_object or json_schema")


def _schema(given: Any) -> OutputSchema:
    where = "body.response_format.json_schema"
    if not isinstance(given, dict) or given.get("schema") is None or given.get("name") is None:
        raise InvalidValue(f"{where}: must be an object with name and schema")
    if unknown := given.keys() - {"name", "description", "schema", "strict"}:
        raise InvalidValue(f"{where}: has unknown fields ({listed(unknown)})")
    fields = {name: value for name, value in given.items() if name != "schema"}
    fields["json_schema"] = given["schema"]
    return record_of(OutputSchema, fields, _FORMAT, {"json_schema": "schema"})
