"""From what a model said to the JSON in it. Pure; nothing is repaired."""

import re
from collections import deque
from collections.abc import Callable
from typing import Any, NamedTuple

from tollway_workers.job.readable_json import read_text
from tollway_workers.validation.lenient import OPENING, begins_json

#: Objects and arrays that are tried in a text; the last ones, since models end with the answer.
_MOST_CANDIDATES = 16

_BOM = "\ufeff"
_FENCE = re.compile(r"```[^\n`]*\n(.*?)```", re.DOTALL)
_CLOSERS = {"{": "}", "[": "]"}
_BRACKET_OR_QUOTE = re.compile(r'["{}\[\]]')
_REST_OF_STRING = re.compile(r'(?:[^"\\]|\\.)*+"', re.DOTALL)


class JsonText(NamedTuple):
    """A JSON value, and the text that says it and nothing else."""

    value: Any
    text: str
    #: Where it ends in what the model said.
    end: int = 0
    #: Whether `text` is what the model said: it may have said what no reader takes.
    as_said: bool = True


class Reading(NamedTuple):
    """What a text may mean."""

    #: The likeliest first; empty if there is none.
    values: list[JsonText]
    #: Where the last thing begins that looks like JSON and is none, as what was cut; -1: nowhere.
    broken: int = -1


def read(text: str, *, want_object: bool = False) -> Reading:
    """The JSON values that `text` may mean, or the objects among them alone.

    The whole text, else what its fenced blocks hold, else the objects and arrays in its prose;
    of several the last goes first. What opens and never closes is cut, and nothing in it is taken.
    """
    text = text.strip().removeprefix(_BOM).strip()
    if whole := _parsed(text, len(text)):
        return Reading(_wanted(whole, want_object))
    fenced = deque(
        ((each.group(1), each.end(1)) for each in _FENCE.finditer(text)), maxlen=_MOST_CANDIDATES
    )
    spans, broken = _balanced(text)
    values = [value for piece, end in reversed(fenced) for value in _parsed(piece.strip(), end)]
    for start, end in reversed(spans):
        found = _parsed(text[start:end], end)
        values += found
        if not found and begins_json(text, start):
            broken = max(broken, start)
    return Reading(_wanted(values, want_object), broken)


def choose(
    reading: Reading, accepts: Callable[[Any], bool], looks_meant: Callable[[Any], bool]
) -> int | None:
    """Which value of a reading is the answer: the likeliest that is accepted.

    None where one that looks like it is not accepted, or was begun and broken off after it: what
    is accepted was a draft then.
    """
    for index, each in enumerate(reading.values):
        if accepts(each.value):
            return index if reading.broken < each.end else None
        if looks_meant(each.value):
            return None
    return None


def json_values(text: str) -> list[JsonText]:
    """The values alone."""
    return read(text).values


def _wanted(values: list[JsonText], want_object: bool) -> list[JsonText]:
    return [each for each in values if isinstance(each.value, dict)] if want_object else values


def _parsed(text: str, end: int) -> list[JsonText]:
    try:
        value, readable = read_text(text)
    except ValueError:
        return []
    return [JsonText(value, readable, end, readable is text)]


def _balanced(text: str) -> tuple[deque[tuple[int, int]], int]:
    """The last of the outermost balanced objects and arrays, and the last that is unbalanced."""
    spans: deque[tuple[int, int]] = deque(maxlen=_MOST_CANDIDATES)
    broken = -1
    opening = OPENING.search(text)
    while opening is not None:
        end, closed = _end_of(text, opening.start())
        if closed:
            spans.append((opening.start(), end))
        elif begins_json(text, opening.start()):
            broken = opening.start()
        opening = OPENING.search(text, end)
    return spans, broken


def _end_of(text: str, start: int) -> tuple[int, bool]:
    """Where to go on after the bracket at `start`, and whether what it opens is closed there."""
    open_brackets: list[str] = []
    position = start
    while (found := _BRACKET_OR_QUOTE.search(text, position)) is not None:
        position = found.end()
        character = found.group()
        if character == '"':
            string = _REST_OF_STRING.match(text, position)
            if string is None:
                break
            position = string.end()
        elif character in _CLOSERS:
            open_brackets.append(_CLOSERS[character])
        elif open_brackets.pop() != character:
            return position, False
        elif not open_brackets:
            return position, True
    return len(text), False
