"""What a service or an operator uses to repair dead letters."""

import getpass
import os
import re
import socket
from collections.abc import AsyncGenerator, Mapping
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass, replace
from datetime import timedelta
from types import TracebackType
from typing import Any, Self, TypedDict, Unpack

from tollway.connection import KafkaConnection
from tollway.dead_letters.entry import Entry
from tollway.dead_letters.export_file import CorrectionFile, ExportFile, line_of
from tollway.dead_letters.filter import Filter
from tollway.dead_letters.marking import Marking
from tollway.dead_letters.marks import MarkTable
from tollway.dead_letters.overview import Overview
from tollway.dead_letters.reading.journal import JournalAnswers
from tollway.dead_letters.reading.mark_log import read_marks
from tollway.dead_letters.reading.originals import OriginalJobs
from tollway.dead_letters.reading.scan import Letter, LetterScan
from tollway.dead_letters.redrive.change import Change, change_of
from tollway.dead_letters.redrive.next_job import JobJudge, Terms
from tollway.dead_letters.redrive.run import Manner, RedriveRun
from tollway.dead_letters.redrive.source import FileSource, TopicSource
from tollway.dead_letters.redrive.transactions import LARGEST_JOB
from tollway.dead_letters.report import (
    Canary,
    ExportReport,
    MarkReport,
    OnProgress,
    Progress,
    RedriveReport,
    Skip,
)
from tollway.errors import InvalidSettings
from tollway.output import Output
from tollway.producer import DEFAULT_JOB_LIMIT
from tollway_schemas import DEFAULT_PREFIX, DeadLetter, Fate, Mark, TopicNames
from tollway_schemas.keys import mark_key
from tollway_schemas.redrive import MOST_WHO

#: All of them.
EVERYTHING = Filter()
#: Dead letters of one name that are found at most, those that rank highest.
_MOST_FOUND = 100
#: Where a record was read: a topic has 249 characters at most, numbers as many digits as Kafka's.
_PLACE = re.compile(r"([A-Za-z0-9._-]{1,249})-([0-9]{1,10})-([0-9]{1,19})")


@dataclass(frozen=True, slots=True)
class Found:
    """One dead letter with everything in it. It holds the tenant's prompt and the answers."""

    entry: Entry
    letter: DeadLetter | None
    """Absent where the value is raw bytes."""
    value: bytes
    """The record's value: JSON of the letter, or the raw bytes."""
    mark: Mark | None = None
    """What an operator did with it."""
    ending: Mark | None = None
    """How the job ended that it was redriven as."""


class RedriveOptions(TypedDict, total=False):
    """What can be asked of a redrive."""

    edit: Mapping[str, Any] | None
    """A JSON merge patch (RFC 7396) on each job."""
    revalidate: bool
    """Have the worker that reads a job hold its stored answers to its schema first: the latest that
    passes is the reply, and no call is made."""
    schema: Output[Any]
    """A corrected output schema in the place of the job's own."""
    only_revalidate: bool
    """As `revalidate`, and where none passes the job is a dead letter again, uncalled."""
    deadline: timedelta | None
    """How long each has from now; what it was given at first if absent."""
    generation: int
    """Publish each as this generation at the least; as its next one if absent."""
    dry_run: bool
    """Publish nothing; say what would be done."""
    rate: float | None
    """At most so many a minute."""
    canary: Canary | int | None
    """Publish so many first, and the others once these were answered."""
    on_progress: OnProgress | None
    """Told now and then how far it is."""


