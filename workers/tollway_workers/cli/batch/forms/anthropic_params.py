"""From the `params` of an Anthropic batch to a request that belongs to no provider.

No field is dropped: it is mapped, or it passes through under `extras["anthropic"]`, or the params
are refused. https://platform.claude.com/docs/en/api/creating-message-batches
"""

from collections.abc import Iterator, Mapping
from typing import Any

import orjson

from tollway_schemas import ChatRequest, InvalidValue, OutputSchema
from tollway_workers.cli.batch.forms.body import (
    Body,
    list_at,
    model_of,
    object_at,
    only_known,
    record_of,
    text_at,
)

JsonObject = dict[str, Any]

_PARAMS = ("params",)
#: Fields that are read here by name.
_READ = frozenset(
    {
        "model", "messages", "system", "max_tokens", "temperature", "top_p", "stop_sequences",
        "tools", "tool_choice", "stream", "output_config", "output_format", "thinking",
    }
)  # fmt: skip
_TURN = frozenset(("role", "content"))
_OF_RESULT = frozenset(("type", "tool_use_id", "content", "is_error", "cache_control"))
#: `caller` says which of Anthropic's own tools has called.
_OF_CALL = frozenset(("type", "id", "name", "input", "cache_control", "caller"))
_OF_CHOICE = frozenset(("type", "name", "disable_parallel_tool_use"))
_NAMES = {"max_output_tokens": "max_tokens", "stop": "stop_sequences", "messages": "messages"}
_CHOICES = {"auto": "auto", "any": "required", "none": "none"}
#: Efforts that are as long as a number of tokens of thinking.
_EFFORTS = ((4_096, "low"), (16_384, "medium"))


def read_params(params: Mapping[str, Any]) -> Body:
    """The request in `params`. Raises InvalidValue, which names the field and quotes no value."""
    model = model_of(params, "params")
    if params.get("stream") not in (None, False):
        raise InvalidValue("params.stream: must be false or absent: a batch never streams")
    extras: JsonObject = {
        name: value for name, value in params.items() if name not in _READ and value is not None
    }
    fields: JsonObject = {
        "messages": [*_system(params.get("system")), *_messages(params.get("messages"))],
        "max_output_tokens": params.get("max_tokens"),
        "temperature": params.get("temperature"),
        "top_p": params.get("top_p"),
        "stop": params.get("stop_sequences"),
        **_tools(params, extras),
        "reasoning_effort": _effort(params, extras),
    }
    output = _output(params, extras)
    fields["extras"] = {"anthropic": extras} if extras else {}
    return Body(model, record_of(ChatRequest, fields, _PARAMS, _NAMES), output)


def _system(system: Any) -> Iterator[JsonObject]:
    if system is not None:
        content = system if isinstance(system, str) else list_at(system, "params.system")
        yield {"role": "system", "content": content}


def _messages(messages: Any) -> Iterator[JsonObject]:
    for index, message in enumerate(list_at(messages, "params.messages")):
        where = f"params.messages.{index}"
        turn = object_at(message, where)
        only_known(turn, _TURN, where)
        content = turn.get("content")
        if isinstance(content, str):
            yield {"role": turn.get("role"), "content": content}
            continue
        blocks = [
            object_at(block, f"{where}.content.{place}")
            for place, block in enumerate(list_at(content, f"{where}.content"))
        ]
        yield from _turns(turn.get("role"), blocks, where)


def _turns(role: Any, blocks: list[JsonObject], where: str) -> Iterator[JsonObject]:
    """A turn of blocks: results of tools are turns of their own, calls a field of theirs."""
    calls: list[JsonObject] = []
    for place, block in enumerate(blocks):
        at = f"{where}.content.{place}"
        if block.get("type") == "tool_result":
            _require_role(role, "user", at)
            yield _result(block, at)
        elif block.get("type") == "tool_use":
            _require_role(role, "assistant", at)
            calls.append(_call(block, at))
    parts = [_part(block) for block in blocks if block.get("type") not in _OF_TOOLS]
    if parts or calls:
        turn: JsonObject = {"role": role, "content": parts or None}
        yield turn | ({"tool_calls": calls} if calls else {})


_OF_TOOLS = ("tool_result", "tool_use")


def _require_role(role: Any, wanted: str, where: str) -> None:
    if role != wanted:
        raise InvalidValue(f"{where}: a block of this type stands in a turn of role {wanted}")


def _result(block: JsonObject, where: str) -> JsonObject:
    only_known(block, _OF_RESULT, where)
    content = block.get("content")
    said = (
        content
        if isinstance(content, str)
        else [
            _part(object_at(part, f"{where}.content"))
            for part in list_at(content if content is not None else [], f"{where}.content")
        ]
    )
    turn: JsonObject = {
        "role": "tool",
        "tool_call_id": text_at(block.get("tool_use_id"), f"{where}.tool_use_id"),
        "content": said,
        **_cached(block),
    }
    return turn | ({"is_error": True} if block.get("is_error") else {})


