"""The JSON in a stream's events, whatever its protocol makes of it. Pure."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from io import StringIO
from typing import Any

from tollway_workers.job.readable_json import encoded, read_body
from tollway_workers.providers.http.sse import Event
from tollway_workers.providers.wire_format import BrokenStream

_DONE = b"[DONE]"

JsonObject = dict[str, Any]


def growing(text: str = "") -> StringIO:
    """A text that goes on growing: one buffer, where each piece of a list would be an object."""
    begun = StringIO()
    begun.write(text)
    # Until it is read from, it keeps a list of pieces too.
    begun.readline()
    return begun


class JsonStream(ABC):
    """What an `AnswerStream` is whose events are JSON: how each is joined is the protocol's own.

    State: `_error` (the object that ended it), `_events`, `ended`, `size`.
    """

    def __init__(self) -> None:
        self._error: JsonObject | None = None
        self._events = JsonEvents()
        self.ended = False
        self.size = 0

    def take(self, event: Event) -> bool:
        """Join an event to what came before; whether the model said something in it, or stopped.

        Raises BrokenStream at what follows an event that could not be read.
        """
        spoke = False
        for value, size in self._events.read(event):
            if self.ended:
                break
            spoke |= self.add(value, size, event.kind.decode(errors="replace"))
        self.ended |= self._events.done
        return spoke

    def body(self) -> bytes:
        """The answer as if it had not been streamed, or the error that ended it.

        Raises BrokenStream if it was cut or holds neither.
        """
        try:
            return encoded(self._error or self._whole())
        except ValueError:
            raise BrokenStream("the answer is nested too deeply to be read") from None

    @abstractmethod
    def add(self, value: Any, size: int, kind: str = "") -> bool:
        """Join a value of so many bytes, in an event of this kind; whether anything was said."""

    @abstractmethod
    def _whole(self) -> JsonObject:
        """The answer. Raises BrokenStream if it was cut or there is none."""


class JsonEvents:
    """Reads events one after the other. State: `done` (the stream has said so), `_broken` (an event
    was not JSON).
    """

    def __init__(self) -> None:
        self.done = False
        self._broken = False

    def read(self, event: Event) -> Iterator[tuple[Any, int]]:
        """Each value of an event, with its size in bytes.

        Raises BrokenStream at what follows an event that could not be read: the last one may have
        been cut, and whether the answer was too is seen by what it lacks.
        """
        for data in _data_of(event):
            if self.done:
                return
            if self._broken:
                raise BrokenStream("a chunk of the stream is not JSON")
            if data.strip() == _DONE:
                self.done = True
                return
            try:
                value = _whole(data)
            except ValueError:
                self._broken = True
                continue
            yield value, len(data)


def _data_of(event: Event) -> tuple[bytes, ...]:
    """The data of an event: its lines are one text, or one each where a server parts none."""
    if len(event.data) == 1:
        return event.data if event.data[0].strip() else ()
    joined = b"\n".join(event.data)
    try:
        _whole(joined)
    except ValueError:
        return tuple(line for line in event.data if line.strip())
    return (joined,)


def _whole(data: bytes) -> Any:
    """The JSON that all of `data` is. Raises ValueError."""
    read = read_body(data, {})
    if read.has_rest:
        raise ValueError("more than one value")
    return read.value
