"""The input file: read twice, request by request, so that its size is not memory.

The first reading checks every request, the second makes the jobs that are to be enqueued. Requests
stand in lines, in a JSON array or one after the other; either may be compressed with gzip.
"""

import gzip
import hashlib
import os
import shutil
import stat
import sys
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import IO, Self, cast

from tollway_workers.cli.batch.form import (
    HEAD,
    LINES_LOOKED_AT,
    Form,
    foreign_items,
    form_of,
    no_text,
)
from tollway_workers.cli.batch.items import ItemReader, NotItems
from tollway_workers.errors import InputError

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_GZIP = b"\x1f\x8b"
_BLANK = b" \t\r\n"
_CHUNK = 1 << 20


class BatchFile:
    """Requests by number, as often as needed. Owns its file: a context manager."""

    def __init__(
        self, file: IO[bytes], longest_line: int, *, name: str = "IN", form: Form = Form.LINES
    ) -> None:
        self._file = file
        self._longest_line = longest_line
        self._name = name
        self._form = form

    @classmethod
    def open(cls, path: Path, *, longest_line: int) -> Self:
        """The file at `path`; `-` is stdin, and what cannot be read twice is copied to disk first.

        Raises InputError, one sentence, if it cannot be read or is no file of requests.
        """
        name = "stdin" if str(path) == "-" else str(path)
        try:
            file = sys.stdin.buffer if name == "stdin" else _open(path)
            if name == "stdin" or not file.seekable():
                file = _copy(file)
        except OSError as error:
            raise InputError(f"{path} cannot be read: {error.strerror}") from None
        opened = cls(file, longest_line, name=name)
        try:
            opened._recognise()
        except BaseException:
            file.close()
            raise
        return opened

    def sha256(self) -> str:
        """Of all that it says, unpacked, in hex."""
        digest = hashlib.sha256()
        with self._content() as content:
            while chunk := content.read(_CHUNK):
                digest.update(chunk)
        return digest.hexdigest()

    def lines(self) -> Iterator[tuple[int, bytes | None]]:
        """Number (from 1) and content of each line that is not blank; None for one too long.

        Where requests do not stand in lines their numbers count requests. Raises InputError.
        """
        if self._form is Form.LINES:
            return self._in_lines()
        return enumerate(self._items(), start=1)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    @contextmanager
    def _content(self) -> Iterator[IO[bytes]]:
        """All that it says from the begin, unpacked while it is read."""
        try:
            self._file.seek(0)
            packed = self._file.read(len(_GZIP)) == _GZIP
            self._file.seek(0)
            content = self._file
            if packed:
                content = cast("IO[bytes]", gzip.GzipFile(fileobj=self._file, mode="rb"))
            if content.read(len(_BYTE_ORDER_MARK)) != _BYTE_ORDER_MARK:
                content.seek(0)
            yield content
        except (gzip.BadGzipFile, EOFError, zlib.error):
            raise InputError(
                f"{self._name} is a damaged gzip file, or only a part of one"
            ) from None
        except NotItems as error:
            raise InputError(f"{self._name} {error}") from None
        except OSError as error:
            raise InputError(f"{self._name} cannot be read: {error.strerror}") from None

    def _in_lines(self) -> Iterator[tuple[int, bytes | None]]:
        with self._content() as content:
            number = 0
            while line := content.readline(self._longest_line + 1):
                number += 1
                if len(line) > self._longest_line:
                    _skip_rest(content, line)
                    yield number, None
                elif stripped := line.strip(_BLANK):
                    yield number, stripped

    def _items(self) -> Iterator[bytes | None]:
        with self._content() as content:
            yield from ItemReader(content, self._longest_line).items()

    def _recognise(self) -> None:
        """Find out how requests stand in it. Raises InputError if it holds none."""
        with self._content() as content:
            head = content.read(HEAD)
        refused: Form | str | None = no_text(head) if head else "is empty: there is nothing to do"
        if refused is None:
            lines = [line for _, line in islice(self._in_lines(), LINES_LOOKED_AT)]
            refused = self._form_of(lines) if lines else "has blank lines only"
        if isinstance(refused, Form):
            self._form = refused
            refused = self._foreign_items() if refused is Form.ITEMS else None
        if refused is not None:
            raise InputError(f"{self._name} {refused}")

    def _form_of(self, lines: list[bytes | None]) -> Form | str:
        with self._content() as content:
            reader = ItemReader(content, self._longest_line)
            begin = reader.next_sign()
            first = reader.first_of_several() if begin == b"{" else None
        return form_of(begin, lines, first)

    def _foreign_items(self) -> str | None:
        first = islice(self._items(), LINES_LOOKED_AT)
        return foreign_items([item for item in first if item is not None])


def _skip_rest(content: IO[bytes], line: bytes) -> None:
    while line and not line.endswith(b"\n"):
        line = content.readline(_CHUNK)


def _open(path: Path) -> IO[bytes]:
    """Open to read. A file of a kernel that would wait for something to say says it has nothing."""
    if not stat.S_ISREG(path.stat().st_mode):
        return path.open("rb")
    return open(path, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK))


def _copy(stream: IO[bytes]) -> IO[bytes]:
    # The file has no name, so that nothing is left of it whatever ends us.
    copy = tempfile.TemporaryFile()  # noqa: SIM115 BatchFile closes it
    shutil.copyfileobj(stream, copy, _CHUNK)
    return copy
