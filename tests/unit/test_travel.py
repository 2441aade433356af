"""What travels with a job: its own bytes and its history, there and back again."""

from datetime import UTC, datetime
from typing import Any

import orjson
import pytest
from samples import NOW, job, progress, record

from tollway_schemas import headers
from tollway_schemas.attempt import Attempt
from tollway_schemas.codec import encode
from tollway_schemas.dead_letter import BadAnswer
from tollway_schemas.errors import UndecodableRecord, UnsupportedVersion
from tollway_schemas.failure import FailureClass
from tollway_schemas.job import Job, Priority
from tollway_workers.forwarding.travel import Arrival, arrival, deadline_of, departure
from tollway_workers.job.envelopes import size_of
from tollway_workers.job.progress import JobProgress

_MOST = 100_000
_AT = datetime.fromtimestamp(NOW, UTC)


def attempt(number: int, failure_class: FailureClass = FailureClass.OVERLOADED) -> Attempt:
    return Attempt(
        number=number,
        lane="main",
        provider="p",
        model="m",
        started_at=_AT,
        latency=1.0,
        failure_class=failure_class,
        message="no " * 50,
    )


def tried(the_job: Job | None = None, calls: int = 2, **more: Any) -> JobProgress:
    subject = progress(the_job, **more)
    subject.attempts += [attempt(number) for number in range(1, calls + 1)]
    return subject


def sent(subject: JobProgress, lane: str = "main", **more: Any) -> Arrival:
    about = departure(subject, lane=lane, most_bytes=_MOST, **more)
    return arrival(record(subject.record.value, headers=about), subject.job.priority)


def test_a_job_arrives_as_it_left_with_all_that_was_tried() -> None:
    subject = tried(job(tenant="acme", labels={"a": "b"}), headers=[("service", b"its own")])
    subject.bad_answers.append(BadAnswer(attempt=1, text="bad", problems=("a: b",)))

    there = sent(subject, not_before=NOW + 20)

    assert there.job == subject.job
    assert there.history.attempts == tuple(subject.attempts)
    assert there.history.bad_answers == tuple(subject.bad_answers)
    assert there.not_before == NOW + 20
    about = departure(subject, lane="main", most_bytes=_MOST)
    assert headers.get(about, "service") == "its own"
    assert headers.get(about, headers.ATTEMPTS) == "2"


def test_a_job_that_left_out_what_its_record_said_keeps_it_on_the_way() -> None:
    bare = orjson.dumps({"request": {"messages": [{"role": "user", "content": "x"}]}, "new": 1})
    first = job("jobs-0-7", seconds=60.0)
    subject = tried(first)
    subject.record = record(bare)

    there = sent(subject)

    assert (there.job.id, there.job.deadline) == ("jobs-0-7", first.deadline)
    assert (there.job.route, there.job.created_at) == ("extract", first.created_at)
    assert there.job.model_extra == {"new": 1}


def test_a_forward_counts_a_hop_and_notes_the_stay_and_a_retry_does_not() -> None:
    subject = tried()

    once = sent(subject, "other").job
    again = tried(once)
    again.lane = "other"
    twice = sent(again, "main").job

    assert (sent(subject).job.hops, sent(subject).job.visits) == (0, ())
    assert (once.hops, twice.hops) == (1, 2)
    assert [(visit.lane, visit.attempts) for visit in twice.visits] == [("main", 2), ("other", 0)]


def test_the_topic_decides_the_priority() -> None:
    subject = tried(job(priority=Priority.INTERACTIVE))
    about = departure(subject, lane="main", most_bytes=_MOST)

    there = arrival(record(subject.record.value, headers=about), Priority.BULK)

    assert there.job.priority is Priority.BULK


def test_a_history_that_would_not_fit_is_told_with_fewer_words_and_counts_as_much() -> None:
    subject = tried(calls=10)
    subject.bad_answers += [BadAnswer(attempt=n, text="\x00" * 60_000) for n in (1, 2)]

    about = departure(subject, lane="main", most_bytes=20_000)
    there = arrival(record(subject.record.value, headers=about), Priority.BULK)

    assert size_of(subject.record.value, about) <= 20_000
    assert [each.number for each in there.history.attempts] == list(range(1, 11))
    assert [len(each.text) > 100 for each in there.history.bad_answers] == [True, True]


def test_a_record_without_a_history_is_a_job_that_was_never_tried() -> None:
    there = arrival(record(encode(job())), Priority.BULK)

    assert there == (job(), there.history, 0.0)
    assert there.history.attempts == ()


def test_a_history_that_cannot_be_read_is_an_error_and_one_of_a_newer_release_too() -> None:
    for text, error in ((b"{", UndecodableRecord), (b'{"version": 2}', UnsupportedVersion)):
        bad = record(encode(job()), headers=[(headers.HISTORY, text)])
        with pytest.raises(error):
            arrival(bad, Priority.BULK)


def test_what_holds_no_job_is_an_error() -> None:
    for value in (None, b"", b"[]", b"{}"):
        with pytest.raises(UndecodableRecord):
            arrival(record(value), Priority.BULK)


def test_a_deadline_can_be_read_without_decoding_the_job() -> None:
    about = departure(tried(job(seconds=60.0)), lane="main", most_bytes=_MOST)

    assert deadline_of(about) == NOW + 60
    assert deadline_of([(headers.DEADLINE, b"soon")]) is None
