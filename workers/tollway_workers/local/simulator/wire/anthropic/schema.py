"""What Anthropic's structured output takes of JSON Schema. Pure."""

from collections.abc import Iterator
from typing import Any

#: Keywords that are refused wherever they stand.
_UNSUPPORTED = frozenset(
    {
        *("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"),
        *("minLength", "maxLength", "maxItems", "uniqueItems", "contains", "prefixItems"),
        *("minProperties", "maxProperties", "patternProperties", "propertyNames"),
        *("oneOf", "not", "if", "then", "else", "dependentRequired", "dependentSchemas"),
        *("unevaluatedProperties", "unevaluatedItems", "$anchor", "$dynamicRef", "$dynamicAnchor"),
    }
)
_MOST_OPTIONAL, _MOST_UNIONS = 24, 16


def unsupported(schema: Any) -> str | None:
    """Why a schema is refused; None where it is taken."""
    found = list(_schemas(schema))
    for each in found:
        if (why := _wrong(each)) is not None:
            return why
    if _refers_to_itself(schema):
        return "Recursive schemas are not supported"
    optional = sum(_optional(each) for each in found)
    unions = sum("anyOf" in each or isinstance(each.get("type"), list) for each in found)
    if optional > _MOST_OPTIONAL or unions > _MOST_UNIONS:
        return "Schema is too complex for compilation"
    return None


def _wrong(schema: dict[str, Any]) -> str | None:
    kind = schema.get("type")
    if bad := sorted(_UNSUPPORTED & schema.keys()):
        return f"For '{kind}' type, properties {', '.join(bad)} are not supported"
    if kind == "object" and schema.get("additionalProperties") is not False:
        return "For 'object' type, 'additionalProperties' must be explicitly set to false"
    if schema.get("minItems") not in (None, 0, 1):
        return "For 'array' type, 'minItems' values other than 0 or 1 are not supported"
    reference = schema.get("$ref")
    if isinstance(reference, str) and not reference.startswith("#"):
        return "External $ref is not supported"
    return None


def _schemas(schema: Any) -> Iterator[dict[str, Any]]:
    """A schema and those within it."""
    waiting = [schema]
    while waiting:
        each = waiting.pop()
        if not isinstance(each, dict):
            continue
        yield each
        for name in ("properties", "$defs", "definitions"):
            if isinstance(named := each.get(name), dict):
                waiting.extend(named.values())
        for name in ("anyOf", "allOf"):
            if isinstance(listed := each.get(name), list):
                waiting.extend(listed)
        waiting.append(each.get("items"))


def _optional(schema: dict[str, Any]) -> int:
    properties, required = schema.get("properties"), schema.get("required")
    names = set(properties) if isinstance(properties, dict) else set()
    named = required if isinstance(required, list) else []
    return len(names.difference(name for name in named if isinstance(name, str)))


def _refers_to_itself(schema: Any) -> bool:
    """Whether a definition can be reached from itself."""
    definitions = schema.get("$defs") if isinstance(schema, dict) else None
    if not isinstance(definitions, dict):
        return any(each.get("$ref") == "#" for each in _schemas(schema))
    reach = {name: _references(each) for name, each in definitions.items()}
    for name in reach:
        seen: set[str] = set()
        waiting = list(reach[name])
        while waiting:
            if (other := waiting.pop()) == name:
                return True
            if other not in seen:
                seen.add(other)
                waiting.extend(reach.get(other, ()))
    return any(each.get("$ref") == "#" for each in _schemas(schema))


def _references(schema: Any) -> set[str]:
    """The definitions that a schema refers to by name."""
    references = (each.get("$ref") for each in _schemas(schema))
    return {each.rpartition("/")[2] for each in references if isinstance(each, str)}
