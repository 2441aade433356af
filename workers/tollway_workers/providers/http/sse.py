"""Server-sent events: from the bytes of a stream to its events. Pure.

https://html.spec.whatwg.org/multipage/server-sent-events.html, split on bytes: text functions also
split at U+2028, which JSON may hold as it is.
"""

from collections.abc import Mapping
from typing import NamedTuple

_BEGINNINGS = (b"data:", b"event:", b"id:", b"retry:", b":")
_MARK = b"\xef\xbb\xbf"
#: Bytes of one event: as many as a whole answer may have, which some servers send in one.
LARGEST_EVENT = 4 * 2**20


class Event(NamedTuple):
    """One event: its kind, empty where none is said, and its data."""

    kind: bytes
    #: One for each `data` line.
    data: tuple[bytes, ...]


class EventTooLarge(ValueError):
    """An event, or a line that never ends, passes the limit."""


def is_event_stream(headers: Mapping[str, str], body: bytes) -> bool:
    """Whether `body` is a stream, by how it begins; the header decides where that says nothing."""
    if body.startswith(b"{"):
        return False
    begins = begins_event_stream(headers, body[:256])
    return says_event_stream(headers) if begins is None else begins


def says_event_stream(headers: Mapping[str, str]) -> bool:
    """Whether the headers announce a stream."""
    return (headers.get("content-type") or "").lower().startswith("text/event-stream")


def begins_event_stream(headers: Mapping[str, str], head: bytes) -> bool | None:
    """Whether what begins with `head` is a stream; None where that is too little to tell."""
    beginning = head.removeprefix(_MARK).lstrip()
    if beginning.startswith(_BEGINNINGS):
        return True
    if beginning.startswith((b"{", b"[", b"<")):
        return False
    if any(each.startswith(beginning) for each in _BEGINNINGS) or _MARK.startswith(beginning):
        return None
    return says_event_stream(headers)


class EventSplitter:
    """Splits a stream as its bytes come, wherever they are cut.

    State: `_line` (the pieces of a line that has no end yet), `_kind` and `_data` (of an event that
    has none yet), `_size` (bytes of both), `_after_cr` (a line feed belongs to the line before).
    """

    def __init__(self, largest: int = LARGEST_EVENT) -> None:
        self._largest = largest
        self._line: list[bytes] = []
        self._kind, self._data = b"", list[bytes]()
        self._size = 0
        self._after_cr = False
        self._is_first = True

    @property
    def size(self) -> int:
        """Bytes of the event that has no end yet."""
        return self._size

    def feed(self, piece: bytes) -> list[Event]:
        """The events that have data and that end in `piece`. Raises EventTooLarge."""
        if self._after_cr and piece:
            piece = piece.removeprefix(b"\n")
            self._after_cr = False
        if b"\r" in piece:
            self._after_cr = piece.endswith(b"\r")
            piece = piece.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        *lines, rest = piece.split(b"\n")
        found: list[Event] = []
        if lines:
            self._line.append(lines[0])
            lines[0] = b"".join(self._line)
            self._line.clear()
            for line in lines:
                self._take(line, found)
        if rest:
            self._line.append(rest)
            self._grow(len(rest))
        return found

    def end(self) -> list[Event]:
        """The last event, where its empty line is missing."""
        found: list[Event] = []
        self._take(b"".join(self._line), found)
        self._line.clear()
        self._take(b"", found)
        return found

    def _take(self, line: bytes, found: list[Event]) -> None:
        if self._is_first:
            self._is_first = False
            line = line.removeprefix(_MARK)
        if not line:
            if self._data:
                found.append(Event(self._kind, tuple(self._data)))
                self._data.clear()
            self._kind, self._size = b"", 0
            return
        self._grow(len(line))
        name, _, value = line.partition(b":")
        if name == b"data":
            self._data.append(value.removeprefix(b" "))
        elif name == b"event":
            self._kind = value.removeprefix(b" ")

    def _grow(self, size: int) -> None:
        self._size += size
        if self._size > self._largest:
            raise EventTooLarge(f"an event of the stream is larger than {self._largest:,} bytes")


def events(body: bytes) -> list[Event]:
    """The events in a whole body that have data, the last one too where its empty line is missing.

    Raises EventTooLarge.
    """
    splitter = EventSplitter()
    return [*splitter.feed(body), *splitter.end()]
