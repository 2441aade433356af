"""Values that satisfy a JSON Schema, each verified before it is given out."""

import random
import re
from collections.abc import Callable
from typing import Any

import jsonschema_rs

from tollway_workers.local.simulator.draws import generator
from tollway_workers.local.simulator.values.merge import DeadEnd, Flattener, Schema, merge
from tollway_workers.local.simulator.values.numbers import integer_for, number_for
from tollway_workers.local.simulator.values.strings import string_for

_TRIES = 60
#: From this depth, or this many values, only what must be there is made: recursion comes to an end.
_DEEP = 5
_MANY = 300
_TOO_DEEP = 60
_TOO_MANY = 20_000
#: What a value is where the schema says nothing of its type.
_TYPE_OF_KEYWORD = {
    "properties": "object",
    "required": "object",
    "additionalProperties": "object",
    "patternProperties": "object",
    "minProperties": "object",
    "items": "array",
    "prefixItems": "array",
    "minItems": "array",
    "contains": "array",
    "minimum": "number",
    "maximum": "number",
    "exclusiveMinimum": "number",
    "exclusiveMaximum": "number",
    "multipleOf": "number",
}


_SCALARS: dict[str, Callable[[dict[str, Any], random.Random], Any]] = {
    "string": string_for,
    "integer": integer_for,
    "number": number_for,
    "boolean": lambda _schema, rng: rng.random() < 0.5,
    "null": lambda _schema, _rng: None,
}


#: This draw failed, another may do better. The built-in ones: a schema of an older draft may hold
#: other types under a keyword than those expected here, or nest deeper than Python can follow.
_NO_VALUE = (
    DeadEnd,
    TypeError,
    ValueError,
    LookupError,
    ArithmeticError,
    AttributeError,
    RecursionError,
)


class Unsatisfiable(Exception):
    """A schema that is none, that asks for the network, or that no value was found for."""


def instances(schema: Schema, *, seed: int, count: int) -> tuple[Any, ...]:
    """Up to `count` values, at least one: equal seeds and schemas give equal values.

    Raises Unsatisfiable, whose text does not quote the schema.
    """
    is_valid = _validator(schema)
    found = []
    for number in range(count):
        value = _first_valid(schema, is_valid, seed, number)
        if value is None:
            break
        found.append(value[0])
    if not found:
        raise Unsatisfiable("no value was found that satisfies it.")
    return tuple(found)


def _validator(schema: Schema) -> Callable[[Any], bool]:
    try:
        return jsonschema_rs.validator_for(
            schema, validate_formats=True, retriever=_refuse_to_fetch
        ).is_valid
    except (ValueError, TypeError, jsonschema_rs.ReferencingError):
        # The library's own text quotes what it met.
        raise Unsatisfiable("it is not a valid JSON Schema, or refers to another one.") from None


def _refuse_to_fetch(uri: str) -> Any:
    raise ValueError(f"references are not fetched: {uri[:100]}")


def _first_valid(
    schema: Schema, is_valid: Callable[[Any], bool], seed: int, number: int
) -> tuple[Any] | None:
    for attempt in range(_TRIES):
        try:
            value = _Sampler(schema, generator(seed, number, attempt)).value(schema, 0)
            if is_valid(value):
                return (value,)
        except _NO_VALUE:
            continue
    return None


