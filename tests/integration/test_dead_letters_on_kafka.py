"""The dead letters' repair bench on a real Kafka, without a fleet."""

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from bench_of_letters import Bench, answer, letter, raw_headers

from tollway import DeadLetters, ProducerError
from tollway.dead_letters import Canary, Filter, InvalidJobs, Skip
from tollway.dead_letters.reading.originals import OriginalJobs
from tollway.errors import InvalidSettings, UnknownTopic
from tollway_schemas import (
    FailureClass,
    Fate,
    JournalRecord,
    Priority,
    StoredElsewhere,
    headers,
)
from tollway_schemas.codec import encode
from tollway_schemas.keys import job_key

pytestmark = pytest.mark.kafka


@pytest.fixture
async def bench(
    bootstrap_servers: str, topic_prefix: str, make_topics: Callable[..., Awaitable[None]]
) -> AsyncIterator[Bench]:
    async with Bench(bootstrap_servers, topic_prefix) as bench:
        await make_topics(*bench.topics("extract", "other"))
        yield bench


async def test_dead_letters_are_grouped_by_cause_with_what_they_cost(bench: Bench) -> None:
    await bench.write(letter("a", cost=5), letter("b", cost=7), letter("c", cost=None))
    await bench.write(letter("d", fingerprint="other", failure_class=FailureClass.TRUNCATED))

    overview = await bench.letters.groups()

    first, second = overview.groups
    assert (first.count, first.cost, first.cost_unknown) == (3, 12, 1)
    assert "--schema" in first.hint
    assert (second.count, second.failure_class) == (1, "truncated")
    assert overview.total == 4


async def test_a_redriven_job_is_its_next_generation_with_the_time_it_had_at_first(
    bench: Bench,
) -> None:
    day = datetime.now(UTC) - timedelta(days=3)
    times = {"created_at": day.isoformat(), "deadline": (day + timedelta(hours=30)).isoformat()}
    dead = letter("a", job=times | {"labels": {"mine": "1"}, "newer_field": 5})
    await bench.write(dead, headers=[("traceparent", b"00-1"), ("tollway-failure-class", b"x")])

    report = await bench.letters.redrive()

    (record,) = await bench.jobs("extract")
    job = json.loads(record.value or b"")
    assert (report.redriven, report.by_route) == (1, {"extract": 1})
    assert (job["id"], job["generation"], job["labels"]) == ("a", 2, {"mine": "1"})
    assert job["newer_field"] == 5
    assert job["redrive"]["of"] == json.loads(encode(dead.name))
    left = datetime.fromisoformat(job["deadline"]) - datetime.now(UTC)
    assert timedelta(hours=29) < left < timedelta(hours=31)
    assert record.key == b"a"
    names = [name for name, _ in record.headers]
    assert "traceparent" in names
    assert headers.FAILURE_CLASS not in names
    assert headers.get(record.headers, headers.GENERATION) == "2"


async def test_each_is_redriven_once_however_often_it_is_asked_for(bench: Bench) -> None:
    # Written twice, as a worker that crashed does.
    await bench.write(letter("a"), letter("a"), letter("b"))

    assert (await bench.letters.redrive()).redriven == 2
    again = await bench.letters.redrive()

    assert (again.redriven, again.skipped) == (0, {Skip.MARKED: 3})
    assert len(await bench.jobs("extract")) == 2


async def test_only_the_highest_generation_of_a_job_is_redriven(bench: Bench) -> None:
    await bench.write(letter("a", generation=2), letter("a"), letter("a", tenant="other"))

    report = await bench.letters.redrive()

    assert (report.redriven, report.skipped) == (2, {Skip.SUPERSEDED: 1})
    assert sorted(job["generation"] for job in await bench.job_values("extract")) == [2, 3]


async def test_an_edit_that_makes_jobs_invalid_names_each_and_publishes_none(bench: Bench) -> None:
    limited = {"request": {"messages": [{"role": "user", "content": "x"}], "temperature": 1.5}}
    await bench.write(letter("a"), letter("b", job=limited), letter("c"))
    patch = {"request": {"messages": None}, "output": {"json_schema": {}}}

    with pytest.raises(InvalidJobs, match=r"3 of 3 jobs would not be valid.*messages") as refused:
        await bench.letters.redrive(edit=patch)

    assert {name for name, _ in refused.value.invalid} == {
        f"'{name}' (route 'extract')" for name in "abc"
    }
    assert await bench.jobs("extract") == []
    assert await bench.marks() == []


