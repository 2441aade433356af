"""Where a redrive takes its jobs from: the dead letters of a topic, or a file of mended ones."""

from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol

import orjson

from tollway.dead_letters.entry import Entry
from tollway.dead_letters.export_file import Correction, CorrectionFile
from tollway.dead_letters.filter import Filter
from tollway.dead_letters.marks import MarkTable, letter_digest
from tollway.dead_letters.reading.journal import JournalAnswers, merged_answers
from tollway.dead_letters.reading.originals import OriginalJobs
from tollway.dead_letters.reading.scan import Letter, LetterScan
from tollway.dead_letters.redrive.change import Change
from tollway.dead_letters.redrive.next_job import Again
from tollway.dead_letters.report import Skip
from tollway_schemas import DeadLetter, FailureClass, LetterName, headers
from tollway_schemas.bounds import MOST
from tollway_schemas.redrive import MOST_ANSWERS, StoredAnswer

_STAND_IN = StoredAnswer(attempt=1)


@dataclass(frozen=True, slots=True)
class Meant:
    """A dead letter that is meant: its job, or why it cannot be published again."""

    entry: Entry
    name: LetterName
    again: Again | None
    why_not: Skip | None = None
    detail: str = ""
    lacks_answers: bool = False
    """Whether an answer of it is cut, and found nowhere."""
    line: int | None = None
    """The line of the file that holds its job."""


class Source(Protocol):
    """What is redriven. It can be gone through more than once."""

    def meant(self, marks: MarkTable, stage: str | None, *, whole: bool) -> AsyncIterator[Meant]:
        """Each dead letter that is meant.

        `stage` is the word for progress; `whole`: with its answers, not stand-ins for them.
        """
        ...

    def is_superseded(self, name: LetterName) -> bool:
        """Whether a later generation of its job is a dead letter too, as far as was seen."""
        ...

    async def learn(self) -> bool:
        """After a first pass: whether more is known now, so that its count was not exact."""
        ...


class TopicSource:
    """The dead letters that a filter means."""

    def __init__(
        self,
        scan: LetterScan,
        wanted: Filter,
        change: Change,
        originals: OriginalJobs,
        journal: JournalAnswers,
    ) -> None:
        self._scan = scan
        self._wanted = wanted
        self._change = change
        self._originals = originals
        self._journal = journal
        self._learned = False

    async def meant(
        self, marks: MarkTable, stage: str | None, *, whole: bool
    ) -> AsyncIterator[Meant]:
        """Each dead letter that is meant."""
        async for letter in self._scan.letters(marks, stage):
            if self._wanted.match(letter.entry):
                if letter.entry.fate is not None:
                    yield Meant(letter.entry, letter.name, None, Skip.MARKED)
                else:
                    yield await self._opened(letter, whole=whole)

    def is_superseded(self, name: LetterName) -> bool:
        """Whether a later generation of its job is a dead letter too, as far as was seen."""
        return self._scan.generations.is_superseded(name)

    async def learn(self) -> bool:
        """Look for answers in the journal; whether a second pass would count otherwise."""
        if self._learned:
            return False
        self._learned = True
        return await self._journal.find() or len(self._scan.generations) > 0

    async def _opened(self, letter: Letter, *, whole: bool) -> Meant:
        dead, entry = letter.opened.letter, letter.entry
        if dead is None:
            why = Skip.UNREADABLE if entry.kind == "unreadable" else Skip.NO_JOB
            return Meant(entry, letter.name, None, why)
        job = dead.job
        if job is None:
            job = await self._originals.of(dead)
        if not isinstance(job, Mapping):
            return Meant(entry, letter.name, None, Skip.JOB_GONE)
        answers: tuple[StoredAnswer, ...] = ()
        if self._change.revalidate:
            if not self._learned:
                self._journal.want(dead)
            answers = await self._answers(dead) if whole else self._stand_ins(dead)
        again = Again(
            letter=letter.name,
            job=job,
            generation=letter.name.generation,
            origin=dead.origin.topic,
            dead_at=dead.dead_at,
            failure_class=entry.failure_class,
            fingerprint=entry.fingerprint,
            headers=headers.of_the_service(letter.record.headers),
            answers=answers,
        )
        lacks = self._change.revalidate and self._journal.lacks(dead)
        return Meant(entry, letter.name, again, lacks_answers=lacks)

    async def _answers(self, dead: DeadLetter) -> tuple[StoredAnswer, ...]:
        found = await self._journal.of(dead)
        return merged_answers(dead.stored_answers(), found, MOST_ANSWERS)

    def _stand_ins(self, dead: DeadLetter) -> tuple[StoredAnswer, ...]:
        """As many empty ones."""
        kept = sum(answer.revalidatable for answer in dead.bad_answers)
        return (_STAND_IN,) * min(kept + self._journal.found(dead), MOST_ANSWERS)


