"""A worker's copy of the cache's topic: answers by key, in a file. Memory does not grow with it."""

import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import NamedTuple, TypeVar
from zlib import crc32

from tollway_schemas.cache import CacheEntry, Forget
from tollway_schemas.codec import decode
from tollway_schemas.errors import SchemaError
from tollway_schemas.semantic import Observations
from tollway_workers.cache.database import Connections
from tollway_workers.cache.forgotten import Forgotten
from tollway_workers.cache.held_keys import HeldKeys
from tollway_workers.cache.kept import Kept
from tollway_workers.cache.ports import Found
from tollway_workers.cache.records import CacheRecord, TakenBack, read
from tollway_workers.cache.semantic.table import Changes, PromptTable, StoredPrompt, observed_of

#: Answers that are deleted at once where there is no room.
_EVICTED = 256
#: Answers past their time that one transaction deletes: a million at once would hold up marks.
_EXPIRED = 1_000
#: Rows of one statement: each gives up the interpreter's lock, and waits for the event loop to give
#: it back. With ten values each, and older releases of SQLite take 999.
_TOGETHER = 99

#: Seconds. An index of hours grows at few places: one of moments has a page to write for almost
#: every answer, as each lives for a time of its own.
_HOUR = 3_600
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Origin:
    """Whose copy it is."""

    cluster: str
    topic: str


class Reach(NamedTuple):
    """How far a partition was read."""

    #: The offset that is to be read next.
    next: int
    #: The last record that was read, -1 for none, and Kafka's time of it in seconds since 1970: by
    #: them a topic is told from another of its name.
    last: int = -1
    stamp: float = 0.0


class Position(NamedTuple):
    """How far a copy is."""

    #: By partition.
    reached: dict[int, Reach]
    #: When it last had everything there was, in seconds since 1970.
    known_at: float


class _Row(NamedTuple):
    key: bytes
    partition: int
    route: str
    tenant: str | None
    answered_at: float
    stale_until: float
    #: The hour in which it goes: at its end at the latest.
    gone_hour: int
    checksum: int
    value: bytes
    scope: bytes | None


class _Taken(NamedTuple):
    """What was read and is to be written together."""

    #: None: the answer of the key is gone.
    rows: dict[bytes, _Row | None]
    prompts: dict[bytes, StoredPrompt]
    observed: list[Observations]


_DELETE = "DELETE FROM answers WHERE key IN"
#: Where a statement of many rows could fail alone, SQLite keeps each page as it was before it.
_INSERT = f"INSERT OR ROLLBACK INTO answers ({', '.join(_Row._fields)}) VALUES"


