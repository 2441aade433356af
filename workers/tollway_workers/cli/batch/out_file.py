"""OUT: one line for every line of the input, each once, whatever ends the run."""

import fcntl
import io
import os
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, Protocol

from tollway_workers.cli.batch.causes import Causes
from tollway_workers.cli.batch.output_lines import Ending, read_ending
from tollway_workers.errors import InputError
from tollway_workers.local.fleet.disk import MAKE_ROOM, replace_file, writing


def real_path(path: Path) -> Path:
    """Where a path leads to. Raises InputError, where it is a link that leads to itself."""
    # What is raised depends on the release of Python, and Python 3.13 gives the link itself.
    with suppress(OSError, RuntimeError):
        real = path.resolve()
        if not real.is_symlink():
            return real
    raise InputError(f"{path} cannot be written: its links lead round in a circle")


class Output(Protocol):
    """Where output lines go, how the lines that are there ended, and why some failed."""

    endings: dict[int, Ending]
    causes: Causes

    def append(self, raw: bytes) -> None:
        """Add a line of the output for an input line that has none yet. Raises DiskError."""
        ...

    def sync(self) -> None:
        """Return when every line that was appended survives a crash. Raises DiskError."""
        ...

    def replace(self, lines: Mapping[int, bytes]) -> None:
        """Put these in the places of the lines that are there."""
        ...

    def close(self) -> None:
        """Flush and close the file."""
        ...


class OutFile:
    """A file of output lines. While it is open no other run can write to it."""

    def __init__(self, path: Path, *, fresh: bool) -> None:
        """Open it, make it if absent, cut a half line off its end, empty it if `fresh`.

        Raises InputError: it cannot be written, another run writes to it, or it holds other things.
        """
        self.path = real_path(path)
        if path.exists() and not path.is_file():
            raise InputError(f"{path} is no regular file: for a pipe give - and redirect stdout")
        self._file = _open_locked(self.path)
        if fresh:
            self._file.truncate(0)
        try:
            self.endings = self._read()
        except InputError:
            self._file.close()
            raise

    @property
    def is_empty(self) -> bool:
        """Whether nothing has been written to it."""
        return not self.endings

    def append(self, raw: bytes) -> None:
        ending = read_ending(raw)
        with writing(self.path, MAKE_ROOM):
            self._file.write(raw)
        self.endings[ending.line] = ending
        _note(self.causes, ending, raw)

    def sync(self) -> None:
        with writing(self.path, MAKE_ROOM):
            self._file.flush()
            os.fsync(self._file.fileno())

    def replace(self, lines: Mapping[int, bytes]) -> None:
        """In one step, by a new file that takes this one's name."""
        if not lines:
            return
        self.sync()
        draft = self.path.with_name(f"{self.path.name}.tollway-new")
        self._file.seek(0)
        new = (lines.get(read_ending(raw).line, raw) for raw in self._file)
        with writing(self.path, MAKE_ROOM):
            replace_file(self.path, draft, new)
        self._file.close()
        self._file = _open_locked(self.path)
        self.endings = self._read()

    def close(self) -> None:
        # A failed write was reported; closing tries once more. The next run cuts off a half line.
        with suppress(OSError):
            self._file.close()

    def _read(self) -> dict[int, Ending]:
        endings: dict[int, Ending] = {}
        self.causes = Causes()
        self._file.seek(0)
        whole = 0
        for number, raw in enumerate(self._file, start=1):
            if not raw.endswith(b"\n"):
                break
            whole += len(raw)
            try:
                ending = read_ending(raw)
                _note(self.causes, ending, raw)
            except ValueError:
                raise InputError(
                    f"{self.path} has a line {number} that no run wrote: give another OUT, "
                    "or --fresh to overwrite it"
                ) from None
            endings[ending.line] = ending
        self._file.seek(whole)
        self._file.truncate()
        return endings


class StandardOutput:
    """Output lines on stdout: nothing can be read back, so nothing can be resumed or replaced."""

    def __init__(self, stream: BinaryIO | None = None) -> None:
        self._stream = stream or sys.stdout.buffer
        self.endings: dict[int, Ending] = {}
        self.causes = Causes()

    def append(self, raw: bytes) -> None:
        ending = read_ending(raw)
        self._stream.write(raw)
        self.endings[ending.line] = ending
        _note(self.causes, ending, raw)

    def sync(self) -> None:
        self._stream.flush()

    def replace(self, lines: Mapping[int, bytes]) -> None:
        """What was printed stays printed."""

    def close(self) -> None:
        self._stream.flush()


def _note(causes: Causes, ending: Ending, raw: bytes) -> None:
    if not ending.answered:
        causes.add(raw)


def _open_locked(path: Path) -> io.BufferedRandom:
    try:
        file = path.open("a+b")
    except OSError as error:
        raise InputError(f"{path} cannot be written: {error.strerror}") from None
    try:
        # The lock ends with the process, however it ends.
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        raise InputError(f"another run is writing to {path}: wait for it, or stop it") from None
    return file
