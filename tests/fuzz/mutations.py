"""Sound bytes made unsound: JSON by its structure, anything by its bytes.

The same seed, target and number give the same case, on any machine.
"""

import json
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from random import Random
from typing import Any

#: What one call of a target is given: the parts of a record, a response, some files.
Case = tuple[bytes, ...]


class _Object(list[tuple[str, Any]]):
    """A JSON object whose names may stand in it twice."""


class _Word(bytes):
    """Stands in a document as it is, whether or not it is JSON."""


#: Taken in place of any value; the large ones cost most and come last.
_SMALL = (
    *(b"null", b"true", b"false", b"0", b"-1", b"1.5", b'""', b"[]", b"{}", b"[[]]", b"[null]"),
    *(b"NaN", b"Infinity", b"-Infinity", b"1e400", b"-1e400", b"1e-400", b"-0.0", b"1e308"),
    *(b"9223372036854775807", b"9223372036854775808", b"18446744073709551616", b"-2147483649"),
    *(b"4503599627370497.5", b"1e22", b"00", b"+1", b".5", b"0x10", b"1_000", b"--1", b"1e"),
    *(rb'"\ud800"', rb'"\udc00\ud800"', rb'"\u0000"', rb'"\uffff"', b'"\xff\xfe"', b'"\0"'),
    *(rb'"\x"', b'"', b"'a'", b'"\xed\xa0\x80"', '"\u202e\u2028"'.encode(), b'"__proto__"'),
    *(b'"1e400"', b'"NaN"', b'"-1"', b'"true"', b'"../../x"', b'"a/b:c;d"', b'"%s%n{0}$(x)"'),
    *(b'"9999-12-31T23:59:59.999999Z"', b'"0001-01-01T00:00:00+14:00"', b'"2030-02-30T00:00:00Z"'),
    *(b'"0000-00-00"', b'"1e9"', b'"253402300800"', b"253402300800", b"-62135596801"),
    *(b"undefined", b"/* x */ 1", b"{,}", b"[,]", b'{"a":1,"a":2}', b"]", b"}", b":"),
)
_LARGE = (
    b"9" * 5_000,
    b"1" + b"0" * 400,
    b"0." + b"3" * 5_000,
    b'"' + b"x" * 70_000 + b'"',
    b'"' + rb"\ud83d" * 9_000 + b'"',
    b'"' + "\u0301".encode() * 20_000 + b'"',
    b"[" * 150 + b"]" * 150,
    b"[" * 250 + b"]" * 250,
    b"[" * 20_000,
    b"[" * 1_500 + b"]" * 1_500,
    b'{"a":' * 300 + b"1" + b"}" * 300,
    b"[" + b"{}," * 3_000 + b"{}]",
    b"[" + b"1e400," * 1_000 + b"0]",
    b"{" + b",".join(b'"%d":{}' % number for number in range(3_000)) + b"}",
    b"{" + b'"a":1,' * 3_000 + b'"a":2}',
)
#: Bytes that mean something to somebody.
_TOKENS = (
    *(b"\0", b"\n", b"\r\n", b"\xff", b"\x80", b"\x7f", b'"', b"\\", b"{", b"}", b"[", b"]", b","),
    *(b":", b";", b"=", b"\xef\xbb\xbf", b"\xff\xfe", b"\x1f\x8b\x08", b"\x28\xb5\x2f\xfd"),
    *(b"\xff" * 10, b"\0" * 8, b"\x7f\xff\xff\xff", b"\x80\0\0\0", b"data: ", b"[DONE]", b"NaN"),
    *("\u2028\u2029\u0085".encode(), "\U0001f600".encode(), b"\xed\xa0\x80", b"\xf4\x90\x80\x80"),
)
_SIGN = re.compile(rb"[=:] ?")
_LONGEST = 512 * 1024


