"""What holding an answer against a schema costs at most, from the text of both. Pure.

One unit is one keyword of the schema (or value of its enum) held against one value of the answer:
6 ns at most, here 20. What costs more is counted as so many units, or apart.
"""

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from tollway_workers.validation.pattern_size import pattern_size

#: Nanoseconds of one unit; of one state of a pattern or check of a format per character, where no
#: engine goes back; of one number that is compared exactly with a fraction.
_UNIT = 20
_STATE = 2
_COMPARISON = 7_500

#: Units of keywords that compare numbers exactly, or values with each other.
_DEAR = {
    "multipleOf": 1_500,
    "uniqueItems": 1_500,
    "minimum": 40,
    "maximum": 40,
    "exclusiveMinimum": 40,
    "exclusiveMaximum": 40,
}
#: Keywords whose time no figure here bounds: they look at what other keywords have seen, or hold
#: one value against many patterns.
_UNBOUNDED = frozenset(
    (
        "$dynamicRef",
        "$recursiveRef",
        "contentEncoding",
        "contentMediaType",
        "contentSchema",
        "contains",
        "dependencies",
        "dependentSchemas",
        "if",
        "not",
        "patternProperties",
        "propertyNames",
        "unevaluatedItems",
        "unevaluatedProperties",
    )
)
#: Never held against an answer: said to people, or an amount of something.
_NEVER_COMPARED = frozenset(
    (
        "$comment",
        "$id",
        "$schema",
        "default",
        "description",
        "maxContains",
        "maxItems",
        "maxLength",
        "maxProperties",
        "minContains",
        "minItems",
        "minLength",
        "minProperties",
        "title",
        *_DEAR,
    )
)
#: Names that make a node more than its scalars.
_NOTABLE = _UNBOUNDED | _NEVER_COMPARED | {"pattern", "format"}
#: Formats that are parsed in one pass.
_PLAIN_FORMATS = frozenset(
    (
        "date",
        "date-time",
        "duration",
        "email",
        "hostname",
        "ipv4",
        "ipv6",
        "time",
        "uri",
        "uri-reference",
        "uuid",
    )
)
_FORMAT_STATES = 20
#: Characters of a string that cost as much as one value.
_CHARACTERS = 16


class Cost(NamedTuple):
    """Costs of parts of a schema; they add up."""

    units: int = 0
    #: Numbers that an answer's numbers are compared with for equality.
    numbers: int = 0
    #: States of the patterns, and of the formats.
    states: int = 0
    patterns: int = 0
    #: Parts whose time no figure here bounds.
    unbounded: int = 0

    def nanoseconds(self, size: "AnswerSize") -> int:
        """What an answer takes at most; meant for costs without unbounded parts."""
        return (
            _UNIT * self.units * size.values
            + _COMPARISON * self.numbers * size.fractions
            + _STATE * self.states * size.characters
        )

    def characters_within(self, nanoseconds: int) -> int:
        """How long an answer may be, whatever it is, to take no more."""
        least = self.nanoseconds(AnswerSize.at_most(0))
        for_each = (self.nanoseconds(AnswerSize.at_most(1_000)) - least) / 1_000
        return int((nanoseconds - least) / max(for_each, 1))


NOTHING = Cost()


def total(costs: Iterable[Cost]) -> Cost:
    """What parts cost together."""
    return Cost(*map(sum, zip(*costs, strict=True)))


class AnswerSize(NamedTuple):
    """How large an answer is."""

    #: Names of properties among them; long strings count as several.
    values: int
    #: Numbers that are no integers.
    fractions: int
    characters: int

    @classmethod
    def at_most(cls, characters: int) -> "AnswerSize":
        """Of any JSON text of so many characters."""
        return cls(characters // 2 + 1, characters // 4 + 1, characters)

    @classmethod
    def of(cls, value: Any, characters: int) -> "AnswerSize":
        """Of a value whose text has so many characters."""
        values = fractions = 0
        for each in _scalars(value):
            values += 1
            if isinstance(each, float):
                fractions += 1
        return cls(values + characters // _CHARACTERS, fractions, characters)


def own_cost(node: dict[str, Any] | list[Any]) -> Cost:
    """What an object or array in a schema costs without those below it.

    Names are taken for keywords wherever they stand: a property that is called `not` makes a
    schema dearer than it is, never cheaper.
    """
    if isinstance(node, list):
        return _of_scalars(node)
    notable = node.keys() & _NOTABLE
    if not notable:
        return _of_scalars([*node, *node.values()])
    values = [value for name, value in node.items() if name not in _NEVER_COMPARED]
    cost = _of_scalars([*node, *values])
    dear = sum(_DEAR[name] for name in notable & _DEAR.keys())
    states, patterns, unbounded = 0, 0, len(notable & _UNBOUNDED)
    for pattern in _patterns(node):
        size = pattern_size(pattern)
        states += size.states
        patterns += 1
        unbounded += not size.is_linear
    format_name = node.get("format")
    if isinstance(format_name, str):
        states += _FORMAT_STATES
        unbounded += format_name not in _PLAIN_FORMATS
    return total((cost, Cost(dear, 0, states, patterns, unbounded)))


def _patterns(node: dict[str, Any]) -> Iterator[str]:
    pattern = node.get("pattern")
    if isinstance(pattern, str):
        yield pattern
    named = node.get("patternProperties")
    if isinstance(named, dict):
        yield from named


def _of_scalars(values: list[Any]) -> Cost:
    units, numbers = 1 + len(values), 0
    for value in values:
        kind = type(value)
        if kind is str:
            units += len(value) // _CHARACTERS
        elif kind is int or kind is float:
            numbers += 1
    return Cost(units, numbers)


def _scalars(value: Any) -> Iterator[Any]:
    """Each value in a value, itself included, and each name; parents in no fixed order."""
    waiting = [value]
    while waiting:
        node = waiting.pop()
        yield node
        if isinstance(node, dict):
            yield from node
            waiting.extend(node.values())
        elif isinstance(node, list):
            waiting.extend(node)
