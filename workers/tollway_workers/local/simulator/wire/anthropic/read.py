"""What a body of Anthropic's Messages asks. Pure."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from tollway_workers.local.simulator.ask import Ask, Asked, BadRequest, Tool, Wants, prompt_of
from tollway_workers.local.simulator.reasoning import USUAL, budget_tokens, effort_tokens
from tollway_workers.local.simulator.tokens import CHARACTERS, Tokens
from tollway_workers.local.simulator.wire.anthropic.schema import unsupported
from tollway_workers.local.simulator.wire.anthropic.turns import (
    cached_for,
    check_breakpoints,
    prompt,
    turns,
)
from tollway_workers.local.simulator.wire.reading import Function, tool_blocks

#: Since the second, the parameters of sampling are gone.
_VERSIONS = ("2023-06-01", "2026-10-21")
_SAMPLING = ("temperature", "top_p", "top_k")
_KNOWN = frozenset(
    {
        *("model", "max_tokens", "messages", "system", "stop_sequences", "stream", "metadata"),
        *("thinking", "tools", "tool_choice", "output_config", "service_tier", "cache_control"),
        *("container", "context_management", "mcp_servers", "inference_geo", "speed"),
        *_SAMPLING,
    }
)
_TOOL_NAME = re.compile(r"[a-zA-Z0-9_-]{1,128}")
_LEAST_BUDGET = 1024
_MOST_STRICT_TOOLS = 20


def key(headers: Mapping[str, str], _query: Mapping[str, str]) -> str | None:
    """The API key: of `x-api-key`, or a bearer's."""
    kind, _, token = headers.get("authorization", "").partition(" ")
    return headers.get("x-api-key") or (token if kind == "Bearer" else None)


def read(asked: Asked, tokens: Tokens = CHARACTERS) -> Ask:
    """What a request body asks. Raises BadRequest."""
    fields = asked.fields
    _check_fields(fields, asked.headers.get("anthropic-version"))
    most = _max_tokens(fields)
    conversation = turns(fields)
    functions = tuple(_functions(fields))
    tools, must_call = _choose(fields, functions)
    wants, schema = _format(fields)
    made = tool_blocks(functions, tokens)
    kept = (cached_for(tool) for tool in _tools(fields))
    blocks = (
        *(replace(block, cached_for=each) for block, each in zip(made, kept, strict=True)),
        *prompt(fields, conversation, tokens),
    )
    if (whole := cached_for(fields)) is not None:
        blocks = (*blocks[:-1], replace(blocks[-1], cached_for=whole))
    check_breakpoints(blocks)
    choice = fields.get("tool_choice")
    alone = isinstance(choice, dict) and choice.get("disable_parallel_tool_use") is True
    return Ask(
        model=_model(fields),
        prompt_tokens=prompt_of(blocks),
        max_tokens=most,
        stream=fields.get("stream") is True,
        wants=wants,
        schema=schema,
        tokens=tokens,
        blocks=blocks,
        tools=tools,
        must_call=must_call,
        in_parallel=not alone,
        has_results=any(block.get("type") == "tool_result" for block in conversation[-1][1]),
        reasoning_tokens=_reasoning(fields, most, must_call),
    )


def _check_fields(fields: dict[str, Any], version: str | None) -> None:
    if version is None:
        raise BadRequest("anthropic-version: header is required")
    if version not in _VERSIONS:
        raise BadRequest('anthropic-version: "x" is not a valid version'.replace("x", version[:40]))
    if unknown := sorted(fields.keys() - _KNOWN):
        raise BadRequest(f"{unknown[0]}: Extra inputs are not permitted")
    given = [name for name in _SAMPLING if fields.get(name) is not None]
    if given and version != _VERSIONS[0]:
        raise BadRequest(f"{given[0]}: this parameter is not supported in this API version")
    temperature = fields.get("temperature")
    if isinstance(temperature, int | float) and not 0 <= temperature <= 1:
        raise BadRequest("temperature: range: 0..1")
    thinking = fields.get("thinking")
    thinks = isinstance(thinking, dict) and thinking.get("type") in ("enabled", "adaptive")
    if thinks and temperature not in (None, 1):
        raise BadRequest(
            "`temperature` may only be set to 1 when thinking is enabled or in adaptive mode."
        )
    _check_stops(fields)