async def test_an_edit_of_the_route_is_published_there_and_marked_as_the_letters(
    bench: Bench,
) -> None:
    await bench.write(letter("a"))

    with pytest.raises(UnknownTopic, match="other"):
        await bench.letters.redrive(edit={"route": "nowhere"})
    await bench.letters.redrive(edit={"route": "other", "request": {"max_output_tokens": 9}})

    (job,) = await bench.job_values("other")
    (mark,) = await bench.marks()
    assert job["request"]["max_output_tokens"] == 9
    assert (mark.letter.route, mark.next_route, mark.next_generation) == ("extract", "other", 2)
    assert mark.by == "me@here"


async def test_revalidation_carries_the_answers_and_the_corrected_schema(bench: Bench) -> None:
    await bench.write(
        letter("a", bad=[answer('{"n": 1}')], job={"output": {"json_schema": False, "name": "x"}})
    )
    await bench.write(letter("b"))

    report = await bench.letters.redrive(revalidate=True, schema={"type": "object"}, dry_run=True)
    assert (report.redriven, report.with_answers) == (2, 1)
    report = await bench.letters.redrive(only_revalidate=True, schema={"type": "object"})

    (job,) = await bench.job_values("extract")
    assert report.skipped == {Skip.NO_ANSWER: 1}
    assert job["output"] == {"json_schema": {"type": "object"}, "name": "x"}
    assert [each["text"] for each in job["redrive"]["answers"]] == ['{"n": 1}']
    assert job["redrive"]["only_revalidate"] is True
    assert job["redrive"]["failure_class"] == "bad_output"


async def test_an_answer_that_was_cut_is_taken_from_the_journal_or_said_to_be_gone(
    bench: Bench,
) -> None:
    await bench.write(
        letter("kept", bad=[answer('{"n": ', cut=True)]),
        letter("gone", bad=[answer('{"n": ', cut=True)]),
    )
    body: Any = {"type": "message", "content": [{"type": "text", "text": '{"n": 17}'}]}
    other: Any = {"choices": [{"message": {"content": "no"}}]}
    for tenant, said in (("acme", body), ("thief", other)):
        call = JournalRecord(
            job_id="kept",
            generation=1,
            route="extract",
            tenant=tenant,
            worker="w",
            attempt=letter("kept").attempts[0],
            response=said,
        )
        await bench.put(bench.names.journal, encode(call), job_key("kept"))

    report = await bench.letters.redrive(revalidate=True)

    jobs = {job["id"]: job for job in await bench.job_values("extract")}
    assert [each["text"] for each in jobs["kept"]["redrive"]["answers"]] == ['{"n": 17}']
    assert "answers" not in jobs["gone"]["redrive"] or jobs["gone"]["redrive"]["answers"] == []
    assert (report.with_answers, report.answers_cut) == (1, 1)


async def test_a_job_that_its_letter_does_not_hold_is_read_where_it_came_from(
    bench: Bench,
) -> None:
    value = json.dumps(letter("big").job).encode()
    await bench.put(bench.names.jobs("extract", Priority.BULK), value, b"big")
    (first,) = await bench.jobs("extract")

    def stored(of: bytes) -> StoredElsewhere:
        return StoredElsewhere(bytes=len(of), sha256=hashlib.sha256(of).hexdigest(), head="")

    place = {"topic": first.partition[0], "partition": first.partition[1], "offset": first.offset}
    await bench.write(letter("big", elsewhere=stored(value), origin=place))
    await bench.write(letter("gone", elsewhere=stored(b"other"), origin=place))

    report = await bench.letters.redrive()

    assert (report.redriven, report.skipped) == (1, {Skip.JOB_GONE: 1})
    assert [job["id"] for job in await bench.job_values("extract")] == ["big", "big"]


async def test_a_letter_that_claims_to_come_from_where_nothing_is_waits_for_nothing(
    bench: Bench,
) -> None:
    topic = bench.names.jobs("extract", Priority.BULK)
    await bench.put(topic, b"{}", b"a")
    (first,) = await bench.jobs("extract")
    partition, end = first.partition[1], first.offset + 1
    places = [(partition, end), (partition, end + 5), (partition, 2**63 - 1), (9, 0), (0, 10**30)]

    async with asyncio.timeout(20):
        originals = OriginalJobs(bench.connection)
        found = [await originals.value(topic, *place) for place in places]
        # One place that is none hinders none.
        there = await originals.value(topic, partition, first.offset)
        await originals.close()

    assert found == [None] * len(places)
    assert there == b"{}"


