"""Numbers that are no JSON, or that JSON's readers lose, and that pydantic takes all the same.

pydantic reads NaN, and numbers of any size; nobody behind us does (orjson, providers, other
languages): 1e400 would go on as null. What such a number is blamed for must be the number.
"""

import math
from collections.abc import Iterator
from typing import Any

import orjson
import pydantic_core

from tollway_schemas.places import Path, written

#: Integers within these are told apart by readers of other languages, and written by orjson.
_LEAST, _MOST = -(2**63), 2**64 - 1
#: Integers from here on are beyond what a double takes.
_BEYOND = 10**308
#: Every digit as the same one, and as many as an integer of more than 64 bits has at least.
_ALIKE, _LONG = bytes.maketrans(b"123456789", b"0" * 9), b"0" * 19
#: How deep a path is told.
_MOST_PARTS = 3


def no_json_in(value: bytes) -> str | None:
    """Where the first number stands that is no JSON, and why it is none; None: there is none.

    An integer of more than 64 bits is one, too: orjson reads another number.
    """
    written = is_json(value)
    # Most records are looked at no further, and hardly any is walked.
    if written and not has_long_number(value):
        return None
    try:
        parsed = pydantic_core.from_json(value)
    except ValueError:
        return None
    return None if written and _is_written(parsed) else no_json_of(parsed)


def is_json(value: bytes) -> bool:
    """Whether strict readers take it, though they may round its integers."""
    try:
        orjson.loads(value)
    except orjson.JSONDecodeError:
        return False
    return True


def has_long_number(value: bytes) -> bool:
    """Whether as many digits stand in a row as only an integer beyond 64 bits needs, or a text."""
    return _LONG in value.translate(_ALIKE)


def no_json_of(parsed: Any) -> str | None:
    """The same of what JSON would be made of; looks at each number."""
    for path, number in _numbers(parsed):
        if (why := _why_none(number)) is not None:
            return f"{written(path[:_MOST_PARTS]) or 'the record'}: {why}"
    return None


def _is_written(parsed: Any) -> bool:
    try:
        orjson.dumps(parsed)
    except orjson.JSONEncodeError:
        return False
    return True


def _why_none(number: float) -> str | None:
    if isinstance(number, int):
        if _LEAST <= number <= _MOST:
            return None
        if abs(number) < _BEYOND:
            return "is an integer of more than 64 bits, which readers of JSON round"
        return "is a number of more than 308 digits"
    if math.isnan(number):
        return "is NaN, which is no JSON"
    return "is an infinite number, which is no JSON" if math.isinf(number) else None


def _numbers(parsed: Any) -> Iterator[tuple[Path, int | float]]:
    todo: list[tuple[Path, Any]] = [((), parsed)]
    while todo:
        path, value = todo.pop()
        if isinstance(value, dict):
            todo += [((*path[:_MOST_PARTS], str(name)), each) for name, each in value.items()]
        elif isinstance(value, list):
            todo += [((*path[:_MOST_PARTS], at), each) for at, each in enumerate(value)]
        elif isinstance(value, int | float) and not isinstance(value, bool):
            yield path, value
