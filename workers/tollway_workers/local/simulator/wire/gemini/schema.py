"""Gemini's two kinds of schemas, as JSON Schema. Pure."""

from collections.abc import Callable
from typing import Any

from tollway_workers.local.simulator.ask import BadRequest
from tollway_workers.local.simulator.wire.gemini.names import camel

#: What `responseJsonSchema` and `parametersJsonSchema` take.
_JSON_SCHEMA = frozenset(
    {
        *("$id", "$defs", "$ref", "$anchor", "type", "format", "title", "description", "enum"),
        *("items", "prefixItems", "minItems", "maxItems", "minimum", "maximum", "anyOf", "oneOf"),
        *("properties", "additionalProperties", "required", "propertyOrdering"),
    }
)
#: What `responseSchema` and `parameters` take: OpenAPI's.
_OPEN_API = frozenset(
    {
        *("type", "format", "title", "description", "nullable", "enum", "items", "minItems"),
        *("maxItems", "properties", "required", "minProperties", "maxProperties", "minLength"),
        *("maxLength", "pattern", "example", "anyOf", "propertyOrdering", "default", "minimum"),
        "maximum",
    }
)
_COUNTS = frozenset(
    {"minItems", "maxItems", "minProperties", "maxProperties", "minLength", "maxLength"}
)
#: Not for values.
_SAID = frozenset({"propertyOrdering", "example", "nullable", "title", "description", "default"})
_DEEPEST = 32
#: Where schemas stand in schemas.
_NAMED, _LISTED = ("properties", "$defs"), ("anyOf", "oneOf", "prefixItems")
_NESTED = ("items", "additionalProperties")


def json_schema(schema: Any, place: str) -> Any:
    """A JSON Schema within the subset. Raises BadRequest."""
    return _each(schema, lambda each: _within_json_schema(each, place), place)


def open_api(schema: Any, place: str) -> Any:
    """An OpenAPI schema as a JSON Schema. Raises BadRequest."""
    if not isinstance(schema, dict):
        raise BadRequest(f"Invalid value at '{place}': a schema is an object.")
    return _each(schema, lambda each: _from_open_api(each, place), place)


def _within_json_schema(schema: dict[str, Any], place: str) -> dict[str, Any]:
    _check(schema, _JSON_SCHEMA, place)
    read = {name: value for name, value in schema.items() if name != "propertyOrdering"}
    # It takes the one for the other.
    if "oneOf" in read:
        read["anyOf"] = [*read.get("anyOf", ()), *read.pop("oneOf")]
    return read


def _from_open_api(schema: dict[str, Any], place: str) -> dict[str, Any]:
    schema = {camel(name): value for name, value in schema.items()}
    _check(schema, _OPEN_API, place)
    read = {name: value for name, value in schema.items() if name not in _SAID}
    if "type" in read:
        read["type"] = str(read["type"]).lower()
    for name in _COUNTS & read.keys():
        # Whole numbers may be texts, as Google writes them.
        read[name] = _count(read[name], place)
    if schema.get("nullable") is True:
        return {"anyOf": [read, {"type": "null"}]}
    return read


def _count(value: object, place: str) -> int:
    try:
        return int(str(value))
    except ValueError:
        raise BadRequest(f"Invalid value at '{place}' (TYPE_INT64).") from None


def _each(
    schema: Any, change: Callable[[dict[str, Any]], dict[str, Any]], place: str, depth: int = 0
) -> Any:
    """A schema with itself and all within it changed. Raises BadRequest."""
    if depth > _DEEPEST:
        raise BadRequest(f"The schema at '{place}' exceeds the maximum allowed nesting depth.")
    if not isinstance(schema, dict):
        return schema
    read = dict(schema)
    for written, value in schema.items():
        name = camel(written)
        if name in _NAMED and isinstance(value, dict):
            read[written] = {
                key: _each(each, change, place, depth + 1) for key, each in value.items()
            }
        elif name in _LISTED and isinstance(value, list):
            read[written] = [_each(each, change, place, depth + 1) for each in value]
        elif name in _NESTED:
            read[written] = _each(value, change, place, depth + 1)
    return change(read)


def _check(schema: dict[str, Any], known: frozenset[str], place: str) -> None:
    if unknown := sorted(schema.keys() - known):
        raise BadRequest(
            f"Invalid JSON payload received. Unknown name \"{unknown[0][:60]}\" at '{place}': "
            "Cannot find field."
        )
