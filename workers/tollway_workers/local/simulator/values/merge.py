"""A JSON Schema with its references, alternatives and conjunctions resolved into one flat one."""

import math
import random
from collections.abc import Callable
from typing import Any
from urllib.parse import unquote

#: True, False, or an object.
Schema = Any

_MAX_STEPS = 64
_LARGEST = frozenset(
    ["minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties", "minContains"]
)
_SMALLEST = frozenset(
    ["maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties", "maxContains"]
)
_SCALARS = frozenset({"null", "boolean", "integer", "number", "string"})


class DeadEnd(Exception):
    """This way leads to no instance; another choice may."""


class Flattener:
    """Resolves what stands above a schema's plain keywords, choosing among alternatives."""

    def __init__(self, root: Schema, rng: random.Random) -> None:
        self._root = root
        self._rng = rng

    def flatten(self, schema: Schema, *, simplest: bool) -> dict[str, Any]:
        """One possible plain schema. `simplest` prefers alternatives that end a recursion.

        Raises DeadEnd.
        """
        for _ in range(_MAX_STEPS):
            flat = as_object(schema)
            applicator = next((k for k in _APPLICATORS if k in flat), None)
            if applicator is None:
                return flat
            rest = {key: value for key, value in flat.items() if key != applicator}
            schema = _APPLICATORS[applicator](self, flat[applicator], rest, simplest)
        raise DeadEnd

    def _reference(self, pointer: Any, rest: dict[str, Any], _simplest: bool) -> Schema:
        return merge(self._resolve(pointer), rest)

    def _all(self, schemas: Any, rest: dict[str, Any], _simplest: bool) -> Schema:
        for schema in schemas:
            rest = merge(rest, schema)
        return rest

    def _any(self, schemas: Any, rest: dict[str, Any], simplest: bool) -> Schema:
        possible = [schema for schema in schemas if schema is not False]
        if not possible:
            raise DeadEnd
        if simplest:
            least = min(map(_weight, possible))
            possible = [schema for schema in possible if _weight(schema) == least]
        return merge(rest, self._rng.choice(possible))

    def _if(self, condition: Any, rest: dict[str, Any], _simplest: bool) -> Schema:
        then, other = rest.pop("then", True), rest.pop("else", True)
        if self._rng.random() < 0.5:
            return merge(merge(rest, condition), then)
        return merge(rest, other)

    def _resolve(self, reference: Any) -> Schema:
        if not isinstance(reference, str) or not reference.startswith("#"):
            raise DeadEnd
        found = self._root
        for part in reference[1:].split("/")[1:]:
            key = unquote(part).replace("~1", "/").replace("~0", "~")
            try:
                found = found[int(key)] if isinstance(found, list) else found[key]
            except (KeyError, IndexError, ValueError, TypeError):
                raise DeadEnd from None
        return found


# References first: what they stand for may hold any of the others.
_APPLICATORS = {
    "$ref": Flattener._reference,
    "allOf": Flattener._all,
    "anyOf": Flattener._any,
    "oneOf": Flattener._any,
    "if": Flattener._if,
}


def as_object(schema: Schema) -> dict[str, Any]:
    """The schema as an object: true allows anything. Raises DeadEnd for false."""
    if schema is True:
        return {}
    if not isinstance(schema, dict):
        raise DeadEnd
    return schema


def merge(first: Schema, second: Schema) -> dict[str, Any]:
    """A schema for what satisfies both, as far as that can be said keyword by keyword.

    Raises DeadEnd where nothing can satisfy both.
    """
    merged = dict(as_object(first))
    for key, value in as_object(second).items():
        if key not in merged or merged[key] == value:
            merged[key] = value
        elif key in ("allOf", "anyOf", "oneOf"):
            # Two of a kind do not fit in one place: the second goes below `allOf`.
            merged["allOf"] = [*merged.get("allOf", []), {key: value}]
        else:
            merged[key] = _both(key, merged[key], value)
    return merged


def _both(key: str, first: Any, second: Any) -> Any:
    if key in _LARGEST:
        return max(first, second)
    if key in _SMALLEST:
        return min(first, second)
    # Of two patterns, formats or constants one is tried: whether it fits both is seen at the end.
    combine = _COMBINED.get(key)
    return combine(first, second) if combine else second


def _all_of(first: Schema, second: Schema) -> Schema:
    return False if first is False or second is False else {"allOf": [first, second]}


def _properties(first: dict[str, Any], second: dict[str, Any]) -> dict[str, Any]:
    shared = {name: _all_of(first[name], second[name]) for name in first if name in second}
    return first | second | shared


def _union(first: list[Any], second: list[Any]) -> list[Any]:
    return list(dict.fromkeys([*first, *second]))


def _intersection(first: list[Any], second: list[Any]) -> list[Any]:
    return _some([value for value in first if value in second])


def _common_multiple(first: float, second: float) -> float:
    if isinstance(first, int) and isinstance(second, int):
        return math.lcm(first, second)
    return first * second


def _shared_types(first: Any, second: Any) -> list[str]:
    allowed = {first} if isinstance(first, str) else set(first)
    wanted = [second] if isinstance(second, str) else list(second)
    shared = [kind for kind in wanted if kind in allowed]
    if not shared and "integer" in allowed | set(wanted) and "number" in allowed | set(wanted):
        return ["integer"]
    return _some(shared)


def _some(values: list[Any]) -> list[Any]:
    if not values:
        raise DeadEnd
    return values


_COMBINED: dict[str, Callable[[Any, Any], Any]] = {
    "items": _all_of,
    "additionalProperties": _all_of,
    "propertyNames": _all_of,
    "contains": _all_of,
    "properties": _properties,
    "patternProperties": _properties,
    "required": _union,
    "enum": _intersection,
    "type": _shared_types,
    "multipleOf": _common_multiple,
}


def _weight(schema: Schema) -> int:
    """How far a schema is from an end: a scalar is one, a reference may never come to one."""
    if not isinstance(schema, dict) or "const" in schema or "enum" in schema:
        return 0
    if "$ref" in schema:
        return 4
    kind = schema.get("type")
    if isinstance(kind, list) and "null" in kind:
        return 0
    if isinstance(kind, str) and kind in _SCALARS:
        return 0
    if kind == "array":
        return 3 if schema.get("minItems") else 1
    return 3 if schema.get("required") or "anyOf" in schema or "allOf" in schema else 2
