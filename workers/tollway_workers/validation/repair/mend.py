"""Finds the answer in a text that holds no valid one as it is: repaired, coerced, or not at all.

For `judge_child` alone: the repairing library may take any time for a hostile text. Pure.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple

import orjson

from tollway_workers.job.readable_json import read_text
from tollway_workers.validation.extract import Reading, goes_on, stray_closing, stripped
from tollway_workers.validation.repair.coerce import Coercer, TooMuch, Valid
from tollway_workers.validation.repair.lenient import Read, read_all
from tollway_workers.validation.repair.lenient_string import Unreadable
from tollway_workers.validation.repair.schema_parts import Resolver

#: Characters of a text that is repaired; longer ones are asked for again.
LARGEST_MENDED = 256 * 1024
#: Things that were done which are named.
_MOST_NAMED = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class MendRules:
    """What may be done to an answer."""

    want_object: bool = False
    repair: bool = True
    coercions: frozenset[str] = frozenset()


class Mended(NamedTuple):
    """A value that satisfies its schema, as JSON, and what was done to it."""

    text: str
    done: tuple[str, ...]


class _Candidate(NamedTuple):
    value: Any
    done: tuple[str, ...] = ()


def mended(
    text: str, reading: Reading, schema: Any, rules: MendRules, valid: Valid
) -> Mended | None:
    """The answer in `text`, of which nothing satisfies `schema` as it is; None: there is none.

    The likeliest candidate decides: one that looks meant and cannot be mended was the answer, and
    what stands before it was a draft. `valid` holds a value against a part of the schema.
    """
    if len(text) > LARGEST_MENDED:
        return None
    resolver = Resolver(schema)
    try:
        for candidate in _candidates(text, reading, rules):
            if rules.want_object and not isinstance(candidate.value, dict):
                continue
            found = _accepted(candidate, schema, rules, valid)
            if found is not None:
                return found
            if resolver.looks_meant(candidate.value):
                return None
    except (Unreadable, TooMuch, RecursionError, ValueError):
        return None
    return None


def where_it_breaks(text: str) -> str:
    """Where JSON stops being readable; empty where there is none at all, or nothing is wrong."""
    try:
        read_all(text)
    except Unreadable as error:
        return f"/: the JSON cannot be read near character {error.at + 1}, or is not complete"
    except RecursionError:
        return "/: the JSON is nested too deeply"
    return ""


def _candidates(text: str, reading: Reading, rules: MendRules) -> Iterator[_Candidate]:
    """What may be the answer, the likeliest first. Raises Unreadable."""
    whole = reading.values[0] if len(reading.values) == 1 else None
    if whole is not None and whole.end >= len(stripped(text)):
        yield _Candidate(whole.value)
        if isinstance(whole.value, str) and "json_from_string" in rules.coercions:
            yield from _spans(whole.value, rules, ("json_from_string /",))
    else:
        yield from _spans(text, rules, ())


def _spans(text: str, rules: MendRules, done: tuple[str, ...]) -> Iterator[_Candidate]:
    found = read_all(text)
    stray = stray_closing(text, [(each.start, each.end) for each in found])
    for before, each in pairwise(found):
        if not text[before.end : each.start].strip(" \t\r\n,"):
            # Several, and none a draft.
            raise Unreadable(each.start)
    for each in reversed(found):
        if stray >= each.end or goes_on(text, each.end):
            raise Unreadable(each.end)
        if not each.fixes:
            value, _ = read_text(text[each.start : each.end])
            yield _Candidate(value, done)
        elif rules.repair and _agrees(text[each.start : each.end], each):
            yield _Candidate(each.value, (*done, *sorted(each.fixes)))
        else:
            raise Unreadable(each.start)


def _agrees(text: str, read: Read) -> bool:
    """Whether the library, which guesses where it must, reads the same."""
    # Here, because most processes never need it.
    from json_repair import repair_json

    found = repair_json(text, return_objects=True, skip_json_loads=True)
    return _exactly(found) == _exactly(read.value)


def _exactly(value: Any) -> str:
    # Told apart by JSON: 1, 1.0 and true are equal in Python.
    return json.dumps(value, sort_keys=True)


def _accepted(candidate: _Candidate, schema: Any, rules: MendRules, valid: Valid) -> Mended | None:
    for change in (_as_it_is, Coercer.coerce, _unwrapped):
        coercer = Coercer(schema, valid, rules.coercions)
        value = change(coercer, candidate.value)
        if valid(value, schema) and not (rules.want_object and not isinstance(value, dict)):
            done = (*candidate.done, *coercer.done)
            return Mended(_text_of(value), done[:_MOST_NAMED])
    return None


def _as_it_is(_: Coercer, value: Any) -> Any:
    return value


def _unwrapped(coercer: Coercer, value: Any) -> Any:
    return coercer.coerce(coercer.unwrapped(value))


def _text_of(value: Any) -> str:
    try:
        return orjson.dumps(value).decode()
    except TypeError:
        # A number beyond 64 bits.
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
