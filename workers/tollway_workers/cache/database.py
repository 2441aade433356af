"""The SQLite file of a worker's copy: opened, made anew, removed."""

import sqlite3
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote

from tollway_workers.cache.semantic.table import TABLES as PROMPT_TABLES

#: Of this file's tables; another number is another release's, and the copy is made anew.
LAYOUT = 3
NAME = "cache.sqlite3"
#: Kibibytes of pages that each of the two connections keeps in memory.
_READER_KIB, _WRITER_KIB = 8_192, 4_096
#: Bytes of a page. An answer of a kilobyte fills a page of SQLite's default of 4 KiB badly.
_PAGE_BYTES = 8_192
#: Bytes of the write-ahead log after which it is taken over, and that it is cut to then. Pages of
#: an index change again and again: the later they are taken over, the fewer times each is.
_LOG_BYTES = 16 * 1024 * 1024
#: Seconds that the writer waits for the reader; the reader, on the event loop, waits for nobody.
_PATIENCE = 5.0

_TABLES = """
CREATE TABLE meta (name TEXT PRIMARY KEY, value) WITHOUT ROWID;
CREATE TABLE offsets (
    partition INTEGER PRIMARY KEY, next INTEGER NOT NULL, last INTEGER NOT NULL, stamp REAL NOT NULL
);
CREATE TABLE marks (
    partition INTEGER NOT NULL, offset INTEGER NOT NULL, value BLOB NOT NULL,
    PRIMARY KEY (partition, offset)
) WITHOUT ROWID;
CREATE TABLE answers (
    id INTEGER PRIMARY KEY,
    key BLOB NOT NULL,
    partition INTEGER NOT NULL,
    route TEXT NOT NULL,
    tenant TEXT,
    answered_at REAL NOT NULL,
    stale_until REAL NOT NULL,
    gone_hour INTEGER NOT NULL,
    checksum INTEGER NOT NULL,
    value BLOB NOT NULL,
    scope BLOB
);
CREATE UNIQUE INDEX answers_key ON answers (key);
CREATE INDEX answers_gone_hour ON answers (gone_hour);
"""


class Connections:
    """Two connections to one file: `reader` for the event loop, `writer` for a thread.

    SQLite's `unix-excl` keeps other processes out, and the index of the write-ahead log in memory:
    in a file it would be a memory map, and whoever cuts that file short kills this process.
    """

    def __init__(self, folder: Path) -> None:
        """Opens the file, or makes it. Raises sqlite3.Error and OSError."""
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.path = folder / NAME
        self.writer = self._connect(_WRITER_KIB, _PATIENCE)
        try:
            self._prepare()
            self.reader = self._connect(_READER_KIB, 0.0)
            self.reader.execute("PRAGMA query_only = ON")
        except BaseException:
            self.writer.close()
            raise

    def close(self) -> None:
        """Idempotent."""
        for connection in (self.reader, self.writer):
            with suppress(sqlite3.Error):
                connection.close()

    def used_bytes(self) -> int:
        """Bytes of the file that hold something."""
        pages, free, size = (
            self.writer.execute(f"PRAGMA {name}").fetchone()[0]
            for name in ("page_count", "freelist_count", "page_size")
        )
        return int((pages - free) * size)

    def _connect(self, kib: int, patience: float) -> sqlite3.Connection:
        uri = f"file:{quote(str(self.path))}?vfs=unix-excl"
        made = sqlite3.connect(
            uri, uri=True, isolation_level=None, check_same_thread=False, timeout=patience
        )
        try:
            made.execute(f"PRAGMA cache_size = -{kib}")
            # A file that is cut short under a memory map ends the process.
            made.execute("PRAGMA mmap_size = 0")
        except BaseException:
            made.close()
            raise
        return made

    def _prepare(self) -> None:
        writer = self.writer
        # Of a new file; one that is there keeps its own.
        writer.execute(f"PRAGMA page_size = {_PAGE_BYTES}")
        writer.execute("PRAGMA journal_mode = WAL")
        writer.execute("PRAGMA synchronous = NORMAL")
        writer.execute(f"PRAGMA wal_autocheckpoint = {_LOG_BYTES // _PAGE_BYTES}")
        writer.execute(f"PRAGMA journal_size_limit = {_LOG_BYTES}")
        # What is forgotten is overwritten, and not only unlinked.
        writer.execute("PRAGMA secure_delete = ON")
        layout = writer.execute("PRAGMA user_version").fetchone()[0]
        if layout == 0:
            writer.executescript(
                f"BEGIN; {_TABLES}{PROMPT_TABLES} PRAGMA user_version = {LAYOUT}; COMMIT;"
            )
        elif layout != LAYOUT:
            raise sqlite3.DatabaseError(f"its tables are of layout {layout}, not {LAYOUT}")


def remove_unused(root: Path, before: float) -> int:
    """Remove the copies in folders of `root` that nobody has written to since `before`, in seconds
    since 1970; how many. What cannot be removed stays.

    A running worker writes to its own every few seconds, and a copy that old is of no use to the
    next one: instance ids of containers are often new ones at each start.
    """
    removed = 0
    with suppress(OSError):
        for folder in root.iterdir():
            written = [_written_at(folder / name) for name in (NAME, f"{NAME}-wal")]
            if 0.0 < max(written) < before:
                with suppress(OSError):
                    remove(folder)
                    folder.rmdir()
                    removed += 1
    return removed


def _written_at(file: Path) -> float:
    """In seconds since 1970; 0 where there is none."""
    try:
        return file.stat().st_mtime
    except OSError:
        return 0.0


def remove(folder: Path) -> None:
    """Delete the file and what SQLite keeps beside it. Raises OSError."""
    for name in (NAME, f"{NAME}-wal", f"{NAME}-shm", f"{NAME}-journal"):
        (folder / name).unlink(missing_ok=True)