def mutated(seeds: Sequence[Case], dice: Random, labels: int = 0) -> Case:
    """One of the seeds with one to four mutations in some of its parts, the last `labels` apart."""
    parts = list(dice.choice(seeds))
    for _ in range(dice.choice((1, 1, 1, 2, 2, 3, 4))):
        at = dice.randrange(len(parts) - labels)
        donor = dice.choice(seeds)
        other = donor[at] if at < len(donor) else dice.choice(donor)
        parts[at] = _part(parts[at], other, dice)[:_LONGEST]
    return tuple(parts)


def _part(part: bytes, other: bytes, dice: Random) -> bytes:
    if dice.random() < 0.75 and (document := _parsed(part)) is not None:
        # What an earlier mutation nested too deeply for us is mutated by its bytes.
        with suppress(RecursionError):
            return _document(document, _parsed(other), dice)
    return dice.choice(_BYTE_WAYS)(bytearray(part), other, dice)


def _parsed(part: bytes) -> list[Any] | None:
    """The document in a list, so that its root has a place too; None where it is no JSON."""
    if part[:1] not in (b"{", b"["):
        return None
    try:
        return [json.loads(part, object_pairs_hook=_Object)]
    except (ValueError, RecursionError):
        return None


def _document(document: list[Any], other: list[Any] | None, dice: Random) -> bytes:
    container, at = dice.choice(list(_places(document)))
    # Far more is behind an unsound value deep within than behind an unsound document.
    if container is document:
        container, at = dice.choice(list(_places(document)))
    foreign = dice.choice(list(_values(other or document)))
    dice.choice(_JSON_WAYS)(container, at, foreign, dice)
    return _written(document[0] if document else _Word())


def _places(node: Any) -> Iterator[tuple[list[Any], int]]:
    todo = [node]
    while todo:
        inner = todo.pop()
        if isinstance(inner, list):
            for at, each in enumerate(inner):
                yield inner, at
                todo.append(each[1] if isinstance(inner, _Object) else each)


def _values(node: list[Any]) -> Iterator[Any]:
    return (_value(container, at) for container, at in _places(node))


def _value(container: list[Any], at: int) -> Any:
    return container[at][1] if isinstance(container, _Object) else container[at]


def _put(container: list[Any], at: int, value: Any) -> None:
    container[at] = (container[at][0], value) if isinstance(container, _Object) else value


def _replace(container: list[Any], at: int, _: Any, dice: Random) -> None:
    _put(container, at, _Word(dice.choice(_LARGE if dice.random() < 0.06 else _SMALL)))


def _splice(container: list[Any], at: int, foreign: Any, _: Random) -> None:
    _put(container, at, foreign)


def _remove(container: list[Any], at: int, _: Any, __: Random) -> None:
    del container[at]


def _double(container: list[Any], at: int, foreign: Any, dice: Random) -> None:
    container.insert(at, container[at])
    _put(container, at, foreign if dice.random() < 0.5 else _value(container, at))


def _repeat(container: list[Any], at: int, _: Any, dice: Random) -> None:
    most = _LONGEST // 2 // (len(_written(_value(container, at))) + 9)
    times = 20_000 if dice.random() < 0.02 else dice.choice((3, 30, 300))
    container[at : at + 1] = [container[at]] * min(times, most)


def _wrap(container: list[Any], at: int, _: Any, dice: Random) -> None:
    begin, end = dice.choice(((b"[", b"]"), (b'{"a":', b"}"), (b'[{"a":', b"}]")))
    levels = dice.choice((1, 1, 2, 100, 200))
    value = begin * levels + _written(_value(container, at)) + end * levels
    _put(container, at, _Word(value))


def _rename(container: list[Any], at: int, foreign: Any, dice: Random) -> None:
    if isinstance(container, _Object):
        names = ("", "a", "version", "__proto__", "x" * 300, "a\0b", "$ref", "type")
        name = foreign if isinstance(foreign, str) else dice.choice(names)
        container[at] = (name, container[at][1])


