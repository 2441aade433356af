"""The names of Gemini's requests: camel case, or snake case as well; any other is refused. Pure."""

import re
from typing import Any

from tollway_workers.local.simulator.ask import BadRequest

_SNAKE = re.compile(r"_([a-z])")


def camel(name: str) -> str:
    """A name in camel case."""
    return _SNAKE.sub(lambda found: found.group(1).upper(), name)


def known(fields: object, names: frozenset[str], place: str = "") -> dict[str, Any]:
    """An object with its names in camel case. Raises BadRequest."""
    at = f" at '{place}'" if place else ""
    if not isinstance(fields, dict):
        raise BadRequest(f"Invalid value{at}: Proto field is not repeating, cannot start list.")
    read = {}
    for name, value in fields.items():
        if (read_as := camel(name)) not in names:
            raise BadRequest(
                f'Invalid JSON payload received. Unknown name "{name[:60]}"{at}: Cannot find field.'
            )
        read[read_as] = value
    return read


def listed(value: object, place: str) -> list[Any]:
    """A list; one thing is a list too. Raises BadRequest."""
    if value is None:
        return []
    if not isinstance(value, list | dict):
        raise BadRequest(f"Invalid value at '{place}'.")
    return value if isinstance(value, list) else [value]
