"""Follows the logs of workers, line by line, and makes them short enough for people."""

import asyncio
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import orjson

from tollway_workers.cli.shared.output import on_one_line

#: Seconds between two looks.
_LOOK = 0.2
#: Longest line that is kept together, in bytes.
_LONGEST = 65_536
_OWN_PLACE = ("timestamp", "level", "event")


class LogFollower:
    """Tells every line that is added to a file. Mutable state: how far it has read."""

    def __init__(self, file: Path, tell: Callable[[str], None]) -> None:
        self._file = file
        self._tell = tell
        self._read = 0
        self._rest = b""

    async def follow(self) -> None:
        """Until cancelled."""
        while True:
            self.catch_up()
            await asyncio.sleep(_LOOK)

    def catch_up(self) -> None:
        """Tell the lines that were added since."""
        try:
            with self._file.open("rb") as log:
                log.seek(self._read)
                added = log.read()
        except FileNotFoundError:
            return
        self._read += len(added)
        *lines, self._rest = (self._rest + added).split(b"\n")
        if len(self._rest) > _LONGEST:
            lines, self._rest = [*lines, self._rest], b""
        for line in lines:
            if line.strip():
                self._tell(log_line(line))


def log_line(line: bytes) -> str:
    """A line of a worker's log for people: time, level unless it is the usual, event, facts."""
    try:
        record = orjson.loads(line)
    except orjson.JSONDecodeError:
        record = None
    if not isinstance(record, dict) or "event" not in record:
        return on_one_line(line.decode(errors="replace"))
    return on_one_line(_line(record))


def _line(record: Mapping[str, Any]) -> str:
    words = [str(record.get("timestamp", ""))[11:19]]
    if record.get("level") != "info":
        words.append(str(record.get("level", "")))
    words.append(str(record["event"]))
    words += [f"{name}={_value(record[name])}" for name in record if name not in _OWN_PLACE]
    return " ".join(word for word in words if word)


def _value(value: Any) -> str:
    return value if isinstance(value, str) else orjson.dumps(value).decode()
