"""The part of a job's schema that Gemini is given. Pure.

Gemini reads some words of JSON Schema and leaves others, or refuses what stands among them:
https://ai.google.dev/api/generate-content#FIELDS.response_json_schema. Its words are kept, what can
be said in them is, and the rest is left out: the answer is held to the job's own schema all the
same.
"""

from typing import Any

JsonObject = dict[str, Any]

#: Words that are taken over as they are.
_KEPT = (
    "title",
    "description",
    "type",
    "format",
    "minItems",
    "maxItems",
    "minimum",
    "maximum",
    "propertyOrdering",
)
#: The older name of `#/$defs/`.
_DEFINITIONS = "#/definitions/"
#: Levels that are read: Gemini refuses schemas long before they are as deep.
_DEEPEST = 32


def gemini_schema(schema: JsonObject | bool) -> JsonObject | None:
    """The schema in Gemini's words; None where none of them says anything."""
    return _rewritten(schema, 0) or None


def _rewritten(schema: Any, depth: int) -> JsonObject:
    if not isinstance(schema, dict) or depth > _DEEPEST:
        return {}
    schema = _merged(schema)
    ref = schema.get("$ref")
    if isinstance(ref, str):
        # Beside a reference nothing may stand but what begins with `$`.
        return {"$ref": ref.replace(_DEFINITIONS, "#/$defs/", 1), **_definitions(schema, depth)}
    kept: JsonObject = {name: schema[name] for name in _KEPT if name in schema}
    _add_properties(kept, schema, depth)
    _add_items(kept, schema, depth)
    branches = schema.get("anyOf") or schema.get("oneOf")
    if isinstance(branches, list):
        kept["anyOf"] = [_rewritten(part, depth + 1) for part in branches]
    return _with_values(kept, schema) | _definitions(schema, depth)


def _add_properties(kept: JsonObject, schema: JsonObject, depth: int) -> None:
    known = schema.get("properties")
    if isinstance(known, dict):
        kept["properties"] = {name: _rewritten(part, depth + 1) for name, part in known.items()}
    # A name that is required and not listed is refused.
    if named := [name for name in _names(schema) if name in kept.get("properties", ())]:
        kept["required"] = named
    others = schema.get("additionalProperties")
    if isinstance(others, bool):
        kept["additionalProperties"] = others
    elif isinstance(others, dict):
        kept["additionalProperties"] = _rewritten(others, depth + 1)


def _add_items(kept: JsonObject, schema: JsonObject, depth: int) -> None:
    if isinstance(schema.get("items"), dict):
        kept["items"] = _rewritten(schema["items"], depth + 1)
    first = schema.get("prefixItems")
    if isinstance(first, list):
        kept["prefixItems"] = [_rewritten(part, depth + 1) for part in first]


def _definitions(schema: JsonObject, depth: int) -> JsonObject:
    found: JsonObject = {}
    for name in ("definitions", "$defs"):
        table = schema.get(name)
        if isinstance(table, dict):
            found |= {key: _rewritten(part, depth + 1) for key, part in table.items()}
    return {"$defs": found} if found else {}


def _with_values(kept: JsonObject, schema: JsonObject) -> JsonObject:
    """With the values that are allowed, where all are texts or all are numbers; null may stand
    beside them, as a branch of its own.
    """
    values = [schema["const"]] if "const" in schema else schema.get("enum")
    if not isinstance(values, list) or not values:
        return kept
    named = [value for value in values if value is not None]
    kinds = {_kind(value) for value in named}
    if kinds not in ({"string"}, {"number"}, {"boolean"}):
        return kept
    kind = kinds.pop()
    only: JsonObject = {"type": kind} if kind == "boolean" else {"type": kind, "enum": named}
    if len(named) == len(values):
        return {**only, **kept}
    if "anyOf" in kept:
        return kept
    rest = {name: value for name, value in kept.items() if name in ("title", "description")}
    return {**rest, "anyOf": [only, {"type": "null"}]}


def _kind(value: Any) -> str:
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, str):
        return "string"
    return "number" if isinstance(value, int | float) else "other"


def _merged(schema: JsonObject) -> JsonObject:
    """The schema with the parts of its `allOf` in it, as generators write around a reference; of
    words that meet, the first is kept.
    """
    parts = schema.get("allOf")
    if not isinstance(parts, list):
        return schema
    merged = {name: value for name, value in schema.items() if name != "allOf"}
    for part in parts:
        if isinstance(part, dict):
            merged = {**part, **merged, **_together(part, merged)}
    return merged


def _together(part: JsonObject, merged: JsonObject) -> JsonObject:
    """The properties of two parts of one object."""
    if not isinstance(part.get("properties"), dict):
        return {}
    properties = merged.get("properties")
    return {
        "properties": {
            **part["properties"],
            **(properties if isinstance(properties, dict) else {}),
        },
        "required": list(dict.fromkeys((*_names(merged), *_names(part)))),
    }


def _names(schema: JsonObject) -> list[str]:
    """The properties that have to be there."""
    required = schema.get("required")
    return (
        [name for name in required if isinstance(name, str)] if isinstance(required, list) else []
    )
