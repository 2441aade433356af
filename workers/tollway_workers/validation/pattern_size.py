"""How large a regular expression becomes, and whether its time is linear, from its text. Pure.

Counts no exact states: an upper bound that costs a few microseconds. The engine's own limits hold
one pattern; only a count that is made before it compiles holds two thousand.
"""

import re
from typing import NamedTuple

#: States of one character, of a class (a negated one holds sequences of up to four bytes), and of
#: a Unicode property (`\\p{L}`).
_CHARACTER = 4
_CLASS = 16
_PROPERTY = 1_000

#: Where counting stops: repeats multiply.
MOST_STATES = 10**9

_REPEAT = re.compile(r"\{(\d{1,9})(,(\d{0,9}))?\}")
_ESCAPE = re.compile(r"\\(?:[uxpP]\{[^}]*\}|x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|.)", re.DOTALL)
_BRACKETS = re.compile(r"\[\^?\]?(?:\\.|[^\\\]])*+\]?", re.DOTALL)
_PLAIN_GROUP = re.compile(r"\(\?(?::|P?<[A-Za-z_]\w*>)")
#: Back-references, `\\K` and `\\G`: with them an engine goes back over what it has read.
_BACKWARD = re.compile(r"\\[1-9kKgG]")
_PROPERTIES = re.compile(r"\\[pP]")


class PatternSize(NamedTuple):
    """What a pattern costs its engine."""

    #: At most so many states.
    states: int
    #: Whether the engine reads each character once, whatever the pattern and the text.
    is_linear: bool


def pattern_size(pattern: str) -> PatternSize:
    """The size of a pattern; of one that is none, a guess: the compiler refuses it."""
    scan = _Scan(pattern)
    while scan.position < len(pattern):
        scan.step()
    return PatternSize(scan.total(), scan.is_linear)


class _Scan:
    """One reading of a pattern. State: `_open` (states of each group that is open, outermost
    first) and `_last` (states of what a quantifier would repeat)."""

    def __init__(self, pattern: str) -> None:
        self._pattern = pattern
        self.position = 0
        self.is_linear = True
        self._open = [1]
        self._last = 0

    def total(self) -> int:
        return min(sum(self._open) + self._last, MOST_STATES)

    def step(self) -> None:
        """Read one character, class, group bracket or quantifier."""
        match self._pattern[self.position]:
            case "\\":
                self._escape()
            case "[":
                brackets = self._taken(_BRACKETS)
                properties = len(_PROPERTIES.findall(brackets))
                self._item(_CLASS + _CHARACTER * len(brackets) + _PROPERTY * properties)
            case "(":
                self._group()
            case ")":
                self._close()
            case "*" | "+" | "?":
                self.position += 1
                self._repeat(1)
            case "{" if found := _REPEAT.match(self._pattern, self.position):
                self.position = found.end()
                self._repeat(max(int(found[1]) + 1, int(found[3] or 0)))
            case character:
                self.position += 1
                self._item(_CLASS if character == "." else _CHARACTER)

    def _taken(self, form: re.Pattern[str]) -> str:
        found = form.match(self._pattern, self.position)
        text = found.group() if found else self._pattern[self.position]
        self.position += len(text)
        return text

    def _escape(self) -> None:
        text = self._taken(_ESCAPE)
        self.is_linear &= _BACKWARD.match(text) is None
        if _PROPERTIES.match(text):
            self._item(_PROPERTY)
        else:
            self._item(_CLASS if text[-1].isalpha() else _CHARACTER)

    def _group(self) -> None:
        plain = self._taken(_PLAIN_GROUP)
        # Look-around, atomic groups, flags: whatever else begins with `(?`.
        if plain == "(" and self._pattern.startswith("?", self.position):
            self.is_linear = False
        self._open[-1] += self._last
        self._open.append(1)
        self._last = 0

    def _close(self) -> None:
        self.position += 1
        inside = self._open.pop() + self._last
        self._last = inside
        if not self._open:
            self._open.append(1)

    def _item(self, states: int) -> None:
        self._open[-1] += self._last
        self._last = states

    def _repeat(self, times: int) -> None:
        # A possessive quantifier forbids going back, which only an engine that goes back can do.
        self.is_linear &= not self._pattern.startswith("+", self.position)
        self._last = min(max(self._last, 1) * times + 1, MOST_STATES)
