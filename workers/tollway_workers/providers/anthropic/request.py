"""Anthropic's Messages: from a request to the bytes of a call. Pure.

https://platform.claude.com/docs/en/api/messages
"""

from typing import Any

import orjson

from tollway_schemas.request import ChatRequest, OutputSchema, Tool, ToolChoiceFunction
from tollway_workers.config.shape.fleet import LaneConfig
from tollway_workers.providers.anthropic.output import add_output
from tollway_workers.providers.anthropic.parts import with_own
from tollway_workers.providers.anthropic.thinking import add_thinking
from tollway_workers.providers.anthropic.turns import conversation_of
from tollway_workers.providers.asking import NOT_JSON, invalid, join_fields, own_extras, take_tools
from tollway_workers.providers.streaming import wants_stream

JsonObject = dict[str, Any]

#: The key of `ChatRequest.extras` that this protocol reads.
PROTOCOL = "anthropic"
#: Whether the server takes streams at all.
STREAM = "stream"

#: What belongs to the lane, to the request's own fields and to how we call.
_RESERVED = ("model", "messages", "system", "stream")

#: A limit has to be said. Tokens where a job names none: without thinking, and with it.
_ASSUMED_LIMIT, _ASSUMED_THINKING_LIMIT = 4_096, 32_000
_CHOICES = {"none": "none", "auto": "auto", "required": "any"}
_NO_REASONING = (None, "none", "minimal")


def build(
    request: ChatRequest,
    output: OutputSchema | None,
    lane: LaneConfig,
    refused: frozenset[str] = frozenset(),
) -> bytes:
    """The body of a call, without what the server has `refused` (see `dialect`).

    Raises ProviderError (invalid request) if the request cannot be expressed.
    """
    extras = own_extras(request, PROTOCOL, _RESERVED)
    conversation = conversation_of(request.messages)
    body: JsonObject = {
        "model": lane.model,
        "max_tokens": _limit(request, extras),
        "messages": conversation.turns,
    }
    if conversation.system:
        body["system"] = conversation.system
    _add_sampling(body, request)
    _add_tools(body, request, extras)
    _add_thinking(body, request, extras, refused, may_think=not conversation.in_tool_loop)
    if output is not None:
        add_output(body, output, request, lane, refused)
    join_fields(body, extras)
    if streams(request, lane, refused):
        body["stream"] = True
    try:
        return orjson.dumps(body)
    except (orjson.JSONEncodeError, RecursionError):
        raise invalid(NOT_JSON) from None


def streams(request: ChatRequest, lane: LaneConfig, refused: frozenset[str] = frozenset()) -> bool:
    """Whether `build` asks for a stream."""
    return wants_stream(request, lane) and STREAM not in refused


def _limit(request: ChatRequest, extras: JsonObject) -> int:
    own = extras.pop("max_tokens", None)
    if request.max_output_tokens is not None:
        return request.max_output_tokens
    if type(own) is int and own > 0:
        return own
    thinks = request.reasoning_effort not in _NO_REASONING or "thinking" in extras
    return _ASSUMED_THINKING_LIMIT if thinks else _ASSUMED_LIMIT


def _add_sampling(body: JsonObject, request: ChatRequest) -> None:
    for name, said in (("temperature", request.temperature), ("top_p", request.top_p)):
        if said is not None:
            body[name] = said
    if request.stop:
        body["stop_sequences"] = request.stop


def _add_tools(body: JsonObject, request: ChatRequest, extras: JsonObject) -> None:
    tools = [_tool(tool) for tool in request.tools or ()]
    tools += take_tools(extras, PROTOCOL)
    if not tools:
        return
    body["tools"] = tools
    choice = _choice(request.tool_choice)
    # Beside `none` the field is refused.
    if request.parallel_tool_calls is False and choice != {"type": "none"}:
        choice = {**(choice or {"type": "auto"}), "disable_parallel_tool_use": True}
    if choice is not None:
        body["tool_choice"] = choice


def _choice(choice: str | ToolChoiceFunction | None) -> JsonObject | None:
    if choice is None:
        return None
    if isinstance(choice, str):
        return {"type": _CHOICES[choice]}
    return {"type": "tool", "name": choice.function.name}


def _tool(tool: Tool) -> JsonObject:
    function = tool.function
    said: JsonObject = {"name": function.name}
    if function.description is not None:
        said["description"] = function.description
    said["input_schema"] = {"type": "object", **(function.parameters or {})}
    if function.strict is not None:
        said["strict"] = function.strict
    return with_own(with_own(said, tool), function)


def _add_thinking(
    body: JsonObject,
    request: ChatRequest,
    extras: JsonObject,
    refused: frozenset[str],
    *,
    may_think: bool,
) -> None:
    """As the request says, in Anthropic's own words where it has those: an effort beside a number
    of tokens would change more than how long is thought.
    """
    own = extras.pop("thinking", None)
    counted = isinstance(own, dict) and own.get("type") == "enabled"
    if request.reasoning_effort is not None and not counted:
        add_thinking(body, request.reasoning_effort, refused, may_think=may_think)
    if own is not None:
        join_fields(body, {"thinking": own})
