"""The JSON in a stream's events, whatever its protocol makes of it. Pure."""

from collections.abc import Iterator
from typing import Any

from tollway_workers.job.readable_json import read_body
from tollway_workers.providers.http.sse import Event
from tollway_workers.providers.wire_format import BrokenStream

_DONE = b"[DONE]"


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
