"""Gemini's two kinds of schemas, as JSON Schema. Pure."""

from typing import Any

from tollway_workers.local.simulator.ask import BadRequest

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


def json_schema(schema: Any, place: str, depth: int = 0) -> Any:
    """A JSON Schema within the subset. Raises BadRequest."""
    if not isinstance(schema, dict):
        return schema
    _check(schema, _JSON_SCHEMA, place, depth)
    read = dict(schema)
    for name in ("properties", "$defs"):
        if isinstance(named := schema.get(name), dict):
            read[name] = {key: json_schema(each, place, depth + 1) for key, each in named.items()}
    for name in ("anyOf", "oneOf", "prefixItems"):
        if isinstance(choices := schema.get(name), list):
            read[name] = [json_schema(each, place, depth + 1) for each in choices]
    for name in ("items", "additionalProperties"):
        if name in schema:
            read[name] = json_schema(schema[name], place, depth + 1)
    read.pop("propertyOrdering", None)
    # It takes the one for the other.
    if "oneOf" in read:
        read["anyOf"] = [*read.get("anyOf", ()), *read.pop("oneOf")]
    return read


def open_api(schema: Any, place: str, depth: int = 0) -> Any:
    """An OpenAPI schema as a JSON Schema. Raises BadRequest."""
    if not isinstance(schema, dict):
        raise BadRequest(f"Invalid value at '{place}': a schema is an object.")
    _check(schema, _OPEN_API, place, depth)
    read: dict[str, Any] = {}
    for name, value in schema.items():
        if name == "type":
            read["type"] = str(value).lower()
        elif name == "properties" and isinstance(value, dict):
            read[name] = {key: open_api(each, place, depth + 1) for key, each in value.items()}
        elif name == "items":
            read[name] = open_api(value, place, depth + 1)
        elif name == "anyOf" and isinstance(value, list):
            read[name] = [open_api(each, place, depth + 1) for each in value]
        elif name not in _SAID:
            # Whole numbers may be texts, as Google writes them.
            read[name] = int(value) if name in _COUNTS else value
    if schema.get("nullable") is True:
        return {"anyOf": [read, {"type": "null"}]}
    return read


def _check(schema: dict[str, Any], known: frozenset[str], place: str, depth: int) -> None:
    if depth > _DEEPEST:
        raise BadRequest(f"The schema at '{place}' exceeds the maximum allowed nesting depth.")
    if unknown := sorted(schema.keys() - known):
        raise BadRequest(
            f"Invalid JSON payload received. Unknown name \"{unknown[0][:60]}\" at '{place}': "
            "Cannot find field."
        )
