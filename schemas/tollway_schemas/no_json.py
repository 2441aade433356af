"""Numbers that are no JSON, and that some readers take all the same.

pydantic reads NaN, and numbers of any size; nobody behind us does (orjson, providers, other
languages). What such a number is blamed for must be the number.
"""

import contextlib
import math
from collections.abc import Iterator
from typing import Any

import orjson
import pydantic_core

#: Integers from here on are beyond what a double takes, and so beyond most readers.
_BEYOND = 10**308
#: How deep a path is told.
_MOST_PARTS = 3


def no_json_in(value: bytes) -> str | None:
    """Where the first number stands that is no JSON, and why it is none; None: there is none."""
    with contextlib.suppress(orjson.JSONDecodeError):
        orjson.loads(value)
        return None
    try:
        parsed = pydantic_core.from_json(value)
    except ValueError:
        return None
    for path, number in _numbers(parsed):
        if isinstance(number, int):
            why = None if abs(number) < _BEYOND else "is a number of more than 308 digits"
        elif math.isnan(number):
            why = "is NaN, which is no JSON"
        else:
            why = "is an infinite number, which is no JSON" if math.isinf(number) else None
        if why is not None:
            return f"{'.'.join(path[:_MOST_PARTS]) or 'the record'}: {why}"
    return None


def _numbers(parsed: Any) -> Iterator[tuple[tuple[str, ...], int | float]]:
    todo: list[tuple[tuple[str, ...], Any]] = [((), parsed)]
    while todo:
        path, value = todo.pop()
        if isinstance(value, dict):
            todo += [((*path[:_MOST_PARTS], str(name)), each) for name, each in value.items()]
        elif isinstance(value, list):
            todo += [((*path[:_MOST_PARTS], str(at)), each) for at, each in enumerate(value)]
        elif isinstance(value, int | float) and not isinstance(value, bool):
            yield path, value
