"""What a provider repeats of our own keys, replaced wherever its words leave this room.

`redact` knows how vendors' keys look; here their values are known, in whatever form a server
writes them: as they are, escaped for JSON, URLs or HTML, in base64, in hexadecimal.
"""

import html
import json
import re
import sys
from base64 import b64encode
from bisect import bisect_right
from collections.abc import Iterable
from typing import NamedTuple

SHOWN = b"[key]"

#: A shorter key is a word that may stand in any answer: it is replaced after "Bearer " alone.
_SHORTEST = 8
#: Keys that are remembered: an answer to a call under an earlier one may still come.
_MOST_KEYS = 4
#: A printable character of ASCII, escaped for JSON (also within a string of JSON), URLs or HTML;
#: or the half of one in UTF-16. Each begins at one place only: reading takes linear time.
_ESCAPE_FORM = (
    rb"""(?<!\\)\\++(?:u00([2-7][0-9a-f])|(?=[/"]))|%(?:25)*([2-7][0-9a-f])|&\#x0{0,4}([2-7][0-9a-f]);"""
    rb"""|&\#0{0,4}(\d{2,3});|\0"""
)
_ESCAPE = re.compile(_ESCAPE_FORM, re.IGNORECASE)
#: The same, and the ends of lines that base64 is broken into.
_ESCAPE_OR_BREAK = re.compile(_ESCAPE_FORM + rb"""|(?<!\\)\\++[rn]|[\r\n]++""", re.IGNORECASE)
#: Characters of base64 between two ends of lines, at least, twice: one of two such pieces is whole.
_PIECE = 24
#: The end of a line, and an escape, of JSON: patterns that begin with one character are searched
#: twice as fast as two characters.
_JSON_BREAK = re.compile(rb"\\[nr]")
_JSON_ESCAPE = re.compile(rb"\\(?:u00|/)")
#: Headers of a configuration whose values are secret, by a part of their names.
_SECRET_NAMES = ("auth", "key", "secret", "token", "cookie")


