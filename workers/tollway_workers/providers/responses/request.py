"""OpenAI's Responses: from a request to the bytes of a call. Pure.

Protocol: https://platform.openai.com/docs/api-reference/responses/create. Each call is a whole
conversation: nothing is kept at the provider, and nothing of an earlier call is referred to.
"""

from typing import Any

import orjson

from tollway_schemas.request import ChatRequest, OutputSchema, Tool, ToolChoiceFunction
from tollway_workers.config.shape.fleet import LaneConfig
from tollway_workers.providers.asking import (
    NOT_JSON,
    ask_for_json,
    invalid,
    join_tools,
    own_extras,
)
from tollway_workers.providers.openai.dialect import takes, takes_form
from tollway_workers.providers.openai.output_form import ANY_OBJECT, named, wire_schema
from tollway_workers.providers.responses.items import items_of
from tollway_workers.providers.responses.unsupported import PROTOCOL, unsupported
from tollway_workers.providers.streaming import wants_stream

#: What belongs to the lane and to how we call: an extra of this name would change another's call.
_RESERVED = ("model", "input", "stream", "stream_options", "background")

#: Fields of the request that the body has under the same name.
_SAME_NAME = ("max_output_tokens", "temperature", "top_p", "parallel_tool_calls")
#: Extras of these names are added to what the request says under them.
_JOINED = ("text", "reasoning")

JsonObject = dict[str, Any]


def build(
    request: ChatRequest,
    output: OutputSchema | None,
    lane: LaneConfig,
    refused: frozenset[str] = frozenset(),
) -> bytes:
    """The body of a call, without what the server has `refused` (see `openai/dialect.py`).

    Where the server cannot be given a schema (`structured_output = "json_object"`), the schema goes
    into a system message; with `"none"` the prompt is sent as it is.

    Raises ProviderError (invalid request) if the request cannot be expressed.
    """
    if lost := unsupported(request, output, lane):
        raise invalid("; ".join(lost[:3]))
    profile = lane.profile
    items = [item for message in request.messages for item in items_of(message, profile)]
    # Kept answers are for conversations that go on at the provider: a job's is whole.
    body: JsonObject = {"model": lane.model, "input": items, "store": False}
    _add_sampling(body, request)
    _add_tools(body, request)
    if output is not None:
        _add_output(body, output, lane, refused)
    _add_extras(body, request)
    if streams(request, lane, refused):
        body["stream"] = True
        if profile.stream_options and takes("stream_options", refused):
            body["stream_options"] = dict(profile.stream_options)
    try:
        return orjson.dumps(body)
    except (orjson.JSONEncodeError, RecursionError):
        raise invalid(NOT_JSON) from None


def streams(request: ChatRequest, lane: LaneConfig, refused: frozenset[str] = frozenset()) -> bool:
    """Whether `build` asks for a stream."""
    return wants_stream(request, lane) and takes("stream", refused)


def _add_sampling(body: JsonObject, request: ChatRequest) -> None:
    for name in _SAME_NAME:
        value = getattr(request, name)
        if value is not None:
            body[name] = value
    if request.reasoning_effort is not None:
        body["reasoning"] = {"effort": request.reasoning_effort}


def _add_tools(body: JsonObject, request: ChatRequest) -> None:
    if request.tools is not None:
        body["tools"] = [_tool(tool) for tool in request.tools]
    choice = request.tool_choice
    if isinstance(choice, ToolChoiceFunction):
        body["tool_choice"] = {"type": "function", "name": choice.function.name}
    elif choice is not None:
        body["tool_choice"] = choice


def _tool(tool: Tool) -> JsonObject:
    function = tool.function
    said: JsonObject = {
        "type": "function",
        "name": function.name,
        "parameters": function.parameters or {"type": "object", "properties": {}},
        # Responses hold arguments to their schema unless told otherwise, chat does not.
        "strict": bool(function.strict),
    }
    if function.description is not None:
        said["description"] = function.description
    return {**said, **(function.__pydantic_extra__ or {})}


def _add_output(
    body: JsonObject, output: OutputSchema, lane: LaneConfig, refused: frozenset[str]
) -> None:
    """Ask for the answer's form as far as the lane's server understands it."""
    if lane.structured_output == "none":
        return
    schema = output.json_schema if output.mode == "json_schema" else True
    if (
        not isinstance(schema, bool)
        and lane.structured_output == "json_schema"
        and takes_form("json_schema", refused)
    ):
        wire = wire_schema(output, schema, refused)
        if wire is not None:
            body["text"] = {"format": {"type": "json_schema", **named(output, wire)}}
            return
    if not lane.profile.json_object:
        body["text"] = {"format": {"type": "json_schema", **ANY_OBJECT}}
    elif takes_form("json_object", refused):
        body["text"] = {"format": {"type": "json_object"}}
    # The word must stand in a message where JSON is asked for without a schema.
    _add_instruction(body["input"], ask_for_json(schema))


def _add_instruction(items: list[JsonObject], text: str) -> None:
    """Say it in the system message: many chat templates take only one, first."""
    first = items[0]
    if first.get("role") in ("system", "developer") and isinstance(first["content"], str):
        items[0] = {**first, "content": f"{first['content']}\n\n{text}"}
    else:
        items.insert(0, {"role": "system", "content": text})


def _add_extras(body: JsonObject, request: ChatRequest) -> None:
    extras = own_extras(request, PROTOCOL, _RESERVED)
    join_tools(body, extras, PROTOCOL)
    for name in _JOINED:
        own = extras.get(name)
        if isinstance(own, dict):
            extras[name] = {**own, **body.get(name, {})}
    limit = body.get("max_output_tokens")
    body.update(extras)
    if limit is not None:
        # The request's may have been raised since.
        body["max_output_tokens"] = limit
