"""Follows the cache's topic into this worker's copy of it, which answers once it has caught up.

It fails open: where Kafka, the folder or the file fails, nothing is found, and that is said once.
"""

import asyncio
import sqlite3
from collections import defaultdict
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple, ParamSpec, Protocol, TypeVar

import structlog

from tollway_schemas.semantic import Observations
from tollway_workers.cache.arrivals import Arrivals
from tollway_workers.cache.continuing import why_not
from tollway_workers.cache.database import remove
from tollway_workers.cache.forgotten import Spoken
from tollway_workers.cache.kept import Kept
from tollway_workers.cache.ports import Found
from tollway_workers.cache.recent import RecentAnswers
from tollway_workers.cache.records import CacheRecord
from tollway_workers.cache.semantic.similar import SimilarPrompts
from tollway_workers.cache.store import CacheStore, Origin, Reach, reason
from tollway_workers.clock import Clock
from tollway_workers.errors import FleetError
from tollway_workers.ownership.partition import Partition
from tollway_workers.safe_traceback import error_fields

log = structlog.get_logger(__name__)

#: Seconds between two tries.
_AGAIN = 5.0
#: Bytes of answers that one transaction takes in, or a few more.
_AT_ONCE = 8 * 2**20
#: Seconds for which answers are gathered: each transaction writes whole pages, and each has jobs
#: in line looked for again.
_GATHERED = 0.2
#: Prompts that are loaded at once: some hundredths of a second.
_LOADED = 100
#: Seconds between two notes of the time, while nothing comes.
_NOTE = 10.0
#: Seconds without an answer about a partition after which Kafka is asked what is wrong.
_SILENCE = 10.0
#: What a damaged row is met by: SQLite's own errors, or what becomes of a vector that is none.
_UNREADABLE = (sqlite3.Error, ValueError, TypeError)
#: What SQLite says of a file that is not what it wrote. Others (full, locked) may pass.
_DAMAGED = ("SQLITE_CORRUPT", "SQLITE_NOTADB", "SQLITE_IOERR_SHORT_READ", "DatabaseError")

P = ParamSpec("P")
T = TypeVar("T")


class LoggedRecord(Protocol):
    """A record and where it lies."""

    @property
    def partition(self) -> Partition: ...
    @property
    def offset(self) -> int: ...
    @property
    def key(self) -> bytes | None: ...
    @property
    def value(self) -> bytes | None: ...
    @property
    def timestamp(self) -> float: ...


class CacheLog(Protocol):
    """A consumer of the topic without a group. All may raise; `read` waits a moment."""

    async def start(self) -> None:
        """Connect."""
        ...

    async def stop(self) -> None:
        """Disconnect; idempotent."""
        ...

    async def ends(self, topics: Collection[str]) -> dict[Partition, int]:
        """The offset behind the last record of every partition."""
        ...

    async def starts(
        self, ends: Mapping[Partition, int], since: float | None
    ) -> dict[Partition, int]:
        """The first offset of each partition of `ends`."""
        ...

    def follow(self, starts: Mapping[Partition, int]) -> None:
        """Read on from these offsets."""
        ...

    async def read(self) -> Sequence[LoggedRecord]:
        """The next records."""
        ...

    async def position(self, partition: Partition) -> int:
        """The offset that is read next."""
        ...

    def polled(self, partition: Partition) -> int | None:
        """A number that differs from answer to answer of Kafka about a partition."""
        ...

    async def behind(self, partition: Partition) -> int | None:
        """Offsets that are not read yet; None: not known."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class CopySettings:
    """One worker's copy."""

    topic: str
    #: This worker's alone.
    folder: Path
    most_bytes: int
    #: Seconds after which a copy that was not kept up is made anew.
    longest_gap: float


class CopyState(NamedTuple):
    """How a copy is."""

    serves: bool = False
    entries: int = 0
    #: Of the file that hold something.
    bytes: int = 0
    #: Records that are not applied yet, as far as is known.
    lag: int = 0
    #: Answers that had to go before their time, as there was no room.
    evicted: int = 0


class _Remade(Exception):
    """The topic is another one than before."""


class _Silent(Exception):
    """Kafka does not answer about the topic; who asks again hears why."""


