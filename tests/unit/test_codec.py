"""The codec: what cannot be read is said without quoting it."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tollway_schemas import (
    ChatRequest,
    DeadLetter,
    InvalidValue,
    Job,
    Mark,
    Message,
    OtherPart,
    Reply,
    TollwayError,
    UndecodableRecord,
    UnsupportedVersion,
    Usage,
)
from tollway_schemas.codec import decode, encode
from tollway_schemas.export import schema_files
from tollway_schemas.model import Record
from tollway_schemas.reply import Answer

SECRET = "the-prompt-itself"


def a_job(**changes: Any) -> dict[str, Any]:
    """A valid job as its JSON has it, changed."""
    job = {
        "id": "1",
        "route": "extract",
        "request": {"messages": [{"role": "user", "content": SECRET}]},
        "created_at": "2026-01-01T00:00:00Z",
        "deadline": "2026-01-01T01:00:00Z",
    }
    return job | changes


@pytest.mark.parametrize("number", ["9" * 40, "1e999", "-1e999"])
def test_a_number_that_readers_of_json_lose_is_refused_in_what_strangers_may_have_written(
    number: str,
) -> None:
    marked = {
        "letter": {"route": "r", "job_id": "j"},
        "fate": "discarded",
        "at": "2026-01-01T00:00:00Z",
        "by": "me",
        "newer": "here",
    }
    dead = {
        **{"job_id": "j", "generation": 1, "fingerprint": "f", "worker": "w"},
        "failure": {"failure_class": "expired", "message": "m"},
        "origin": {"topic": "t", "partition": 0, "offset": 0},
        "dead_at": "2026-01-01T00:00:00Z",
        "job": {"newer": "here"},
    }

    kinds: list[tuple[type[Record], dict[str, Any]]] = [
        (Mark, marked),
        (DeadLetter, dead),
        (Job, a_job(newer="here")),
    ]

    for model, plain in kinds:
        decode(model, json.dumps(plain).encode())
        with pytest.raises(UndecodableRecord, match="newer: is an "):
            decode(model, json.dumps(plain).replace('"here"', number).encode())


@pytest.mark.parametrize(
    ("value", "named"),
    [
        (None, "no value"),
        (b"", "no value"),
        (b"not json " + SECRET.encode(), "is not JSON"),
        (b'{"id": "\xff' + SECRET.encode() + b'"}', "is not JSON"),
        (b"[" * 100_000, "is not JSON"),
        (b'"' + SECRET.encode() + b'"', "the record"),
        (json.dumps(a_job(id=SECRET * 99)).encode(), "id: "),
        (json.dumps(a_job(route=f"{SECRET} ")).encode(), "route: "),
        (json.dumps(a_job(request={"messages": SECRET})).encode(), "request.messages: "),
        (json.dumps(a_job(request={"messages": []})).encode(), "request.messages: "),
        (json.dumps(a_job(deadline=SECRET)).encode(), "deadline: "),
        (json.dumps(a_job(deadline="2026-01-01T01:00:00")).encode(), "deadline: "),
        (json.dumps(a_job(priority=SECRET)).encode(), "priority: "),
        (json.dumps(a_job(generation=-1)).encode(), "generation: "),
        (json.dumps(a_job(generation=SECRET)).encode(), "generation: "),
    ],
)
def test_what_cannot_be_decoded_names_the_field_and_quotes_nothing(
    value: bytes | None, named: str
) -> None:
    with pytest.raises(UndecodableRecord) as caught:
        decode(Job, value)

    assert named in str(caught.value)
    assert SECRET not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None or caught.value.__suppress_context__


@given(st.binary(max_size=200))
def test_no_bytes_raise_anything_but_our_own_errors(value: bytes) -> None:
    with pytest.raises((UndecodableRecord, UnsupportedVersion)):
        decode(Reply, value)


@pytest.mark.parametrize("changes", [{}, {"id": "not in the form of this release"}, {"route": 1}])
def test_a_newer_major_version_is_said_even_if_its_shape_is_new(changes: dict[str, Any]) -> None:
    with pytest.raises(UnsupportedVersion) as caught:
        decode(Job, json.dumps(a_job(version=2, **changes)).encode())

    assert (caught.value.found, caught.value.supported) == (2, 1)


def test_every_schema_error_is_a_tollway_error() -> None:
    assert all(
        issubclass(each, TollwayError)
        for each in (InvalidValue, UndecodableRecord, UnsupportedVersion)
    )


def test_an_invalid_value_quotes_nothing_either() -> None:
    with pytest.raises(InvalidValue) as caught:
        Message(role=SECRET, content="")  # type: ignore[arg-type] # pyright: ignore[reportArgumentType] the point

    assert SECRET not in str(caught.value)
    assert "role: must be 'system', " in str(caught.value)


def test_absent_fields_are_left_out_and_null_inside_an_answer_is_kept() -> None:
    job = decode(Job, json.dumps(a_job()).encode())
    now = datetime.now(UTC).isoformat()
    reply = {"job_id": "1", "generation": 1, "status": "completed", "route": "r"}
    reply |= {"created_at": now, "finished_at": now}

    answered = decode(Reply, json.dumps(reply | {"answer": {"parsed": {"a": None}}}).encode())

    assert b"tenant" not in encode(job)
    assert json.loads(encode(answered))["answer"]["parsed"] == {"a": None}


def test_money_travels_as_a_decimal_string() -> None:
    usage = Usage(cost_reported=9007199254740993)

    assert json.loads(encode(usage))["cost_reported"] == "9007199254740993"
    assert decode(Usage, encode(usage)) == usage


def test_a_content_part_of_an_unknown_kind_is_kept_as_it_is() -> None:
    audio = {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}}

    request = decode(
        ChatRequest, json.dumps({"messages": [{"role": "user", "content": [audio]}]}).encode()
    )

    content = request.messages[0].content
    assert content is not None and isinstance(content[0], OtherPart)
    assert json.loads(encode(request))["messages"][0]["content"] == [audio]


def test_the_json_schemas_in_the_repository_are_those_of_the_models() -> None:
    folder = Path(__file__).parents[2] / "schemas" / "json"

    for name, text in schema_files().items():
        assert (folder / name).read_text(encoding="utf-8") == text, (
            f"{name}: run `python -m tollway_schemas.export schemas/json`"
        )


@pytest.mark.parametrize(
    ("said", "is_read"),
    [
        (b'{"n":12345678901234567890123,"s":"NaN, not a number"}', True),
        (b'{"n":1,"s":"Infinity"}', True),
        (b'{"n":NaN,"s":"NaN"}', False),
        (b'{"n":12345678901234567890123,"s":-Infinity}', False),
    ],
)
def test_an_answer_that_quotes_long_integers_is_read_whatever_words_it_has(
    said: bytes, is_read: bool
) -> None:
    try:
        answer = decode(Answer, b'{"body":%b}' % said)
    except UndecodableRecord:
        assert not is_read
    else:
        assert is_read
        assert answer.body == json.loads(said)
