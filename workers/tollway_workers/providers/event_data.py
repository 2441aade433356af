"""The JSON in a stream's events, however servers part it. Pure."""

from typing import Any

from tollway_workers.job.readable_json import read_body
from tollway_workers.providers.http.sse import Event


def data_of(event: Event) -> tuple[bytes, ...]:
    """The data of an event: its lines are one text, or one each where a server parts none."""
    if len(event.data) == 1:
        return event.data if event.data[0].strip() else ()
    joined = b"\n".join(event.data)
    try:
        whole_json(joined)
    except ValueError:
        return tuple(line for line in event.data if line.strip())
    return (joined,)


def whole_json(data: bytes) -> Any:
    """The JSON that all of `data` is. Raises ValueError."""
    read = read_body(data, {})
    if read.has_rest:
        raise ValueError("more than one value")
    return read.value