class _Sampler:
    """One draw of a value. Mutable: its random generator and the count of values made."""

    def __init__(self, root: Schema, rng: random.Random) -> None:
        self._rng = rng
        self._flattener = Flattener(root, rng)
        self._made = 0

    def value(self, schema: Schema, depth: int) -> Any:
        self._made += 1
        if depth > _TOO_DEEP or self._made > _TOO_MANY:
            raise DeadEnd
        flat = self._flattener.flatten(schema, simplest=self._is_deep(depth))
        if "const" in flat:
            return flat["const"]
        if "enum" in flat:
            return self._rng.choice(flat["enum"])
        kind = self._type(flat)
        if kind == "object":
            return self._object(flat, depth)
        if kind == "array":
            return self._array(flat, depth)
        if kind not in _SCALARS:
            raise DeadEnd
        return _SCALARS[kind](flat, self._rng)

    def _is_deep(self, depth: int) -> bool:
        return depth >= _DEEP or self._made > _MANY

    def _type(self, schema: dict[str, Any]) -> str:
        kind = schema.get("type")
        if isinstance(kind, list):
            return str(self._rng.choice(kind))
        if isinstance(kind, str):
            return kind
        return next((_TYPE_OF_KEYWORD[key] for key in schema if key in _TYPE_OF_KEYWORD), "string")

    def _object(self, schema: dict[str, Any], depth: int) -> dict[str, Any]:
        wanted = self._wanted_names(schema, deep=self._is_deep(depth))
        return {name: self.value(_property_schema(schema, name), depth + 1) for name in wanted}

    def _wanted_names(self, schema: dict[str, Any], *, deep: bool) -> list[str]:
        known = list(schema.get("properties", {}))
        required = _with_dependents(schema, schema.get("required", ()))
        least = max(schema.get("minProperties", 0), len(required))
        most = schema.get("maxProperties", len(known) + len(required) + least)
        share = 0.0 if deep else self._rng.choice((0.5, 1.0))
        optional = [name for name in known if name not in required]
        chosen = [name for name in optional if self._rng.random() < share]
        # Each name brings those that depend on it.
        chosen = [n for n in _with_dependents(schema, chosen) if n not in required]
        chosen = chosen[: most - len(required)]
        spare = [name for name in optional if name not in chosen]
        chosen += spare[: max(0, least - len(required) - len(chosen))]
        names = [name for name in known if name in chosen or name in required]
        names += [name for name in (*required, *chosen) if name not in known]
        return names + self._made_up(schema, least - len(names), names)

    def _made_up(self, schema: dict[str, Any], count: int, taken: list[str]) -> list[str]:
        made: list[str] = []
        for number in range(4 * max(0, count)):
            name = self._made_up_name(schema, number)
            if len(made) < count and name not in made and name not in taken:
                made.append(name)
        return made

    def _made_up_name(self, schema: dict[str, Any], number: int) -> str:
        patterns = list(schema.get("patternProperties", {}))
        if "propertyNames" in schema:
            return str(self.value(merge({"type": "string"}, schema["propertyNames"]), 0))
        if patterns and schema.get("additionalProperties") is False:
            return string_for({"pattern": self._rng.choice(patterns)}, self._rng)
        return f"key{number + 1}"

    def _array(self, schema: dict[str, Any], depth: int) -> list[Any]:
        prefix, rest = _item_schemas(schema)
        contains = schema.get("contains")
        wanted = 0 if contains is None else schema.get("minContains", 1)
        least = max(schema.get("minItems", 0), wanted)
        if least > _TOO_MANY:
            raise DeadEnd
        most = schema.get("maxItems", max(least, len(prefix)) + 3)
        if rest is False:
            most = min(most, len(prefix))
        length = self._rng.randint(least, max(least, min(most, least + 3)))
        if self._is_deep(depth):
            length = least
        elif length < len(prefix) <= most:
            length = len(prefix)
        items: list[Any] = []
        for place in range(length):
            item = prefix[place] if place < len(prefix) else rest
            if place >= length - wanted:
                item = {"allOf": [item, contains]}
            items.append(self._item(item, depth, items if schema.get("uniqueItems") else ()))
        return items

    def _item(self, schema: Schema, depth: int, taken: Any) -> Any:
        for _ in range(30):
            value = self.value(schema, depth + 1)
            if value not in taken:
                return value
        raise DeadEnd


def _property_schema(schema: dict[str, Any], name: str) -> Schema:
    """What a property must satisfy: its own schema and those of the patterns its name matches."""
    own = schema.get("properties", {})
    parts = [own[name]] if name in own else []
    for pattern, part in schema.get("patternProperties", {}).items():
        if _fits(pattern, name):
            parts.append(part)
    if parts:
        return parts[0] if len(parts) == 1 else {"allOf": parts}
    return schema.get("additionalProperties", schema.get("unevaluatedProperties", True))


def _fits(pattern: str, name: str) -> bool:
    try:
        return re.search(pattern, name) is not None
    except re.error:
        return False


def _with_dependents(schema: dict[str, Any], names: Any) -> list[str]:
    """The names, and those that `dependentRequired` asks for beside them, without repeats."""
    dependents = schema.get("dependentRequired", {})
    found = list(dict.fromkeys(names))
    for name in found:
        # The list grows while it is walked: dependents have dependents.
        found += [other for other in dependents.get(name, ()) if other not in found]
    return found


def _item_schemas(schema: dict[str, Any]) -> tuple[list[Schema], Schema]:
    """The schemas of the first items, and that of the rest; drafts up to 2019 wrote a list."""
    items = schema.get("items", True)
    if isinstance(items, list):
        return items, schema.get("additionalItems", True)
    return schema.get("prefixItems", []), items
