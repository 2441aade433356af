"""From what a model said to the JSON in it. Pure; nothing is repaired."""

import re
from collections import deque
from typing import Any, NamedTuple

from tollway_workers.job.readable_json import read_text

#: Objects and arrays that are tried in a text; the last ones, since models end with the answer.
_MOST_CANDIDATES = 16

_BOM = "\ufeff"
_FENCE = re.compile(r"```[^\n`]*\n(.*?)```", re.DOTALL)
_CLOSERS = {"{": "}", "[": "]"}
_OPENING = re.compile(r"[{\[]")
_BRACKET_OR_QUOTE = re.compile(r'["{}\[\]]')
_REST_OF_STRING = re.compile(r'(?:[^"\\]|\\.)*+"', re.DOTALL)


class JsonText(NamedTuple):
    """A JSON value, and the text that says it and nothing else."""

    value: Any
    text: str


def without_reasoning(text: str) -> str:
    """The text after its inline reasoning (`<think>...</think>`); as it is where it has none."""
    # Some chat templates open the block themselves, so that only its end is in the answer.
    head, end, answer = text.partition("</think>")
    head = head.removeprefix(_BOM).lstrip()
    if end and ("<think>" in head or not head.startswith(("{", "["))):
        return answer.strip()
    return "" if head.startswith("<think>") else text


def json_values(text: str) -> list[JsonText]:
    """The JSON values that `text` may mean, the likeliest first; empty if there is none.

    The whole text, else what its fenced blocks hold, else the objects and arrays in its prose;
    of several the last goes first. What opens and never closes is cut, and nothing in it is taken.
    """
    text = text.strip().removeprefix(_BOM).strip()
    if whole := _parsed(text):
        return whole
    fenced = deque((each.group(1) for each in _FENCE.finditer(text)), maxlen=_MOST_CANDIDATES)
    pieces = [*_balanced(text), *fenced]
    return [value for piece in reversed(pieces) for value in _parsed(piece.strip())]


def values_of(text: str, *, want_object: bool) -> list[JsonText]:
    """The same, or the objects among them alone."""
    values = json_values(text)
    return [each for each in values if isinstance(each.value, dict)] if want_object else values


def _parsed(text: str) -> list[JsonText]:
    try:
        return [JsonText(*read_text(text))]
    except ValueError:
        return []


def _balanced(text: str) -> deque[str]:
    """The last of the outermost balanced objects and arrays in `text`, in their order."""
    spans: deque[str] = deque(maxlen=_MOST_CANDIDATES)
    opening = _OPENING.search(text)
    while opening is not None:
        end, closed = _end_of(text, opening.start())
        if closed:
            spans.append(text[opening.start() : end])
        opening = _OPENING.search(text, end)
    return spans


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