def _alter(container: list[Any], at: int, foreign: Any, dice: Random) -> None:
    value = _value(container, at)
    if isinstance(value, str):
        # Quotes and all: so it may be no text any more.
        raw = json.dumps(value).encode()
        _put(container, at, _Word(dice.choice(_BYTE_WAYS)(bytearray(raw), raw, dice)))
    elif isinstance(value, int | float) and not isinstance(value, bool):
        factor = dice.choice((-1, 0, 0.5, 2, 10, 1_000, 10**6, 10**12, 10**30))
        _put(container, at, value * factor + dice.choice((-1, 0, 1)))
    else:
        _splice(container, at, foreign, dice)


_JSON_WAYS: tuple[Callable[[list[Any], int, Any, Random], None], ...] = (
    *(_replace, _replace, _replace, _splice, _remove, _double),
    *(_repeat, _wrap, _rename, _alter, _alter),
)


def _written(node: Any) -> bytes:
    if isinstance(node, _Word):
        return bytes(node)
    if isinstance(node, _Object):
        pairs = (json.dumps(name).encode() + b":" + _written(each) for name, each in node)
        return b"{" + b",".join(pairs) + b"}"
    if isinstance(node, list):
        return b"[" + b",".join(map(_written, node)) + b"]"
    return json.dumps(node).encode()


def _span(length: int, dice: Random) -> tuple[int, int]:
    begin = dice.randrange(length + 1)
    return begin, min(length, begin + dice.choice((1, 1, 2, 4, 8, 40, 400)))


def _flip(part: bytearray, _: bytes, dice: Random) -> bytes:
    for _time in range(dice.choice((1, 1, 2, 8)) if part else 0):
        part[dice.randrange(len(part))] ^= 1 << dice.randrange(8)
    return bytes(part)


def _set(part: bytearray, _: bytes, dice: Random) -> bytes:
    for _time in range(dice.choice((1, 1, 2, 8)) if part else 0):
        part[dice.randrange(len(part))] = dice.choice((0, 1, 0x7F, 0x80, 0xFF, dice.randrange(256)))
    return bytes(part)


def _cut(part: bytearray, _: bytes, dice: Random) -> bytes:
    begin, end = _span(len(part), dice)
    if dice.random() < 0.3:
        return bytes(part[:begin])
    del part[begin:end]
    return bytes(part)


def _again(part: bytearray, _: bytes, dice: Random) -> bytes:
    begin, end = _span(len(part), dice)
    part[begin:begin] = part[begin:end] * dice.choice((1, 1, 2, 30, 1_000))
    return bytes(part)


def _graft(part: bytearray, other: bytes, dice: Random) -> bytes:
    begin, end = _span(len(other), dice)
    at, until = _span(len(part), dice)
    part[at : until if dice.random() < 0.5 else at] = other[begin:end]
    return bytes(part)


def _token(part: bytearray, _: bytes, dice: Random) -> bytes:
    at, until = _span(len(part), dice)
    part[at : until if dice.random() < 0.5 else at] = dice.choice(_TOKENS)
    return bytes(part)


def _word(part: bytearray, _: bytes, dice: Random) -> bytes:
    return bytes(dice.choice(_LARGE if dice.random() < 0.1 else _SMALL))


def _assign(part: bytearray, other: bytes, dice: Random) -> bytes:
    """Another value in a line of `name = value` or `name: value`."""
    if not (signs := [found.end() for found in _SIGN.finditer(part)]):
        return _token(part, other, dice)
    begin = dice.choice(signs)
    end = part.find(b"\n", begin)
    part[begin : end if end >= 0 else len(part)] = b" " + _word(part, other, dice)
    return bytes(part)


_BYTE_WAYS: tuple[Callable[[bytearray, bytes, Random], bytes], ...] = (
    *(_flip, _set, _cut, _again, _graft, _token, _token, _word, _assign, _assign),
)
