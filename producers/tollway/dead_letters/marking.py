"""Marks dead letters as discarded, or takes their marks back; each at most once."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime

from tollway.connection import KafkaConnection
from tollway.dead_letters.filter import Filter
from tollway.dead_letters.marks import MarkTable
from tollway.dead_letters.reading.mark_log import read_marks
from tollway.dead_letters.reading.reader import TopicReader
from tollway.dead_letters.reading.scan import Letter, LetterScan
from tollway.dead_letters.redrive.outbox import Item, Outbox, Pace
from tollway.dead_letters.redrive.transactions import Outgoing, RouteWriters
from tollway.dead_letters.report import MarkReport, OnProgress, Progress, Skip
from tollway.errors import InvalidSettings, UnknownTopic
from tollway_schemas import Fate, Mark, TopicNames
from tollway_schemas.codec import encode
from tollway_schemas.mark import MOST_FINGERPRINT, MOST_WHY
from tollway_schemas.redrive import MOST_NAME


class Marking:
    """One discard (`why` is the reason), or one unmark (`why` is None). `run` once."""

    def __init__(
        self,
        connection: KafkaConnection,
        names: TopicNames,
        scan: LetterScan,
        *,
        by: str,
        why: str | None,
        on_progress: OnProgress,
    ) -> None:
        if why is not None and not 0 < len(why.strip()) <= MOST_WHY:
            raise InvalidSettings(f"why: must be a reason of at most {MOST_WHY:,} characters")
        self._connection = connection
        self._names = names
        self._scan = scan
        self._by = by
        self._why = why
        self._on_progress = on_progress
        self._marks = MarkTable()

    async def run(self, wanted: Filter, *, dry_run: bool) -> MarkReport:
        """Raises Fenced, RedriveInterrupted or UnknownTopic."""
        await read_marks(self._connection, self._names, self._marks)
        matched, todo, routes = 0, 0, set[str]()
        async for letter in self._meant(wanted, "reading"):
            matched += 1
            if self._is_due(letter):
                todo += 1
                routes.add(letter.name.route)
        why = Skip.NOT_MARKED if self._why is None else Skip.MARKED
        skipped = {why: matched - todo} if matched > todo else {}
        if not dry_run and todo:
            todo = await self._mark(wanted, sorted(routes), todo)
        return MarkReport(dry_run=dry_run, matched=matched, marked=todo, skipped=skipped)

    async def _mark(self, wanted: Filter, routes: list[str], total: int) -> int:
        async with TopicReader(self._connection) as reader:
            if self._names.marks not in await reader.partitions():
                raise UnknownTopic(self._names.marks, "run `tollway topics apply`")
        async with RouteWriters(self._connection, self._names.prefix) as writers:
            await writers.take(routes)
            self._marks = MarkTable()
            await read_marks(self._connection, self._names, self._marks)
            outbox = Outbox(
                writers,
                Pace(None),
                lambda written: self._on_progress(Progress("marking", written, total)),
            )
            async with outbox.writing():
                async for letter in self._meant(wanted, None):
                    if self._is_due(letter):
                        await outbox.add(self._item(letter))
            return outbox.written

    async def _meant(self, wanted: Filter, stage: str | None) -> AsyncIterator[Letter]:
        async for letter in self._scan.letters(self._marks, stage):
            if wanted.match(letter.entry):
                yield letter

    def _is_due(self, letter: Letter) -> bool:
        is_marked = self._marks.fate_of(letter.name) is not None
        return is_marked is (self._why is None)

    def _item(self, letter: Letter) -> Item:
        name, entry = letter.name, letter.entry
        mark = Mark(
            letter=name,
            fate=Fate.UNMARKED if self._why is None else Fate.DISCARDED,
            at=datetime.now(UTC),
            by=self._by,
            why=None if self._why is None else self._why.strip(),
            # It takes the place of the mark that says so.
            next_generation=self._marks.published(name) or None,
            run=None if entry.run is None else entry.run[:MOST_NAME],
            fingerprint=entry.fingerprint[:MOST_FINGERPRINT],
        )
        self._marks.put(mark)
        return Item(name.route, (Outgoing(self._names.marks, mark.key, encode(mark), []),))
