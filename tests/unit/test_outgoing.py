"""Every record a worker writes is one of its schema, whatever went into it."""

from decimal import Decimal
from typing import Any

import orjson
import pytest
from samples import NOW, job, progress, record

from tollway_schemas.attempt import Attempt, Billed, JournalRecord
from tollway_schemas.codec import decode, encode
from tollway_schemas.dead_letter import BadAnswer, DeadLetter
from tollway_schemas.failure import Failure, FailureClass
from tollway_schemas.job import Job
from tollway_schemas.provenance import Provenance
from tollway_schemas.reply import Answer, Reply
from tollway_schemas.usage import Usage
from tollway_workers.config.shape.route import RouteSettings
from tollway_workers.job import envelopes as outgoing
from tollway_workers.job.envelopes import Exchange
from tollway_workers.job.outcome import Completed, DeadLettered
from tollway_workers.job.progress import JobProgress
from tollway_workers.ownership.record import ReceivedRecord

_MOST = 100_000
_FAILURE = Failure(failure_class=FailureClass.BAD_OUTPUT, message="no", lane="main")


def attempt(number: int = 1, **fields: Any) -> Attempt:
    given: dict[str, Any] = {
        "usage": Usage(input_total=10, output_total=5),
        "cost": 12_345_678_901_234_567_890,
        "billed": Billed.YES,
    }
    return Attempt(
        number=number,
        lane="main",
        provider="p",
        model="m",
        started_at=outgoing.instant(NOW),
        latency=0.5,
        **{**given, **fields},
    )


def tried(raw: bytes | None = None, **fields: Any) -> JobProgress:
    """A job after two calls."""
    given: dict[str, Any] = {"tenant": "acme", "run": "run-1", "labels": {"row": "7"}}
    subject = progress(job(**{**given, **fields}))
    if raw is not None:
        subject.record = record(raw)
    subject.attempts += [attempt(1), attempt(2)]
    subject.bad_answers.append(BadAnswer(attempt=1, text="{", problems=("/: not JSON",)))
    return subject


def reply_of(subject: JobProgress, ending: Completed | Failure, *, dead: bool = False) -> Reply:
    value = outgoing.reply(subject, ending, dead=dead, worker="w-0", now=NOW + 1.5)
    return decode(Reply, value)


def dead_letter_of(subject: JobProgress, most_bytes: int = _MOST) -> tuple[DeadLetter, bytes]:
    value = outgoing.dead_letter(
        subject,
        DeadLettered(_FAILURE, "x"),
        by=outgoing.Writer("w-0"),
        now=NOW,
        most_bytes=most_bytes,
    )
    return decode(DeadLetter, value), value


def journal_of(
    request: bytes, response: bytes, *, mode: Any = "full", most_bytes: int = _MOST
) -> tuple[JournalRecord, bytes]:
    subject = progress(route=RouteSettings(lanes=("main",), journal=mode))
    value = outgoing.journal_record(
        subject, Exchange(attempt(), request, response), worker="w-0", most_bytes=most_bytes
    )
    return decode(JournalRecord, value), value


def test_a_reply_with_an_answer_says_what_it_took() -> None:
    answer = Answer(text='{"a": 1}', parsed={"a": 1}, finish_reason="stop")

    reply = reply_of(tried(), Completed(answer, Provenance.REASKED, "main", "m-1"))

    assert (reply.status, reply.answer, reply.failure) == ("completed", answer, None)
    assert (reply.provenance, reply.lane, reply.model) == (Provenance.REASKED, "main", "m-1")
    assert (reply.job_id, reply.generation, reply.route) == ("job-1", 1, "extract")
    assert (reply.tenant, reply.run, reply.labels) == ("acme", "run-1", {"row": "7"})
    assert reply.usage == Usage(input_total=20, output_total=10)
    assert reply.cost == 2 * 12_345_678_901_234_567_890
    assert [each.number for each in reply.attempts] == [1, 2]
    assert (reply.finished_at - outgoing.instant(NOW)).total_seconds() == 1.5


def test_a_providers_whole_answer_stands_beside_what_was_validated() -> None:
    answer = Answer(text="4", finish_reason="stop")
    body = b'{"choices": [{"message": {"content": "4", "reasoning": "2+2"}}], "id": 1e30}'

    reply = reply_of(tried(), Completed(answer, Provenance.LIVE, "main", "m-1", body=body))

    assert reply.answer is not None
    assert reply.answer.body == orjson.loads(body)
    assert reply.answer.model_copy(update={"body": None}) == answer


def test_a_providers_answer_that_has_no_room_is_named_by_size_and_digest() -> None:
    body = b'{"choices": "%b"}' % (b"\xff" * 1_000)
    ending = Completed(Answer(text="4"), Provenance.LIVE, "main", "m-1", body=body, whole=False)

    answer = reply_of(tried(), ending).answer

    assert answer is not None
    assert (answer.text, answer.body) == ("4", None)
    assert answer.body_elsewhere is not None
    assert answer.body_elsewhere.bytes == len(body)
    assert len(answer.body_elsewhere.head) <= 256


def test_a_response_that_is_nested_too_deeply_for_readers_is_kept_as_text() -> None:
    deep = b"[" * 300 + b"]" * 300

    assert journal_of(b"{}", deep)[0].response == deep.decode()


