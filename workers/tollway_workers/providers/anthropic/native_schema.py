"""A job's schema in the words that Anthropic holds an answer to. Pure.

It takes a part of JSON Schema: objects whose properties are all named, no recursion, no bounds of
numbers and texts. What only narrows a value is left out, because the answer is held to the job's
own schema all the same; a schema whose meaning would be lost has no such words.
https://platform.claude.com/docs/en/build-with-claude/structured-outputs
"""

from typing import Any

JsonObject = dict[str, Any]

#: Words that may be said as they are.
_SAID = frozenset(("type", "title", "description", "enum", "const", "default"))
_FORMATS = frozenset(
    ("date-time", "time", "date", "duration", "email", "hostname", "uri", "ipv4", "ipv6", "uuid")
)
_DEEPEST = 32
_MOST_OPTIONAL = 24
_MOST_UNIONS = 16
#: Parts of a schema whose references are written out.
_MOST_PARTS = 2_000


class _NotNative(Exception):
    """A schema cannot be said without losing what it is."""


def native_schema(schema: JsonObject) -> JsonObject | None:
    """The schema in Anthropic's words; None where it has none (names of properties that are free,
    recursion, more alternatives than it takes)."""
    try:
        return _Rewriting(schema).rewritten(schema, ())
    except _NotNative:
        return None


class _Rewriting:
    """One schema's rewriting; references are written out, and choices counted."""

    def __init__(self, root: JsonObject) -> None:
        self._root = root
        self._optional = self._unions = self._parts = 0

    def rewritten(self, schema: Any, within: tuple[str, ...]) -> JsonObject:
        """A part in its words; `within`: the references that lead here. Raises _NotNative."""
        self._parts += 1
        if not isinstance(schema, dict) or len(within) > _DEEPEST or self._parts > _MOST_PARTS:
            raise _NotNative
        if "$ref" in schema:
            return self._referred(schema, within)
        within = (*within, "")
        if (parts := schema.get("allOf")) is not None:
            return self.rewritten(_merged(schema, parts), within)
        said = _plain_words(schema)
        if (branches := schema.get("anyOf", schema.get("oneOf"))) is not None:
            said["anyOf"] = self._alternatives(branches, within)
        if isinstance(schema.get("type"), list):
            self._count_union()
        said |= self._inside(schema, within)
        if not said.keys() & {"type", "enum", "const", "anyOf"}:
            # Anything at all.
            raise _NotNative
        return said

    def _inside(self, schema: JsonObject, within: tuple[str, ...]) -> JsonObject:
        """What a list or an object holds."""
        said: JsonObject = {}
        if "items" in schema:
            said["items"] = self.rewritten(schema["items"], within)
        elif "prefixItems" in schema or "array" in _types(schema):
            raise _NotNative
        if "object" in _types(schema) or "properties" in schema:
            said |= self._object(schema, within)
        return said

    def _referred(self, schema: JsonObject, within: tuple[str, ...]) -> JsonObject:
        reference = schema["$ref"]
        if not isinstance(reference, str) or reference in within:
            raise _NotNative
        target = _at(self._root, reference)
        rest = {name: value for name, value in schema.items() if name != "$ref"}
        return self.rewritten({**target, **rest}, (*within, reference))

    def _alternatives(self, branches: Any, within: tuple[str, ...]) -> list[JsonObject]:
        if not isinstance(branches, list):
            raise _NotNative
        self._count_union()
        return [self.rewritten(branch, within) for branch in branches]

    def _object(self, schema: JsonObject, within: tuple[str, ...]) -> JsonObject:
        known = schema.get("properties")
        free = schema.get("additionalProperties")
        if not isinstance(known, dict) or not known or isinstance(free, dict):
            raise _NotNative
        if "patternProperties" in schema:
            raise _NotNative
        required = schema.get("required") or ()
        self._optional += sum(name not in required for name in known)
        if self._optional > _MOST_OPTIONAL:
            raise _NotNative
        return {
            "type": schema.get("type", "object"),
            "properties": {name: self.rewritten(part, within) for name, part in known.items()},
            "required": [name for name in required if name in known],
            "additionalProperties": False,
        }

    def _count_union(self) -> None:
        self._unions += 1
        if self._unions > _MOST_UNIONS:
            raise _NotNative


def _plain_words(schema: JsonObject) -> JsonObject:
    said = {name: schema[name] for name in _SAID if name in schema}
    if schema.get("format") in _FORMATS:
        said["format"] = schema["format"]
    if schema.get("minItems") in (0, 1):
        said["minItems"] = schema["minItems"]
    return said


def _types(schema: JsonObject) -> list[Any]:
    kind = schema.get("type")
    return kind if isinstance(kind, list) else [kind]


def _merged(schema: JsonObject, parts: Any) -> JsonObject:
    """The schema with an `allOf` of one part, as generators write around a reference, in it."""
    if not isinstance(parts, list) or len(parts) != 1 or not isinstance(parts[0], dict):
        raise _NotNative
    rest = {name: value for name, value in schema.items() if name != "allOf"}
    if set(rest) & set(parts[0]) - {"title", "description"}:
        raise _NotNative
    return {**parts[0], **rest}


def _at(root: JsonObject, reference: str) -> JsonObject:
    """The part of the root that a reference points to. Raises _NotNative."""
    if reference != "#" and not reference.startswith("#/"):
        raise _NotNative
    found: Any = root
    for step in reference[2:].split("/") if reference != "#" else ():
        name = step.replace("~1", "/").replace("~0", "~")
        found = found.get(name) if isinstance(found, dict) else None
    if not isinstance(found, dict):
        raise _NotNative
    return found
