"""The child that holds answers against schemas, and mends them; `judge` speaks to it.

A request is the length of a schema, the schema, and nothing, or the length of the rules (JSON), the
rules, and a text.

It says `c` once the schema is compiled, or `e` and why it cannot be; then `a` and the index of the
value in the text that is accepted as it is. Else `n` if there is no value in the text, or `r`; then
`m` and the value as it was mended, with what was done, or, if there is the time, `p` and the
problems of the first.
"""

import struct
from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import Any

import jsonschema_rs
import orjson

from tollway_workers.validation.confined_child import CPU_SECONDS, allow, serve
from tollway_workers.validation.engine import accepts, compiled, masked_problems
from tollway_workers.validation.extract import Reading, choose, read
from tollway_workers.validation.repair.mend import MendRules, mended, where_it_breaks
from tollway_workers.validation.repair.schema_parts import Resolver

_LENGTH = struct.Struct("!I")
#: Schemas that stay compiled. Their memory is bounded by that of the process.
_MOST_KEPT = 64
#: Seconds of CPU time for mending what is not accepted as it is.
_MENDING_SECONDS = 0.25
#: Seconds of CPU time for saying what is wrong: that something is, is known by then.
_LISTING_SECONDS = 0.25
#: Words of a schema's root that its parts may point to.
_DEFINITIONS = ("$defs", "definitions", "$schema")

_kept: "OrderedDict[bytes, _Kept]" = OrderedDict()


class _Kept:
    """A schema that is compiled, and its parts as they are needed."""

    def __init__(self, schema: Any) -> None:
        self.schema = schema
        self.validator = compiled(schema)
        self._parts: dict[int, jsonschema_rs.Validator | None] = {}

    def valid(self, value: Any, part: Any) -> bool:
        """Whether a value satisfies a part of the schema; not if that cannot stand alone."""
        if part is self.schema:
            return accepts(self.validator, value)
        if isinstance(part, bool):
            return part
        if id(part) not in self._parts:
            self._parts[id(part)] = self._compiled(part)
        validator = self._parts[id(part)]
        return validator is not None and accepts(validator, value)

    def _compiled(self, part: Any) -> jsonschema_rs.Validator | None:
        around = {name: self.schema[name] for name in _DEFINITIONS if name in self.schema}
        try:
            return compiled({**around, "allOf": [part]})
        except ValueError:
            return None


def judge(request: bytes, allow: Callable[[float], None] = allow) -> Iterator[bytes]:
    """What there is to say of one request; `allow` begins a step of so many seconds."""
    schema, rest = _parted(request)
    try:
        kept = _known(schema)
    except ValueError as error:
        yield b"e" + str(error).encode()
        return
    yield b"c"
    if not rest:
        return
    allow(CPU_SECONDS)
    said, text = _parted(rest)
    rules = _rules(orjson.loads(said))
    reading = read(text.decode(), want_object=rules.want_object)
    index = choose(
        reading,
        lambda value: accepts(kept.validator, value),
        Resolver(kept.schema).looks_meant,
    )
    if index is not None:
        yield b"a%d" % index
        return
    yield b"r" if reading.values else b"n"
    allow(_MENDING_SECONDS)
    if (found := mended(text.decode(), reading, kept.schema, rules, kept.valid)) is not None:
        yield b"m" + orjson.dumps((found.text, found.done))
        return
    allow(_LISTING_SECONDS)
    if problems := _problems(kept.validator, reading, text.decode()):
        yield b"p" + orjson.dumps(problems)


def _problems(validator: jsonschema_rs.Validator, reading: Reading, text: str) -> tuple[str, ...]:
    # Where the last thing said is broken, what stands before it is not what was meant.
    broken = where_it_breaks(text) if reading.broken >= 0 or not reading.values else ""
    if broken:
        return (broken,)
    return masked_problems(validator, reading.values[0].value) if reading.values else ()


def _parted(frame: bytes) -> tuple[bytes, bytes]:
    (length,) = _LENGTH.unpack_from(frame)
    end = _LENGTH.size + length
    return frame[_LENGTH.size : end], frame[end:]


def _rules(said: dict[str, Any]) -> MendRules:
    return MendRules(
        want_object=said["object"],
        repair=said["repair"],
        coercions=frozenset(said["coercions"]),
    )


def _known(schema: bytes) -> _Kept:
    kept = _kept.get(schema)
    if kept is None:
        kept = _kept[schema] = _Kept(orjson.loads(schema))
        if len(_kept) > _MOST_KEPT:
            _kept.popitem(last=False)
    _kept.move_to_end(schema)
    return kept


if __name__ == "__main__":
    serve(judge)
