"""Makes a value satisfy its schema where that takes nothing but another form of the same. Pure.

Each coercion has one possible result, loses nothing that the schema has a place for, and makes
nothing up: a missing property stays missing, a number with a comma stays a text.
"""

import re
from collections.abc import Callable
from typing import Any

from tollway_workers.validation.repair.scalars import converted
from tollway_workers.validation.repair.schema_parts import Resolver, types_of

#: Values of an answer that are looked at, and branches of a schema that are tried for them.
_MOST_STEPS = 20_000
_NAME = re.compile(r"[\w $@.-]{1,64}")
_NAME_NOISE = re.compile(r"[\s_-]+")

#: Whether a value satisfies a part of a schema.
Valid = Callable[[Any, Any], bool]


class TooMuch(Exception):
    """An answer is too large to be coerced."""


class Coercer:
    """Coerces answers of one schema; `valid` says whether a value satisfies a part of it."""

    def __init__(self, schema: Any, valid: Valid, allowed: frozenset[str]) -> None:
        self._schema = schema
        self._resolver = Resolver(schema)
        self._valid = valid
        self._allowed = allowed
        self._steps = 0
        #: What was done, each as its kind and its place.
        self.done: list[str] = []

    def coerce(self, value: Any) -> Any:
        """The value, nearer to the schema perhaps. Raises TooMuch."""
        return self._fit(value, self._schema, "")

    def unwrapped(self, value: Any) -> Any:
        """What stands alone under one name that the schema does not know; else the value."""
        if "unwrapped" not in self._allowed or not isinstance(value, dict) or len(value) != 1:
            return value
        ((name, inner),) = value.items()
        if name in self._resolver.names() or not isinstance(inner, (dict, list)):
            return value
        self._note("unwrapped", f"/{name}")
        return inner

    def _fit(self, value: Any, schema: Any, path: str) -> Any:
        self._steps += 1
        if self._steps > _MOST_STEPS:
            raise TooMuch
        schema = self._resolver.resolved(schema)
        if not isinstance(schema, dict):
            return value
        for part in schema.get("allOf", ()):
            value = self._fit(value, part, path)
        branches = schema.get("anyOf") or schema.get("oneOf")
        if branches:
            value = self._branch(value, branches, path)
        value = self._typed(value, schema, path)
        if isinstance(value, dict):
            return self._object(value, schema, path)
        if isinstance(value, list):
            return self._list(value, schema, path)
        return self._member(value, schema, path)

    def _branch(self, value: Any, branches: list[Any], path: str) -> Any:
        """The value as the one branch takes it that it can be made to satisfy."""
        if any(self._valid(value, branch) for branch in branches):
            return value
        found: list[tuple[Any, list[str]]] = []
        before = self.done
        for branch in branches:
            self.done = []
            fitted = self._fit(value, branch, path)
            if self._valid(fitted, branch) and all(
                repr(fitted) != repr(other) for other, _ in found
            ):
                found.append((fitted, self.done))
        self.done = before
        if len(found) != 1:
            return value
        fitted, done = found[0]
        self.done += done
        return fitted

    def _typed(self, value: Any, schema: dict[str, Any], path: str) -> Any:
        """The value in the type that the schema wants, where there is one way to that."""
        types = types_of(schema)
        found = converted(value, types) if types else None
        if found is None:
            return value
        if found.kind not in self._allowed:
            return value
        self._note(found.kind, path)
        return found.value

    def _list(self, value: list[Any], schema: dict[str, Any], path: str) -> list[Any]:
        first = schema.get("prefixItems")
        first = first if isinstance(first, list) else []
        rest = schema.get("items", True)
        return [
            self._fit(item, first[index] if index < len(first) else rest, f"{path}/{index}")
            for index, item in enumerate(value)
        ]

    def _member(self, value: Any, schema: dict[str, Any], path: str) -> Any:
        """The one text of an enum that differs from `value` in case and spacing alone."""
        texts = schema.get("enum", [schema["const"]] if "const" in schema else None)
        if not isinstance(value, str) or not isinstance(texts, list) or value in texts:
            return value
        same = [text for text in texts if isinstance(text, str) and _plain(text) == _plain(value)]
        if len(same) != 1 or "enum_case" not in self._allowed:
            return value
        self._note("enum_case", path)
        return same[0]

    def _object(self, value: dict[str, Any], schema: dict[str, Any], path: str) -> dict[str, Any]:
        known = schema.get("properties")
        known = known if isinstance(known, dict) else {}
        required = schema.get("required")
        required = required if isinstance(required, list) else []
        value = self._renamed(value, known, path)
        value = self._without_nulls(value, known, required, path)
        if schema.get("additionalProperties") is False and "patternProperties" not in schema:
            value = self._without_extras(value, known, path)
        more = schema.get("additionalProperties", True)
        return {
            name: self._fit(each, known.get(name, more), f"{path}/{_escaped(name)}")
            for name, each in value.items()
        }

    def _renamed(self, value: dict[str, Any], known: dict[str, Any], path: str) -> dict[str, Any]:
        """The value with names as the schema writes them, where case and spacing alone differ."""
        missing = [name for name in known if name not in value]
        if not missing or "key_renamed" not in self._allowed:
            return value
        unknown = [name for name in value if name not in known]
        names: dict[str, str] = {}
        for name in unknown:
            same = [each for each in missing if _plain(each) == _plain(name)]
            if len(same) == 1 and same[0] not in names.values():
                names[name] = same[0]
                self._note("key_renamed", f"{path}/{_escaped(same[0])}")
        return {names.get(name, name): each for name, each in value.items()} if names else value

    def _without_nulls(
        self, value: dict[str, Any], known: dict[str, Any], required: list[Any], path: str
    ) -> dict[str, Any]:
        """The value without nulls that stand for an optional property that is not there."""
        if "null_dropped" not in self._allowed:
            return value
        dropped = [
            name
            for name, each in value.items()
            if each is None
            and name in known
            and name not in required
            and not self._valid(None, known[name])
        ]
        for name in dropped:
            self._note("null_dropped", f"{path}/{_escaped(name)}")
        return {name: each for name, each in value.items() if name not in dropped}

    def _without_extras(
        self, value: dict[str, Any], known: dict[str, Any], path: str
    ) -> dict[str, Any]:
        """The value without what has no place; not where that may be a property's other name."""
        extras = [name for name in value if name not in known]
        if not extras or "key_dropped" not in self._allowed:
            return value
        if any(name not in value for name in known):
            return value
        # What is no name is a text that lost its quotes, and what stood in it.
        if not all(_NAME.fullmatch(name) for name in extras):
            return value
        for name in extras:
            self._note("key_dropped", f"{path}/{_escaped(name)}")
        return {name: each for name, each in value.items() if name in known}

    def _note(self, kind: str, path: str) -> None:
        self.done.append(f"{kind} {path or '/'}")


def _plain(text: str) -> str:
    """What is the same in `in progress`, `In-Progress` and `IN_PROGRESS`."""
    return _NAME_NOISE.sub("", text.strip()).casefold()


def _escaped(name: str) -> str:
    return name.replace("~", "~0").replace("/", "~1")
