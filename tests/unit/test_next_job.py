"""From a dead letter to its job's next generation."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest
from bench_of_letters import letter

from tollway.dead_letters.redrive.change import Change
from tollway.dead_letters.redrive.next_job import (
    Again,
    Publication,
    Terms,
    Unpublishable,
    mark_of,
    publication,
)
from tollway_schemas import Fate, Job, LetterName, TopicNames, headers
from tollway_schemas.codec import decode
from tollway_schemas.job import LONGEST_DEADLINE
from tollway_schemas.redrive import StoredAnswer

NOW = datetime(2026, 1, 1, tzinfo=UTC)
MINUTES_2, DAY = timedelta(minutes=2), timedelta(days=1)


def again(job: dict[str, Any] | None = None, **fields: Any) -> Again:
    dead = letter(job=job)
    given: dict[str, Any] = {
        "letter": dead.name,
        "job": dead.job,
        "generation": 1,
        "origin": "tollway.jobs.extract.bulk",
        "dead_at": NOW - DAY,
        "failure_class": "bad_output",
        "fingerprint": "f1",
    }
    return Again(**{**given, **fields})


def published(
    one: Again, *, most_bytes: int = 1_000_000, generation: int = 2, **change: Any
) -> Publication:
    terms = Terms(names=TopicNames(), change=Change(**change), by="me@here", most_bytes=most_bytes)
    return publication(one, generation, terms, NOW)


def job_in(found: Publication) -> Job:
    return decode(Job, found.value)


def times(span: timedelta, created: datetime = NOW - timedelta(days=9)) -> dict[str, Any]:
    return {"created_at": created.isoformat(), "deadline": (created + span).isoformat()}


@pytest.mark.parametrize(
    ("span", "priority", "left"),
    [
        (timedelta(hours=30), "bulk", timedelta(hours=30)),
        (timedelta(hours=1), "bulk", DAY),
        (timedelta(hours=1), "interactive", timedelta(hours=1)),
        (timedelta(seconds=5), "interactive", MINUTES_2),
        (-DAY, "bulk", DAY),
        (timedelta(days=3_000), "bulk", LONGEST_DEADLINE),
    ],
)
def test_it_has_the_time_it_was_given_at_first_and_its_prioritys_at_the_least(
    span: timedelta, priority: str, left: timedelta
) -> None:
    origin = f"tollway.jobs.extract.{priority}"
    job = job_in(published(again(times(span), origin=origin)))

    assert job.deadline - NOW == left
    # Given up again, it has the same time again.
    assert job.deadline - job.created_at == left


def test_a_deadline_that_is_asked_for_holds_instead() -> None:
    assert job_in(published(again(), deadline=timedelta(hours=2))).deadline - NOW == timedelta(
        hours=2
    )


@pytest.mark.parametrize("written", ["2025-01-01T00:00:00Z", "2025-01-01 00:00:00+00:00"])
def test_times_are_read_however_other_languages_write_them(written: str) -> None:
    job = {"created_at": written, "deadline": "2025-01-03T00:00:00.123456789Z"}

    left = job_in(published(again(job))).deadline - NOW

    assert timedelta(days=2) <= left < timedelta(days=2, seconds=1)


def test_what_a_service_left_out_is_what_its_record_said() -> None:
    bare = {"request": {"messages": [{"role": "user", "content": "hi"}]}}
    one = Again(
        letter=LetterName(route="extract", job_id="t-0-17"),
        job=bare,
        generation=0,
        origin="tollway.jobs.extract.interactive",
        dead_at=NOW - DAY,
        failure_class="expired",
        fingerprint="f",
    )

    found = published(one)

    job = job_in(found)
    assert (job.id, job.route, job.priority.value) == ("t-0-17", "extract", "interactive")
    assert job.deadline - NOW == MINUTES_2
    assert found.topic == "tollway.jobs.extract.interactive"


def test_the_topic_it_was_read_from_decides_its_priority_unless_that_is_edited() -> None:
    lane = again({"priority": "interactive"}, origin="tollway.lanes.main.bulk")
    unknown = again({"priority": "interactive"}, origin="elsewhere")

    assert published(lane).topic.endswith(".bulk")
    assert published(unknown).topic.endswith(".interactive")
    assert published(lane, patch={"priority": "interactive"}).topic.endswith(".interactive")


def test_it_begins_without_what_the_fleet_wrote_and_keeps_what_it_does_not_know() -> None:
    before = {
        "visits": [{"lane": "a", "at": NOW.isoformat()}],
        "hops": 3,
        "redrive": {"of": {"route": "forged", "job_id": "x"}},
        "newer_field": {"a": 1},
    }

    fields = orjson.loads(published(again(before)).value)

    assert "visits" not in fields
    assert "hops" not in fields
    assert fields["redrive"]["of"]["route"] == "extract"
    assert fields["newer_field"] == {"a": 1}


def test_stored_answers_travel_only_if_they_are_to_be_revalidated() -> None:
    one = again(answers=(StoredAnswer(attempt=1, text="{}"),))

    assert job_in(published(one)).redrive is not None
    assert published(one).answers == 0
    assert published(one, revalidate=True).answers == 1


def test_of_answers_that_are_too_large_beside_the_job_the_latest_are_kept() -> None:
    answers = tuple(StoredAnswer(attempt=n, text=str(n) * 1_000) for n in (1, 2, 3))

    found = published(again(answers=answers), revalidate=True, most_bytes=2_200)

    redrive = job_in(found).redrive
    assert redrive is not None
    assert [each.attempt for each in redrive.answers] == [3]


def test_a_job_that_is_too_large_is_refused_with_its_size() -> None:
    with pytest.raises(Unpublishable, match=r"bytes long, the limit is 100"):
        published(again(), most_bytes=100)


@pytest.mark.parametrize(
    ("patch", "why"),
    [
        ({"request": None}, "request: is missing"),
        ({"request": {"temperature": 9}}, "request.temperature: must be at most 2"),
        ({"route": "a b"}, "route"),
        ({"priority": "soon"}, "priority"),
        ({"priority": ["bulk"]}, "priority"),
        ({"request": {"messages": []}}, "request.messages: must not be empty"),
        ({"request": {"model": "m"}}, "the job's route decides which model answers"),
    ],
)
def test_an_edit_that_breaks_a_job_is_refused_by_field(patch: dict[str, Any], why: str) -> None:
    with pytest.raises(Unpublishable, match=why):
        published(again(), patch=patch)


@pytest.mark.parametrize(
    "job", [{"deadline": 5}, {"created_at": "soon"}, {"labels": {"a": 2**70}}, {"deadline": []}]
)
def test_a_job_that_never_was_valid_is_refused(job: dict[str, Any]) -> None:
    with pytest.raises(Unpublishable):
        published(again(job))


def test_the_mark_says_what_was_published_by_whom_and_when() -> None:
    one = again()
    found = published(one, patch={"route": "other", "run": "nightly"})

    mark = mark_of(one, found, "me@here")

    assert (mark.letter, mark.fate, mark.by, mark.at) == (one.letter, Fate.REDRIVEN, "me@here", NOW)
    assert (mark.next_route, mark.next_generation, mark.run) == ("other", 2, "nightly")
    assert found.key == b"job-1"
    assert headers.get(found.headers, headers.ROUTE) == "other"
    assert headers.get(found.headers, headers.DEADLINE) == job_in(found).deadline.isoformat()


def test_a_judge_is_asked_about_jobs_that_are_edited_or_mended_alone() -> None:
    terms = Terms(
        names=TopicNames(),
        change=Change(),
        by="me@here",
        most_bytes=1_000_000,
        judge=lambda job: f"{job.id}: its schema is none",
    )
    edited = replace(terms, change=Change(patch={"route": "other"}))

    assert publication(again(), 2, terms, NOW).job.generation == 2
    for one, those in ((again(), edited), (again(by_hand=True), terms)):
        with pytest.raises(Unpublishable, match="its schema is none"):
            publication(one, 2, those, NOW)
