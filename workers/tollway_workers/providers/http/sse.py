"""Server-sent events: from the bytes of a stream to its events. Pure.

https://html.spec.whatwg.org/multipage/server-sent-events.html, split on bytes: text functions also
split at U+2028, which JSON may hold as it is.
"""

import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple

_LINE_END = re.compile(rb"\r\n|\n|\r")
_BEGINNINGS = (b"data:", b"event:", b"id:", b"retry:", b":")
_MARK = b"\xef\xbb\xbf"


class Event(NamedTuple):
    """One event: its kind, empty where none is said, and its data."""

    kind: bytes
    #: One for each `data` line.
    data: tuple[bytes, ...]


def is_event_stream(headers: Mapping[str, str], body: bytes) -> bool:
    """Whether `body` is a stream, by how it begins; the header decides where that says nothing."""
    beginning = body[:256].removeprefix(_MARK).lstrip()
    if beginning.startswith(_BEGINNINGS):
        return True
    if beginning.startswith((b"{", b"[")):
        return False
    return (headers.get("content-type") or "").lower().startswith("text/event-stream")


def events(body: bytes) -> Iterator[Event]:
    """The events in `body` that have data, the last one too where its empty line is missing."""
    kind, data = b"", list[bytes]()
    for line in _lines(body.removeprefix(_MARK)):
        if not line:
            if data:
                yield Event(kind, tuple(data))
            kind, data = b"", []
            continue
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if name == b"data":
            data.append(value)
        elif name == b"event":
            kind = value
    if data:
        yield Event(kind, tuple(data))


def _lines(body: bytes) -> Iterator[bytes]:
    start = 0
    for end in _LINE_END.finditer(body):
        yield body[start : end.start()]
        start = end.end()
    yield body[start:]
