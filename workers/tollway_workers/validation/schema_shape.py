"""What a schema must not be, and what it costs, found before any library sees it. Pure.

A schema comes from whoever may publish a job. Four things in one can hurt a whole worker: a
reference to somewhere else (file, network), nesting, references that multiply (twenty definitions
that each name the next one twice are a million checks), and patterns that grow when compiled.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from tollway_workers.errors import InvalidSchema
from tollway_workers.validation.schema_cost import NOTHING, Cost, own_cost, total

#: Levels of nesting as it is written.
DEEPEST = 64

#: Levels of nesting, and number of parts, with every reference replaced by what it points to.
DEEPEST_FOLLOWED = 200
MOST_PARTS = 10_000

#: States of all patterns together: some 50 ms of compiling.
MOST_PATTERN_STATES = 200_000

_REFERENCES = ("$ref", "$dynamicRef", "$recursiveRef")
_ANCHORS = ("$anchor", "$dynamicAnchor")

Node = dict[str, Any] | list[Any]


@dataclass(frozen=True, slots=True)
class Shape:
    """A schema, measured."""

    #: As it is written, for its compiler.
    written: Cost
    #: With every reference replaced by what it points to, for an answer that is held against it.
    followed: Cost
    #: References that lead back to what they stand in.
    recursions: int


def measure(schema: dict[str, Any]) -> Shape:
    """The shape of a schema.

    Raises InvalidSchema if it is nested too deeply, refers to anything outside itself, grows too
    large once its references are followed, or has patterns that are too large together.
    """
    anchors: dict[str, Node] = {}
    own: dict[int, Cost] = {}
    for node, depth in _nodes(schema):
        if depth > DEEPEST:
            raise InvalidSchema(f"the schema is nested more than {DEEPEST} levels deep")
        if isinstance(node, dict):
            _check_inside(node, is_root=node is schema)
            anchors.update({f"#{node[a]}": node for a in _ANCHORS if isinstance(node.get(a), str)})
        own[id(node)] = own_cost(node)
    written = total(own.values())
    if written.states > MOST_PATTERN_STATES:
        raise InvalidSchema(
            "the schema's patterns are too large together: use fewer or shorter ones, "
            "or smaller repeats such as {1,900}"
        )
    _, followed, recursions = _Expansion(schema, anchors, own).measure(schema, 0)
    return Shape(written, followed, recursions)


def _nodes(schema: dict[str, Any]) -> Iterator[tuple[Node, int]]:
    """Every object and array with its depth; the caller stops a walk that goes too deep."""
    waiting: list[tuple[Node, int]] = [(schema, 1)]
    while waiting:
        node, depth = waiting.pop()
        yield node, depth
        waiting.extend((child, depth + 1) for child in _children(node))


def _children(node: Node) -> Iterator[Node]:
    values = node.values() if isinstance(node, dict) else node
    return (value for value in values if isinstance(value, (dict, list)))


def _check_inside(node: dict[str, Any], *, is_root: bool) -> None:
    for name in _REFERENCES:
        reference = node.get(name)
        if isinstance(reference, str) and not reference.startswith("#"):
            raise InvalidSchema(
                f"{name} may only point within the schema, as in #/$defs/name: "
                "nothing is ever fetched from a file or an address"
            )
    # Below the root, an $id would give the references beside it another document to point into.
    identity = node.get("$id")
    if not is_root and isinstance(identity, str) and not identity.startswith("#"):
        raise InvalidSchema("$id may only stand at the top of the schema")


#: Parts, what they cost, and how many of them lead back to where they stand.
_Measured = tuple[int, Cost, int]


class _Expansion:
    """Measures a schema as if each reference were replaced by its target."""

    def __init__(
        self, schema: dict[str, Any], anchors: dict[str, Node], own: dict[int, Cost]
    ) -> None:
        self._schema = schema
        self._anchors = anchors
        # By identity of the node: its own cost, what is known of it with all below, and the nodes
        # between the root and here.
        self._own = own
        self._measured: dict[int, _Measured] = {}
        self._inside: set[int] = set()

    def measure(self, node: Node, depth: int) -> _Measured:
        """What `node` is with all that is below it."""
        known = self._measured.get(id(node))
        if known is not None:
            return known
        if id(node) in self._inside:
            return 1, NOTHING, 1
        if depth > DEEPEST_FOLLOWED:
            raise InvalidSchema("the schema is nested too deeply once its references are followed")
        self._inside.add(id(node))
        below = [self.measure(child, depth + 1) for child in self._below(node)]
        self._inside.discard(id(node))
        parts = 1 + sum(parts for parts, _, _ in below)
        if parts > MOST_PARTS:
            raise InvalidSchema(
                f"the schema grows to more than {MOST_PARTS:,} parts once its references "
                "are followed"
            )
        own = self._own[id(node)]
        cost = total((own, *(cost for _, cost, _ in below))) if below else own
        self._measured[id(node)] = parts, cost, sum(recursions for _, _, recursions in below)
        return self._measured[id(node)]

    def _below(self, node: Node) -> Iterator[Node]:
        yield from _children(node)
        if isinstance(node, dict):
            for name in _REFERENCES:
                reference = node.get(name)
                target = self._target(reference) if isinstance(reference, str) else None
                if target is not None:
                    yield target

    def _target(self, reference: str) -> Node | None:
        """What a reference points to; one that points nowhere is left to the compiler."""
        if reference in self._anchors:
            return self._anchors[reference]
        found: Any = self._schema
        for step in unquote(reference[1:]).split("/")[1:]:
            found = _step(found, step.replace("~1", "/").replace("~0", "~"))
        return found if isinstance(found, (dict, list)) else None


def _step(node: Any, name: str) -> Any:
    if isinstance(node, dict):
        return node.get(name)
    if isinstance(node, list) and name.isascii() and name.isdigit() and len(name) < 6:
        return node[int(name)] if int(name) < len(node) else None
    return None
