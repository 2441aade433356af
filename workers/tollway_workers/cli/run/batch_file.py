"""The input file: read twice, line by line, so that its size is not memory.

The first reading checks every line, the second makes the jobs that are to be enqueued.
"""

import hashlib
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Self

from tollway_workers.errors import InputError

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_CHUNK = 1 << 20


class BatchFile:
    """Lines by number, as often as needed. Owns its file: a context manager."""

    def __init__(self, file: IO[bytes], longest_line: int) -> None:
        self._file = file
        self._longest_line = longest_line

    @classmethod
    def open(cls, path: Path, *, longest_line: int) -> Self:
        """The file at `path`; `-` is stdin, and what cannot be read twice is copied to disk first.

        Raises InputError if it cannot be read.
        """
        if str(path) == "-":
            return cls(_copy(sys.stdin.buffer), longest_line)
        try:
            file = path.open("rb")
            return cls(file if file.seekable() else _copy(file), longest_line)
        except OSError as error:
            raise InputError(f"{path} cannot be read: {error.strerror}") from None

    def sha256(self) -> str:
        """Of all its bytes, in hex."""
        self._file.seek(0)
        digest = hashlib.sha256()
        while chunk := self._file.read(_CHUNK):
            digest.update(chunk)
        return digest.hexdigest()

    def lines(self) -> Iterator[tuple[int, bytes | None]]:
        """Number (from 1) and content of each line that is not blank; None for one too long."""
        self._file.seek(0)
        if self._file.read(len(_BYTE_ORDER_MARK)) != _BYTE_ORDER_MARK:
            self._file.seek(0)
        number = 0
        while line := self._file.readline(self._longest_line + 1):
            number += 1
            if len(line) > self._longest_line:
                self._skip_rest(line)
                yield number, None
            elif stripped := line.strip(b" \t\r\n"):
                yield number, stripped

    def _skip_rest(self, line: bytes) -> None:
        while line and not line.endswith(b"\n"):
            line = self._file.readline(_CHUNK)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()


def _copy(stream: IO[bytes]) -> IO[bytes]:
    # The file has no name, so that nothing is left of it whatever ends us.
    copy = tempfile.TemporaryFile()  # noqa: SIM115 BatchFile closes it
    shutil.copyfileobj(stream, copy, _CHUNK)
    return copy
