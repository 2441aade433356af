"""The reason in an error's text: plain, a web page, or an object within a sentence. Pure."""

import html
import json
import re
from collections.abc import Iterable, Iterator
from typing import Any

#: Messages are searched for phrases: enough of one, not megabytes.
LONGEST_MESSAGE = 4_000
#: A page's title stands near its start.
_MOST_READ = 64 * 1024

# None of these looks at a character more than a few times, whatever the text: a server that wants
# to could else have one page searched for ten seconds.
_TITLES = tuple(
    (re.compile(rf"<{tag}\b[^<>]*>", re.IGNORECASE), re.compile(rf"</{tag}>", re.IGNORECASE))
    for tag in ("title", "message", "h1", "h2", "p")
)
_TAGS = re.compile(r"<[^<>]*>")
_PAGE = re.compile(r"\s*<[!?a-z]", re.IGNORECASE)
#: What stands between a sentence and the object it ends in: ` - `, `: b'`.
_LINK = re.compile(r"[\s:\[-]*(?:\bb?['\"])?$")

#: FastAPI's list of problems as Python prints it, the values that were given left out.
_PROBLEM = re.compile(
    r"['\"]loc['\"]:\s{0,9}[(\[](?P<loc>[^()\[\]]*)[)\]],\s{0,9}"
    r"['\"]msg['\"]:\s{0,9}(?P<quote>['\"])"
)
#: `Error code: 400 - {'error': {'message': 'why', ...}}`, as OpenAI's own library prints it.
_PRINTED = re.compile(r"['\"](?:message|detail|error)['\"]:\s{0,9}(?P<quote>['\"])")
#: Where what such a quotation mark opens has its end.
_ENDS = {quote: re.compile(rf"{quote}\s{{0,9}}[,}}]") for quote in "'\""}
_DECODER = json.JSONDecoder()


def plain_reason(body: bytes) -> tuple[str, bool]:
    """What a body that is no JSON says, and whether it is a web page."""
    text = body[:_MOST_READ].decode(errors="replace").strip()
    if _PAGE.match(text):
        return _title(text), True
    if text.startswith(("{", "[")):
        # JSON that was cut.
        return "", False
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if lines and lines[0].startswith("Traceback (most recent call last)"):
        return lines[-1][:LONGEST_MESSAGE], False
    return reason_in_text(" ".join(lines)[:LONGEST_MESSAGE]), False


def _title(page: str) -> str:
    for begin, end in _TITLES:
        opened = begin.search(page)
        closed = end.search(page, opened.end()) if opened else None
        if opened is None or closed is None:
            continue
        inside = page[opened.end() : closed.start()]
        if said := html.unescape(_TAGS.sub(" ", inside)).strip():
            return " ".join(said.split())[:LONGEST_MESSAGE]
    return ""


def reason_in_text(text: str) -> str:
    """The reason in a message that may hold, or be, the error of another server."""
    text = text[:_MOST_READ].strip()
    problems = [f"{place}: {said}" if place else said for place, said in problems_in(text)]
    if problems:
        return joined(problems)
    brace = text.find("{")
    if brace >= 0:
        text = _without_object(text, brace)
    return text[:LONGEST_MESSAGE]


def problems_in(text: str) -> list[tuple[str, str]]:
    """Place and sentence of each of FastAPI's problems that a text holds as Python prints them."""
    return [
        (".".join(part.strip(" '\"") for part in found["loc"].split(",") if part.strip()), said)
        for found, said in _quoted(_PROBLEM, text, 0)
        if said
    ]


def _quoted(opening: re.Pattern[str], text: str, at: int) -> Iterator[tuple[re.Match[str], str]]:
    """Each opening from `at` on with what it quotes; what is never closed is searched once."""
    unclosed: set[str] = set()
    while (found := opening.search(text, at)) is not None:
        at, quote = found.end(), found["quote"]
        end = None if quote in unclosed else _ENDS[quote].search(text, at)
        if end is None:
            unclosed.add(quote)
        else:
            yield found, text[at : end.start()]
            at = end.end()


def _without_object(text: str, brace: int) -> str:
    """The text with its object replaced by what that says; the text itself where it is none."""
    before, after = _LINK.sub("", text[:brace]), ""
    try:
        parsed, end = _DECODER.raw_decode(text, brace)
        said, after = _said(parsed), text[end:].strip(" ]'\"")
    except (ValueError, RecursionError):
        said = next((said for _, said in _quoted(_PRINTED, text, brace)), "")
    if not said:
        return text
    return joined((before, said, after))


def _said(value: Any, depth: int = 0) -> str:
    """The first sentence in an object that stands in a text."""
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        value = value[0] if value else None
    if not isinstance(value, dict) or depth > 4:
        return ""
    for name in ("message", "error", "detail", "msg", "errors"):
        if said := _said(value.get(name), depth + 1):
            return said
    return ""


def joined(reasons: Iterable[str]) -> str:
    """Sentences in a row, none twice; no more are asked for than one message has room for."""
    kept: list[str] = []
    size = 0
    for reason in reasons:
        if reason and not any(reason in said for said in kept):
            kept.append(reason)
            size += len(reason)
        if size >= LONGEST_MESSAGE:
            break
    return "; ".join(kept)[:LONGEST_MESSAGE]
