"""What calls of tools are held to, and how they are written. Pure."""

from collections.abc import Mapping

import orjson

from tollway_schemas.request import OutputSchema, Tool, ToolCall
from tollway_workers.errors import InvalidResult
from tollway_workers.job.readable_json import read_text

#: Where a bad call stands, in the problems of an answer.
CALLS = "/tool_calls/"


def parameters_of(tools: tuple[Tool, ...] | None) -> Mapping[str, Tool] | None:
    """The tools that a request names; None where it names none that we can see."""
    return None if tools is None else {tool.function.name: tool for tool in tools}


def schema_of(tool: Tool) -> OutputSchema:
    """What the arguments of a tool must look like."""
    return OutputSchema(
        mode="json_object",
        json_schema=True if tool.function.parameters is None else tool.function.parameters,
        strict=tool.function.strict,
    )


def wanted_by(call: ToolCall, given: Mapping[str, Tool] | None) -> OutputSchema | None:
    """What the arguments of a call must look like; None where nobody says.

    Raises InvalidResult for a tool that was not offered.
    """
    if given is None:
        return None
    tool = given.get(call.function.name)
    if tool is None:
        raise InvalidResult(("/name: is no tool of the request",), call.function.arguments)
    if tool.function.parameters is None and not call.function.arguments.strip():
        return None
    return schema_of(tool)


def arguments_of(call: ToolCall) -> str:
    """The arguments as text; a tool without parameters may be called with nothing at all."""
    return call.function.arguments if call.function.arguments.strip() else "{}"


def with_readable_arguments(call: ToolCall) -> ToolCall:
    """The call, its arguments as JSON that every reader takes. Raises InvalidResult."""
    arguments = call.function.arguments
    if not arguments.strip():
        return call
    try:
        _, readable = read_text(arguments.removeprefix("\ufeff"))
    except ValueError:
        raise InvalidResult(("/arguments: is not JSON",), arguments) from None
    return with_arguments(call, readable)


def with_arguments(call: ToolCall, arguments: str) -> ToolCall:
    """The call with these arguments."""
    if arguments == call.function.arguments:
        return call
    function = call.function.model_copy(update={"arguments": arguments})
    return call.model_copy(update={"function": function})


def placed(problems: tuple[str, ...], where: str) -> tuple[str, ...]:
    """Problems of arguments, or of a call, as those of the whole answer."""
    return tuple(
        f"{where}{each}" if each.startswith(("/name:", "/arguments:")) else _below(each, where)
        for each in problems
    )


def _below(problem: str, where: str) -> str:
    path, _, said = problem.partition(":")
    return f"{where}/arguments{'' if path == '/' else path}:{said}"


def repaired_at(done: tuple[str, ...], where: str) -> list[str]:
    """What was done to arguments, as what was done to the whole answer."""
    parts = (each.partition(" ") for each in done)
    return [f"{kind} {where}/arguments{'' if path == '/' else path}" for kind, _, path in parts]


def as_text(calls: tuple[ToolCall, ...]) -> str:
    """Calls as one text, for what keeps or shows a bad answer."""
    said = [{"name": call.function.name, "arguments": call.function.arguments} for call in calls]
    return orjson.dumps(said).decode()
