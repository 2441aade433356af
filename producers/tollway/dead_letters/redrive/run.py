"""Publishes the jobs of dead letters again: surveyed as a whole, then each once."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import orjson

from tollway.connection import KafkaConnection
from tollway.dead_letters.marks import MarkTable, letter_digest
from tollway.dead_letters.reading.mark_log import follow_marks, read_marks
from tollway.dead_letters.reading.reader import Partition, TopicReader
from tollway.dead_letters.redrive.next_job import (
    Again,
    Publication,
    Terms,
    Unpublishable,
    mark_of,
    publication,
)
from tollway.dead_letters.redrive.outbox import Item, Outbox, Pace
from tollway.dead_letters.redrive.source import Meant, Source
from tollway.dead_letters.redrive.transactions import Outgoing, RouteWriters
from tollway.dead_letters.report import (
    Canary,
    OnProgress,
    Progress,
    RedriveReport,
    RouteEstimate,
    Skip,
    Skipped,
)
from tollway.errors import InvalidJobs, UnknownTopic
from tollway.topics import advice_for_route
from tollway_schemas import Fate, LetterName
from tollway_schemas.codec import encode


@dataclass(frozen=True, slots=True, kw_only=True)
class Manner:
    """How jobs are published."""

    rate: float | None = None
    """Jobs a minute."""
    canary: Canary | None = None


class RedriveRun:
    """One redrive. `run` once.

    Mutable state: the marks as they were read last, the routes and topics that the survey found.
    """

    def __init__(
        self,
        connection: KafkaConnection,
        source: Source,
        terms: Terms,
        manner: Manner,
        on_progress: OnProgress,
    ) -> None:
        self._connection = connection
        self._source = source
        self._terms = terms
        self._manner = manner
        self._on_progress = on_progress
        self._marks = MarkTable()
        self._routes: set[str] = set()
        self._topics: set[str] = set()

    async def run(self, *, dry_run: bool) -> RedriveReport:
        """Raises InvalidJobs or UnknownTopic before anything is published."""
        survey = await self._survey(dry_run=dry_run)
        if dry_run or (not survey.invalid and not survey.redriven):
            return survey
        if survey.invalid:
            named = [(_said(each), each.detail) for each in survey.invalid_jobs]
            raise InvalidJobs(named, survey.invalid, survey.invalid + survey.redriven)
        await self._require_topics()
        async with RouteWriters(self._connection, self._terms.names.prefix) as writers:
            # From here on nobody else marks letters of these routes: what is marked now is all.
            await writers.take(sorted(self._routes))
            self._marks = MarkTable()
            ends = await read_marks(self._connection, self._terms.names, self._marks)
            report = await self._publish(writers, survey.redriven, ends)
        if report.stopped is not None:
            # It has looked at no more than the canary's own.
            report.matched = survey.matched
        return report

    async def _survey(self, *, dry_run: bool) -> RedriveReport:
        """What would be done, without doing it."""
        await read_marks(self._connection, self._terms.names, self._marks)
        report = await self._survey_once(dry_run=dry_run)
        while await self._source.learn():
            report = await self._survey_once(dry_run=dry_run)
        return report

    async def _survey_once(self, *, dry_run: bool) -> RedriveReport:
        report = RedriveReport(dry_run=dry_run)
        counted: set[bytes] = set()
        self._routes, self._topics = set(), set()
        async for meant in self._source.meant(self._marks, "reading", whole=False):
            key = letter_digest(meant.name)
            if key in counted:
                # A worker that crashed may have written it twice.
                continue
            found = self._publication(meant, report)
            if found is not None:
                counted.add(key)
                self._routes.add(meant.name.route)
                self._topics.add(found.topic)
                _count(report, meant, found)
                if dry_run:
                    _estimate(report, found)
        return report

    async def _require_topics(self) -> None:
        """Raises UnknownTopic: aiokafka would wait for one that is not there, or make it."""
        async with TopicReader(self._connection) as reader:
            there = await reader.partitions()
        names = self._terms.names
        for topic in sorted(self._topics):
            if topic not in there:
                raise UnknownTopic(topic, advice_for_route(names.prefix)(set(there)))
        if names.marks not in there:
            raise UnknownTopic(names.marks, "run `tollway topics apply`")

    async def _publish(
        self, writers: RouteWriters, total: int, ends: Mapping[Partition, int]
    ) -> RedriveReport:
        report = RedriveReport()
        outbox = Outbox(writers, Pace(self._manner.rate), self._say(total))
        async with outbox.writing():
            await self._publish_each(report, outbox, ends)
        report.redriven = outbox.written
        return report

    async def _publish_each(
        self, report: RedriveReport, outbox: Outbox, ends: Mapping[Partition, int]
    ) -> None:
        canary, names = self._manner.canary, list[LetterName]()
        async for meant in self._source.meant(self._marks, None, whole=True):
            found = self._publication(meant, report)
            if found is None:
                continue
            _count(report, meant, found)
            await outbox.add(self._item(meant, found))
            if canary is not None and len(names) < canary.count:
                names.append(found.letter)
                if len(names) == canary.count:
                    await outbox.flush()
                    report.stopped = await self._stopped_by(canary, names, report, dict(ends))
                    if report.stopped is not None:
                        return

    async def _stopped_by(
        self,
        canary: Canary,
        names: list[LetterName],
        report: RedriveReport,
        ends: dict[Partition, int],
    ) -> str | None:
        """Why the rest is not redriven; None: the canary's jobs were answered."""
        self._on_progress(Progress("waiting for the canary", 0, len(names)))

        def fates(fate: Fate) -> int:
            return sum(self._marks.fate_of(name) is fate for name in names)

        def enough() -> bool:
            failed = fates(Fate.FAILED)
            self._on_progress(
                Progress("waiting for the canary", failed + fates(Fate.ANSWERED), len(names))
            )
            return failed > 0 or fates(Fate.ANSWERED) == len(names)

        await follow_marks(self._connection, ends, self._marks, enough, canary.within)
        report.canary_answered, report.canary_failed = fates(Fate.ANSWERED), fates(Fate.FAILED)
        if report.canary_failed:
            return f"{report.canary_failed} of the first {len(names)} jobs failed again"
        left = len(names) - report.canary_answered
        if left:
            return f"{left} of the first {len(names)} jobs had not ended after {canary.within:g} s"
        return None

    def _publication(self, meant: Meant, report: RedriveReport) -> Publication | None:
        """The records for one that is meant; None where it is skipped, which is counted."""
        report.matched += 1
        why = self._why_not(meant)
        if why is Skip.INVALID:
            report.refuse(meant.name, meant.detail, meant.line)
        elif why is not None:
            report.skip(meant.name, why)
        elif meant.again is not None:
            return self._built(meant.again, report, meant.line)
        return None

    def _why_not(self, meant: Meant) -> Skip | None:
        if meant.why_not is not None:
            return meant.why_not
        if self._marks.fate_of(meant.name) is not None:
            return Skip.MARKED
        if self._source.is_superseded(meant.name):
            return Skip.SUPERSEDED
        only = self._terms.change.only_revalidate
        if only and meant.again is not None and not meant.again.answers:
            return Skip.NO_ANSWER
        return None

    def _built(
        self, again: Again, report: RedriveReport, line: int | None = None
    ) -> Publication | None:
        # One that no job of that name has had.
        had = max(again.generation, self._marks.published(again.letter))
        generation = max(had + 1, self._terms.least_generation)
        try:
            found = publication(again, generation, self._terms, datetime.now(UTC))
        except Unpublishable as error:
            if self._terms.change.edits or again.by_hand:
                report.refuse(again.letter, str(error), line)
            else:
                report.skip(again.letter, Skip.INVALID, str(error))
            return None
        if self._terms.change.only_revalidate and not found.answers:
            report.skip(again.letter, Skip.NO_ANSWER, "its answers are too large beside its job")
            return None
        return found

    def _item(self, meant: Meant, found: Publication) -> Item:
        """The job and the mark of its letter; a second copy of that is marked from here on."""
        assert meant.again is not None  # noqa: S101 what has no job has no publication
        said = mark_of(meant.again, found, self._terms.by)
        self._marks.put(said)
        job = Outgoing(found.topic, found.key, found.value, found.headers)
        mark = Outgoing(self._terms.names.marks, said.key, encode(said), [])
        return Item(meant.name.route, (job, mark))

    def _say(self, total: int) -> Callable[[int], None]:
        def say(written: int) -> None:
            self._on_progress(Progress("redriving", written, total))

        return say


def _count(report: RedriveReport, meant: Meant, found: Publication) -> None:
    report.redriven += 1
    report.with_answers += found.answers > 0
    report.answers_cut += meant.lacks_answers
    report.by_route[found.job.route] = report.by_route.get(found.job.route, 0) + 1
    report.cost_before += meant.entry.cost or 0
    report.cost_unknown += meant.entry.cost is None


def _estimate(report: RedriveReport, found: Publication) -> None:
    of_route = report.estimate.setdefault(found.job.route, RouteEstimate())
    of_route.jobs += 1
    of_route.prompt_tokens += _prompt_bytes(found.value)
    if found.job.request.max_output_tokens is None:
        of_route.unlimited += 1
    else:
        of_route.answer_tokens += found.job.request.max_output_tokens


def _prompt_bytes(value: bytes) -> int:
    """UTF-8 bytes of what is asked, its schema included."""
    job: dict[str, Any] = orjson.loads(value)
    return sum(len(orjson.dumps(job[name])) for name in ("request", "output") if name in job)


def _said(each: Skipped) -> str:
    line = "" if each.line is None else f", line {each.line}"
    return f"{each.letter.job_id!r} (route {each.letter.route!r}){line}"
