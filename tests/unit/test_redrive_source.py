"""Jobs of a file, each in the place of its dead letter: whose they are, and which generation."""

from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import orjson
import pytest
from bench_of_letters import letter, raw_headers

from tollway.connection import KafkaConnection
from tollway.dead_letters.entry import open_record
from tollway.dead_letters.export_file import CorrectionFile
from tollway.dead_letters.marks import MarkTable
from tollway.dead_letters.reading.reader import TopicRecord
from tollway.dead_letters.reading.scan import Generations, Letter, LetterScan
from tollway.dead_letters.redrive.change import Change
from tollway.dead_letters.redrive.next_job import Terms
from tollway.dead_letters.redrive.run import Manner, RedriveRun
from tollway.dead_letters.redrive.source import FileSource, Meant
from tollway.dead_letters.report import RedriveReport
from tollway_schemas import FailureClass, Fate, Job, Mark, TopicNames, headers
from tollway_schemas.codec import decode, encode

_ORIGIN = "t.jobs.extract.bulk-0-7"
_NEW: dict[str, Any] = {
    "request": {"messages": [{"role": "user", "content": "hi"}]},
    "created_at": "2026-01-01T00:00:00Z",
    "deadline": "2026-01-02T00:00:00Z",
}


class SomeLetters:
    """A scan of a topic that holds these dead letters."""

    def __init__(self, *records: TopicRecord) -> None:
        opened = [(record, open_record(record)) for record in records]
        self.all = [Letter(record, one, one.entry.name) for record, one in opened]
        self.generations = Generations()

    async def letters(self, marks: MarkTable, stage: str | None = None) -> AsyncIterator[Letter]:
        for each in self.all:
            yield each


def of_a_job(**fields: Any) -> TopicRecord:
    return TopicRecord(("d", 0), 0, b"k", encode(letter("job-1", **fields)))


def of_bytes(value: bytes, failure_class: FailureClass) -> TopicRecord:
    about = [*raw_headers(_ORIGIN), (headers.FAILURE_CLASS, failure_class.value.encode())]
    return TopicRecord(("d", 0), 0, b"k", value, about)


def of_a_newer_release(generation: int) -> TopicRecord:
    """A dead letter that this release cannot read, as a newer one writes it."""
    about = headers.encode(
        [
            (headers.JOB_ID, "job-1"),
            (headers.GENERATION, str(generation)),
            (headers.ROUTE, "extract"),
            (headers.TENANT, "acme"),
            (headers.ORIGIN, _ORIGIN),
            (headers.FAILURE_CLASS, "bad_output"),
        ]
    )
    return TopicRecord(("d", 0), 0, b"k", b'{"version": 2}', about)


def file_of(folder: Path, scan: SomeLetters, job: Mapping[str, Any]) -> Path:
    """A file with a line for each letter, and this job in it."""
    path = folder / "letters.jsonl"
    lines = [{"letter": orjson.loads(encode(each.name)), "job": job} for each in scan.all]
    path.write_bytes(b"".join(orjson.dumps(line) + b"\n" for line in lines))
    return path


async def found(folder: Path, record: TopicRecord, job: Mapping[str, Any]) -> tuple[Meant, Letter]:
    """What a file says of the one letter of a topic, with this job in its line."""
    scan = SomeLetters(record)
    with CorrectionFile(file_of(folder, scan, job)) as file:
        source = FileSource(cast(LetterScan, scan), file)
        (meant,) = [each async for each in source.meant(MarkTable(), None, whole=True)]
    assert meant.line == 1
    return meant, scan.all[0]


async def published(
    folder: Path, record: TopicRecord, job: Mapping[str, Any], before: int | None = None
) -> Job:
    """The job that is published; `before`: the generation that it was redriven as, and unmarked."""
    meant, one = await found(folder, record, job)
    terms = Terms(names=TopicNames(), change=Change(), by="me", most_bytes=1_000_000)
    connection = KafkaConnection("nowhere:1")
    run = RedriveRun(connection, cast(FileSource, None), terms, Manner(), lambda progress: None)
    if before is not None:
        mark = Mark(
            letter=one.name,
            fate=Fate.UNMARKED,
            at=datetime(2026, 1, 1, tzinfo=UTC),
            by="me",
            next_generation=before,
        )
        run._marks.put(mark)
    assert meant.again is not None, meant.detail
    report = RedriveReport()
    made = run._built(meant.again, report)
    assert made is not None, report.invalid_jobs
    return decode(Job, made.value)


