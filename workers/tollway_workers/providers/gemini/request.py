"""Gemini's generateContent: from a request to the bytes of a call. Pure.

Protocol: https://ai.google.dev/api/generate-content. The model and whether a stream is wanted stand
in the path (`wire_format.py`), not in the body.
"""

from typing import Any

import orjson

from tollway_schemas.request import ChatRequest, OutputSchema, Tool, ToolChoiceFunction
from tollway_workers.config.shape.fleet import LaneConfig
from tollway_workers.providers.asking import (
    NOT_JSON,
    ask_for_json,
    invalid,
    join_fields,
    join_tools,
    own_extras,
)
from tollway_workers.providers.gemini.contents import Conversation
from tollway_workers.providers.gemini.model import is_before_3, thinking
from tollway_workers.providers.gemini.unsupported import PROTOCOL, detail_of, unsupported
from tollway_workers.providers.gemini.wire_schema import gemini_schema
from tollway_workers.providers.refused import takes_schema
from tollway_workers.providers.streaming import wants_stream

#: What belongs to the lane, or is said by the request itself: an extra of this name would change
#: another's call.
_RESERVED = (
    "model",
    "contents",
    "systemInstruction",
    "system_instruction",
    # A second name for what is joined below.
    "generation_config",
)

#: What a server has `refused` to give: JSON, beside the tools that a request has.
JSON_WITH_TOOLS = "json_with_tools"

_MODES = {"none": "NONE", "auto": "AUTO", "required": "ANY"}

JsonObject = dict[str, Any]


def build(
    request: ChatRequest,
    output: OutputSchema | None,
    lane: LaneConfig,
    refused: frozenset[str] = frozenset(),
) -> bytes:
    """The body of a call, without what the server has `refused` (see `dialect.py`).

    Where the server cannot be given a schema, it goes into the system instruction.

    Raises ProviderError (invalid request) if the request cannot be expressed.
    """
    if lost := unsupported(request, output, lane):
        raise invalid("; ".join(lost[:3]))
    conversation = Conversation(lane.model, refused)
    for message in request.messages:
        conversation.add(message)
    config = _config(request, lane)
    if output is not None:
        asked = _add_output(config, output, lane, refused, has_tools=bool(request.tools))
        conversation.system += [{"text": asked}] if asked else []
    body = _contents(conversation)
    _add_tools(body, request)
    _add_extras(body, config, request)
    if config:
        body["generationConfig"] = config
    try:
        return orjson.dumps(body)
    except (orjson.JSONEncodeError, RecursionError):
        raise invalid(NOT_JSON) from None


def streams(request: ChatRequest, lane: LaneConfig, _: frozenset[str] = frozenset()) -> bool:
    """Whether the call wants a stream."""
    return wants_stream(request, lane)


def _config(request: ChatRequest, lane: LaneConfig) -> JsonObject:
    said: JsonObject = {
        "maxOutputTokens": request.max_output_tokens,
        "temperature": request.temperature,
        "topP": request.top_p,
        "seed": request.seed,
        "stopSequences": request.stop,
    }
    config = {name: value for name, value in said.items() if value is not None}
    if request.reasoning_effort is not None:
        config["thinkingConfig"] = thinking(request.reasoning_effort, lane.model)
    if (detail := detail_of(request)) is not None:
        config["mediaResolution"] = f"MEDIA_RESOLUTION_{detail.upper()}"
    return config


def _contents(conversation: Conversation) -> JsonObject:
    """The turns, of which there is at least one, and what stands before them."""
    if not conversation.turns:
        return {"contents": [{"role": "user", "parts": conversation.system}]}
    body: JsonObject = {"contents": conversation.turns}
    if conversation.system:
        body["systemInstruction"] = {"parts": conversation.system}
    return body


def _add_output(
    config: JsonObject,
    output: OutputSchema,
    lane: LaneConfig,
    refused: frozenset[str],
    *,
    has_tools: bool,
) -> str:
    """Ask for the answer's form as far as the model takes it; what is left to be said in words."""
    if lane.structured_output == "none":
        return ""
    schema = output.json_schema if output.mode == "json_schema" else True
    if has_tools and (is_before_3(lane.model) or JSON_WITH_TOOLS in refused):
        # It takes one or the other.
        return ask_for_json(schema)
    config["responseMimeType"] = "application/json"
    if isinstance(schema, bool):
        return ""
    wire = gemini_schema(schema) if lane.structured_output == "json_schema" else None
    if wire is None or not takes_schema(wire, refused):
        return ask_for_json(schema)
    config["responseJsonSchema"] = wire
    return ""


def _add_tools(body: JsonObject, request: ChatRequest) -> None:
    if request.tools is not None:
        body["tools"] = [{"functionDeclarations": [_declaration(tool) for tool in request.tools]}]
    if (calling := _calling(request)) is not None:
        body["toolConfig"] = {"functionCallingConfig": calling}


def _declaration(tool: Tool) -> JsonObject:
    function = tool.function
    declared: JsonObject = {"name": function.name}
    if function.description is not None:
        declared["description"] = function.description
    parameters = gemini_schema(function.parameters) if function.parameters else None
    # An object without properties is refused; a function without parameters is not.
    if parameters is not None and _says_something(parameters):
        declared["parametersJsonSchema"] = parameters
    return declared


_NO_OBJECT = frozenset(("type", "properties", "required", "additionalProperties", "title"))


def _says_something(parameters: JsonObject) -> bool:
    """Whether a function has arguments: by name, of free names, or in any other way."""
    return (
        bool(parameters.get("properties"))
        or isinstance(parameters.get("additionalProperties"), dict)
        or bool(parameters.keys() - _NO_OBJECT)
    )


def _calling(request: ChatRequest) -> JsonObject | None:
    choice = request.tool_choice
    if isinstance(choice, ToolChoiceFunction):
        return {"mode": "ANY", "allowedFunctionNames": [choice.function.name]}
    if choice in (None, "auto") and any(tool.function.strict for tool in request.tools or ()):
        # As `AUTO`, with arguments that are held to their schema.
        return {"mode": "VALIDATED"}
    return None if choice is None else {"mode": _MODES[choice]}


def _add_extras(body: JsonObject, config: JsonObject, request: ChatRequest) -> None:
    extras = own_extras(request, PROTOCOL, _RESERVED)
    own = extras.pop("generationConfig", {})
    if not isinstance(own, dict):
        raise invalid("extras.gemini.generationConfig must be an object")
    if "candidateCount" in own or "candidate_count" in own:
        raise invalid("extras.gemini may not set candidateCount: a job has one answer")
    join_tools(body, extras, PROTOCOL)
    limit = config.get("maxOutputTokens")
    join_fields(config, own)
    if limit is not None:
        # The request's may have been raised since.
        config.pop("max_output_tokens", None)
        config["maxOutputTokens"] = limit
    join_fields(body, extras)
