"""Nulls taken out of JSON: many serializers write null for what is absent."""

from collections.abc import Collection
from typing import Any

import orjson

from tollway_schemas.places import Path


def without(value: str | bytes | bytearray, paths: Collection[Path]) -> bytes | None:
    """The JSON without the fields at `paths`; None where there are none, or it cannot be done."""
    if not paths:
        return None
    try:
        whole = orjson.loads(value)
        for path in paths:
            _take_out(whole, path)
        return orjson.dumps(whole)
    except (orjson.JSONDecodeError, orjson.JSONEncodeError, LookupError, TypeError):
        return None


def _take_out(whole: Any, path: Path) -> None:
    for part in path[:-1]:
        whole = whole[part]
    del whole[path[-1]]