@pytest.mark.parametrize("dead", [True, False])
def test_a_reply_without_an_answer_says_why(dead: bool) -> None:
    reply = reply_of(tried(), _FAILURE, dead=dead)

    assert (reply.status, reply.answer, reply.failure) == ("failed", None, _FAILURE)
    assert (reply.dead_letter, reply.lane, reply.provenance) == (dead, "main", None)


def test_an_unknown_cost_is_absent_and_money_is_a_decimal_string() -> None:
    unknown = tried()
    unknown.attempts.append(attempt(3, cost=None))
    known = outgoing.reply(tried(), _FAILURE, dead=True, worker="w-0", now=NOW)

    assert reply_of(unknown, _FAILURE).cost is None
    assert Decimal(orjson.loads(known)["cost"]) == 2 * 12_345_678_901_234_567_890


def test_a_dead_letter_keeps_the_job_as_it_was_read_and_all_that_was_tried() -> None:
    raw = b'{"of": "a newer release",  "n": 1.50}'

    letter, value = dead_letter_of(tried(raw))

    assert raw in value
    assert letter.job == {"of": "a newer release", "n": 1.5}
    assert (letter.failure, letter.job_elsewhere) == (_FAILURE, None)
    assert len(letter.attempts) == 2
    assert letter.bad_answers[0].text == "{"
    assert (letter.origin.topic, letter.origin.offset) == ("tollway.jobs.extract.bulk", 0)


def test_unknown_fields_of_a_job_survive_into_its_dead_letter() -> None:
    known = orjson.loads(encode(job()))
    message = known["request"]["messages"][0] | {"also": True}
    raw = orjson.dumps(known | {"new": {"deep": [1]}, "request": {"messages": [message]}})

    letter, _ = dead_letter_of(tried(raw))

    assert letter.job == orjson.loads(raw)
    assert decode(Job, orjson.dumps(letter.job)).model_extra == {"new": {"deep": [1]}}


@pytest.mark.parametrize("raw", [b'{"x": NaN}', b'{"x": 1e999}', b"\x00" * 90_000, b"x" * 500_000])
def test_a_job_that_would_break_its_dead_letter_is_kept_by_digest_and_head(raw: bytes) -> None:
    letter, value = dead_letter_of(tried(raw))

    assert letter.job is None
    assert letter.job_elsewhere is not None
    assert letter.job_elsewhere.bytes == len(raw)
    assert letter.job_elsewhere.head.startswith(raw[:5].decode())
    assert len(value) <= _MOST
    orjson.loads(value)


@pytest.mark.parametrize("most_bytes", [36_864, 100_000, 2_101_248])
def test_bad_answers_of_any_size_fit_in_a_dead_letter(most_bytes: int) -> None:
    subject = tried(b"{}")
    subject.bad_answers += [BadAnswer(attempt=n, text="\x00" * 65_536) for n in (1, 2)]

    letter, value = dead_letter_of(subject, most_bytes)

    assert len(value) <= most_bytes
    assert len(letter.bad_answers) == 3


def test_a_journal_record_holds_both_bodies_as_they_were() -> None:
    journal, value = journal_of(b'{"model":"m","n":1.50}', b'{"id": "x"}')

    assert (journal.request, journal.response) == ({"model": "m", "n": 1.5}, {"id": "x"})
    assert b'{"model":"m","n":1.50}' in value


def test_a_body_that_is_no_json_is_kept_as_text() -> None:
    journal, _ = journal_of(b"{}", b"<html>\xff</html>")

    assert journal.response == "<html>\ufffd</html>"


def test_a_journal_of_metadata_holds_no_prompt_and_no_answer() -> None:
    _, value = journal_of(b'{"p": "prompt"}', b'{"a": "answer"}', mode="metadata")

    assert b"prompt" not in value
    assert b"answer" not in value


@pytest.mark.parametrize("most_bytes", [36_864, 200_000, 2_101_248])
@pytest.mark.parametrize("body", [b"\x00", b"x", b"[1,1]", "ü".encode()], ids=repr)
def test_a_journal_record_fits_whatever_the_bodies_are(body: bytes, most_bytes: int) -> None:
    big = body * (most_bytes // len(body))
    # A request is JSON in any case: we have built it.
    asked = b'"' + b"x" * most_bytes + b'"'

    for request, response in (
        (b"{}", big),
        (asked, b"{}"),
        (asked, big),
        (b"{}", big[: len(big) // 2]),
    ):
        _, value = journal_of(request, response, most_bytes=most_bytes)
        assert len(value) <= most_bytes


def test_a_bare_reply_is_small_and_its_cost_is_still_true() -> None:
    subject = tried(labels={"big": "x" * 50_000})
    subject.attempts.append(attempt(3, cost=None, message="m" * 1_000))
    subject.record = ReceivedRecord(
        "t", 0, 0, None, b"{}", [("h", b"x" * 50_000)], NOW, subject.record.tracker
    )

    bare = subject.bare()

    assert len(outgoing.reply(bare, _FAILURE, dead=True, worker="w", now=NOW)) < 4_000
    assert reply_of(bare, _FAILURE).cost is None
    assert bare.record.headers == ()
    assert subject.job.labels["big"]
