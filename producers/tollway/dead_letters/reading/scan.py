"""Reads the dead letters' topic from beginning to end, as often as that is needed."""

import hashlib
from collections.abc import AsyncGenerator
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Self

import orjson

from tollway.connection import KafkaConnection
from tollway.dead_letters.entry import Entry, Opened, open_record
from tollway.dead_letters.marks import MarkTable
from tollway.dead_letters.reading.reader import Partition, TopicReader, TopicRecord, count_between
from tollway.dead_letters.report import OnProgress, Progress
from tollway_schemas import LetterName, TopicNames

#: Records between two words about progress.
_OFTEN = 500


@dataclass(frozen=True, slots=True)
class Letter:
    """One dead letter of the topic."""

    record: TopicRecord
    opened: Opened
    name: LetterName

    @property
    def entry(self) -> Entry:
        """What is known of it without prompt and answer."""
        return self.opened.entry


class LetterScan:
    """The letters that are there when it is opened; `async with` opens it.

    Mutable state: the offsets that are read, and the highest generations that were seen.
    """

    def __init__(
        self,
        connection: KafkaConnection,
        names: TopicNames,
        on_progress: OnProgress,
        since: float | None = None,
    ) -> None:
        """`since`: nothing that Kafka took before, in seconds since 1970."""
        self._topic = names.dead_letters
        self._reader = TopicReader(connection)
        self._on_progress = on_progress
        self._since = since
        self._starts: dict[Partition, int] = {}
        self._ends: dict[Partition, int] = {}
        self.generations = Generations()

    async def __aenter__(self) -> Self:
        await self._reader.__aenter__()
        try:
            self._ends = await self._reader.ends(self._topic)
            self._starts = await self._reader.starts(self._ends, self._since)
        except BaseException:
            await self._reader.__aexit__(None, None, None)
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._reader.__aexit__(kind, error, traceback)

    async def letters(
        self, marks: MarkTable, stage: str | None = None
    ) -> AsyncGenerator[Letter, None]:
        """All of them, with what became of each; `stage` is the word for progress."""
        total, done = count_between(self._starts, self._ends), 0
        async for record in self._reader.between(self._starts, self._ends):
            done += 1
            if stage is not None and done % _OFTEN == 0:
                self._on_progress(Progress(stage, done, total))
            opened = open_record(record)
            name = opened.entry.name
            self.generations.see(opened.entry, name)
            if (fate := marks.fate_of(name)) is not None:
                opened = replace(opened, entry=replace(opened.entry, fate=fate))
            yield Letter(record, opened, name)
        if stage is not None:
            self._on_progress(Progress(stage, total, total))


class Generations:
    """The highest generation of each job that is a dead letter more than once.

    Mutable state: those beyond the first, by a digest of whose job it is.
    """

    def __init__(self) -> None:
        self._highest: dict[bytes, int] = {}

    def see(self, entry: Entry, name: LetterName) -> None:
        """Note one."""
        if name.generation > 1 and entry.kind == "job":
            job = _digest(name)
            self._highest[job] = max(self._highest.get(job, 1), name.generation)

    def __len__(self) -> int:
        return sum(self._highest.values())

    def is_superseded(self, name: LetterName) -> bool:
        """Whether a later generation is a dead letter too."""
        return bool(self._highest) and self._highest.get(_digest(name), 1) > name.generation


def _digest(name: LetterName) -> bytes:
    whose = orjson.dumps([name.route, name.tenant, name.job_id])
    return hashlib.blake2b(whose, digest_size=16).digest()