def _check_stops(fields: dict[str, Any]) -> None:
    stops = fields.get("stop_sequences") or []
    if not isinstance(stops, list) or not all(isinstance(stop, str) for stop in stops):
        raise BadRequest("stop_sequences: Input should be a valid list of strings")
    if not all(stop.strip() for stop in stops):
        raise BadRequest("stop_sequences: each stop sequence must contain non-whitespace")


def _model(fields: dict[str, Any]) -> str:
    model = fields.get("model")
    if not isinstance(model, str) or not model:
        raise BadRequest("model: Field required")
    return model


def _max_tokens(fields: dict[str, Any]) -> int:
    value = fields.get("max_tokens")
    if value is None:
        raise BadRequest("max_tokens: Field required")
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise BadRequest("max_tokens: Input should be greater than or equal to 1")
    return value


def _tools(fields: dict[str, Any]) -> list[dict[str, Any]]:
    tools = fields.get("tools") or []
    if not isinstance(tools, list) or not all(isinstance(tool, dict) for tool in tools):
        raise BadRequest("tools: Input should be a valid list")
    return tools


def _functions(fields: dict[str, Any]) -> Iterator[Function]:
    tools = _tools(fields)
    if sum(tool.get("strict") is True for tool in tools) > _MOST_STRICT_TOOLS:
        raise BadRequest(f"tools: at most {_MOST_STRICT_TOOLS} tools may be strict")
    for number, tool in enumerate(tools):
        place = f"tools.{number}.custom"
        name, schema = tool.get("name"), tool.get("input_schema")
        if not isinstance(name, str) or _TOOL_NAME.fullmatch(name) is None:
            raise BadRequest(
                f"{place}.name: String should match pattern '^[a-zA-Z0-9_-]{{1,128}}$'"
            )
        if not isinstance(schema, dict):
            raise BadRequest(f"{place}.input_schema: Field required")
        if schema.get("type") != "object":
            raise BadRequest(f"{place}.input_schema.type: Field required")
        if tool.get("strict") is True and (why := unsupported(schema)) is not None:
            raise BadRequest(f"{place}.input_schema: {why}")
        yield Function(name, tool.get("description"), schema)


def _choose(
    fields: dict[str, Any], functions: tuple[Function, ...]
) -> tuple[tuple[Tool, ...], bool]:
    tools = tuple(function.tool for function in functions)
    choice = fields.get("tool_choice")
    if choice is None:
        return tools, False
    if not tools:
        raise BadRequest("tool_choice may only be specified while providing tools")
    match choice:
        case {"type": "auto"}:
            return tools, False
        case {"type": "none"}:
            return (), False
        case {"type": "any"}:
            return tools, True
        case {"type": "tool", "name": name}:
            if named := tuple(tool for tool in tools if tool.name == name):
                return named[:1], True
            raise BadRequest("Tool choice not found in provided tools")
    raise BadRequest("tool_choice.type: Input should be auto, any, tool or none")


def _format(fields: dict[str, Any]) -> tuple[Wants, Any]:
    config = fields.get("output_config")
    wanted = config.get("format") if isinstance(config, dict) else None
    if wanted is None:
        return "text", None
    if not isinstance(wanted, dict) or wanted.get("type") != "json_schema":
        raise BadRequest("output_config.format.type: Input should be 'json_schema'")
    if "schema" not in wanted:
        raise BadRequest("output_config.format.schema: Field required")
    if (why := unsupported(wanted["schema"])) is not None:
        raise BadRequest(f"output_config.format.schema: {why}")
    return "json_schema", wanted["schema"]


def _reasoning(fields: dict[str, Any], most: int, must_call: bool) -> int:
    thinking = fields.get("thinking")
    kind = thinking.get("type") if isinstance(thinking, dict) else None
    if not isinstance(thinking, dict) or kind in (None, "disabled"):
        return 0
    if must_call:
        raise BadRequest("Thinking may not be enabled when tool_choice forces tool use.")
    if kind == "enabled":
        budget = thinking.get("budget_tokens")
        if not isinstance(budget, int) or budget < _LEAST_BUDGET:
            raise BadRequest(
                "thinking.enabled.budget_tokens: "
                f"Input should be greater than or equal to {_LEAST_BUDGET}"
            )
        if budget >= most:
            raise BadRequest("`max_tokens` must be greater than `thinking.budget_tokens`.")
        return budget_tokens(budget)
    config = fields.get("output_config")
    effort = config.get("effort") if isinstance(config, dict) else None
    return USUAL if effort is None else effort_tokens(effort)
