"""What a body of OpenAI's chat completions asks. Pure."""

from collections.abc import Iterator, Mapping
from typing import Any

from tollway_workers.local.simulator.ask import (
    Ask,
    Asked,
    BadRequest,
    Block,
    Tool,
    Wants,
    objects,
    prompt_of,
)
from tollway_workers.local.simulator.reasoning import effort_tokens
from tollway_workers.local.simulator.tokens import CHARACTERS, Tokens, message_tokens, texts
from tollway_workers.local.simulator.wire.reading import Function, tool_blocks, whole_number


def bearer(headers: Mapping[str, str], _query: Mapping[str, str]) -> str | None:
    """The API key of an `Authorization` header."""
    kind, _, key = headers.get("authorization", "").partition(" ")
    return key if kind == "Bearer" else None


def read(asked: Asked, tokens: Tokens = CHARACTERS) -> Ask:
    """What a request body asks. Raises BadRequest."""
    fields = asked.fields
    messages = _messages(fields)
    if fields.get("n") not in (None, 1):
        raise BadRequest("Only one choice is supported.", param="n", code="unsupported_value")
    wants, schema = _format(fields, messages)
    functions = tuple(_functions(fields))
    tools, must_call = choose_tools(functions, _choice(fields))
    blocks = (
        *tool_blocks(functions, tokens),
        *(Block(content=message, tokens=message_tokens(message, tokens)) for message in messages),
    )
    return Ask(
        model=_model(fields),
        prompt_tokens=prompt_of(blocks),
        max_tokens=_max_tokens(fields),
        stream=fields.get("stream") is True,
        wants=wants,
        schema=schema,
        tokens=tokens,
        blocks=blocks,
        tools=tools,
        must_call=must_call,
        in_parallel=fields.get("parallel_tool_calls") is not False,
        has_results=messages[-1].get("role") == "tool",
        reasoning_tokens=effort_tokens(fields.get("reasoning_effort")),
    )


def choose_tools(functions: tuple[Function, ...], choice: object) -> tuple[tuple[Tool, ...], bool]:
    """The tools that may be called, and whether one must be. Raises BadRequest."""
    tools = tuple(function.tool for function in functions)
    if choice is None or choice == "auto":
        return tools, False
    if not tools:
        raise BadRequest(
            "'tool_choice' is only allowed when 'tools' are specified.", param="tool_choice"
        )
    if choice == "none":
        return (), False
    if choice == "required":
        return tools, True
    name = choice.get("name") if isinstance(choice, dict) else None
    named = tuple(tool for tool in tools if tool.name == name)
    if not named:
        raise BadRequest("Tool choice not found in 'tools' parameter.", param="tool_choice")
    return named[:1], True


def _choice(fields: dict[str, Any]) -> object:
    """The choice of tools, with the name of one as Responses writes it."""
    choice = fields.get("tool_choice")
    if isinstance(choice, dict):
        function = choice.get("function")
        return {"name": function.get("name") if isinstance(function, dict) else None}
    return choice


def _functions(fields: dict[str, Any]) -> Iterator[Function]:
    for place, tool in enumerate(objects(fields.get("tools"))):
        function = tool.get("function")
        if not isinstance(function, dict) or not isinstance(function.get("name"), str):
            raise BadRequest(
                f"Missing required parameter: 'tools[{place}].function.name'.",
                param=f"tools[{place}].function.name",
                code="missing_required_parameter",
            )
        yield Function(function["name"], function.get("description"), function.get("parameters"))


def _model(fields: dict[str, Any]) -> str:
    model = fields.get("model")
    if not isinstance(model, str) or not model:
        raise BadRequest("You must provide a model parameter.", param="model")
    return model


def _messages(fields: dict[str, Any]) -> list[dict[str, Any]]:
    messages = fields.get("messages")
    if not isinstance(messages, list) or not messages:
        raise BadRequest("'messages' must be a list of at least one message.", param="messages")
    for place, message in enumerate(messages):
        if not isinstance(message, dict) or not isinstance(message.get("role"), str):
            raise BadRequest("A message must have a role.", param=f"messages[{place}]")
    return messages


def _max_tokens(fields: dict[str, Any]) -> int | None:
    for name in ("max_completion_tokens", "max_tokens"):
        if (value := whole_number(fields, name)) is not None:
            return value
    return None


def _format(fields: dict[str, Any], messages: list[dict[str, Any]]) -> tuple[Wants, Any]:
    wanted = fields.get("response_format")
    kind = "text" if wanted is None else wanted.get("type") if isinstance(wanted, dict) else None
    match kind:
        case "text":
            return "text", None
        case "json_object":
            if not any("json" in text.lower() for text in texts(messages)):
                raise BadRequest(
                    "'messages' must contain the word 'json' to use 'response_format' of type "
                    "'json_object'.",
                    param="messages",
                )
            return "json_object", None
        case "json_schema":
            schema = wanted.get("json_schema") if isinstance(wanted, dict) else None
            if not isinstance(schema, dict) or "schema" not in schema:
                raise BadRequest(
                    "Missing required parameter.", param="response_format.json_schema.schema"
                )
            return "json_schema", schema["schema"]
        case _:
            raise BadRequest(
                "'response_format.type' must be text, json_object or json_schema.",
                param="response_format.type",
            )
