"""Takes out the nulls that a strict server was told to write for what is not there. Pure.

OpenAI's strict mode knows no optional properties: the schema that it is given has them all, and the
optional ones may be null (`providers/openai/wire_schema.py`).
"""

from typing import Any

from tollway_workers.validation.repair.scalars import type_of
from tollway_workers.validation.repair.schema_parts import Resolver, types_of

#: Levels of an answer, and branches within each, that are looked at.
_DEEPEST = 400


def without_optional_nulls(value: Any, schema: Any) -> Any:
    """The answer without them; where the schema is too deep for that, as it was."""
    return _stripped(value, schema, Resolver(schema), 0)


def _stripped(value: Any, schema: Any, resolver: Resolver, depth: int) -> Any:
    schema = resolver.resolved(schema)
    if not isinstance(schema, dict) or depth > _DEEPEST or not isinstance(value, (dict, list)):
        return value
    for branch in _branches(value, schema, resolver):
        value = _stripped(value, branch, resolver, depth + 1)
    if isinstance(value, list):
        items = schema.get("items", True)
        return [_stripped(item, items, resolver, depth + 1) for item in value]
    known = schema.get("properties")
    if not isinstance(known, dict):
        return value
    required = schema.get("required") or ()
    return {
        name: _stripped(each, known.get(name, True), resolver, depth + 1)
        for name, each in value.items()
        if each is not None
        or name not in known
        or name in required
        or resolver.takes_null(known[name])
    }


def _branches(value: Any, schema: dict[str, Any], resolver: Resolver) -> list[Any]:
    """The parts that a value must satisfy, and the one among alternatives that it can."""
    found = list(schema.get("allOf") or ())
    kind = type_of(value)
    for name in ("anyOf", "oneOf"):
        fitting = [
            branch
            for branch in schema.get(name) or ()
            if isinstance(part := resolver.resolved(branch), dict) and kind in types_of(part)
        ]
        if len(fitting) == 1:
            found += fitting
    return found
