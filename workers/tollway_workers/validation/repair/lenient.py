"""Reads JSON whose punctuation is damaged, where it can be read in one way only. Pure.

Every character of a value is accounted for: nothing is left out, guessed or closed. What is cut,
holds an ellipsis, or could be read in two ways raises Unreadable. The work is linear in the text.
"""

import math
import re
from collections.abc import Callable
from typing import Any, NamedTuple

from tollway_workers.validation.repair.lenient_string import Unreadable, read_string

#: Levels of nesting; readers of our records take no more.
_DEEPEST = 180
_MOST_DIGITS = 300

#: What JSON takes for space; a no-break space is none.
_SPACE = re.compile(r"[ \t\r\n]*+")
_COMMENT = re.compile(r"//[^\n]*+|#[^\n]*+|/\*(?:[^*]|\*(?!/))*+\*/")
#: A comment that says that something was left out.
_ELISION = re.compile(
    r"\.\.|…|\b(?:rest|more|etc|omit\w*|truncat\w*|abbreviat\w*|remain\w*|continu\w*|similar\w*|"
    r"so on|same|others?|repeat\w*|add|todo|placeholder|your|fill\w*)\b",
    re.IGNORECASE,
)
OPENING = re.compile(r"[{\[]")
_BEGINS = re.compile(
    r"\{\s*+(?:[\"'\u201c\u2018}]|//|/\*|[^\W\d][\w$-]*+\s*+:)"
    r"|\[\s*+(?:[\"'\u201c\u2018{\[\]+.\d-]|(?:true|false|null|True|False|None)\b)"
)
_WORD = re.compile(r"[^\W\d][\w$-]*+")
_NUMBER = re.compile(r"[+-]?(?:(?:0|[1-9]\d*+)(?:\.\d*+)?|\.\d++)(?:[eE][+-]?\d++)?(?![\w.])")
_PLAIN_NUMBER = re.compile(r"-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?")
_WORDS: dict[str, bool | None] = {"true": True, "false": False, "null": None, "none": None}
#: Words that mean a value and not themselves.
_NO_TEXT = frozenset({"undefined", "nil", "nan", "infinity", "inf", "yes", "no", "na", "n"})
_OPENS_TEXT = "\"'\u201c\u2018\u201d\u2019"


class Read(NamedTuple):
    """A value, where it stands in the text, and what had to be overlooked to read it."""

    value: Any
    start: int
    end: int
    fixes: frozenset[str]


def read_all(text: str) -> list[Read]:
    """The objects and arrays in a text and its prose, in their order.

    Raises Unreadable where anything begins like one and cannot be read.
    """
    found: list[Read] = []
    opening = OPENING.search(text)
    while opening is not None:
        end = opening.end()
        if begins_json(text, opening.start()):
            found.append(read_at(text, opening.start()))
            end = found[-1].end
        opening = OPENING.search(text, end)
    return found


def begins_json(text: str, at: int) -> bool:
    """Whether the bracket at `at` looks like that of an object or an array, not one of prose."""
    return _BEGINS.match(text, at) is not None


def read_at(text: str, start: int) -> Read:
    """The object or array that begins at `start`. Raises Unreadable."""
    reader = _Reader(text)
    value, end = reader.value(start, 0)
    return Read(value, start, end, frozenset(reader.fixes))


class _Reader:
    """One reading of one text. `fixes` grows with what was overlooked."""

    def __init__(self, text: str) -> None:
        self._text = text
        self.fixes: set[str] = set()

    def value(self, at: int, depth: int) -> tuple[Any, int]:
        """The value that begins at `at`, and where it ends."""
        first = self._text[at : at + 1]
        if depth > _DEEPEST or not first:
            raise Unreadable(at)
        if first == "{":
            return self._object(at + 1, depth + 1)
        if first == "[":
            return self._array(at + 1, depth + 1)
        if first in _OPENS_TEXT:
            return read_string(self._text, at, self.fixes)
        if (number := _NUMBER.match(self._text, at)) is not None:
            return self._number(number.group(), at), number.end()
        return self._word(at)

    def _object(self, at: int, depth: int) -> tuple[dict[str, Any], int]:
        found: dict[str, Any] = {}

        def member(at: int) -> int:
            key, at = self._key(at)
            if key in found:
                raise Unreadable(at)
            at = self._skip(at)
            if self._text[at : at + 1] != ":":
                raise Unreadable(at)
            found[key], at = self.value(self._skip(at + 1), depth)
            return at

        return found, self._members(at, "}", member)

    def _array(self, at: int, depth: int) -> tuple[list[Any], int]:
        found: list[Any] = []

        def member(at: int) -> int:
            value, at = self.value(at, depth)
            found.append(value)
            return at

        return found, self._members(at, "]", member)

    def _members(self, at: int, closes: str, member: Callable[[int], int]) -> int:
        """Read what stands between two brackets, and give where the second ends."""
        at = self._skip(at)
        if self._text[at : at + 1] == closes:
            return at + 1
        while True:
            end = member(at)
            at = self._skip(end)
            following = self._text[at : at + 1]
            if following == closes:
                return at + 1
            if following == ",":
                at = self._skip(at + 1)
                if self._text[at : at + 1] == closes:
                    self.fixes.add("trailing_comma")
                    return at + 1
            elif self._text[end - 1] in "}]" or "\n" in self._text[end:at]:
                self.fixes.add("missing_comma")
            else:
                raise Unreadable(at)

    def _key(self, at: int) -> tuple[str, int]:
        if self._text[at : at + 1] in _OPENS_TEXT and at < len(self._text):
            return read_string(self._text, at, self.fixes, is_key=True)
        word = _WORD.match(self._text, at)
        if word is None:
            raise Unreadable(at)
        self.fixes.add("unquoted_key")
        return word.group(), word.end()

    def _number(self, number: str, at: int) -> int | float:
        if _PLAIN_NUMBER.fullmatch(number) is None:
            self.fixes.add("number_form")
        if len(number) > _MOST_DIGITS:
            raise Unreadable(at)
        value = float(number) if any(each in ".eE" for each in number) else int(number)
        if math.isinf(value):
            raise Unreadable(at)
        return value

    def _word(self, at: int) -> tuple[Any, int]:
        word = _WORD.match(self._text, at)
        if word is None:
            raise Unreadable(at)
        said, end = word.group(), word.end()
        if said.lower() in _WORDS:
            if said not in _WORDS or said == "none":
                self.fixes.add("foreign_word")
            return _WORDS[said.lower()], end
        # What else stands on the line would be part of it, or of nothing.
        after = self._skip(end)
        if said.lower() in _NO_TEXT or self._text[after : after + 1] not in (",", "}", "]"):
            raise Unreadable(at)
        self.fixes.add("unquoted_text")
        return said, end

    def _skip(self, at: int) -> int:
        """Past white space and comments."""
        while True:
            space = _SPACE.match(self._text, at)
            at = space.end() if space is not None else at
            if self._text[at : at + 1] not in ("/", "#"):
                return at
            comment = _COMMENT.match(self._text, at)
            if comment is None or _ELISION.search(comment.group()):
                raise Unreadable(at)
            self.fixes.add("comment")
            at = comment.end()
