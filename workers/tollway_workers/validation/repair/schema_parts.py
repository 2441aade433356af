"""What a schema says of the values at its top. Pure."""

from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote

from tollway_workers.validation.repair.scalars import type_of

#: References that are followed one after the other.
_MOST_HOPS = 32


class Resolver:
    """Follows the references of a schema, which lead within it."""

    def __init__(self, root: Any) -> None:
        self._root = root

    def resolved(self, schema: Any) -> Any:
        """A part with what its reference points to in its place; True where that is unknown."""
        for _ in range(_MOST_HOPS):
            if not isinstance(schema, dict) or not isinstance(schema.get("$ref"), str):
                return schema
            schema = self._target(schema["$ref"])
        return True

    def names(self) -> frozenset[str]:
        """The names of properties that an answer may have at its top."""
        found: set[str] = set()
        for schema in self._tops():
            own, required = schema.get("properties"), schema.get("required")
            found.update(own if isinstance(own, dict) else ())
            if isinstance(required, list):
                found.update(name for name in required if isinstance(name, str))
        return frozenset(found)

    def looks_meant(self, value: Any) -> bool:
        """Whether a value was meant as the answer, though it may break the schema."""
        if isinstance(value, dict):
            return not self.names().isdisjoint(value)
        return isinstance(value, list) and any("array" in types_of(top) for top in self._tops())

    def takes_null(self, schema: Any) -> bool:
        """Whether null is a value of this part, as far as its types say; True where they do not."""
        tops = [types_of(top) for top in self._tops(schema)]
        return not any(tops) or any("null" in types for types in tops)

    def _tops(self, schema: Any = None) -> Iterator[dict[str, Any]]:
        """The parts of the schema that an answer itself is held against, each once."""
        waiting, seen = [self._root if schema is None else schema], set[int]()
        while waiting:
            top = self.resolved(waiting.pop())
            if isinstance(top, dict) and id(top) not in seen:
                seen.add(id(top))
                yield top
                waiting += _parts_of(top)

    def _target(self, reference: str) -> Any:
        found = self._root
        for step in unquote(reference).removeprefix("#").split("/")[1:]:
            step = step.replace("~1", "/").replace("~0", "~")
            if isinstance(found, list) and step.isdecimal() and int(step) < len(found):
                found = found[int(step)]
            elif isinstance(found, dict) and step in found:
                found = found[step]
            else:
                return True
        return found


def _parts_of(schema: dict[str, Any]) -> list[Any]:
    """The schemas that a value itself is held against beside this one."""
    lists = [schema.get(name) for name in ("allOf", "anyOf", "oneOf")]
    return [part for each in lists if isinstance(each, list) for part in each]


def types_of(schema: dict[str, Any]) -> frozenset[str]:
    """The types that a schema takes, by its `type` or its enum; empty where it does not say."""
    said = schema.get("type")
    if isinstance(said, str):
        return frozenset({said})
    if isinstance(said, list):
        return frozenset(each for each in said if isinstance(each, str))
    values = schema.get("enum", [schema["const"]] if "const" in schema else [])
    return frozenset(map(type_of, values)) if isinstance(values, list) else frozenset()
