"""Where in a value a validation error lies, in the value's own words.

pydantic puts names of its union branches between the fields of a location, so that a field's
`content` becomes `content.tuple[tagged-union[...], ...]`. The schema says which parts are which.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Part = str | int
Path = tuple[Part, ...]

#: A part of pydantic-core's schema of a type.
_Schema = Mapping[str, Any]

#: Under which keys a schema that only wraps others has them.
_WRAPPED = ("schema", "json_schema", "python_schema", "lax_schema", "strict_schema")
_BARE = re.compile(r"[A-Za-z_$][A-Za-z0-9_$-]{0,39}")
_LONGEST_NAME = 40


@dataclass(frozen=True, slots=True)
class Fork:
    """Where a type leaves a choice, and the choice that an error was found in."""

    at: Path
    branch: str


@dataclass(frozen=True, slots=True)
class Place:
    """Where an error lies: fields and indices only."""

    path: Path
    forks: tuple[Fork, ...] = ()
    #: Whether a value without it is whole.
    optional: bool = False
    #: The class that its field belongs to, where there is one.
    owner: type[Any] | None = None


class Places:
    """Reads locations by the schema of the type that was validated."""

    def __init__(self, schema: _Schema) -> None:
        definitions = schema.get("definitions", ()) if schema["type"] == "definitions" else ()
        self._definitions = {each["ref"]: each for each in definitions}
        self._schema = schema

    def of(self, location: Sequence[Part]) -> Place:
        """The place of an error; without what is no name of a field where nothing fits."""
        found = next(self._walk(self._schema, tuple(location), Place(())), None)
        return found or Place(tuple(p for p in location if isinstance(p, int) or "[" not in p))

    def _walk(self, schema: _Schema, rest: Path, here: Place) -> Iterator[Place]:
        """Every reading of `rest`, from `here` on: unions without tags leave several."""
        if not rest:
            yield here
            return
        kind = schema["type"]
        if kind == "definition-ref":
            target = self._definitions.get(schema["schema_ref"])
            yield from self._walk(target, rest, here) if target else ()
        elif kind in ("union", "tagged-union"):
            yield from self._branches(schema, rest, here)
        elif "fields" in schema:
            yield from self._fields(schema, rest, here)
        elif kind in ("dict", "list", "tuple", "set", "frozenset", "generator"):
            yield from self._entries(schema, rest, here)
        else:
            for inner in _inside(schema):
                yield from self._walk(inner, rest, _of_class(here, schema))

    def _branches(self, schema: _Schema, rest: Path, here: Place) -> Iterator[Place]:
        branch, after = str(rest[0]), rest[1:]
        forked = Place(here.path, (*here.forks, Fork(here.path, branch)), here.optional, here.owner)
        choices = schema["choices"]
        if isinstance(choices, Mapping):
            tagged = choices.get(rest[0])
            yield from self._walk(tagged, after, forked) if tagged else ()
            return
        for choice in choices:
            yield from self._walk(choice[0] if isinstance(choice, tuple) else choice, after, forked)

    def _fields(self, schema: _Schema, rest: Path, here: Place) -> Iterator[Place]:
        fields = schema["fields"]
        named = fields.items() if isinstance(fields, Mapping) else ((f["name"], f) for f in fields)
        for name, field in named:
            if rest[0] in (name, field.get("validation_alias")):
                optional = field["schema"]["type"] == "default" or field.get("required") is False
                there = Place((*here.path, rest[0]), here.forks, optional, here.owner)
                yield from self._walk(field["schema"], rest[1:], there)
                return
        if len(rest) == 1:
            # A field that the type does not have: it may be left out, surely.
            yield Place((*here.path, rest[0]), here.forks, True, here.owner)

    def _entries(self, schema: _Schema, rest: Path, here: Place) -> Iterator[Place]:
        keyed = schema["type"] == "dict"
        if keyed and rest[1:] == ("[key]",):
            yield Place((*here.path, rest[0]), here.forks, True)
        elif keyed or isinstance(rest[0], int):
            there = Place((*here.path, rest[0]), here.forks, keyed)
            for inner in _entry_schemas(schema):
                yield from self._walk(inner, rest[1:], there)


def written(path: Path) -> str:
    """A place as a person writes it: `request.messages[0].content`; empty for the whole value.

    Names that are no plain words are quoted and cut: one may be a whole prompt by mistake.
    """
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            text += f".{_shown(part)}" if text else _shown(part)
    return text


def _shown(name: str) -> str:
    if _BARE.fullmatch(name):
        return name
    cut = name if len(name) <= _LONGEST_NAME else f"{name[: _LONGEST_NAME - 3]}..."
    return '"' + cut.encode("unicode_escape").decode("ascii").replace('"', '\\"') + '"'


def _inside(schema: _Schema) -> Iterator[_Schema]:
    for key in _WRAPPED:
        if isinstance(schema.get(key), Mapping):
            yield schema[key]
    yield from schema.get("steps", ())


def _of_class(here: Place, schema: _Schema) -> Place:
    owner = schema.get("cls")
    return here if owner is None else Place(here.path, here.forks, here.optional, owner)


def _entry_schemas(schema: _Schema) -> Sequence[_Schema]:
    anything = {"type": "any"}
    if schema["type"] == "dict":
        return (schema.get("values_schema", anything),)
    items = schema.get("items_schema", anything)
    return items if isinstance(items, list) else (items,)
