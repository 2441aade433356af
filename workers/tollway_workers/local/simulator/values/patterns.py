"""Strings that match a regular expression: the part of the syntax that schemas really use."""

import random
import re
import string
from collections.abc import Callable

Sample = Callable[[random.Random], str]

_DIGITS = frozenset(string.digits)
_WORD = frozenset(string.ascii_letters + string.digits + "_")
_SPACE = frozenset(" \t\n")
#: What `.` and a negated class choose from.
_PRINTABLE = frozenset(string.ascii_letters + string.digits + string.punctuation + " ")
_CLASSES = {
    "d": _DIGITS,
    "D": _PRINTABLE - _DIGITS,
    "w": _WORD,
    "W": _PRINTABLE - _WORD,
    "s": _SPACE,
    "S": _PRINTABLE - _SPACE,
}
_CONTROLS = {"n": "\n", "t": "\t", "r": "\r", "f": "\f", "v": "\v", "0": "\0"}
_PROPERTIES = {
    "L": frozenset(string.ascii_letters),
    "Lu": frozenset(string.ascii_uppercase),
    "Ll": frozenset(string.ascii_lowercase),
    "N": _DIGITS,
    "Nd": _DIGITS,
    "P": frozenset(".,;:!?"),
}
_QUANTIFIER = re.compile(r"(?:([*+?])|\{(\d+)(?:(,)(\d*))?\})[?+]?")
_GROUP = re.compile(r"\(\?(?::|P?<[A-Za-z_]\w*>)")
_HEX = re.compile(r"x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|u\{([0-9a-fA-F]{1,6})\}")
_PROPERTY = re.compile(r"p\{(?:[A-Za-z_]+=)?([A-Za-z]+)\}")


class UnsupportedPattern(Exception):
    """A pattern with look-around, back-references, or a mistake in it."""


def compile_pattern(pattern: str, *, most_repeats: int) -> Sample:
    """A sampler of strings that match. `*` and `+` repeat at most `most_repeats` times more.

    Raises UnsupportedPattern.
    """
    parser = _Parser(pattern, most_repeats)
    try:
        sample = parser.alternatives()
    except (IndexError, RecursionError):
        raise UnsupportedPattern(pattern) from None
    if not parser.at_end():
        raise UnsupportedPattern(pattern)
    return sample


class _Parser:
    """Recursive descent over the pattern; each level gives a sampler."""

    def __init__(self, pattern: str, most_repeats: int) -> None:
        self._pattern = pattern
        self._place = 0
        self._most_repeats = most_repeats

    def at_end(self) -> bool:
        return self._place >= len(self._pattern)

    def alternatives(self) -> Sample:
        branches = [self._sequence()]
        while not self.at_end() and self._pattern[self._place] == "|":
            self._place += 1
            branches.append(self._sequence())
        if len(branches) == 1:
            return branches[0]
        return lambda rng: rng.choice(branches)(rng)

    def _sequence(self) -> Sample:
        parts: list[Sample] = []
        while not self.at_end() and self._pattern[self._place] not in "|)":
            parts.append(self._repeated(self._atom()))
        return lambda rng: "".join(part(rng) for part in parts)

    def _repeated(self, atom: Sample) -> Sample:
        match = _QUANTIFIER.match(self._pattern, self._place)
        if match is None:
            return atom
        self._place = match.end()
        sign, low, comma, high = match.groups()
        if sign:
            least, most = {"*": (0, None), "+": (1, None), "?": (0, 1)}[sign]
        else:
            least, most = int(low), (int(high) if high else None) if comma else int(low)
        reach = least + self._most_repeats
        limit = reach if most is None else max(least, min(most, reach))
        return lambda rng: "".join(atom(rng) for _ in range(rng.randint(least, limit)))

    def _atom(self) -> Sample:
        char = self._pattern[self._place]
        if char == "(":
            return self._group()
        self._place += 1
        if char == "[":
            return _one_of(self._class())
        if char == "\\":
            return _one_of(self._escape())
        if char == ".":
            return _one_of(_PRINTABLE)
        if char in "^$":
            return lambda rng: ""
        return lambda rng: char

    def _group(self) -> Sample:
        if self._pattern.startswith("(?", self._place):
            match = _GROUP.match(self._pattern, self._place)
            if match is None:
                raise UnsupportedPattern(self._pattern)
            self._place = match.end()
        else:
            self._place += 1
        inner = self.alternatives()
        if self._pattern[self._place] != ")":
            raise UnsupportedPattern(self._pattern)
        self._place += 1
        return inner

    def _escape(self) -> frozenset[str]:
        """What the escape after a backslash stands for; empty for a word boundary."""
        if match := _HEX.match(self._pattern, self._place):
            self._place = match.end()
            return frozenset(chr(int(match[match.lastindex or 0], 16)))
        if match := _PROPERTY.match(self._pattern, self._place):
            self._place = match.end()
            if match[1] not in _PROPERTIES:
                raise UnsupportedPattern(self._pattern)
            return _PROPERTIES[match[1]]
        char = self._pattern[self._place]
        self._place += 1
        if char in _CLASSES:
            return _CLASSES[char]
        if char in "AbBzZ":
            return frozenset()
        if char in "kpPu" or char in "123456789":
            raise UnsupportedPattern(self._pattern)
        return frozenset(_CONTROLS.get(char, char))

    def _class(self) -> frozenset[str]:
        negated = self._pattern[self._place] == "^"
        self._place += negated
        members: set[str] = set()
        first = True
        while first or self._pattern[self._place] != "]":
            first = False
            members |= self._class_item()
        self._place += 1
        return _PRINTABLE - members if negated else frozenset(members)

    def _class_item(self) -> frozenset[str]:
        low = self._class_character()
        is_range = (
            len(low) == 1
            and self._pattern[self._place] == "-"
            and self._pattern[self._place + 1] != "]"
        )
        if not is_range:
            return low
        self._place += 1
        high = self._class_character()
        if len(high) != 1:
            return low | high | {"-"}
        return frozenset(map(chr, range(ord(min(low)), ord(min(high)) + 1)))

    def _class_character(self) -> frozenset[str]:
        char = self._pattern[self._place]
        self._place += 1
        return self._escape() if char == "\\" else frozenset(char)


def _one_of(characters: frozenset[str]) -> Sample:
    if not characters:
        return lambda rng: ""
    # Sorted, because the order of a set differs from process to process.
    choices = sorted(characters)
    return lambda rng: rng.choice(choices)
