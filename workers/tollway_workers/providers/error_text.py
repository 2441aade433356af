"""The reason in an error's text: plain, a web page, or an object within a sentence. Pure."""

import html
import json
import re
from collections.abc import Iterable
from typing import Any

#: Messages are searched for phrases: enough of one, not megabytes.
LONGEST_MESSAGE = 4_000
#: A page's title stands near its start.
_MOST_READ = 64 * 1024

_TITLES = tuple(
    re.compile(rf"<{tag}\b[^>]*>(.*?)</{tag}>", re.IGNORECASE | re.DOTALL)
    for tag in ("title", "message", "h1", "h2", "p")
)
_TAGS = re.compile(r"<[^>]*>")
_PAGE = re.compile(r"\s*<[!?a-z]", re.IGNORECASE)
#: What stands between a sentence and the object it ends in: ` - `, `: b'`.
_LINK = re.compile(r"[\s:\[-]*(?:\bb?['\"])?$")

#: FastAPI's list of problems as Python prints it, the values that were given left out.
_PROBLEM = re.compile(
    r"['\"]loc['\"]:\s*[(\[](?P<loc>[^)\]]*)[)\]],\s*"
    r"['\"]msg['\"]:\s*(?P<quote>['\"])(?P<msg>.*?)(?P=quote)\s*[,}]",
    re.DOTALL,
)
#: `Error code: 400 - {'error': {'message': 'why', ...}}`, as OpenAI's own library prints it.
_PRINTED = re.compile(
    r"['\"](?:message|detail|error)['\"]:\s*(?P<quote>['\"])(?P<said>.*?)(?P=quote)\s*(?=[,}])",
    re.DOTALL,
)
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
    for tag in _TITLES:
        found = tag.search(page)
        said = html.unescape(_TAGS.sub(" ", found[1])).strip() if found else ""
        if said:
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
        for found in _PROBLEM.finditer(text)
        if (said := found["msg"])
    ]


def _without_object(text: str, brace: int) -> str:
    """The text with its object replaced by what that says; the text itself where it is none."""
    before, after = _LINK.sub("", text[:brace]), ""
    try:
        parsed, end = _DECODER.raw_decode(text, brace)
        said, after = _said(parsed), text[end:].strip(" ]'\"")
    except (ValueError, RecursionError):
        found = _PRINTED.search(text, brace)
        said = found["said"] if found else ""
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
    """Sentences in a row, none twice."""
    kept: list[str] = []
    for reason in reasons:
        if reason and not any(reason in said for said in kept):
            kept.append(reason)
    return "; ".join(kept)[:LONGEST_MESSAGE]