def _call(block: JsonObject, where: str) -> JsonObject:
    only_known(block, _OF_CALL, where)
    try:
        arguments = orjson.dumps(object_at(block.get("input"), f"{where}.input")).decode()
    except orjson.JSONEncodeError:
        # JSON that was read can be written, unless it is too deep.
        raise InvalidValue(f"{where}.input: is nested too deep") from None
    function = {"name": text_at(block.get("name"), f"{where}.name"), "arguments": arguments}
    call_id = text_at(block.get("id"), f"{where}.id")
    return {"id": call_id, "type": "function", "function": function, **_cached(block)}


def _cached(block: JsonObject) -> JsonObject:
    """Where the prompt may be cached, as the block says it."""
    return {name: block[name] for name in ("cache_control",) if block.get(name) is not None}


def _part(block: JsonObject) -> JsonObject:
    """A block as a part that all protocols know, or as it is."""
    source = block.get("source")
    source = source if isinstance(source, dict) else {}
    cached = _cached(block)
    url = _url(source)
    if url is None or block.keys() - {"type", "source", "title", "cache_control"}:
        return block
    if block.get("type") == "image":
        return {"type": "image_url", "image_url": {"url": url}, **cached}
    if block.get("type") == "document":
        name = {"filename": block["title"]} if isinstance(block.get("title"), str) else {}
        held = "file_url" if source.get("type") == "url" else "file_data"
        return {"type": "file", "file": {held: url, **name}, **cached}
    return block


def _url(source: JsonObject) -> str | None:
    match source:
        case {"type": "base64", "media_type": str(kind), "data": str(data)}:
            return f"data:{kind};base64,{data}"
        case {"type": "url", "url": str(url)}:
            return url
        case _:
            return None


def _tools(params: Mapping[str, Any], extras: JsonObject) -> JsonObject:
    fields: JsonObject = {}
    if params.get("tools") is not None:
        given = [
            object_at(tool, f"params.tools.{index}")
            for index, tool in enumerate(list_at(params["tools"], "params.tools"))
        ]
        own = [tool for tool in given if tool.get("type") in (None, "custom")]
        fields["tools"] = [_tool(tool) for tool in own] or None
        if others := [tool for tool in given if tool.get("type") not in (None, "custom")]:
            extras["tools"] = others
    if params.get("tool_choice") is not None:
        choice = object_at(params["tool_choice"], "params.tool_choice")
        fields["tool_choice"] = _choice(choice)
        if choice.get("disable_parallel_tool_use"):
            fields["parallel_tool_calls"] = False
    return fields


def _tool(tool: JsonObject) -> JsonObject:
    function = {name: value for name, value in tool.items() if name not in ("type", "input_schema")}
    return {"type": "function", "function": {**function, "parameters": tool.get("input_schema")}}


def _choice(choice: JsonObject) -> Any:
    only_known(choice, _OF_CHOICE, "params.tool_choice")
    if choice.get("type") == "tool":
        return {"type": "function", "function": {"name": choice.get("name")}}
    said = choice.get("type")
    kind = _CHOICES.get(said) if isinstance(said, str) else None
    if kind is None:
        raise InvalidValue("params.tool_choice.type: must be auto, any, tool or none")
    return kind


def _effort(params: Mapping[str, Any], extras: JsonObject) -> str | None:
    """How long to think; a number of tokens is also said as it is to who knows it."""
    config = params.get("output_config")
    effort = config.get("effort") if isinstance(config, dict) else None
    if effort is not None:
        effort = text_at(effort, "params.output_config.effort")
    if params.get("thinking") is None:
        return effort
    thinking = object_at(params["thinking"], "params.thinking")
    match thinking.get("type"):
        case "disabled":
            if effort is not None:
                extras["thinking"] = thinking
            return effort or "none"
        case "enabled":
            extras["thinking"] = thinking
            budget = thinking.get("budget_tokens")
            tokens = budget if isinstance(budget, int) else 0
            return effort or next((e for most, e in _EFFORTS if tokens <= most), "high")
        case _:
            if thinking != {"type": "adaptive"}:
                extras["thinking"] = thinking
            return effort or "high"


def _output(params: Mapping[str, Any], extras: JsonObject) -> OutputSchema | None:
    config = params.get("output_config")
    config = {} if config is None else object_at(config, "params.output_config")
    thinking = params.get("thinking")
    counted = isinstance(thinking, dict) and thinking.get("type") == "enabled"
    # Beside a number of tokens an effort is said as it is.
    read = ("format",) if counted else ("effort", "format")
    if rest := {name: each for name, each in config.items() if name not in read}:
        extras["output_config"] = rest
    form, where = config.get("format"), "params.output_config.format"
    if form is None:
        form, where = params.get("output_format"), "params.output_format"
    if form is None:
        return None
    said = object_at(form, where)
    if said.get("type") != "json_schema" or said.get("schema") is None:
        raise InvalidValue(f"{where}: must be of type json_schema, with a schema")
    names = {"json_schema": "schema"}
    fields = {"json_schema": said["schema"], "strict": True}
    return record_of(OutputSchema, fields, tuple(where.split(".")), names)
