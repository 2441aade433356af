"""Schemas, and other values, that a server does not take, by their digest. Pure.

What a server has refused is kept as words, so that other words can be said in their place.
"""

from hashlib import sha256
from typing import Any

import orjson

_SCHEMA = "schema:"
_MOST_SCHEMAS = 256


def takes_value(value: Any, refused: frozenset[str]) -> bool:
    """Whether the server may be given this value, of whatever kind."""
    return not refused or refused_schema(value) not in refused


def takes_schema(schema: dict[str, Any], refused: frozenset[str]) -> bool:
    """Whether the server may be given this schema: no server takes all of JSON Schema."""
    return takes_value(schema, refused)


def refused_schema(schema: Any) -> str:
    """The word for a schema, or another value, that was refused."""
    return _SCHEMA + sha256(orjson.dumps(schema)).hexdigest()[:32]


def remembered(known: frozenset[str], new: frozenset[str]) -> frozenset[str]:
    """What a server has refused, with what it refuses now; of schemas there is no end."""
    old = [name for name in known if name.startswith(_SCHEMA)]
    return (known | new) - set(old[: max(0, len(old) + len(new) - _MOST_SCHEMAS)])
