"""The schema that a strict server is given where it refused a job's own. Pure.

OpenAI's strict mode takes a part of JSON Schema: every property required, no others allowed, no
conditions. What it does not take is left out or said in its words; the answer is held to the job's
own schema all the same. An optional property may be null there (`validation/repair/wire_nulls.py`).
https://platform.openai.com/docs/guides/structured-outputs#supported-schemas
"""

from typing import Any

JsonObject = dict[str, Any]

#: Levels of nesting and properties in all that it takes.
_DEEPEST = 10
_MOST_PROPERTIES = 5_000

#: Words that are left out: what they ask for is asked of the answer only.
_LEFT_OUT = frozenset(
    {
        *("not", "if", "then", "else", "dependentRequired", "dependentSchemas", "dependencies"),
        *("patternProperties", "propertyNames", "minProperties", "maxProperties"),
        *("unevaluatedProperties", "unevaluatedItems", "contains", "minContains", "maxContains"),
        *("prefixItems", "additionalItems", "uniqueItems", "default", "examples", "example"),
        *("minLength", "maxLength", "$schema", "$id", "$comment", "$anchor", "readOnly"),
        *("writeOnly", "deprecated", "contentEncoding", "contentMediaType", "contentSchema"),
    }
)
_FORMATS = frozenset(
    ("date-time", "time", "date", "duration", "email", "hostname", "ipv4", "ipv6", "uuid")
)


class _NotStrict(Exception):
    """A schema cannot be said in the strict words without losing what it is."""


def strict_schema(schema: JsonObject) -> JsonObject | None:
    """The schema in strict words; None where it has none (a list or a number at its top, an object
    whose property names are free)."""
    try:
        found = _Rewriting().rewritten(schema, 1)
    except _NotStrict:
        return None
    return found if found.get("type") == "object" else None


class _Rewriting:
    """One schema's rewriting; counts its properties."""

    def __init__(self) -> None:
        self._properties = 0

    def rewritten(self, schema: Any, depth: int) -> JsonObject:
        """A part in strict words. Raises _NotStrict."""
        if not isinstance(schema, dict) or depth > _DEEPEST:
            raise _NotStrict
        schema = _merged(schema)
        if "$ref" in schema:
            return {"$ref": schema["$ref"], **self._definitions(schema, depth)}
        kept: JsonObject = {name: each for name, each in schema.items() if name not in _LEFT_OUT}
        if kept.get("format") not in _FORMATS:
            kept.pop("format", None)
        if (branches := kept.pop("oneOf", None) or kept.get("anyOf")) is not None:
            kept["anyOf"] = [self.rewritten(part, depth) for part in branches]
        if "items" in kept:
            kept["items"] = self.rewritten(kept["items"], depth + 1)
        if _is_object(kept):
            kept |= self._object(kept, depth)
        return kept | self._definitions(schema, depth)

    def _definitions(self, schema: JsonObject, depth: int) -> JsonObject:
        return {
            name: {key: self.rewritten(part, depth) for key, part in schema[name].items()}
            for name in ("$defs", "definitions")
            if isinstance(schema.get(name), dict)
        }

    def _object(self, schema: JsonObject, depth: int) -> JsonObject:
        known = schema.get("properties")
        if not isinstance(known, dict) or not known or _is_open(schema):
            raise _NotStrict
        self._properties += len(known)
        if self._properties > _MOST_PROPERTIES:
            raise _NotStrict
        required = schema.get("required") or ()
        return {
            "type": schema.get("type", "object"),
            "properties": {
                name: _nullable(self.rewritten(part, depth + 1), optional=name not in required)
                for name, part in known.items()
            },
            "required": list(known),
            "additionalProperties": False,
        }


def _merged(schema: JsonObject) -> JsonObject:
    """The schema with an `allOf` of one part, as generators write around a reference, in it."""
    parts = schema.get("allOf")
    if parts is None:
        return schema
    if not isinstance(parts, list) or len(parts) != 1 or not isinstance(parts[0], dict):
        raise _NotStrict
    rest = {name: value for name, value in schema.items() if name != "allOf"}
    if set(rest) & set(parts[0]) - {"title", "description"}:
        raise _NotStrict
    return {**parts[0], **rest}


def _is_object(schema: JsonObject) -> bool:
    kind = schema.get("type")
    return (
        kind == "object" or "properties" in schema or (isinstance(kind, list) and "object" in kind)
    )


def _is_open(schema: JsonObject) -> bool:
    """Whether names that are not listed have a meaning: a dictionary is no strict object."""
    return isinstance(schema.get("additionalProperties"), dict)


def _nullable(schema: JsonObject, *, optional: bool) -> JsonObject:
    if not optional or _takes_null(schema):
        return schema
    kind = schema.get("type")
    if isinstance(kind, str) and "enum" not in schema and "const" not in schema:
        return {**schema, "type": [kind, "null"]}
    return {"anyOf": [schema, {"type": "null"}]}


def _takes_null(schema: JsonObject) -> bool:
    kind = schema.get("type")
    if kind == "null" or (isinstance(kind, list) and "null" in kind):
        return True
    if None in schema.get("enum", ()) or ("const" in schema and schema["const"] is None):
        return True
    return any(isinstance(part, dict) and _takes_null(part) for part in schema.get("anyOf") or ())
