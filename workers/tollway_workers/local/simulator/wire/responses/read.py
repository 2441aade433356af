"""What a body of OpenAI's Responses asks. Pure."""

from collections.abc import Iterator
from typing import Any

from tollway_workers.local.simulator.ask import (
    Ask,
    Asked,
    BadRequest,
    Wants,
    objects,
    prompt_of,
)
from tollway_workers.local.simulator.reasoning import effort_tokens
from tollway_workers.local.simulator.tokens import CHARACTERS, Tokens
from tollway_workers.local.simulator.wire.openai.read import choose_tools
from tollway_workers.local.simulator.wire.reading import Function, tool_blocks, whole_number
from tollway_workers.local.simulator.wire.responses.items import (
    has_results,
    items,
    prompt,
    says_json,
)

_KNOWN = frozenset(
    {
        *("model", "input", "instructions", "max_output_tokens", "temperature", "top_p", "text"),
        *("reasoning", "tools", "tool_choice", "parallel_tool_calls", "store", "stream"),
        *("stream_options", "background", "previous_response_id", "include", "metadata", "user"),
        *("prompt_cache_key", "prompt_cache_options", "prompt_cache_retention", "service_tier"),
        *("truncation", "safety_identifier", "max_tool_calls", "top_logprobs", "conversation"),
        *("prompt", "context_management"),
    }
)
#: What would need answers to be kept.
_WITH_A_MEMORY = ("background", "previous_response_id", "conversation", "prompt")
#: The least that a limit may be.
_LEAST_TOKENS = 16


def read(asked: Asked, tokens: Tokens = CHARACTERS) -> Ask:
    """What a request body asks. Raises BadRequest."""
    fields = asked.fields
    _check_fields(fields)
    given, instructions = items(fields.get("input")), fields.get("instructions")
    functions = tuple(_functions(fields))
    tools, must_call = choose_tools(functions, fields.get("tool_choice"))
    wants, schema = _format(fields)
    if wants == "json_object" and not says_json(instructions, given):
        raise BadRequest(
            "Response input messages must contain the word 'json' in some form to use "
            "'text.format' of type 'json_object'.",
            param="input",
        )
    blocks = (*tool_blocks(functions, tokens), *prompt(instructions, given, tokens))
    reasoning = fields.get("reasoning")
    return Ask(
        model=fields["model"],
        prompt_tokens=prompt_of(blocks),
        max_tokens=whole_number(fields, "max_output_tokens", _LEAST_TOKENS),
        stream=fields.get("stream") is True,
        wants=wants,
        schema=schema,
        tokens=tokens,
        blocks=blocks,
        tools=tools,
        must_call=must_call,
        in_parallel=fields.get("parallel_tool_calls") is not False,
        has_results=has_results(given),
        reasoning_tokens=effort_tokens(
            reasoning.get("effort") if isinstance(reasoning, dict) else None
        ),
    )


def _check_fields(fields: dict[str, Any]) -> None:
    if unknown := sorted(fields.keys() - _KNOWN):
        raise BadRequest(
            f"Unknown parameter: '{unknown[0][:60]}'.", param=unknown[0], code="unknown_parameter"
        )
    for name in _WITH_A_MEMORY:
        if fields.get(name):
            raise BadRequest(
                f"'{name}' is not supported by this simulator.",
                param=name,
                code="unsupported_parameter",
            )
    if not isinstance(fields.get("model"), str) or not fields["model"]:
        raise BadRequest("Missing required parameter: 'model'.", param="model")


def _functions(fields: dict[str, Any]) -> Iterator[Function]:
    for place, tool in enumerate(objects(fields.get("tools"))):
        if tool.get("type") != "function":
            continue
        if not isinstance(tool.get("name"), str):
            raise BadRequest(
                f"Missing required parameter: 'tools[{place}].name'.",
                param=f"tools[{place}].name",
                code="missing_required_parameter",
            )
        yield Function(tool["name"], tool.get("description"), tool.get("parameters"))


def _format(fields: dict[str, Any]) -> tuple[Wants, Any]:
    text = fields.get("text")
    wanted = text.get("format") if isinstance(text, dict) else None
    match wanted:
        case None | {"type": "text"}:
            return "text", None
        case {"type": "json_object"}:
            return "json_object", None
        case {"type": "json_schema", "name": str(), "schema": schema}:
            return "json_schema", schema
        case {"type": "json_schema"}:
            missing = "name" if "name" not in wanted else "schema"
            raise BadRequest(
                f"Missing required parameter: 'text.format.{missing}'.",
                param=f"text.format.{missing}",
                code="missing_required_parameter",
            )
    raise BadRequest(
        "Invalid value: 'text.format.type' must be text, json_object or json_schema.",
        param="text.format.type",
        code="invalid_value",
    )