async def test_answers_of_the_first_year_are_looked_for_from_the_beginning_on(bench: Bench) -> None:
    first = datetime(1, 1, 1, tzinfo=UTC)
    called = letter("a").attempts[0].model_copy(update={"started_at": first})
    await bench.write(letter("a", bad=[answer("{", cut=True)], attempts=(called,), dead_at=first))

    report = await bench.letters.redrive(Filter(since=first), revalidate=True)

    assert (report.redriven, report.answers_cut) == (1, 1)


async def test_what_could_not_be_decoded_is_exported_mended_and_redriven(
    bench: Bench, tmp_path: Path
) -> None:
    mended = {key: said for key, said in letter("m").job.items() if key != "id"}  # type: ignore[union-attr]  # a job is an object
    raws = {0: b'{"id": "almost", "request": 1}', 1: b"{broken", 2: b"\xff\xfe"}
    for offset, value in raws.items():
        about = raw_headers(f"{bench.names.prefix}.jobs.extract.bulk-0-{offset}")
        await bench.put(bench.names.dead_letters, value, f"raw-{offset}/1".encode(), about)
    file = tmp_path / "letters.jsonl"

    exported = await bench.letters.export(file, Filter(failure_class="undecodable"))

    lines = [json.loads(line) for line in file.read_text().splitlines()]
    assert (exported.exported, file.stat().st_mode & 0o777) == (3, 0o600)
    assert sorted(name for line in lines for name in ("job", "text", "base64") if name in line) == [
        "base64",
        "job",
        "text",
    ]
    assert (await bench.letters.redrive()).skipped == {Skip.NO_JOB: 3}
    for line in lines:
        line.update(job=mended)
        line.pop("text", None)
    lines.append({"letter": {"route": "extract", "job_id": "unheard-of"}, "job": mended})
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))

    report = await bench.letters.redrive_from(file)
    again = await bench.letters.redrive_from(file)

    jobs = await bench.job_values("extract")
    assert (report.redriven, report.skipped) == (3, {Skip.UNKNOWN: 1})
    assert again.skipped == {Skip.MARKED: 3, Skip.UNKNOWN: 1}
    assert {job["generation"] for job in jobs} == {1}
    assert {job["id"] for job in jobs} == {line["letter"]["job_id"] for line in lines[:3]}


async def test_a_file_with_a_line_that_is_no_job_publishes_none(
    bench: Bench, tmp_path: Path
) -> None:
    about = raw_headers(f"{bench.names.prefix}.jobs.extract.bulk-0-5")
    await bench.put(bench.names.dead_letters, b"{broken", b"x/1", about)
    file = tmp_path / "letters.jsonl"
    await bench.letters.export(file)

    with pytest.raises(InvalidJobs, match=r"bulk-0-5.*text: is not JSON"):
        await bench.letters.redrive_from(file)
    file.write_text('{"letter": {"route": "extract"}}\n')
    with pytest.raises(InvalidSettings, match=r"line 1: letter.job_id: is missing"):
        await bench.letters.redrive_from(file)

    assert await bench.jobs("extract") == []


async def test_a_job_that_is_edited_in_a_file_stays_the_job_of_its_letter(
    bench: Bench, tmp_path: Path
) -> None:
    await bench.write(letter("a"), letter("b"))
    file = tmp_path / "letters.jsonl"
    await bench.letters.export(file)
    lines = sorted(
        map(json.loads, file.read_text().splitlines()), key=lambda each: each["job"]["id"]
    )

    def mended(**job: Any) -> None:
        changed = [lines[0] | {"job": lines[0]["job"] | job}, lines[1]]
        file.write_text("".join(json.dumps(line) + "\n" for line in changed))

    for job, why in (
        ({"tenant": "thief"}, "tenant cannot be changed"),
        ({"id": "b"}, "id cannot be changed"),
        ({"request": {}}, r"request\.messages: is missing"),
    ):
        mended(**job)
        with pytest.raises(InvalidJobs, match=rf"1 of 2 jobs would not be valid.*'a'.*{why}"):
            await bench.letters.redrive_from(file)
    assert await bench.jobs("extract") == []
    mended(labels={"by": "hand"})
    await bench.letters.redrive_from(file)

    jobs = {job["id"]: job for job in await bench.job_values("extract")}
    assert (jobs["a"]["labels"], jobs["a"]["generation"]) == ({"by": "hand"}, 2)
    assert jobs["b"]["generation"] == 2


