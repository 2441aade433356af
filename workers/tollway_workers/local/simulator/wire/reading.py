"""What the protocols' readers share. Pure."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import orjson

from tollway_workers.local.simulator.ask import BadRequest, Block, Tool
from tollway_workers.local.simulator.tokens import Tokens


class Function(NamedTuple):
    """A tool as a request describes it."""

    name: str
    description: object
    schema: Any

    @property
    def tool(self) -> Tool:
        return Tool(name=self.name, schema=self.schema)


def tool_blocks(functions: tuple[Function, ...], tokens: Tokens) -> Iterator[Block]:
    """The tools as a part of the prompt: name, description and schema count, and nothing else."""
    for function in functions:
        said = function.description if isinstance(function.description, str) else ""
        count = sum(tokens.count(text) for text in (function.name, said, as_text(function.schema)))
        yield Block(content=function, tokens=count)


def as_text(value: Any) -> str:
    """JSON as a text to be counted; what is nested too deeply for that counts nothing."""
    if value is None or isinstance(value, str):
        return value or ""
    try:
        return orjson.dumps(value).decode()
    except orjson.JSONEncodeError:
        return ""


def word(value: object) -> str:
    """A word to be looked up; empty where it is no text."""
    return value if isinstance(value, str) else ""


def whole_number(fields: dict[str, Any], name: str, least: int = 1) -> int | None:
    """A limit; None where none is given. Raises BadRequest."""
    value = fields.get(name)
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise BadRequest(f"'{name}' must be an integer of at least {least}.", param=name)
    return value
