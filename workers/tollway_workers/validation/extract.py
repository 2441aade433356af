"""From what a model said to the JSON in it. Pure; nothing is repaired."""

import re
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from tollway_workers.job.readable_json import exact_value, read_text
from tollway_workers.validation.repair.lenient import OPENING, begins_json

#: Objects and arrays that are tried in a text; the last ones, since models end with the answer.
_MOST_CANDIDATES = 16

_BOM = "\ufeff"
_FENCE = re.compile(r"```[^\n`]*\n(.*?)```", re.DOTALL)
_GOES_ON = re.compile(
    r"[A-Za-z0-9_\"']|\s*+(?:[}\]:]|,?\s*+[\"'\u201c][^\"'\n]{0,200}[\"'\u201d]\s*+[:,}\]]"
    r"|,?\s*+[{\[]\s*+[\"'{\[\d])"
)
_CLOSING = re.compile(r"[}\]]")
_CONTROL = re.compile(r"[\x00-\x1f]")
_BEFORE_SECOND = re.compile(r"[}\]]\s*+,?\s*+\Z")
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
    #: Whether it stands in a text that goes on with more of it.
    goes_on: bool = False


class Reading(NamedTuple):
    """What a text may mean."""

    #: The likeliest first; empty if there is none.
    values: list[JsonText]
    #: Where the last thing begins that looks like JSON and is none, as what was cut; -1: nowhere.
    broken: int = -1


def whole_object(text: str) -> Any:
    """The object that a text is from its first to its last character, as nearly all answers are;
    None where `read` has to look for what it means.
    """
    if not text.startswith("{") or not text.endswith("}"):
        return None
    try:
        return exact_value(text)
    except ValueError:
        return None


def read(text: str, *, want_object: bool = False) -> Reading:
    """The JSON values that `text` may mean, or the objects among them alone.

    The whole text, else what its fenced blocks hold, else the objects and arrays in its prose;
    of several the last goes first. What opens and never closes is cut, and nothing in it is taken.
    """
    text = stripped(text)
    if whole := _parsed(text, len(text)):
        return Reading(_wanted(whole, want_object))
    fenced = deque(
        ((each.group(1), each.end(1)) for each in _FENCE.finditer(text)), maxlen=_MOST_CANDIDATES
    )
    spans, broken = _balanced(text)
    stray = stray_closing(text, spans)
    values = [value for piece, end in reversed(fenced) for value in _parsed(piece.strip(), end)]
    for start, end in reversed(spans):
        found = _parsed(text[start:end], end)
        more = stray >= end or goes_on(text, end) or _is_second(text, start)
        values += (each._replace(goes_on=more) for each in found)
        if not found and begins_json(text, start):
            broken = max(broken, start)
    return Reading(_wanted(values, want_object), broken)


def choose(
    reading: Reading, accepts: Callable[[Any], bool], looks_meant: Callable[[Any], bool]
) -> int | None:
    """Which value of a reading is the answer: the likeliest that is accepted.

    None where one that looks like it is not accepted, or was begun and broken off after it: what
    is accepted was a draft then. None also where it is not all that was said of it.
    """
    for index, each in enumerate(reading.values):
        if accepts(each.value):
            return None if each.goes_on or reading.broken >= each.end else index
        if looks_meant(each.value):
            return None
    return None


def stray_closing(text: str, spans: Iterable[tuple[int, int]]) -> int:
    """Where the last bracket stands that closes nothing, outside of `spans`; -1: nowhere."""
    last, begun = -1, 0
    for start, end in (*spans, (len(text), len(text))):
        for found in _CLOSING.finditer(text, begun, start):
            last = found.start()
        begun = end
    return last


def goes_on(text: str, end: int) -> bool:
    """Whether what follows a value belongs to it: members that are left, a bracket too many, or
    another value of the same list.
    """
    return _GOES_ON.match(text, end) is not None


def stripped(text: str) -> str:
    """The text without space and byte order mark around it: places in values count in this."""
    return text.strip().removeprefix(_BOM).strip()


def _is_second(text: str, start: int) -> bool:
    """Whether another value ends right before this one: they are several, and none a draft."""
    return _BEFORE_SECOND.search(text, max(0, start - 64), start) is not None


def _wanted(values: list[JsonText], want_object: bool) -> list[JsonText]:
    return [each for each in values if isinstance(each.value, dict)] if want_object else values


def _parsed(text: str, end: int) -> list[JsonText]:
    try:
        value, readable = read_text(text)
    except ValueError:
        return []
    if readable is not text and _has_broken_name(value):
        return []
    return [JsonText(value, readable, end, readable is text)]


def _has_broken_name(value: Any) -> bool:
    """Whether a name has a line break: its quote is missing, and what follows is no name."""
    waiting = [value]
    while waiting:
        each = waiting.pop()
        if isinstance(each, dict):
            if any(_CONTROL.search(name) for name in each):
                return True
            waiting += each.values()
        elif isinstance(each, list):
            waiting += each
    return False


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