class DeadLetters:
    """The dead letters of a fleet: grouped, repaired, and published again.

    Use it as `async with DeadLetters("host:9092") as letters`. Without a connection it takes
    `KafkaConnection.from_environment()`. It publishes and marks, and never calls a provider. Each
    dead letter is redriven once, whatever is interrupted, and by however many operators: run the
    same again. Dead letters hold every tenant's prompts: who may read their topic sees them.

    Its calls raise BrokerUnreachable, and UnknownTopic where the fleet's topics are not there.
    """

    def __init__(
        self,
        connection: KafkaConnection | str | None = None,
        *,
        prefix: str = DEFAULT_PREFIX,
        by: str | None = None,
        max_job_bytes: int = DEFAULT_JOB_LIMIT,
        judge: JobJudge | None = None,
    ) -> None:
        """`by`: who marks, `user@host` by default.

        `judge` says what is wrong with an edited or mended job, such as a schema that is none: this
        package alone has no validator of JSON Schema. Raises InvalidSettings.
        """
        if connection is None:
            connection = KafkaConnection.from_environment()
        elif isinstance(connection, str):
            connection = KafkaConnection(connection)
        if not 0 < max_job_bytes <= LARGEST_JOB:
            raise InvalidSettings(f"max_job_bytes must be between 1 and {LARGEST_JOB:,}")
        self._connection = connection
        self._names = TopicNames(prefix)
        self._by = (by or _who())[:MOST_WHO]
        self._max_job_bytes = max_job_bytes
        self._judge = judge

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        # Each call opens what it needs and closes it.
        return None

    def __repr__(self) -> str:
        return f"<DeadLetters {self._names.dead_letters} [{self._by}]>"

    async def groups(
        self, wanted: Filter = EVERYTHING, *, on_progress: OnProgress | None = None
    ) -> Overview:
        """Them by likely cause: how many, since when, an example, what they cost, a hint.

        Memory is bounded, whatever their number.
        """
        return await self.list(wanted, limit=0, on_progress=on_progress)

    async def list(
        self, wanted: Filter = EVERYTHING, *, limit: int = 20, on_progress: OnProgress | None = None
    ) -> Overview:
        """The newest `limit` of them, beside the same groups."""
        overview = Overview(limit)
        async with aclosing(self.each(wanted, on_progress=on_progress)) as entries:
            async for entry in entries:
                overview.add(entry)
        return overview

    async def each(
        self, wanted: Filter = EVERYTHING, *, on_progress: OnProgress | None = None
    ) -> AsyncGenerator[Entry, None]:
        """Every one of them, in no order, without prompt and answer."""
        async with aclosing(self._letters(wanted, MarkTable(), on_progress)) as letters:
            async for letter in letters:
                yield letter.entry

    async def find(
        self, job_id: str, *, route: str | None = None, tenant: str | None = None
    ) -> tuple[Found, ...]:
        """Those of one job, the highest generation first, with all that is in them.

        `job_id` may be id/generation too, or the topic-partition-offset that a record was read
        from.
        """
        found: dict[bytes, Letter] = {}
        wanted, seen = Filter(job_id=job_id, route=route, tenant=tenant), MarkTable()
        async with aclosing(self._letters(wanted, seen, None)) as letters:
            async for letter in letters:
                # Of one that was written twice, the last; anybody can claim an id in what cannot be
                # decoded.
                found[mark_key(letter.name)] = letter
                if len(found) > _MOST_FOUND:
                    del found[min(found, key=lambda key: found[key].entry.rank)]
        ends = {key: seen.ending_key_of(letter.name) for key, letter in found.items()}
        marks = MarkTable(wanted={*found, *filter(None, ends.values())})
        await read_marks(self._connection, self._names, marks)
        ranked = sorted(found, key=lambda key: found[key].entry.rank, reverse=True)
        return tuple(
            _found(found[key], marks.whole.get(key), marks.whole.get(ends[key] or b""))
            for key in ranked
        )

    async def redrive(
        self,
        wanted: Filter = EVERYTHING,
        **options: Unpack[RedriveOptions],
    ) -> RedriveReport:
        """Publish their jobs again, each as its next generation, and mark them.

        Those that are marked, or that hold no job, are skipped. See RedriveOptions for what can be
        asked for.

        Raises:
            InvalidSettings: the edit, the schema, or another option cannot be used.
            InvalidJobs: jobs would not be valid; each is named, none is published.
            UnknownTopic: a route has no topic; nothing is published.
            Fenced: another operator has begun to work on the same route.
            RedriveInterrupted: Kafka went away. What was published is marked: run it again.
        """
        for name in options.keys() - RedriveOptions.__annotations__.keys():
            # A misspelt dry_run would publish.
            raise TypeError(f"redrive() got an unexpected keyword argument {name!r}")
        change = change_of(
            options.get("edit"),
            options.get("schema"),
            revalidate=options.get("revalidate", False),
            only_revalidate=options.get("only_revalidate", False),
            deadline=options.get("deadline"),
        )
        manner = _manner(options.get("rate"), options.get("canary"))
        say = options.get("on_progress") or _say_nothing
        async with AsyncExitStack() as stack:
            scan = await stack.enter_async_context(self._scan(say, wanted.first_written))
            originals = OriginalJobs(self._connection)
            stack.push_async_callback(originals.close)
            journal = JournalAnswers(self._connection, self._names.journal, say)
            stack.push_async_callback(journal.close)
            source = TopicSource(scan, wanted, change, originals, journal)
            terms = replace(self._terms(change), least_generation=options.get("generation", 1))
            run = RedriveRun(self._connection, source, terms, manner, say)
            return await run.run(dry_run=options.get("dry_run", False))

    async def redrive_from(
        self,
        path: str | os.PathLike[str],
        *,
        deadline: timedelta | None = None,
        dry_run: bool = False,
        rate: float | None = None,
        canary: Canary | int | None = None,
        on_progress: OnProgress | None = None,
    ) -> RedriveReport:
        """Publish the jobs that stand in a file, each in the place of the dead letter it names.

        The file is what `export` writes, mended by hand: so that what could not be decoded becomes
        a job. Raises what `redrive` raises; InvalidSettings for a file that cannot be read.
        """
        change = change_of(None, None, revalidate=False, only_revalidate=False, deadline=deadline)
        manner, say = _manner(rate, canary), on_progress or _say_nothing
        with CorrectionFile(os.fspath(path)) as file:
            async with self._scan(say, None) as scan:
                source = FileSource(scan, file)
                run = RedriveRun(self._connection, source, self._terms(change), manner, say)
                report = await run.run(dry_run=dry_run)
            for name in source.unknown():
                report.matched += 1
                report.skip(name, Skip.UNKNOWN)
        return report

    async def discard(
        self,
        wanted: Filter,
        *,
        why: str,
        dry_run: bool = False,
        on_progress: OnProgress | None = None,
    ) -> MarkReport:
        """Mark them as not worth a redrive; `why` is kept with the mark.

        Raises InvalidSettings, Fenced or RedriveInterrupted.
        """
        return await self._mark(wanted, why, dry_run, on_progress)

    async def unmark(
        self, wanted: Filter, *, dry_run: bool = False, on_progress: OnProgress | None = None
    ) -> MarkReport:
        """Take their marks back, so that they can be redriven, again if they were before.

        Raises Fenced or RedriveInterrupted.
        """
        return await self._mark(wanted, None, dry_run, on_progress)

    async def export(
        self,
        path: str | os.PathLike[str],
        wanted: Filter = EVERYTHING,
        *,
        on_progress: OnProgress | None = None,
    ) -> ExportReport:
        """Write them to a file, one JSON object a line, with prompts and answers.

        A job stands under `job`; what could not be decoded under `job` (where it is an object of
        JSON all the same), `text` or `base64`. Mended, the file goes in by `redrive_from`. Raises
        InvalidSettings where the file cannot be written.
        """
        originals = OriginalJobs(self._connection)
        exported = cut = 0
        try:
            with ExportFile(os.fspath(path)) as file:
                async with aclosing(self._letters(wanted, MarkTable(), on_progress)) as letters:
                    async for letter in letters:
                        line, is_whole = await _exported(letter, originals)
                        file.write(line)
                        exported += 1
                        cut += not is_whole
        finally:
            await originals.close()
        return ExportReport(exported=exported, cut=cut)

    async def _mark(
        self, wanted: Filter, why: str | None, dry_run: bool, on_progress: OnProgress | None
    ) -> MarkReport:
        say = on_progress or _say_nothing
        async with self._scan(say, wanted.first_written) as scan:
            marking = Marking(
                self._connection, self._names, scan, by=self._by, why=why, on_progress=say
            )
            return await marking.run(wanted, dry_run=dry_run)

    async def _letters(
        self, wanted: Filter, marks: MarkTable, on_progress: OnProgress | None
    ) -> AsyncGenerator[Letter, None]:
        await read_marks(self._connection, self._names, marks)
        say = on_progress or _say_nothing
        async with (
            self._scan(say, wanted.first_written) as scan,
            aclosing(scan.letters(marks, "reading")) as letters,
        ):
            async for letter in letters:
                if wanted.match(letter.entry):
                    yield letter

    def _scan(self, say: OnProgress, since: float | None) -> LetterScan:
        return LetterScan(self._connection, self._names, say, since)

    def _terms(self, change: Change) -> Terms:
        return Terms(
            names=self._names,
            change=change,
            by=self._by,
            most_bytes=self._max_job_bytes,
            judge=self._judge,
        )