@pytest.mark.parametrize(
    ("record", "job", "before", "generation"),
    [
        (of_a_job(generation=3), {}, None, 4),
        (of_a_job(generation=3), {"generation": 9}, None, 4),
        # It was a job, whoever can read it now.
        (of_a_newer_release(3), {}, None, 4),
        (of_a_newer_release(3), {}, 6, 7),
        (of_bytes(b'{"version": 2}', FailureClass.UNSUPPORTED_VERSION), {}, None, 2),
        (
            of_bytes(b'{"version": 2, "generation": 4}', FailureClass.UNSUPPORTED_VERSION),
            {},
            None,
            5,
        ),
        (of_bytes(b"{cut", FailureClass.UNSUPPORTED_VERSION), {"generation": 4}, None, 5),
        # Nobody could read these: no job had the generation that they claim.
        (of_bytes(b"{broken", FailureClass.UNDECODABLE), {}, None, 1),
        (of_bytes(b"{broken", FailureClass.UNDECODABLE), {"generation": 1}, None, 1),
        (of_bytes(b'{"generation": 3}', FailureClass.UNDECODABLE), {}, None, 3),
        (of_bytes(b'{"generation": "x"}', FailureClass.UNDECODABLE), {}, None, 1),
        (of_bytes(b"{broken", FailureClass.UNDECODABLE), {}, 1, 2),
    ],
)
async def test_a_mended_job_has_a_generation_that_no_job_of_that_name_has_had(
    tmp_path: Path,
    record: TopicRecord,
    job: dict[str, Any],
    before: int | None,
    generation: int,
) -> None:
    assert (await published(tmp_path, record, _NEW | job, before)).generation == generation


@pytest.mark.parametrize("record", [of_a_job(), of_a_newer_release(1)])
@pytest.mark.parametrize(
    "said", [{}, {"tenant": None, "id": None}, {"tenant": "acme", "id": "job-1"}]
)
async def test_what_a_line_leaves_out_of_whose_job_it_is_is_what_its_letter_says(
    tmp_path: Path, record: TopicRecord, said: dict[str, Any]
) -> None:
    job = await published(tmp_path, record, _NEW | said)

    assert (job.id, job.tenant, job.route) == ("job-1", "acme", "extract")


@pytest.mark.parametrize("record", [of_a_job(), of_a_newer_release(1)])
@pytest.mark.parametrize("said", [{"tenant": "thief"}, {"id": "other"}, {"tenant": ["acme"]}])
async def test_a_line_that_makes_it_somebody_elses_is_refused(
    tmp_path: Path, record: TopicRecord, said: dict[str, Any]
) -> None:
    meant, _ = await found(tmp_path, record, _NEW | said)

    assert "cannot be changed: it tells whose job it is" in meant.detail


async def test_what_nobody_could_read_is_whose_its_line_says(tmp_path: Path) -> None:
    record = of_bytes(b"{broken", FailureClass.UNDECODABLE)

    job = await published(tmp_path, record, _NEW | {"tenant": "acme"})
    nobodys = await published(tmp_path, record, _NEW)

    assert (job.id, job.tenant, nobodys.tenant) == (_ORIGIN, "acme", None)


async def test_what_a_canary_left_unread_is_in_the_topic_all_the_same(tmp_path: Path) -> None:
    scan = SomeLetters(of_a_job(), of_a_newer_release(2))
    with CorrectionFile(file_of(tmp_path, scan, _NEW)) as file:
        source = FileSource(cast(LetterScan, scan), file)
        survey = [each async for each in source.meant(MarkTable(), None, whole=False)]
        async for _ in source.meant(MarkTable(), None, whole=True):
            break

        assert (len(survey), list(source.unknown())) == (2, [])
