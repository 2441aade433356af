"""Reads one string of damaged JSON, where it can end in one place only. Pure."""

import re

_CLOSES = {
    '"': '"',
    "'": "'",
    "\u201c": "\u201d",
    "\u201d": "\u201d",
    "\u2018": "\u2019",
    "\u2019": "\u2019",
}
_STOPS = {close: re.compile(rf"[^\\{close}]*+") for close in set(_CLOSES.values())}
#: What may follow the end of a string.
_AFTER_VALUE = re.compile(r"\s*+(?:[,}\]]|//|/\*|#|$)")
_AFTER_KEY = re.compile(r"\s*+:")
#: The end of a string whose comma is missing: the next one begins on another line.
_NEXT_LINE = re.compile(r"[ \t\r]*+\n\s*+[\"'\u201c\u2018{\[\w]")
#: A quote of which nobody can say whether it ends anything.
_DOUBTFUL = re.compile(r"\s*+[\"'\u201c\u201d\u2018\u2019:]|\s*+\n")
_SIMPLE = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "/": "/", "\\": "\\", '"': '"'}
_HEX = re.compile(r"[0-9a-fA-F]{4}")
_PAIR = re.compile(r"\\u([dD][c-fC-F][0-9a-fA-F]{2})")


class Unreadable(ValueError):
    """A text that is not one value and nothing else; `at` is the place."""

    def __init__(self, at: int) -> None:
        self.at = at
        super().__init__(f"it cannot be read near character {at + 1}")


def read_string(text: str, at: int, fixes: set[str], *, is_key: bool = False) -> tuple[str, int]:
    """The string whose quote stands at `at`, and where it ends. Raises Unreadable.

    Quotes in its midst are its own where they come in pairs and nothing follows them that follows
    the end of a string.
    """
    close = _CLOSES[text[at]]
    if text[at] != '"':
        fixes.add("single_quotes" if text[at] == "'" else "smart_quotes")
    string = _String(text, close, at + 1)
    while True:
        run = _STOPS[close].match(text, string.at)
        assert run is not None  # noqa: S101 it may be empty
        string.take(run.group())
        if not text[string.at : string.at + 1]:
            raise Unreadable(at)
        if text[string.at] == "\\":
            string.escape()
        elif _ends(text, string.at + 1, is_key=is_key):
            return string.finished(fixes, is_key=is_key), string.at + 1
        elif is_key:
            # Of a name that goes on behind its quote, nobody knows where it ends.
            raise Unreadable(string.at)
        else:
            string.inner_quote()


def _ends(text: str, after: int, *, is_key: bool) -> bool:
    if is_key:
        return _AFTER_KEY.match(text, after) is not None
    return bool(_AFTER_VALUE.match(text, after) or _NEXT_LINE.match(text, after))


class _String:
    """What a string is so far, and where its reading stands."""

    def __init__(self, text: str, close: str, at: int) -> None:
        self._text = text
        self._close = close
        self._start = at
        self.at = at
        self._parts: list[str] = []
        self._quotes: list[int] = []
        #: Backslashes that begin an escape of JSON's, and those that begin none.
        self._escapes = 0
        self._literals = 0
        self._apostrophes = False
        self._control = False

    def take(self, run: str) -> None:
        self._control = self._control or any(each < " " for each in run)
        self._parts.append(run)
        self.at += len(run)

    def inner_quote(self) -> None:
        at, text = self.at, self._text
        around = text[at - 1 : at] + text[at + 1 : at + 2]
        if self._close in "'\u2019" and len(around) == 2 and around.isalnum():
            self._apostrophes = True
        elif _DOUBTFUL.match(text, at + 1) and at > self._start:
            raise Unreadable(at)
        else:
            self._quotes.append(at)
        self._parts.append(text[at])
        self.at += 1

    def escape(self) -> None:
        following = self._text[self.at + 1 : self.at + 2]
        if following == "u":
            self._unicode()
            return
        if following in _SIMPLE and following:
            self._escapes += following not in '/"\\'
            self._parts.append(_SIMPLE[following])
        elif following == "'":
            self._apostrophes = True
            self._parts.append("'")
        elif following.isalnum() and following.isascii():
            # A backslash that was not doubled, as in a pattern or a path.
            self._literals += 1
            self._parts.append("\\" + following)
        else:
            raise Unreadable(self.at)
        self.at += 2

    def _unicode(self) -> None:
        digits = _HEX.match(self._text, self.at + 2)
        if digits is None:
            raise Unreadable(self.at)
        code = int(digits.group(), 16)
        self.at += 6
        if 0xD800 <= code < 0xDC00 and (low := _PAIR.match(self._text, self.at)) is not None:
            code = 0x10000 + ((code - 0xD800) << 10) + (int(low.group(1), 16) - 0xDC00)
            self.at += 6
        if 0xD800 <= code < 0xE000:
            raise Unreadable(self.at)
        self._escapes += 1
        self._parts.append(chr(code))

    def finished(self, fixes: set[str], *, is_key: bool) -> str:
        """All of it. Raises Unreadable where another reading is as likely."""
        if is_key and self._control:
            raise Unreadable(self.at)
        if self._quotes:
            both = self._quotes[0] == self._start and self._quotes[-1] == self.at - 1
            # With a line break beside them, the quote of a line before it is missing.
            if len(self._quotes) % 2 or both or self._control:
                raise Unreadable(self.at)
            fixes.add("inner_quotes")
        if self._literals and self._escapes:
            # In C:\Users\name one of the two would be an escape.
            raise Unreadable(self.at)
        if self._literals or self._apostrophes:
            fixes.add("escape")
        if self._control:
            fixes.add("control_character")
        return "".join(self._parts)
