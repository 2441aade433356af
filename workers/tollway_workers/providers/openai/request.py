"""OpenAI chat completions: from a request to the bytes of a call. Pure.

Bodies are built by hand from attributes: half the time of pydantic's own dump, and absent fields
stay absent. Protocol: https://platform.openai.com/docs/api-reference/chat/create
"""

from typing import Any

import orjson

from tollway_schemas.model import Record
from tollway_schemas.request import (
    ChatRequest,
    ContentPart,
    ImagePart,
    Message,
    OutputSchema,
    TextPart,
    Tool,
    ToolCall,
)
from tollway_workers.config.shape.fleet import LaneConfig
from tollway_workers.config.shape.profiles import UNKNOWN, Profile
from tollway_workers.providers.asking import NOT_JSON, ask_for_json, invalid, join_tools, own_extras
from tollway_workers.providers.openai.dialect import (
    DEFAULT_LIMIT_FIELD,
    LIMIT_FIELDS,
    limit_field,
    takes,
    takes_form,
)
from tollway_workers.providers.openai.output_form import ANY_OBJECT, named, wire_schema
from tollway_workers.providers.streaming import wants_stream

#: The key of `ChatRequest.extras` that this protocol reads.
PROTOCOL = "openai"

#: What belongs to the lane and to how we call: an extra of this name would change another's call.
_RESERVED = ("model", "messages", "stream", "stream_options", "n")

#: Fields of the request that the body has under the same name.
_SAME_NAME = ("temperature", "top_p", "seed", "parallel_tool_calls", "reasoning_effort")

JsonObject = dict[str, Any]


def build(
    request: ChatRequest,
    output: OutputSchema | None,
    lane: LaneConfig,
    refused: frozenset[str] = frozenset(),
) -> bytes:
    """The body of a call, without what the server has `refused` (see `openai_dialect`).

    Where the server cannot be given a schema (`structured_output = "json_object"`), the schema goes
    into the system message; with `"none"` the prompt is sent as it is.

    Raises ProviderError (invalid request) if the request cannot be expressed.
    """
    profile = lane.profile
    messages = [_message(message, profile) for message in request.messages]
    body: JsonObject = {"model": lane.model, "messages": messages}
    _add_sampling(body, request, profile)
    _add_tools(body, request, profile)
    if output is not None:
        _add_output(body, output, lane, refused)
    if request.extras:
        extras = own_extras(request, PROTOCOL, _RESERVED)
        join_tools(body, extras, PROTOCOL)
        body.update(extras)
    _add_limit(body, request, lane, refused)
    if streams(request, lane, refused):
        body["stream"] = True
        if profile.asks_for_usage and takes("stream_options", refused):
            body["stream_options"] = {"include_usage": True, **dict(profile.stream_options)}
    try:
        return orjson.dumps(body)
    except (orjson.JSONEncodeError, RecursionError):
        raise invalid(NOT_JSON) from None


def streams(request: ChatRequest, lane: LaneConfig, refused: frozenset[str] = frozenset()) -> bool:
    """Whether `build` asks for a stream."""
    if not wants_stream(request, lane) or not takes("stream", refused):
        return False
    # Of sounds a stream has fewer forms than a whole answer.
    return "audio" not in request.extras.get(PROTOCOL, ())


def _add_limit(
    body: JsonObject, request: ChatRequest, lane: LaneConfig, refused: frozenset[str]
) -> None:
    """The answer's limit under one name: the lane's, else the caller's own (among the extras).

    Its amount is the request's, which may have been raised since.
    """
    own = {name: body.pop(name) for name in LIMIT_FIELDS if name in body} if request.extras else {}
    limit = request.max_output_tokens
    if limit is None:
        limit = next((value for value in own.values() if value is not None), None)
    if limit is not None:
        wanted: str = lane.max_tokens_field or next(iter(own), DEFAULT_LIMIT_FIELD)
        body[limit_field(wanted, refused)] = limit


def _add_sampling(body: JsonObject, request: ChatRequest, profile: Profile) -> None:
    for name in _SAME_NAME:
        value = getattr(request, name)
        if value is not None:
            body[name] = value
    for name, other in profile.renamed:
        if name in body:
            body[other] = body.pop(name)
    if request.stop is not None:
        body["stop"] = request.stop


def _add_tools(body: JsonObject, request: ChatRequest, profile: Profile) -> None:
    if request.tools is not None:
        body["tools"] = [_tool(tool, profile) for tool in request.tools]
    choice = request.tool_choice
    if choice is not None:
        body["tool_choice"] = choice if isinstance(choice, str) else choice.model_dump()


def _tool(tool: Tool, profile: Profile) -> JsonObject:
    said: JsonObject = tool.model_dump(exclude_none=True)
    for name in _marks(profile):
        said.pop(name, None)
        said["function"].pop(name, None)
    return said


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
            body["response_format"] = {"type": "json_schema", "json_schema": named(output, wire)}
            return
    if not lane.profile.json_object:
        body["response_format"] = {"type": "json_schema", "json_schema": ANY_OBJECT}
    elif takes_form("json_object", refused):
        body["response_format"] = {"type": "json_object"}
    if not isinstance(schema, bool) or not _mentions_json(body["messages"]):
        body["messages"] = _with_system_text(body["messages"], ask_for_json(schema))


def _message(message: Message, profile: Profile) -> JsonObject:
    is_system = message.role == "developer" and not profile.developer_role
    body: JsonObject = {"role": "system" if is_system else message.role}
    content = message.content
    if content is None or isinstance(content, str):
        body["content"] = content
    else:
        body["content"] = [_part(part, profile) for part in content]
    if message.name is not None:
        body["name"] = message.name
    if message.tool_calls is not None:
        body["tool_calls"] = [_tool_call(call, profile) for call in message.tool_calls]
    if message.tool_call_id is not None:
        body["tool_call_id"] = message.tool_call_id
    return _with_unknown(body, message, profile)


def _tool_call(call: ToolCall, profile: Profile) -> JsonObject:
    """A call; Google's signature of it goes to unknown servers only, as others refuse it."""
    without = _marks(profile) | (set() if profile is UNKNOWN else {"extra_content"})
    return call.model_dump(exclude_none=True, exclude=without)


def _part(part: ContentPart, profile: Profile) -> JsonObject:
    if isinstance(part, ImagePart):
        return part.model_dump(exclude_none=True, exclude=_marks(profile))
    body: JsonObject = {"type": part.type}
    if isinstance(part, TextPart):
        body["text"] = part.text
    return _with_unknown(body, part, profile)


def _with_unknown(body: JsonObject, record: Record, profile: Profile) -> JsonObject:
    """Fields that this release does not know reach the provider as they are."""
    if record.__pydantic_extra__:
        body.update(record.__pydantic_extra__)
        for name in _marks(profile):
            body.pop(name, None)
    return body


def _marks(profile: Profile) -> set[str]:
    """What only says where a prompt may be cached: servers that cache by themselves refuse it."""
    return set() if profile.cache_marks else {"cache_control"}


def _mentions_json(messages: list[JsonObject]) -> bool:
    return (
        b"json" in orjson.dumps([message["content"] for message in messages], default=str).lower()
    )


def _with_system_text(messages: list[JsonObject], text: str) -> list[JsonObject]:
    """The messages with `text` in the system message: many chat templates take only one, first."""
    first = messages[0]
    if first["role"] in ("system", "developer") and isinstance(first["content"], str):
        return [{**first, "content": f"{first['content']}\n\n{text}"}, *messages[1:]]
    return [{"role": "system", "content": text}, *messages]