class KnownSecrets:
    """The secrets of one provider.

    State: `_keys` (the last ones), and the forms that are looked for, in lower case, made of them.
    """

    def __init__(self, headers: Iterable[tuple[str, str]] = ()) -> None:
        """`headers`: those of the configuration, of which some hold secrets."""
        self._fixed = [
            value for name, value in headers if any(word in name.lower() for word in _SECRET_NAMES)
        ]
        self._keys: list[str] = []
        self._forms: tuple[bytes, ...] = ()
        self._pieces: tuple[bytes, ...] = ()
        self._shortest = 0
        self._prepare()

    def learn(self, key: str) -> None:
        """Hide this key from now on, too."""
        if key not in self._keys:
            self._keys = [*self._keys, key][-_MOST_KEYS:]
            self._prepare()

    def hide(self, body: bytes) -> bytes:
        """`body` with each secret in it replaced; of JSON it is still JSON."""
        if len(body) < self._shortest:
            return body
        lower = body.lower()
        for form in self._forms:
            if form in lower:
                body = _replaced(body, lower, form)
                lower = body.lower()
        if self._may_be_broken(body, lower):
            escape = _ESCAPE_OR_BREAK
        elif _may_be_escaped(body):
            escape = _ESCAPE
        else:
            return body
        plain = escape.sub(_meant, body).lower()
        if not any(form in plain for form in self._forms):
            return body
        return _cut(body, sorted(_places(plain, self._forms)), escape)

    def hide_text(self, text: str) -> str:
        """The same of a message."""
        return self.hide(text.encode(errors="replace")).decode(errors="replace")

    def _may_be_broken(self, body: bytes, lower: bytes) -> bool:
        """Whether a part of a secret in base64 stands there, which may be broken into lines."""
        has_breaks = b"\n" in body or b"\r" in body or _JSON_BREAK.search(body) is not None
        return has_breaks and any(piece in lower for piece in self._pieces)

    def _prepare(self) -> None:
        secrets = (*self._fixed, *self._keys)
        forms = {form for secret in secrets for form in _forms(secret)}
        self._pieces = tuple(
            piece
            for secret in secrets
            if len(secret) >= _SHORTEST
            for form in sorted(_in_base64(secret.encode()))
            for length in (min(_PIECE, len(form) // 2),)
            for piece in (form[:length].lower(), form[length : 2 * length].lower())
        )
        # The longest first: a whole key, not the shorter one that it begins with.
        self._forms = tuple(sorted(forms, key=lambda form: (-len(form), form)))
        self._shortest = min(map(len, forms), default=sys.maxsize)


def _may_be_escaped(body: bytes) -> bool:
    """Whether there is an escape of any kind in it."""
    return (
        b"%" in body
        or b"\0" in body
        or (b"&" in body and b"&#" in body)
        or _JSON_ESCAPE.search(body) is not None
    )


def _forms(secret: str) -> set[bytes]:
    value = secret.encode()
    if len(value) < _SHORTEST:
        return {b"bearer " + value.lower()} if value.strip() else set()
    forms = (*_named(secret), value.hex().encode(), *_in_base64(value))
    return {form.lower() for form in forms}


def _named(secret: str) -> set[bytes]:
    """`secret`, and what stands for it where its quotes, backslashes and angle brackets have an
    escape without digits: in HTML, in JSON, in JSON within JSON.
    """
    in_html = html.escape(secret, quote=False)
    said = [secret, in_html, in_html.replace('"', "&quot;"), html.escape(secret)]
    for _ in range(2):
        said += [json.dumps(each, ensure_ascii=False)[1:-1] for each in said]
    return {each.encode() for each in said}


def _in_base64(value: bytes) -> set[bytes]:
    """What stands in base64 for `value`, whatever comes before and after it."""
    forms = set()
    for before in range(3):
        encoded = b64encode(b"\0" * before + value)
        # The first and last characters hold bits of the neighbours.
        inside = encoded[(0, 2, 3)[before] : (before + len(value)) * 8 // 6]
        forms |= {inside, inside.translate(bytes.maketrans(b"+/", b"-_"))}
    return forms


def _replaced(body: bytes, lower: bytes, form: bytes) -> bytes:
    """`body` without `form`, in whatever case its letters are."""
    parts: list[bytes] = []
    done = 0
    while (found := lower.find(form, done)) >= 0:
        parts += (body[done:found], SHOWN)
        done = found + len(form)
    return b"".join((*parts, body[done:]))


def _meant(escape: re.Match[bytes]) -> bytes:
    """The character that is escaped; nothing where only the escape itself goes."""
    digits = escape[1] or escape[2] or escape[3]
    code = int(digits, 16) if digits else int(escape[4] or b"0")
    return bytes((code,)) if 0 < code < 128 else b""


class _Place(NamedTuple):
    start: int
    end: int


def _places(plain: bytes, forms: Iterable[bytes]) -> Iterable[_Place]:
    for form in forms:
        found = plain.find(form)
        while found >= 0:
            yield _Place(found, found + len(form))
            found = plain.find(form, found + len(form))


def _cut(body: bytes, places: list[_Place], escapes: re.Pattern[bytes]) -> bytes:
    """`body` without what stands in these places of its unescaped text."""
    # Where each piece without an escape begins: in the unescaped text, and in the body.
    plain_starts, starts = [0], [0]
    gone = 0
    for escape in escapes.finditer(body):
        length = len(_meant(escape))
        plain_starts += (escape.start() - gone, escape.start() - gone + length)
        starts += (escape.start(), escape.end())
        gone += escape.end() - escape.start() - length

    def original(place: int) -> int:
        piece = bisect_right(plain_starts, place) - 1
        return min(starts[piece] + place - plain_starts[piece], len(body))

    parts: list[bytes] = []
    done = 0
    for place in places:
        start = original(place.start)
        # Whole escapes: what follows the last character is not a part of it.
        end = original(place.end - 1) + 1
        following = bisect_right(starts, end - 1)
        if following < len(starts) and plain_starts[following] == place.end:
            end = starts[following]
        if start >= done:
            parts += (body[done:start], SHOWN)
        done = max(done, end)
    return b"".join((*parts, body[done:]))