async def _exported(letter: Letter, originals: OriginalJobs) -> tuple[dict[str, Any], bool]:
    """Its line, and whether it is whole."""
    dead, entry = letter.opened.letter, letter.entry
    if dead is not None:
        job = dead.job if dead.job is not None else await originals.of(dead)
        if job is None and dead.job_elsewhere is not None:
            head = dead.job_elsewhere.head.encode()
            return line_of(letter.opened, None, head) | {"cut": True}, False
        return line_of(letter.opened, job, None), True
    raw: bytes | None = letter.opened.value
    if entry.kind == "raw-head":
        topic, partition, offset = _place(entry.origin)
        whole = await originals.value(topic, partition, offset) if topic else None
        if whole is None or not whole.startswith(letter.opened.value):
            return line_of(letter.opened, None, raw) | {"cut": True}, False
        raw = whole
    return line_of(letter.opened, None, raw), True


def _place(origin: str) -> tuple[str, int, int]:
    """Topic, partition and offset; no topic where it is none."""
    found = _PLACE.fullmatch(origin)
    return (found[1], int(found[2]), int(found[3])) if found else ("", 0, 0)


def _found(letter: Letter, mark: Mark | None, ending: Mark | None) -> Found:
    ended = ending if ending is not None and ending.ends(mark) else None
    last = ended or mark
    fate = None if last is None or last.fate is Fate.UNMARKED else last.fate
    entry = replace(letter.entry, fate=fate)
    return Found(entry, letter.opened.letter, letter.opened.value, mark, ended)


def _manner(rate: float | None, canary: Canary | int | None) -> Manner:
    if rate is not None and not 0 < rate < float("inf"):
        raise InvalidSettings("rate: must be a number of jobs a minute, more than nothing")
    if isinstance(canary, int):
        canary = Canary(count=canary)
    if canary is not None and not (canary.count > 0 and canary.within > 0):
        raise InvalidSettings("canary: must be at least one job, with some time for it")
    return Manner(rate=rate, canary=canary)


def _who() -> str:
    try:
        user = getpass.getuser()
    except (OSError, KeyError):
        # A container's user may have no name.
        user = str(os.getuid()) if hasattr(os, "getuid") else "unknown"
    return f"{user}@{socket.gethostname()}"


def _say_nothing(progress: Progress) -> None:
    return None
