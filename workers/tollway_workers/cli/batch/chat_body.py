"""From the body of an OpenAI chat completion to a request that belongs to no provider.

No field is dropped: it is mapped, or it passes through under `extras["openai"]`, or the body is
refused. Body fields: https://platform.openai.com/docs/api-reference/chat/create
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import orjson

from tollway_schemas import ChatRequest, InvalidValue, OutputSchema
from tollway_schemas.faults import Fault, sentence
from tollway_schemas.model import Record

R = TypeVar("R", bound=Record)

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


@dataclass(frozen=True, slots=True)
class ChatBody:
    """A body that could be read. `model` is the line's own word."""

    model: str | None
    request: ChatRequest
    output: OutputSchema | None


def read_body(body: Mapping[str, Any]) -> ChatBody:
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
    request = _record(ChatRequest, fields, _BODY, {"max_output_tokens": limit})
    return ChatBody(model, request, _output(body.get("response_format")))


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
        raise InvalidValue(f"body.response_format: has unknown fields ({_names(unknown)})")
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
        raise InvalidValue(f"{where}: has unknown fields ({_names(unknown)})")
    fields = {name: value for name, value in given.items() if name != "schema"}
    fields["json_schema"] = given["schema"]
    return _record(OutputSchema, fields, _FORMAT, {"json_schema": "schema"})


def _record(
    model: type[R], fields: Mapping[str, Any], where: tuple[str, ...], names: Mapping[str, str]
) -> R:
    """The record of these fields; `names` says what those are called in the file that are not."""
    try:
        return model.model_validate_json(
            orjson.dumps({name: value for name, value in fields.items() if value is not None})
        )
    except InvalidValue as error:
        raise InvalidValue(
            sentence(_named(fault, where, names) for fault in error.faults)
        ) from None
    except TypeError:
        # orjson's "Recursion limit reached", the only way JSON that was read cannot be written.
        raise InvalidValue(f"{'.'.join(where)}: is nested too deep") from None


def _named(fault: Fault, where: tuple[str, ...], names: Mapping[str, str]) -> Fault:
    """A fault at the place that it has in the file."""
    if not fault.path:
        return fault.under(*where)
    first = names.get(str(fault.path[0]), fault.path[0])
    return Fault((*where, first, *fault.path[1:]), fault.problem)


def _names(names: set[str]) -> str:
    """The first few, cut: a field's name may be a whole prompt by mistake."""
    return ", ".join(repr(name[:40]) for name in sorted(names)[:3])
