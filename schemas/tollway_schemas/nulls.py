"""Nulls taken out of JSON: many serializers write null for what is absent."""

from collections.abc import Collection
from typing import Any

import orjson

from tollway_schemas.places import Path

#: A path in which None stands for every item of a list.
Place = tuple[str | None, ...]


def every(path: Path) -> Place:
    """The same place in every item of the lists that a path goes through."""
    return tuple(None if isinstance(part, int) else part for part in path)


def without(value: str | bytes | bytearray, places: Collection[Place]) -> bytes | None:
    """The JSON without the nulls at `places`; None where there are none, or it cannot be done."""
    if not places:
        return None
    try:
        whole = orjson.loads(value)
        for place in places:
            _take_out(whole, place)
        return orjson.dumps(whole)
    except (orjson.JSONDecodeError, orjson.JSONEncodeError):
        return None


def _take_out(value: Any, place: Place) -> None:
    """Where the value is of another kind there is nothing to take out."""
    part, rest = place[0], place[1:]
    if part is None:
        for item in value if isinstance(value, list) else ():
            if rest:
                _take_out(item, rest)
    elif isinstance(value, dict) and rest:
        _take_out(value.get(part), rest)
    elif isinstance(value, dict) and value.get(part, part) is None:
        del value[part]