class Materialiser:
    """One worker's copy of the topic, kept up by `run`.

    State: `_store` (None where there is none to read from), `_serves`, `_reached` (what is in the
    copy, by partition), `_lag`, `_noted` (when `known_at` was last written), `_polled` (Kafka's
    last answer about each partition, and when it came, in monotonic seconds), `_own` answers that
    will come back, how many `_partitions` there are (0: unknown), `arrivals`, `_loading` (the task
    that brings prompts into memory), and `_said`, the trouble that was logged last.
    """

    def __init__(
        self,
        settings: CopySettings,
        new_log: Callable[[], CacheLog],
        cluster: Callable[[], Awaitable[str]],
        clock: Clock,
        similar: SimilarPrompts | None = None,
    ) -> None:
        """`cluster`: asks Kafka for the cluster's own name; `similar` is told of all prompts."""
        self._settings = settings
        self._new_log = new_log
        self._cluster = cluster
        self._clock = clock
        self._similar = similar
        self._loading: asyncio.Task[None] | None = None
        # One thread: writes come one after the other, and closing behind them.
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="cache")
        self._store: CacheStore | None = None
        self._serves = False
        self._settled = asyncio.Event()
        self._reached: dict[int, Reach] = {}
        self._polled: dict[Partition, tuple[int | None, float]] = {}
        self._own = RecentAnswers()
        self._partitions = 0
        #: What has come lately.
        self.arrivals = Arrivals()
        self._lag = 0
        self._noted = 0.0
        self._said: str | None = None

    def get(self, key: bytes, now: float) -> Found | None:
        """See `AnswerCache.get`."""
        store = self._store
        if store is None or not self._serves:
            return None
        found, own = store.get(key, now), self._own.get(key)
        return found if own is None else self._newer(own, found, now)

    def observed(self, key: bytes) -> list[Observations]:
        """What workers observed of the answer of a key."""
        return [] if self._store is None else self._store.observed(key)

    def forgotten(self, entry: Spoken) -> bool:
        """See `AnswerCache.forgotten`: it will stand behind all that is applied."""
        if self._store is None or not self._store.forgotten:
            return False
        partition = self.partition_of(bytes.fromhex(entry.key))
        return partition is not None and self._store.forgotten.hides(
            entry, partition, self.applied(partition)
        )

    def remember(self, kept: Kept) -> None:
        """This worker has it, and writes it to the topic."""
        self._own.put(kept.digest, kept)
        self.arrivals.add((kept.digest,))

    def applied(self, partition: int) -> int:
        """The offset before which everything of a partition is applied; 0 where that is unknown."""
        reach = self._reached.get(partition)
        return 0 if reach is None else reach.next

    def partition_of(self, key: bytes) -> int | None:
        """By how a key begins, which is a digest; None while nobody knows how many there are.

        Kafka's own hash of a key takes longer than all else that is done with it.
        """
        return int.from_bytes(key[:4]) % self._partitions if self._partitions else None

    @property
    def told(self) -> tuple[int, ...] | None:
        """`applied` of all partitions; None where nothing is given from here."""
        if not self.serves:
            return None
        return tuple(self._reached[each].next for each in sorted(self._reached))

    @property
    def serves(self) -> bool:
        """Whether answers can be found."""
        return self._serves and self._store is not None and self._store.damage is None

    @property
    def state(self) -> CopyState:
        """How it is at this moment."""
        store = self._store
        if store is None:
            return CopyState()
        return CopyState(self.serves, store.entries, store.used, self._lag, store.evicted)

    def _newer(self, own: Kept, found: Found | None, now: float) -> Found | None:
        """What is on its way to the topic, where that is newer than what was found."""
        is_back = found is not None and own.answered_at <= found.entry.answered_at
        if is_back or own.expires_at.timestamp() <= now or not self.serves or self.forgotten(own):
            return found
        return Found(own.entry(), stale=False)

    async def settled(self) -> None:
        """Return once it has caught up, or met what keeps it from that."""
        await self._settled.wait()

    async def run(self) -> None:
        """Keep up until cancelled; then the copy is closed."""
        try:
            while True:
                try:
                    await self._follow()
                except Exception as error:  # noqa: BLE001 jobs are called where the cache fails
                    self._settled.set()
                    await self._failed(error)
                await self._clock.sleep(_AGAIN)
        finally:
            self._close()
            self._thread.shutdown(wait=True)

    async def _follow(self) -> None:
        reader = self._new_log()
        try:
            await reader.start()
            partitions = await self._continue(reader)
            while True:
                await self._step(reader, partitions)
                if self._serves:
                    # What comes meanwhile is taken in together: alone each costs ten times as much.
                    await asyncio.sleep(_GATHERED)
        finally:
            self._serves = False
            await reader.stop()

    async def _continue(self, reader: CacheLog) -> list[Partition]:
        """Open the copy, and read on from where it was, or from the beginning."""
        topic = self._settings.topic
        origin = Origin(await self._cluster(), topic)
        ends = await reader.ends([topic])
        # Known from here on, whatever becomes of the copy: answers are written all the same.
        self._partitions = len(ends)
        starts = {at[1]: offset for at, offset in (await reader.starts(ends, None)).items()}
        self._close()
        store = self._store = await self._in_thread(self._open)
        position = await self._in_thread(store.position, origin)
        gap = self._clock.now() - (position.known_at if position else 0.0)
        last = {at[1]: end for at, end in ends.items()}
        why = why_not(position, starts, last, gap, self._settings.longest_gap)
        if why is not None:
            if not store.is_new:
                log.warning("the copy of stored answers is made anew", why=why)
            store = await self._make_anew()
            await self._in_thread(store.begin, origin, self._clock.now())
        known = position.reached if position is not None and why is None else {}
        self._reached = {
            number: known.get(number, Reach(start)) for number, start in starts.items()
        }
        # The last record is read again: it says whether the topic is still the same.
        begin = {
            at: each.next if each.last < 0 else each.last for at, each in self._numbered(topic)
        }
        if self._similar is not None:
            # Beside it: answers to the same question need none of it.
            self._loading = asyncio.create_task(self._load(store, self._similar))
        reader.follow(begin)
        self._polled = dict.fromkeys(begin, (None, self._clock.monotonic()))
        return sorted(ends)

    def _numbered(self, topic: str) -> list[tuple[Partition, Reach]]:
        return [((topic, number), reach) for number, reach in self._reached.items()]

    async def _step(self, reader: CacheLog, partitions: Sequence[Partition]) -> None:
        """Take in what has come."""
        store = self._store
        if store is None or store.damage is not None:
            raise sqlite3.DatabaseError("the copy cannot be read")
        found = await self._read(reader, partitions)
        self._require_answers(reader, partitions)
        of: defaultdict[Partition, list[LoggedRecord]] = defaultdict(list)
        for each in found:
            of[each.partition].append(each)
        reached = {at[1]: self._now_at(at, await reader.position(at), of[at]) for at in partitions}
        behind = [await reader.behind(at) for at in partitions]
        complete = not any(each is None or each > 0 for each in behind)
        now = self._clock.now()
        if reached != self._reached or (complete and now - self._noted >= _NOTE):
            records = [
                CacheRecord(
                    each.partition[1], each.offset, each.key, each.value, self._own_answer(each)
                )
                for each in found
                if each.offset >= self._reached[each.partition[1]].next
            ]
            known_at = now if complete else None
            changes = await self._in_thread(store.apply, records, reached, known_at)
            if self._similar is not None:
                self._similar.apply(changes)
            self._came(records)
            self._noted = now if complete else self._noted
        # Only now: who reads it relies on what is in the copy.
        self._reached = reached
        self._lag = sum(each or 0 for each in behind)
        if complete and not self._serves:
            self._serves, self._said = True, None
            self.arrivals.add_all()
            self._settled.set()
            log.info("stored answers are served from the copy", answers=store.entries)

    async def _load(self, store: CacheStore, similar: SimilarPrompts) -> None:
        """Bring all prompts into memory, some at a time: what comes is to be taken in meanwhile."""
        try:
            await self._in_thread(similar.places.clear)
            last, prompts = await self._in_thread(store.prompts.after, 0, _LOADED)
            while prompts:
                await self._in_thread(similar.places.load, prompts)
                last, prompts = await self._in_thread(store.prompts.after, last, _LOADED)
            for _ in similar.catch_up():
                await asyncio.sleep(0)
        except _UNREADABLE as error:
            # Who takes records in may never meet it: by this the copy is made anew.
            store.damage = store.damage or reason(error)
            log.warning("similar prompts are not found: the copy cannot be read", why=reason(error))

    def _own_answer(self, record: LoggedRecord) -> Kept | None:
        """What a record holds that is exactly what this worker wrote: it is not read again."""
        own = self._own.get(_digest(record.key))
        return own if own is not None and own.value == record.value else None

    def _came(self, records: Sequence[CacheRecord]) -> None:
        """These are in the copy. Our own had come when they were remembered."""
        self.arrivals.add(_digest(each.key) for each in records if each.known is None)
        for each in records:
            # What is taken back may be an answer that Kafka did not take: it does not come back.
            if each.known is not None or not each.value:
                self._own.take(_digest(each.key))

    async def _read(
        self, reader: CacheLog, partitions: Sequence[Partition]
    ) -> Sequence[LoggedRecord]:
        """What has come; where there is much, as much as one transaction is for: each writes whole
        pages, of which a thousand answers touch a thousand.
        """
        found = [*await reader.read()]
        while 0 < sum(len(each.value or b"") for each in found) < _AT_ONCE:
            if not any([await reader.behind(at) for at in partitions]):
                break
            more = await reader.read()
            if not more:
                break
            found += more
        return found

    def _now_at(self, at: Partition, position: int, found: Sequence[LoggedRecord]) -> Reach:
        """How far a partition is after these records of it. Raises _Remade."""
        before = self._reached[at[1]]
        if position < before.last or (found and _differs(found[0], before)):
            raise _Remade
        if not found:
            return before._replace(next=max(position, before.next))
        return Reach(max(position, before.next), found[-1].offset, found[-1].timestamp)

    def _require_answers(self, reader: CacheLog, partitions: Sequence[Partition]) -> None:
        """Raise _Silent where Kafka has not answered about a partition for long."""
        now = self._clock.monotonic()
        for at in partitions:
            number, (before, since) = reader.polled(at), self._polled[at]
            if number is not None and number != before:
                self._polled[at] = (number, now)
            elif now - since > _SILENCE:
                raise _Silent

    async def _failed(self, error: Exception) -> None:
        """Say it once; a copy that is not what was written is removed, to be made anew."""
        damage = self._store.damage if self._store is not None else None
        if isinstance(error, _Silent):
            return
        if isinstance(error, _Remade):
            why = "the topic was made anew"
        elif isinstance(error, sqlite3.Error) and (damage or reason(error) in _DAMAGED):
            why = f"it is damaged ({damage or reason(error)})"
        else:
            self._say(_sentence(error), error)
            self._close()
            return
        self._say(f"the copy of stored answers is made anew, and answers none till then: {why}")
        try:
            self._close()
            await self._in_thread(remove, self._settings.folder)
        except OSError as cannot:
            self._say(_sentence(cannot), cannot)

    def _say(self, sentence: str, error: Exception | None = None) -> None:
        if self._said == sentence:
            return
        self._said = sentence
        known = error is None or isinstance(error, FleetError | sqlite3.Error | OSError)
        log.warning(sentence, **({} if known or error is None else error_fields(error)))

    async def _make_anew(self) -> CacheStore:
        self._close()
        await self._in_thread(remove, self._settings.folder)
        store = self._store = await self._in_thread(self._open)
        return store

    def _open(self) -> CacheStore:
        return CacheStore(self._settings.folder, self._settings.most_bytes)

    def _close(self) -> None:
        """Nothing is found from here on; the file is closed behind what is being written."""
        store, self._store = self._store, None
        self._serves, self._reached, self._lag = False, {}, 0
        if self._loading is not None:
            self._loading.cancel()
        if self._similar is not None:
            self._similar.stop()
        if store is not None:
            store.shut()
            self._thread.submit(store.close)

    async def _in_thread(self, call: Callable[P, T], *args: P.args, **named: P.kwargs) -> T:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, partial(call, *args, **named))


def _digest(key: bytes | None) -> bytes:
    """Of a record's key; of no answer's where it is that of a mark, or none of ours."""
    try:
        return bytes.fromhex((key or b"").decode("ascii"))
    except ValueError:
        return b""


def _differs(record: LoggedRecord, reach: Reach) -> bool:
    """Whether a record cannot be of the topic that was read so far."""
    if record.offset < reach.last:
        return True
    return record.offset == reach.last and record.timestamp != reach.stamp


def _sentence(error: Exception) -> str:
    if isinstance(error, FleetError):
        what = str(error)
    elif isinstance(error, sqlite3.Error):
        what = f"the copy cannot be written ({reason(error)})"
    else:
        what = f"{type(error).__name__}"
    return (
        f"no stored answer is found, every job is called: {what}; trying again every {_AGAIN:g} s"
    )
