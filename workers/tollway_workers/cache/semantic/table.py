"""The prompts of stored answers in a worker's file, and what was observed of them: both go where
their answers go.
"""

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple, Self

from tollway_schemas.cache import CacheEntry
from tollway_schemas.codec import decode, encode
from tollway_schemas.errors import SchemaError
from tollway_schemas.semantic import Observations
from tollway_workers.cache.kept import Kept
from tollway_workers.cache.semantic.vectors import from_base64

TABLES = """
CREATE TABLE prompts (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    key BLOB NOT NULL,
    scope BLOB NOT NULL,
    embedder TEXT NOT NULL,
    vector BLOB NOT NULL
);
CREATE UNIQUE INDEX prompts_key ON prompts (key);
CREATE TABLE observed (
    key BLOB NOT NULL, worker TEXT NOT NULL, value BLOB NOT NULL, PRIMARY KEY (key, worker)
) WITHOUT ROWID;
"""
#: Of the writer's connection alone. An answer without a prompt costs it one look.
_FOLLOWS = """
PRAGMA temp_store = MEMORY;
CREATE TEMP TABLE gone (key BLOB);
CREATE TEMP TRIGGER prompt_gone AFTER DELETE ON main.answers WHEN OLD.scope IS NOT NULL BEGIN
    DELETE FROM prompts WHERE key = OLD.key;
    INSERT INTO gone VALUES (OLD.key);
END;
"""


class StoredPrompt(NamedTuple):
    """What a stored answer was asked."""

    #: Of the answer.
    key: bytes
    scope: bytes
    embedder: str
    #: Numbers of 16 bits.
    vector: bytes

    @classmethod
    def of(cls, entry: CacheEntry | Kept) -> Self | None:
        """That of an answer; None where it is only found by who asks exactly the same."""
        prompt = entry.prompt
        if prompt is None or (vector := from_base64(prompt.vector)) is None:
            return None
        key, scope = bytes.fromhex(entry.key), bytes.fromhex(prompt.scope)
        return cls(key, scope, prompt.embedder, vector)


class Changes(NamedTuple):
    """What became of prompts, in this order."""

    gone: Sequence[bytes] = ()
    prompts: Sequence[StoredPrompt] = ()
    observed: Sequence[Observations] = ()


class PromptTable:
    """One copy's; for the thread that writes.

    State: what came since `take`.
    """

    def __init__(self, writer: sqlite3.Connection) -> None:
        self._writer = writer
        self._prompts: list[StoredPrompt] = []
        self._observed: list[Observations] = []
        writer.executescript(_FOLLOWS)

    def add(self, prompts: Iterable[StoredPrompt]) -> None:
        """Of answers that were just written."""
        new = list(prompts)
        if new:
            self._writer.executemany(
                "INSERT OR REPLACE INTO prompts (key, scope, embedder, vector) VALUES (?, ?, ?, ?)",
                new,
            )
            self._prompts += new

    def observe(self, observed: Iterable[Observations]) -> None:
        """Keep what was observed of answers that are here; of others it says nothing any more."""
        for each in observed:
            key = bytes.fromhex(each.key)
            row = (key, each.worker, encode(each), key)
            kept = self._writer.execute(
                "INSERT OR REPLACE INTO observed SELECT ?, ?, ?"
                " WHERE EXISTS (SELECT 1 FROM prompts WHERE key = ?)",
                row,
            )
            if kept.rowcount:
                self._observed.append(each)

    def take(self) -> Changes:
        """What has changed in this transaction, which is to end."""
        gone = [key for (key,) in self._writer.execute("SELECT DISTINCT key FROM gone")]
        if gone:
            self._writer.execute("DELETE FROM gone")
            # What was written anew under its key is not gone, and what was observed of it stays.
            gone = [key for key in gone if not self._has(key)]
            self._prompts = [each for each in self._prompts if self._has(each.key)]
            self._observed = [each for each in self._observed if self._has(bytes.fromhex(each.key))]
            rows = [(key,) for key in gone]
            self._writer.executemany("DELETE FROM observed WHERE key = ?", rows)
        changes = Changes(tuple(gone), tuple(self._prompts), tuple(self._observed))
        self.undo()
        return changes

    def undo(self) -> None:
        """Nothing of it was written."""
        self._prompts, self._observed = [], []

    def after(self, number: int, most: int) -> tuple[int, list[StoredPrompt]]:
        """The next ones behind that number, the oldest first, and the number of the last."""
        rows = self._writer.execute(
            "SELECT key, scope, embedder, vector, id FROM prompts WHERE id > ? ORDER BY id LIMIT ?",
            (number, most),
        ).fetchall()
        return (rows[-1][4] if rows else number), [StoredPrompt(*row[:4]) for row in rows]

    def _has(self, key: bytes) -> bool:
        row = self._writer.execute("SELECT 1 FROM prompts WHERE key = ?", (key,)).fetchone()
        return row is not None


def observed_of(reader: sqlite3.Connection, key: bytes) -> Iterator[Observations]:
    """What workers observed of the answer of a key, as far as this release can read it."""
    for (value,) in reader.execute("SELECT value FROM observed WHERE key = ?", (key,)):
        try:
            yield decode(Observations, value)
        except SchemaError:
            continue
