"""The same in another type of JSON, where there is one way to say it. Pure."""

import math
import re
from collections.abc import Callable
from decimal import Decimal
from typing import Any, NamedTuple

import orjson

_NUMBER = re.compile(r"-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d{1,3})?")
#: Digits of a text that may be a number.
_MOST_DIGITS = 300
#: What may stand between several things in one text.
_SEVERAL = re.compile(r"[,;|/&+\n\t]|\band\b|\bor\b", re.IGNORECASE)
_BOOLEANS = {"true": True, "false": False}
_CONTAINERS = {"{": "object", "[": "array"}


class Converted(NamedTuple):
    """What a value became, and by which coercion."""

    kind: str
    value: Any


def type_of(value: Any) -> str:
    """The name of a value's type in a JSON Schema."""
    match value:
        case None:
            return "null"
        case bool():
            return "boolean"
        case int():
            return "integer"
        case float():
            return "integer" if value.is_integer() else "number"
        case str():
            return "string"
        case list():
            return "array"
        case _:
            return "object"


def converted(value: Any, types: frozenset[str]) -> Converted | None:
    """The value in one of `types`; None where it has one already, or there is no one way."""
    kind = type_of(value)
    if kind in types or (kind == "integer" and "number" in types):
        return None
    if isinstance(value, str):
        return _first(_FROM_STRING, value, types) or _listed(value, types)
    if kind == "integer" and isinstance(value, int) and "string" in types:
        return Converted("string_from_integer", str(value))
    if isinstance(value, list):
        return _alone(value, types)
    return _listed(value, types)


def _first(
    ways: tuple[Callable[[str, frozenset[str]], Converted | None], ...],
    value: str,
    types: frozenset[str],
) -> Converted | None:
    for way in ways:
        if (found := way(value, types)) is not None:
            return found
    return None


def _number(value: str, types: frozenset[str]) -> Converted | None:
    text = value.strip()
    if not types & {"number", "integer"} or len(text) > _MOST_DIGITS:
        return None
    if _NUMBER.fullmatch(text) is None:
        return None
    exact = Decimal(text)
    if exact == exact.to_integral_value() and "." not in text and "e" not in text.lower():
        return Converted("number_from_string", int(text))
    number = float(text)
    # A double that is not what was written would be another number.
    if math.isinf(number) or Decimal(repr(number)) != exact:
        return None
    if "number" not in types and not number.is_integer():
        return None
    return Converted("number_from_string", number)


def _boolean(value: str, types: frozenset[str]) -> Converted | None:
    found = _BOOLEANS.get(value.strip().lower()) if "boolean" in types else None
    return None if found is None else Converted("boolean_from_string", found)


def _null(value: str, types: frozenset[str]) -> Converted | None:
    if "null" in types and value.strip().lower() == "null":
        return Converted("null_from_string", None)
    return None


def _json(value: str, types: frozenset[str]) -> Converted | None:
    text = value.strip()
    if _CONTAINERS.get(text[:1]) not in types:
        return None
    try:
        return Converted("json_from_string", orjson.loads(text))
    except orjson.JSONDecodeError:
        return None


_FROM_STRING = (_number, _boolean, _null, _json)


def _listed(value: Any, types: frozenset[str]) -> Converted | None:
    """A list of what should have been one; not of a text that may name several things."""
    if "array" not in types or value is None:
        return None
    if isinstance(value, str) and (not value.strip() or _SEVERAL.search(value)):
        return None
    return Converted("list_of_one", [value])


def _alone(value: list[Any], types: frozenset[str]) -> Converted | None:
    """What a list of one holds, in one of the types."""
    if len(value) != 1 or isinstance(value[0], list):
        return None
    kind = type_of(value[0])
    if kind in types or (kind == "integer" and "number" in types):
        return Converted("one_of_list", value[0])
    return None
