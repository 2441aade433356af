"""The child that holds answers against schemas; `judge` speaks to it.

A request is the length of a schema, the schema, and a text, or nothing; before the text is `o`
where its answer must be an object, else `v`.

It says `c` once the schema is compiled, or `e` and why it cannot be; then `n` if there is no value
in the text, `a` and the index of the first that is accepted, or `r` and, if there is the time, `p`
and the problems of the first.
"""

import struct
from collections import OrderedDict
from collections.abc import Callable, Iterator

import jsonschema_rs
import orjson

from tollway_workers.validation.confined_child import CPU_SECONDS, allow, serve
from tollway_workers.validation.engine import accepts, compiled, masked_problems
from tollway_workers.validation.extract import values_of

_LENGTH = struct.Struct("!I")
#: Schemas that stay compiled. Their memory is bounded by that of the process.
_MOST_KEPT = 64
#: Seconds of CPU time for saying what is wrong: that something is, is known by then.
_LISTING_SECONDS = 0.25

_kept: OrderedDict[bytes, jsonschema_rs.Validator] = OrderedDict()


def judge(request: bytes, allow: Callable[[float], None] = allow) -> Iterator[bytes]:
    """What there is to say of one request; `allow` begins a step of so many seconds."""
    (length,) = _LENGTH.unpack_from(request)
    schema, text = request[_LENGTH.size :][:length], request[_LENGTH.size + length :]
    try:
        validator = _validator(schema)
    except ValueError as error:
        yield b"e" + str(error).encode()
        return
    yield b"c"
    if not text:
        return
    allow(CPU_SECONDS)
    found = values_of(text[1:].decode(), want_object=text[:1] == b"o")
    values = [each.value for each in found]
    if not values:
        yield b"n"
        return
    for index, value in enumerate(values):
        if accepts(validator, value):
            yield b"a%d" % index
            return
    yield b"r"
    allow(_LISTING_SECONDS)
    yield b"p" + orjson.dumps(masked_problems(validator, values[0]))


def _validator(schema: bytes) -> jsonschema_rs.Validator:
    validator = _kept.get(schema)
    if validator is None:
        validator = _kept[schema] = compiled(orjson.loads(schema))
        if len(_kept) > _MOST_KEPT:
            _kept.popitem(last=False)
    _kept.move_to_end(schema)
    return validator


if __name__ == "__main__":
    serve(judge)
