"""Every record survives the topic: as bytes and back, with fields this release does not know."""

import json
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from size import sized

import tollway
import tollway_schemas
from tollway_schemas import (
    Answer,
    Attempt,
    ChatRequest,
    DeadLetter,
    Failure,
    FailureClass,
    Fate,
    Job,
    JournalRecord,
    LetterName,
    Mark,
    Message,
    Origin,
    OutputSchema,
    Priority,
    Provenance,
    Reply,
    ReplyAddress,
    Usage,
    Visit,
)
from tollway_schemas.codec import decode, encode
from tollway_schemas.dead_letter import BadAnswer
from tollway_schemas.history import JobHistory
from tollway_schemas.model import Record
from tollway_schemas.redrive import Redrive, StoredAnswer

text = st.text(max_size=40)  # hypothesis leaves out what UTF-8 cannot carry
some_text = st.text(min_size=1, max_size=40)
ids = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1, max_size=50)
routes = st.from_regex(r"[a-z0-9][a-z0-9-]{0,20}", fullmatch=True)
offsets = st.integers(-14 * 60, 14 * 60).map(lambda m: timezone(timedelta(minutes=m)))
times = st.datetimes(datetime(1970, 1, 2), datetime(2200, 1, 1), timezones=offsets)  # noqa: DTZ001 bounds are naive by contract
counts = st.integers(0, 10**12)
pico_usd = st.none() | st.integers(-(10**30), 10**30)
json_values = st.recursive(
    # Plain JSON: what is not exact in a float does not survive any JSON reader.
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text, inner, max_size=3),
    max_leaves=8,
)

usages = st.builds(Usage, input_total=counts, output_total=counts, cost_reported=pico_usd)
failures = st.builds(
    Failure, failure_class=st.sampled_from(FailureClass), message=text, lane=st.none() | text
)
attempts = st.builds(
    Attempt,
    number=st.integers(1, 10),
    lane=text,
    provider=text,
    model=text,
    started_at=times,
    latency=st.floats(0, 1e6),
    usage=st.none() | usages,
    cost=pico_usd,
)
requests = st.builds(
    ChatRequest,
    messages=st.lists(
        st.builds(Message, role=st.sampled_from(["system", "user"]), content=text), min_size=1
    ).map(tuple),
    temperature=st.none() | st.floats(0, 2),
    extras=st.dictionaries(text, st.dictionaries(text, json_values, max_size=2), max_size=2),
)
letter_names = st.builds(
    LetterName, route=text, tenant=st.none() | text, job_id=ids, generation=st.integers(1, 9)
)
redrives = st.builds(
    Redrive,
    of=letter_names,
    answers=st.lists(
        st.builds(
            StoredAnswer,
            attempt=st.integers(1, 9),
            text=text,
            provenance=st.none() | st.sampled_from(Provenance),
            usage=st.none() | usages,
        ),
        max_size=3,
    ).map(tuple),
    only_revalidate=st.booleans(),
)
jobs = st.builds(
    Job,
    id=ids,
    route=routes,
    request=requests,
    output=st.none() | st.builds(OutputSchema, json_schema=st.just({"type": "object"})),
    tenant=st.none() | text,
    labels=st.dictionaries(text, text, max_size=3),
    priority=st.sampled_from(Priority),
    created_at=times,
    deadline=times,
    reply_to=st.none() | st.builds(ReplyAddress, topic=routes, partition=st.integers(0, 99)),
    visits=st.lists(st.builds(Visit, lane=text, at=times), max_size=2).map(tuple),
    redrive=st.none() | redrives,
)
marks = st.builds(
    Mark,
    letter=letter_names,
    fate=st.sampled_from(Fate),
    at=times,
    by=text,
    why=st.none() | text,
    next_generation=st.none() | st.integers(1, 9),
)
replies = st.builds(
    Reply,
    job_id=ids,
    generation=st.integers(1, 9),
    status=st.sampled_from(["completed", "failed", "cancelled"]),
    route=text,
    answer=st.none() | st.builds(Answer, text=st.none() | text, parsed=json_values),
    failure=st.none() | failures,
    provenance=st.none() | st.sampled_from(Provenance),
    usage=st.none() | usages,
    cost=pico_usd,
    attempts=st.lists(attempts, max_size=2).map(tuple),
    created_at=times,
    finished_at=times,
)
dead_letters = st.builds(
    DeadLetter,
    job_id=ids,
    generation=st.integers(1, 9),
    failure=failures,
    fingerprint=text,
    origin=st.builds(Origin, topic=routes, partition=st.integers(0, 9), offset=counts),
    dead_at=times,
    worker=text,
    attempts=st.lists(attempts, max_size=2).map(tuple),
    job=json_values,
)
journal_records = st.builds(
    JournalRecord,
    job_id=ids,
    generation=st.integers(1, 9),
    route=text,
    worker=text,
    attempt=st.none() | attempts,
    provenance=st.none() | st.sampled_from(Provenance),
    answered_at=st.none() | times,
    request=json_values,
    response=json_values,
)
histories = st.builds(
    JobHistory,
    created_at=st.none() | times,
    attempts=st.lists(attempts, max_size=2).map(tuple),
    bad_answers=st.lists(st.builds(BadAnswer, attempt=st.integers(1, 9), text=text)).map(tuple),
    visits=st.lists(st.builds(Visit, lane=text, at=times), max_size=2).map(tuple),
)
records = st.one_of(jobs, replies, dead_letters, marks, journal_records, histories)


@settings(max_examples=sized(20, 60))
@given(records)
def test_a_record_comes_back_equal(record: Record) -> None:
    assert decode(type(record), encode(record)) == record


@settings(max_examples=sized(20, 60))
@given(records, json_values, some_text.map(lambda name: f"x_{name}"))
def test_fields_of_a_newer_release_are_kept(record: Record, value: Any, name: str) -> None:
    newer = json.loads(encode(record)) | {name: value}

    kept = json.loads(encode(decode(type(record), json.dumps(newer).encode())))

    # Absent and null are the same to all of our readers.
    assert kept.get(name) == value


def test_a_record_of_our_own_says_nothing_that_its_copy_was_given() -> None:
    one, other = Usage.trusted(**dict(Usage())), Usage.trusted(**dict(Usage()))

    copy = one.model_copy(update={"x_newer": 1})

    assert "x_newer" in copy.model_fields_set
    assert one.model_fields_set == other.model_fields_set == set(Usage.model_fields)


@pytest.mark.parametrize("package", [tollway, tollway_schemas])
def test_public_names_exist_are_sorted_and_few(package: Any) -> None:
    names = package.__all__

    assert all(hasattr(package, name) for name in names)
    assert sorted(names) == sorted(set(names))
    assert len(names) <= {"tollway": 15, "tollway_schemas": 40}[package.__name__]