class CacheStore:
    """One copy. `get` is for the event loop, `apply` for one thread beside it.

    State: `forgotten`, all marks; `_held`, how keys begin; `entries`; `used`, bytes of the file
    that hold something; `evicted`, answers that had to go before their time; `damage`, why nothing
    can be read from it any more; `_begun`, whether anything was ever taken in.
    """

    def __init__(self, folder: Path, most_bytes: int) -> None:
        """Opens or makes the copy in `folder`, which is this process's alone.

        Raises sqlite3.Error where it is damaged, full or another process's, and OSError where the
        folder cannot be made.
        """
        self._db = Connections(folder)
        self._most_bytes = most_bytes
        self.forgotten = Forgotten()
        self._held = HeldKeys()
        self.entries = self.evicted = self.used = 0
        self.damage: str | None = None
        self._begun = False
        try:
            self._load()
            self._prompts = PromptTable(self._db.writer)
        except BaseException:
            self._db.close()
            raise

    @property
    def prompts(self) -> PromptTable:
        """What stored answers were asked."""
        return self._prompts

    def get(self, key: bytes, now: float) -> Found | None:
        """The answer under a key, if it may be given at `now`, in seconds since 1970; raises
        nothing.
        """
        if self.damage is not None or not self._held.may_hold(key):
            return None
        try:
            row = self._db.reader.execute(
                "SELECT checksum, value FROM answers WHERE key = ? AND stale_until > ?", (key, now)
            ).fetchone()
            if row is None:
                return None
            entry = _entry(*row)
        except SchemaError:
            # It is what was written: another release took it for an answer, or wrote it.
            return None
        except sqlite3.Error as error:
            if getattr(error, "sqlite_errorcode", None) != sqlite3.SQLITE_BUSY:
                self.damage = reason(error)
            return None
        if entry.key != key.hex():
            self.damage = "an answer stands under the key of another"
            return None
        return Found(entry, stale=entry.expires_at.timestamp() <= now)

    def observed(self, key: bytes) -> list[Observations]:
        """What workers observed of the answer of a key; raises nothing."""
        if self.damage is not None:
            return []
        try:
            return list(observed_of(self._db.reader, key))
        except sqlite3.Error as error:
            if getattr(error, "sqlite_errorcode", None) != sqlite3.SQLITE_BUSY:
                self.damage = reason(error)
            return []

    def position(self, origin: Origin) -> Position | None:
        """How far it is; None where it is empty, or the copy of another topic. Raises
        sqlite3.Error.
        """
        with _numbers():
            meta = dict(self._db.writer.execute("SELECT name, value FROM meta"))
            if (meta.get("cluster"), meta.get("topic")) != (origin.cluster, origin.topic):
                return None
            rows = self._db.writer.execute("SELECT partition, next, last, stamp FROM offsets")
            reached = {row[0]: Reach(int(row[1]), int(row[2]), float(row[3])) for row in rows}
            return Position(reached, float(meta.get("known_at") or 0.0))

    @property
    def is_new(self) -> bool:
        """Whether nothing was ever taken in."""
        return not self._begun

    def begin(self, origin: Origin, now: float) -> None:
        """An empty copy becomes that of this topic, read from its start. Raises sqlite3.Error."""
        named = [("cluster", origin.cluster), ("topic", origin.topic), ("known_at", now)]
        self._db.writer.executemany("INSERT OR REPLACE INTO meta VALUES (?, ?)", named)

    def apply(
        self, records: Iterable[CacheRecord], reached: Mapping[int, Reach], known_at: float | None
    ) -> Changes:
        """Take in records in their order, and how far that is, together or not at all.

        Returns what became of prompts.

        `known_at`: given where nothing more was to be read then. Raises sqlite3.Error: nothing of
        it is taken in then.
        """
        writer, before = self._db.writer, self.entries
        writer.execute("BEGIN IMMEDIATE")
        try:
            marks = self._take_in(records)
            writer.executemany(
                "INSERT OR REPLACE INTO offsets VALUES (?, ?, ?, ?)",
                [(partition, *reach) for partition, reach in reached.items()],
            )
            if known_at is not None:
                writer.execute("INSERT OR REPLACE INTO meta VALUES ('known_at', ?)", (known_at,))
                self._expire(known_at)
            self._make_room()
            writer.execute("INSERT OR REPLACE INTO meta VALUES ('entries', ?)", (self.entries,))
            changes = self._prompts.take()
            writer.execute("COMMIT")
            self._begun = True
            self.used = self._db.used_bytes()
        except BaseException:
            self.entries = before
            self._prompts.undo()
            if writer.in_transaction:
                writer.execute("ROLLBACK")
            raise
        if marks:
            # What is forgotten stands in the write-ahead log, too.
            writer.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        return changes

    def shut(self) -> None:
        """Find nothing any more: on the event loop, before `close` in the thread."""
        self.damage = self.damage or "it is closed"

    def close(self) -> None:
        """Idempotent."""
        self.shut()
        self._db.close()

    def __repr__(self) -> str:
        return f"<CacheStore [{self.entries} answers | {self.damage or 'readable'}]>"

    def _load(self) -> None:
        writer = self._db.writer
        with _numbers():
            row = writer.execute("SELECT value FROM meta WHERE name = 'entries'").fetchone()
            self._begun = row is not None
            self.entries = int(row[0]) if row else 0
        self.used = self._db.used_bytes()
        # One that is damaged into no blob is found by no look: it may not keep a copy from opening.
        keys = writer.execute("SELECT key FROM answers WHERE typeof(key) = 'blob'")
        self._held.add(key for (key,) in keys)
        marks = writer.execute("SELECT partition, offset, CAST(value AS BLOB) FROM marks")
        for partition, offset, value in marks:
            try:
                self.forgotten.add(decode(Forget, value), partition, offset)
            except SchemaError as error:
                raise sqlite3.DatabaseError("a mark cannot be read") from error

    def _take_in(self, records: Iterable[CacheRecord]) -> int:
        """How many marks were among them."""
        taken = _Taken({}, {}, [])
        marks = 0
        for record in records:
            said = record.known or read(record)
            if isinstance(said, Forget):
                # It speaks of what stands before it.
                self._write(taken)
                taken = _Taken({}, {}, [])
                self._forget(said, record)
                marks += 1
            elif isinstance(said, Observations):
                taken.observed.append(said)
            elif isinstance(said, TakenBack):
                taken.rows[said.key] = None
            elif said is not None:
                self._take(said, record, taken)
        self._write(taken)
        return marks

    def _take(self, entry: CacheEntry | Kept, record: CacheRecord, taken: _Taken) -> None:
        key = entry.digest if isinstance(entry, Kept) else bytes.fromhex(entry.key)
        if self.forgotten.hides(entry, record.partition, record.offset):
            taken.rows[key] = None
            return
        prompt = None if entry.prompt is None else StoredPrompt.of(entry)
        taken.rows[key] = _row(key, entry, record, None if prompt is None else prompt.scope)
        if prompt is not None:
            taken.prompts[key] = prompt

    def _write(self, taken: _Taken) -> None:
        writer = self._db.writer
        for keys in _parts([*filter(self._held.may_hold, taken.rows)]):
            gone = writer.execute(f"{_DELETE} ({_placeholders(keys)})", keys)
            self.entries -= gone.rowcount
        rows = [row for row in taken.rows.values() if row is not None]
        # Before they stand there: whoever looks from then on finds them.
        self._held.add(row.key for row in rows)
        for new in _parts(rows):
            every = ", ".join([f"({_placeholders(_Row._fields)})"] * len(new))
            writer.execute(f"{_INSERT} {every}", [*chain.from_iterable(new)])
            self.entries += len(new)
        # The last of each key has counted: one without a prompt is found by its key alone.
        self._prompts.add(taken.prompts[row.key] for row in rows if row.scope is not None)
        self._prompts.observe(taken.observed)

    def _forget(self, mark: Forget, record: CacheRecord) -> None:
        """Delete what it speaks of: all of it stands before it, as partitions are read in order."""
        self.forgotten.add(mark, record.partition, record.offset)
        wanted: list[tuple[str, object]] = [("partition = ?", record.partition)]
        if mark.route is not None:
            wanted.append(("route = ?", mark.route))
        if mark.tenant is not None:
            wanted.append(("tenant = ?", mark.tenant))
        if mark.key is not None:
            wanted.append(("key = ?", bytes.fromhex(mark.key)))
        if mark.before is not None:
            wanted.append(("answered_at < ?", mark.before.timestamp()))
        where = " AND ".join(condition for condition, _ in wanted)
        writer, values = self._db.writer, [value for _, value in wanted]
        gone = writer.execute(f"DELETE FROM answers WHERE {where}", values)  # noqa: S608 conditions are the constants above
        self.entries -= gone.rowcount
        writer.execute(
            "INSERT OR REPLACE INTO marks VALUES (?, ?, ?)",
            (record.partition, record.offset, record.value),
        )

    def _expire(self, now: float) -> None:
        gone = self._db.writer.execute(
            "DELETE FROM answers WHERE id IN (SELECT id FROM answers WHERE gone_hour < ? LIMIT ?)",
            (now // _HOUR, _EXPIRED),
        )
        self.entries -= gone.rowcount

    def _make_room(self) -> None:
        """Delete the oldest answers until the rest fits."""
        while self._db.used_bytes() > self._most_bytes:
            gone = self._db.writer.execute(
                "DELETE FROM answers WHERE id IN (SELECT id FROM answers ORDER BY id LIMIT ?)",
                (_EVICTED,),
            ).rowcount
            if gone == 0:
                return
            self.entries -= gone
            self.evicted += gone


def reason(error: Exception) -> str:
    """What SQLite says of a file, without anything that is in it."""
    return getattr(error, "sqlite_errorname", None) or type(error).__name__


@contextmanager
def _numbers() -> Iterator[None]:
    """Have what is read and is no number be damage: SQLite keeps any value in any column."""
    try:
        yield
    except (TypeError, ValueError, OverflowError) as error:
        raise sqlite3.DatabaseError("a number is not what was written") from error
    except sqlite3.OperationalError as error:
        if getattr(error, "sqlite_errorname", None) is not None:
            raise
        # It is no error of SQLite's: Python meets text that is not UTF-8.
        raise sqlite3.DatabaseError("a text is not what was written") from error


def _parts(rows: Sequence[T]) -> Iterable[Sequence[T]]:
    return (rows[begin : begin + _TOGETHER] for begin in range(0, len(rows), _TOGETHER))


def _placeholders(values: Sequence[object]) -> str:
    return ", ".join("?" * len(values))


def _row(key: bytes, entry: CacheEntry | Kept, record: CacheRecord, scope: bytes | None) -> _Row:
    value, stale_until = record.value or b"", entry.stale_until.timestamp()
    return _Row(
        key,
        record.partition,
        entry.route,
        entry.tenant,
        entry.answered_at.timestamp(),
        stale_until,
        int(stale_until // _HOUR),
        crc32(value),
        value,
        scope,
    )


def _entry(checksum: int, value: bytes) -> CacheEntry:
    # SQLite notices damage to its own pages alone, and not to what lies in them.
    if not isinstance(value, bytes) or crc32(value) != checksum:
        raise sqlite3.DatabaseError("an answer is not what was written")
    return decode(CacheEntry, value)