@pytest.mark.slow
async def test_what_is_discarded_is_redriven_only_after_its_mark_was_taken_back(
    bench: Bench,
) -> None:
    await bench.write(letter("a"), letter("b"))

    marked = await bench.letters.discard(Filter(job_id="a"), why="a test")
    assert (marked.matched, marked.marked) == (1, 1)
    assert (await bench.letters.redrive()).skipped == {Skip.MARKED: 1}
    (found,) = await bench.letters.find("a")
    assert found.mark is not None
    assert (found.entry.fate, found.mark.why) == (Fate.DISCARDED, "a test")
    assert (await bench.letters.list(Filter(marked=False))).total == 0
    taken = await bench.letters.unmark(Filter(marked=True))

    assert taken.marked == 2
    (found,) = await bench.letters.find("b")
    assert found.mark is not None
    # Who did so is kept.
    assert (found.entry.fate, found.mark.fate, found.mark.by) == (None, Fate.UNMARKED, "me@here")
    await bench.letters.discard(Filter(job_id="b"), why="again")
    await bench.letters.unmark(Filter(job_id="b"))
    assert (await bench.letters.unmark(Filter())).skipped == {Skip.NOT_MARKED: 2}
    assert (await bench.letters.redrive()).redriven == 2
    generations = {job["id"]: job["generation"] for job in await bench.job_values("extract")}
    # That of b was 2 before: readers would drop a second reply to it.
    assert generations == {"a": 2, "b": 3}


async def test_a_canary_that_fails_again_stops_the_rest(bench: Bench) -> None:
    names = [f"job-{number}" for number in range(10)]
    await bench.write(*map(letter, names))

    async def fail(published: dict[str, Any]) -> None:
        await bench.end(published, Fate.FAILED)

    async with bench.worker(fail):
        report = await bench.letters.redrive(canary=Canary(count=3, within=60))

    assert report.stopped is not None
    assert "3 of the first 3 jobs failed again" in report.stopped or report.canary_failed >= 1
    assert (report.redriven, len(await bench.jobs("extract"))) == (3, 3)


async def test_a_canary_that_is_answered_lets_the_rest_go(bench: Bench) -> None:
    await bench.write(*(letter(f"job-{number}") for number in range(10)))

    async def answered(published: dict[str, Any]) -> None:
        await bench.end(published, Fate.ANSWERED)

    async with bench.worker(answered):
        report = await bench.letters.redrive(canary=3)

    assert (report.canary_answered, report.redriven, report.stopped) == (3, 10, None)


async def test_a_canary_that_nobody_answers_in_time_stops_the_rest(bench: Bench) -> None:
    await bench.write(letter("a"), letter("b"))

    report = await bench.letters.redrive(canary=Canary(count=1, within=0.1))

    assert report.stopped == "1 of the first 1 jobs had not ended after 0.1 s"
    assert (report.redriven, report.matched) == (1, 2)


async def test_a_dry_run_counts_and_publishes_nothing(bench: Bench) -> None:
    limited = {"request": {"messages": [{"role": "user", "content": "x"}], "max_output_tokens": 7}}
    await bench.write(letter("a", job=limited, cost=5), letter("b", cost=None))

    report = await bench.letters.redrive(dry_run=True)

    estimate = report.estimate["extract"]
    assert (report.dry_run, report.redriven, report.cost_before) == (True, 2, 5)
    assert (estimate.jobs, estimate.answer_tokens, estimate.unlimited) == (2, 7, 1)
    assert estimate.prompt_tokens > 2
    assert await bench.jobs("extract") == []


async def test_a_fleet_without_a_topic_for_marks_is_read_and_not_redriven(
    bootstrap_servers: str, topic_prefix: str, make_topics: Callable[..., Awaitable[None]]
) -> None:
    async with Bench(bootstrap_servers, topic_prefix) as bench:
        topics = [each for each in bench.topics("extract") if each.name != bench.names.marks]
        await make_topics(*topics)
        await bench.write(letter("a"))

        assert (await bench.letters.list()).total == 1
        # Nothing is written: what is missing is not needed.
        assert (await bench.letters.redrive(dry_run=True)).redriven == 1
        assert (await bench.letters.discard(Filter(), why="no", dry_run=True)).marked == 1
        with pytest.raises(UnknownTopic, match=r"dead-letters\.marks.*tollway topics apply"):
            await bench.letters.redrive()


async def test_no_broker_is_one_sentence() -> None:
    async with DeadLetters("127.0.0.1:1") as letters:
        with pytest.raises(ProducerError, match=r"no Kafka can be reached at 127\.0\.0\.1:1"):
            await letters.groups()
