"""JSON as people's parsers read it, from bytes and texts that a strict reader refuses. Pure.

Servers in Python write NaN and Infinity, models cut emoji in half, gateways add a byte order mark
or another charset. Such an answer is whole, and paid for. What cannot be kept of it becomes U+FFFD
(characters) or null (numbers); what comes out is JSON that every reader takes.
"""

import codecs
import math
import re
from collections.abc import Mapping
from json import detect_encoding
from typing import Any, NamedTuple

import orjson
import pydantic_core

from tollway_schemas.no_json import has_long_number

#: Levels of nesting that readers of our records take: pydantic's take 200, the record's included.
DEEPEST = 180

#: A byte order mark, UTF-8 or not.
_MARKS = (codecs.BOM_UTF8, codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE, codecs.BOM_UTF32_BE)

#: Charsets that a header may name, by the beginnings of Python's names for them.
_CHARSETS = (
    *("iso8859", "cp125", "cp932", "cp949", "koi8", "gb", "big5", "shift_jis", "euc_"),
    *("utf-8", "utf_8", "utf-16", "utf-32"),
)
_CHARSET = re.compile(r"charset\s*=\s*[\"']?([\w.:-]{1,40})", re.IGNORECASE)

#: A string (one that never closes goes to the end, so that none is searched twice), a word or a
#: number of JavaScript's.
_TOKEN = re.compile(
    r'"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\\?\Z)|-?Infinity\b|\bNaN\b|-?\d[\d.eE+-]*+', re.DOTALL
)
#: An escape; a surrogate that has no partner is the only one with six characters.
_ESCAPE = re.compile(
    r"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|u[dD][89a-fA-F][0-9a-fA-F]{2}|.)",
    re.DOTALL,
)
_LONE = 6
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")
_CONTROL = re.compile(r"[\x00-\x1f]")
#: Not one object for each, as a substitution makes.
_ESCAPED = {code: f"\\u{code:04x}" for code in range(0x20)}
_SHORT_NUMBER = 300

_STRING_OR_BRACKET = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\\?\Z)|[\[{]|[\]}]', re.DOTALL)

_MORE = "unexpected content after document"


class ReadJson(NamedTuple):
    """A value that was read."""

    value: Any
    #: JSON that says the same and that every reader takes: what was read itself, where it is that.
    encoded: bytes
    #: Whether something that is no part of it came after it.
    has_rest: bool = False


def read_body(body: bytes, headers: Mapping[str, str]) -> ReadJson:
    """The JSON value in `body`, or the object it begins with; the headers may name its charset.

    Whole numbers keep all their digits. Raises ValueError if there is none, or it is nested deeper
    than 1,024 levels.
    """
    try:
        return ReadJson(exact_value(body), body)
    except orjson.JSONDecodeError:
        text = repaired(_text_of(body, headers))
    try:
        return ReadJson(exact_value(text), text.encode())
    except orjson.JSONDecodeError as error:
        # The beginning of a text may be a number or a word.
        if error.msg != _MORE or not text.lstrip().startswith("{"):
            raise
        text = text[: error.pos]
    return ReadJson(exact_value(text), text.encode(), has_rest=True)


def read_text(text: str) -> tuple[Any, str]:
    """The JSON value that `text` is, and JSON of exactly that value: `text` itself if it can be.

    Whole numbers keep all their digits. Raises ValueError if it is no JSON.
    """
    try:
        return exact_value(text), text
    except orjson.JSONDecodeError:
        mended = repaired(text)
        if mended == text:
            raise
    return exact_value(mended), mended


def exact_value(said: str | bytes) -> Any:
    """The JSON value that `said` is, without repairs; whole numbers keep all their digits.

    Raises orjson.JSONDecodeError.
    """
    value = orjson.loads(said)
    if not has_long_number(said.encode() if isinstance(said, str) else said):
        return value
    # Two trees at once would take twice the memory.
    del value
    try:
        return pydantic_core.from_json(said)
    except ValueError:
        # It is nested too deeply for this reader; for that of our records too.
        return orjson.loads(said)


def encoded(value: Any) -> bytes:
    """A value that was read, as JSON. Raises ValueError if it is nested too deeply for that."""
    try:
        return orjson.dumps(value)
    except TypeError:
        # Too deep for this writer, which that one finds too; or an integer of more than 64 bits.
        return pydantic_core.to_json(value)


def is_too_deep(encoded: bytes) -> bool:
    """Whether JSON is nested deeper than what readers of our records take."""
    if encoded.count(b"{") + encoded.count(b"[") <= DEEPEST:
        return False
    depth = 0
    for token in _STRING_OR_BRACKET.finditer(encoded):
        first = encoded[token.start()]
        if first in b"[{":
            depth += 1
            if depth > DEEPEST:
                return True
        elif first in b"]}":
            depth -= 1
    return False


def _text_of(body: bytes, headers: Mapping[str, str]) -> str:
    """The text in `body`: by its mark, its first zeros, as UTF-8, else as its header says."""
    if body.startswith(_MARKS) or b"\0" in body[:4]:
        return body.decode(detect_encoding(body), "replace").removeprefix("\ufeff")
    try:
        return body.decode()
    except UnicodeDecodeError:
        return body.decode(_charset(headers), "replace")


def _charset(headers: Mapping[str, str]) -> str:
    named = _CHARSET.search(headers.get("content-type") or "")
    try:
        name = codecs.lookup(named.group(1)).name if named else "utf-8"
    except LookupError:
        return "utf-8"
    return name if name.startswith(_CHARSETS) else "utf-8"


def repaired(text: str) -> str:
    """`text` with every string and number in it one that strict readers take."""
    return _TOKEN.sub(_repaired_token, text)


def _repaired_token(found: re.Match[str]) -> str:
    token = found.group()
    if token.startswith('"'):
        return _repaired_string(token)
    if token.endswith(("y", "N")):
        return "null"
    return "null" if _is_beyond_range(token) else token


def _repaired_string(token: str) -> str:
    if _SURROGATE.search(token):
        token = _ESCAPE.sub(_repaired_escape, token)
    return token.translate(_ESCAPED) if _CONTROL.search(token) else token


def _repaired_escape(found: re.Match[str]) -> str:
    escape = found.group()
    return "\\ufffd" if len(escape) == _LONE else escape


def _is_beyond_range(number: str) -> bool:
    if len(number) < _SHORT_NUMBER and "e" not in number and "E" not in number:
        return False
    try:
        return math.isinf(float(number))
    except ValueError:
        return False
