"""Output schemas, compiled once and kept within bounds."""

from collections import OrderedDict
from dataclasses import dataclass
from typing import Any, NoReturn

import jsonschema_rs
import orjson

from tollway_workers.errors import InvalidSchema
from tollway_workers.validation.problems import masked_problems
from tollway_workers.validation.schema_shape import count_recursions

#: Bytes of one schema as JSON.
LARGEST_SCHEMA = 64 * 1024

#: Compiled schemas that are kept, and the bytes they may have together as JSON (in memory a
#: compiled schema takes some twenty times that).
MOST_KEPT = 256
MOST_KEPT_BYTES = 2 * 2**20

#: Lookarounds need a backtracking engine; the limits stop a pattern after a few milliseconds, and
#: a value that meets one is taken as not matching.
_PATTERNS = jsonschema_rs.FancyRegexOptions(
    backtrack_limit=100_000, size_limit=2**20, dfa_size_limit=2**20
)
_MASK = "the value"

Schema = dict[str, Any] | bool


@dataclass(frozen=True, slots=True)
class CompiledSchema:
    """A schema that values can be held against."""

    validator: jsonschema_rs.Validator
    #: References that lead back to what they stand in.
    recursions: int
    size: int

    def accepts(self, value: Any) -> bool:
        """Whether `value` satisfies the schema; one that is nested too deeply does not."""
        try:
            return self.validator.is_valid(value)
        except ValueError:
            return False

    def problems(self, value: Any, size: int) -> tuple[str, ...]:
        """What is wrong with a value of `size` bytes, values masked; empty if nothing is."""
        if self.accepts(value):
            return ()
        return masked_problems(self.validator, value, size=size, recursions=self.recursions)


class CompiledSchemas:
    """The schemas used last, compiled. Nothing in them is ever fetched, from file or network."""

    def __init__(self) -> None:
        # Changed by `get` alone, which has no await in it. Last used last.
        self._compiled: OrderedDict[bytes, CompiledSchema] = OrderedDict()
        self._bytes = 0

    def __repr__(self) -> str:
        return f"<CompiledSchemas {len(self._compiled)} schemas, {self._bytes} bytes>"

    def get(self, schema: Schema, encoded: bytes = b"") -> CompiledSchema:
        """The schema compiled; `encoded` is the same as JSON, where somebody has it already.

        Raises InvalidSchema if it cannot be used.
        """
        encoded = encoded or encoded_schema(schema)
        found = self._compiled.get(encoded)
        if found is not None:
            self._compiled.move_to_end(encoded)
            return found
        compiled = _compile(schema, len(encoded))
        self._compiled[encoded] = compiled
        self._bytes += compiled.size
        while len(self._compiled) > MOST_KEPT or self._bytes > MOST_KEPT_BYTES:
            _, oldest = self._compiled.popitem(last=False)
            self._bytes -= oldest.size
        return compiled


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


def _compile(schema: Schema, size: int) -> CompiledSchema:
    recursions = 0 if isinstance(schema, bool) else count_recursions(schema)
    try:
        validator = jsonschema_rs.validator_for(
            schema,
            retriever=_refuse,
            mask=_MASK,
            pattern_options=_PATTERNS,
            validate_formats=True,
        )
    except ValueError as error:
        raise InvalidSchema(f"the schema is not valid: {_first_line(error)}") from None
    except BaseException as error:
        # A panic in the compiler's Rust code is no Exception; ours to name, and no reason to stop.
        if type(error).__name__ != "PanicException":
            raise
        raise InvalidSchema("the schema is not valid: it breaks the schema compiler") from None
    return CompiledSchema(validator, recursions, size)


def _refuse(uri: str, /) -> NoReturn:
    """Called by the compiler for whatever is not in the schema itself."""
    raise ValueError("nothing is ever fetched")


def _first_line(error: ValueError) -> str:
    if isinstance(error, jsonschema_rs.ValidationError):
        path = "".join(f"/{part}" for part in error.instance_path)
        return f"{path or '/'}: {error.message}"[:200]
    return str(error).partition("\n")[0][:200]
