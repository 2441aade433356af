"""Output schemas: measured, compiled where that is cheap, and kept within bounds."""

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import jsonschema_rs
import orjson

from tollway_workers.errors import InvalidSchema
from tollway_workers.validation.engine import Schema, compiled
from tollway_workers.validation.schema_cost import AnswerSize, Cost
from tollway_workers.validation.schema_shape import Shape, measure

#: Bytes of one schema as JSON.
LARGEST_SCHEMA = 64 * 1024

#: Schemas that are kept, and the bytes that they may take together.
MOST_KEPT = 256
MOST_KEPT_BYTES = 64 * 2**20

#: Bytes that a compiled schema takes for each byte of its JSON, and for each pattern or format:
#: measured are 30 to 75, and the limit on a pattern's automaton.
_BYTES_PER_BYTE = 80
_BYTES_PER_PATTERN = 64 * 1024

#: Nanoseconds that an answer may take here at most; what may take longer goes to another process.
#: Of a thousand answers that arrive at once, none waits for more than a second.
LONGEST_HERE = 1_000_000

#: Characters of an answer that must be judged here, for a schema to be compiled here.
_LEAST_HERE = 64
#: Characters up to which the values of an answer are counted here.
_COUNTED_UP_TO = 16 * 1024
#: What a schema is taken to cost whose cost nobody knows: as much as this many of its own units.
_UNBOUNDED = 1_000

_NOTHING = Shape(Cost(1), Cost(1), 0)


@dataclass(frozen=True, slots=True)
class KnownSchema:
    """A schema that answers can be held against: here if that is cheap for certain."""

    shape: Shape
    #: Characters of JSON.
    size: int
    #: None where no answer is worth it: only another process compiles it.
    validator: jsonschema_rs.Validator | None
    #: Characters of an answer that is judged here, whatever it is.
    here_up_to: int = -1

    @property
    def is_dear(self) -> bool:
        """Whether only another process may compile it."""
        return self.validator is None

    @property
    def memory(self) -> int:
        """Bytes that it takes at most."""
        if self.validator is None:
            return self.size
        patterns = self.shape.written.patterns
        return self.size * _BYTES_PER_BYTE + patterns * _BYTES_PER_PATTERN

    def estimate(self, answer: AnswerSize) -> int:
        """Nanoseconds that an answer takes at most; where nobody knows, by what is compared."""
        followed = self.shape.followed
        here = followed.nanoseconds(answer)
        return here if _is_bounded(self.shape) else here * _UNBOUNDED

    def may_judge_here(self, characters: int) -> bool:
        """Whether it is worth the while to ask `judged_here` about a text."""
        return self.validator is not None and (
            characters <= self.here_up_to or characters <= _COUNTED_UP_TO
        )

    def judged_here(self, values: Iterable[Any], characters: int) -> jsonschema_rs.Validator | None:
        """The validator, if to hold all `values` of a text against it takes no time to speak of."""
        if characters <= self.here_up_to:
            return self.validator
        if not self.may_judge_here(characters):
            return None
        counted = self.estimate(AnswerSize.of(list(values), characters))
        return self.validator if counted <= LONGEST_HERE else None


class KnownSchemas:
    """The schemas used last. Nothing in them is ever fetched, from file or network."""

    def __init__(self) -> None:
        # Changed by `get` alone, which has no await in it. Last used last.
        self._known: OrderedDict[bytes, KnownSchema] = OrderedDict()
        self._bytes = 0

    def __repr__(self) -> str:
        return f"<KnownSchemas {len(self._known)} schemas, {self._bytes} bytes>"

    def get(self, schema: Schema, encoded: bytes = b"") -> KnownSchema:
        """The schema, measured; `encoded` is the same as JSON, where somebody has it already.

        Raises InvalidSchema if it cannot be used.
        """
        encoded = encoded or encoded_schema(schema)
        found = self._known.get(encoded)
        if found is not None:
            self._known.move_to_end(encoded)
            return found
        known = _known(schema, len(encoded))
        self._known[encoded] = known
        self._bytes += known.memory
        while len(self._known) > MOST_KEPT or self._bytes > MOST_KEPT_BYTES:
            _, oldest = self._known.popitem(last=False)
            self._bytes -= oldest.memory
        return known


def encoded_schema(schema: Schema) -> bytes:
    """The schema as JSON. Raises InvalidSchema if it cannot be written so, or is too large."""
    try:
        encoded = orjson.dumps(schema)
    except (orjson.JSONEncodeError, RecursionError):
        raise InvalidSchema(
            "the schema has a number beyond 64 bits or is nested too deeply"
        ) from None
    if len(encoded) > LARGEST_SCHEMA:
        raise InvalidSchema(
            f"the schema has {len(encoded):,} bytes, at most {LARGEST_SCHEMA:,} are allowed"
        )
    return encoded


def _known(schema: Schema, size: int) -> KnownSchema:
    shape = _NOTHING if isinstance(schema, bool) else measure(schema)
    here_up_to = shape.followed.characters_within(LONGEST_HERE) if _is_bounded(shape) else 0
    if here_up_to < _LEAST_HERE:
        return KnownSchema(shape, size, None)
    try:
        return KnownSchema(shape, size, compiled(schema), here_up_to)
    except ValueError as error:
        raise InvalidSchema(str(error)) from None


def _is_bounded(shape: Shape) -> bool:
    """Whether each part of the schema meets each value of an answer at most once."""
    return shape.recursions < 2 and not shape.followed.unbounded