class FileSource:
    """The dead letters that a file names, with the jobs that it holds for them.

    What the file says of a dead letter itself is not believed: that is looked up in the topic.
    """

    def __init__(self, scan: LetterScan, file: CorrectionFile) -> None:
        self._scan = scan
        self._file = file
        self._learned = False
        self._there: set[bytes] = set()

    async def meant(
        self, marks: MarkTable, stage: str | None, *, whole: bool
    ) -> AsyncIterator[Meant]:
        """Each dead letter that the file names."""
        seen = set[bytes]()
        async for letter in self._scan.letters(marks, stage):
            key = letter_digest(letter.name)
            if key in seen or key not in self._file:
                continue
            seen.add(key)
            self._there.add(key)
            if letter.entry.fate is not None:
                yield Meant(letter.entry, letter.name, None, Skip.MARKED)
            else:
                mended = _mended(letter, self._file.read(key))
                yield replace(mended, line=self._file.line_of(key))

    def unknown(self) -> Iterator[LetterName]:
        """Those of the file that no pass has found in the topic."""
        return (self._file.read(key).letter for key in self._file if key not in self._there)

    def is_superseded(self, name: LetterName) -> bool:
        """Whether a later generation of its job is a dead letter too, as far as was seen."""
        return self._scan.generations.is_superseded(name)

    async def learn(self) -> bool:
        """Whether a second pass would count otherwise."""
        learned, self._learned = self._learned, True
        return not learned and len(self._scan.generations) > 0


def _mended(letter: Letter, correction: Correction) -> Meant:
    entry = letter.entry
    problem = correction.problem or _another(letter, correction.job)
    if problem is not None:
        return Meant(entry, letter.name, None, Skip.INVALID, problem)
    again = Again(
        letter=letter.name,
        job=correction.job,
        generation=_generation(letter, correction.job),
        origin=entry.origin.rpartition("-")[0].rpartition("-")[0],
        dead_at=entry.dead_at,
        failure_class=entry.failure_class,
        fingerprint=entry.fingerprint,
        headers=headers.of_the_service(letter.record.headers),
        by_hand=True,
        is_mended=entry.is_raw,
    )
    return Meant(entry, letter.name, again)


def _another(letter: Letter, job: Mapping[str, Any]) -> str | None:
    """Why a job of the file is not that of its letter; what could not be decoded was no job yet."""
    entry, dead = letter.entry, letter.opened.letter
    if entry.is_raw:
        return None
    before = dead.job if dead is not None and isinstance(dead.job, Mapping) else {}
    whose = {"id": entry.job_id, "tenant": before.get("tenant", entry.tenant)}
    for name, said in whose.items():
        # What a line leaves out is what its letter says.
        if job.get(name) not in (None, said):
            return f"{name} cannot be changed: it tells whose job it is"
    return None


def _generation(letter: Letter, job: Mapping[str, Any]) -> int:
    """The highest that the job of a letter had before it was mended; 0: it was none yet."""
    entry = letter.entry
    if not entry.is_raw:
        return letter.name.generation
    claimed = max(_claimed(job), _claimed(_json_of(letter.opened.value)))
    # A job of a newer release was one, and what became of it is known by its generation. Else
    # nobody has read a job of the one that is claimed.
    was_a_job = entry.failure_class == FailureClass.UNSUPPORTED_VERSION
    return claimed if was_a_job else claimed - 1


def _claimed(job: object) -> int:
    """The generation that a job says it has; a service says none, or anything."""
    said = job.get("generation") if isinstance(job, Mapping) else None
    return said if type(said) is int and 1 <= said <= MOST else 1


def _json_of(value: bytes) -> object:
    try:
        return orjson.loads(value)
    except orjson.JSONDecodeError:
        return None
