"""What is wrong with a value: one sentence a fault, in our words and none of pydantic's."""

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial
from typing import Any, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic_core.core_schema import ErrorType
from size import sized

from tollway_schemas import ChatRequest, InvalidValue, Job, Message, OutputSchema
from tollway_schemas.codec import decode, encode
from tollway_schemas.export import RECORDS
from tollway_schemas.faults import MISSING, Fault, faults, sentence
from tollway_schemas.model import Record
from tollway_schemas.problems import problem

M = {"role": "user", "content": "hi"}
_NOT_OURS = re.compile(
    r"Input should|validation|Value error|valid (integer|string|tuple|dict)|union|"
    r"json-or-python|\bTuple\b|Extra inputs|Field required|errors\.pydantic"
)


def said(model: type[Record], **fields: Any) -> str:
    with pytest.raises(InvalidValue) as caught:
        model.model_validate_json(json.dumps(fields))
    return str(caught.value)


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        (
            {"messages": [{**M, "content": 5}]},
            "messages[0].content: must be text or a list, not a number",
        ),
        (
            {"messages": [{**M, "content": [5]}]},
            "messages[0].content[0]: must be an object, not a number",
        ),
        (
            {"messages": [{**M, "content": [{"type": "text"}]}]},
            "messages[0].content[0].text: is missing",
        ),
        (
            {"messages": [M, {**M, "role": 1}]},
            "messages[1].role: must be 'system', 'developer', 'user', 'assistant' or 'tool', "
            "not a number",
        ),
        ({"messages": []}, "messages: must not be empty"),
        ({"messages": None}, "messages: is missing"),
        ({}, "messages: is missing"),
        ({"messages": M}, "messages: must be a list, not an object"),
        ({"messages": [M], "stop": "x"}, "stop: must be a list, not text"),
        ({"messages": [M], "temperature": 3}, "temperature: must be at most 2"),
        (
            {"messages": [M], "extras": {"openai": [1]}},
            "extras.openai: must be an object, not a list",
        ),
        (
            {"messages": [M], "tool_choice": "any"},
            "tool_choice: must be 'none', 'auto' or 'required', or an object",
        ),
        (
            {"messages": [M], "tools": [{"type": "function", "function": {}}]},
            "tools[0].function.name: is missing",
        ),
    ],
)
def test_each_fault_is_one_sentence_that_names_the_field(
    fields: dict[str, Any], sentence: str
) -> None:
    assert said(ChatRequest, **fields) == sentence


def test_several_faults_are_told_in_one_text() -> None:
    found = said(ChatRequest, messages=[{"role": "user", "content": 5}], seed="x", top_p=True)

    assert found.split("; ") == [
        "messages[0].content: must be text or a list, not a number",
        "top_p: must be a number, not true or false",
        "seed: must be a whole number, not text",
    ]


def test_more_than_ten_faults_are_counted() -> None:
    found = sentence([Fault((f"field_{number}",), MISSING) for number in range(30)])

    assert found.count("is missing") == 10
    assert found.endswith("; and 20 more")


def test_a_name_that_is_no_word_is_quoted_and_cut() -> None:
    found = said(ChatRequest, messages=[M], extras={"a\nprompt " * 50: 5})

    assert found.startswith('extras."a\\nprompt ')
    assert len(found) < 120


@pytest.mark.parametrize(
    ("field", "hint"),
    [
        ("max_tokens", "request.max_tokens: unknown field; the limit is request.max_output_tokens"),
        ("response_format", "request.response_format: unknown field; what the answer must look"),
        ("model", "request.model: unknown field; the job's route decides"),
        ("logit_bias", "request.logit_bias: unknown field; what only one protocol has goes under "),
        ("temprature", "request.temprature: unknown field; did you mean request.temperature?"),
    ],
)
def test_an_unknown_field_of_a_request_is_named_with_the_word_for_it(field: str, hint: str) -> None:
    assert hint in said(Job, request={"messages": [M], field: 1})


def test_an_unknown_field_of_an_output_is_named_too() -> None:
    assert said(OutputSchema, schema={"type": "object"}) == (
        "schema: unknown field; the schema is json_schema"
    )


# -- pydantic's kinds of error


@pytest.mark.parametrize("kind", get_args(ErrorType))
def test_every_kind_of_error_that_pydantic_has_has_words_of_ours(kind: str) -> None:
    text = problem({"type": kind, "loc": (), "msg": "Input should be this", "input": {}})

    assert text
    assert not _NOT_OURS.search(text)
    if kind not in ("iteration_error", "ellipsis_error", "value_error", "assertion_error"):
        assert text != "has a value that cannot be used here"


def test_a_kind_of_a_later_release_is_said_in_general_words() -> None:
    later = {"type": "brand_new", "loc": (), "msg": "Input should be new", "input": {}}

    assert problem(later) == "has a value that cannot be used here"


_JUNK = st.recursive(
    st.none() | st.booleans() | st.integers(-10, 2**70) | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(st.sampled_from(["type", "text", "x"]), inner, max_size=2)
    ),
    max_leaves=4,
)


def _models(model: type[Record], seen: set[type[Record]]) -> Iterator[type[Record]]:
    """The record and every record within it."""
    if model in seen:
        return
    seen.add(model)
    yield model
    for field in model.model_fields.values():
        for inner in _records_in(field.annotation):
            yield from _models(inner, seen)


def _records_in(annotation: Any) -> Iterator[type[Record]]:
    if isinstance(annotation, type) and issubclass(annotation, Record):
        yield annotation
    for part in get_args(annotation):
        yield from _records_in(part)


_SEEN: set[type[Record]] = set()
MODELS = [inner for model in RECORDS.values() for inner in _models(model, _SEEN)]


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
@settings(max_examples=sized(5, 15))
@given(data=st.data())
def test_whatever_stands_in_a_field_is_taken_or_refused_in_our_words(
    model: type[Record], data: st.DataObject
) -> None:
    fields = data.draw(
        st.dictionaries(st.sampled_from(sorted(model.model_fields)), _JUNK, max_size=4)
    )

    for make in (partial(model, **fields), partial(model.model_validate_json, json.dumps(fields))):
        try:
            make()
        except InvalidValue as error:
            assert str(error)
            assert not _NOT_OURS.search(str(error))
            assert error.__cause__ is None


# -- null is absence

NOW = datetime.now(UTC).isoformat()
WHOLE: dict[str, Any] = {
    "role": "user",
    "text": "t",
    "url": "u",
    "type": "kind",
    "id": "1",
    "name": "n",
    "arguments": "{}",
    "image_url": {"url": "u"},
    "route": "r",
    "topic": "t",
    "lane": "l",
    "at": NOW,
    "created_at": NOW,
    "deadline": NOW,
    "finished_at": NOW,
    "started_at": NOW,
    "dead_at": NOW,
    "issued_at": NOW,
    "expires_at": NOW,
    "job_id": "1",
    "generation": 1,
    "status": "completed",
    "failure_class": "unknown",
    "message": "m",
    "number": 1,
    "attempt": 1,
    "provider": "p",
    "model": "m",
    "latency": 1.0,
    "worker": "w",
    "fingerprint": "f",
    "partition": 0,
    "offset": 0,
    "bytes": 0,
    "sha256": "s",
    "head": "h",
    "release": "1",
    "group": "g",
    "state": "open",
    "most": 1.0,
    "used": 1.0,
    "action": "cancel",
    "messages": [M],
    "request": {"messages": [M]},
    "failure": {"failure_class": "unknown", "message": "m"},
    "origin": {"topic": "t", "partition": 0, "offset": 0},
    "function": {"name": "f", "arguments": "{}"},
    "of": {"route": "r", "job_id": "1"},
    "letter": {"route": "r", "job_id": "1"},
    "fate": "redriven",
    "by": "me",
    "key": "0" * 32,
    "answer": {"text": "t"},
    "provenance": "live",
    "source": {"route": "r", "job_id": "1"},
    "read_at": NOW,
    "answered_at": NOW,
    "stale_until": NOW,
    "budget": "b",
    "window": "total",
    "limit": 1,
    "process": "p@1",
    "granted": 0,
    "settled": 0,
    "why": "w",
    "processes": 1,
    "amount": 0,
    "embedder": "e",
    "day": "2026-11-29",
    "least": 0.7,
    "written_at": NOW,
}


def _needed(model: type[Record]) -> dict[str, Any]:
    """Fields without which it is none; of a journal record, the attempt is one of its own."""
    found = {name: WHOLE[name] for name, f in model.model_fields.items() if f.is_required()}
    if model.__name__ == "JournalRecord":
        found["attempt"] = {
            name: WHOLE[name]
            for name in ("number", "lane", "provider", "model", "started_at", "latency")
        }
    if model.__name__ == "Command":
        found["run"] = "r"
    if model.__name__ == "Observations":
        found["answer"] = "0" * 32
    if model.__name__ == "Forget":
        found |= {"id": "0" * 32, "route": "r", "tenant": "t"}
    return found


OPTIONAL = [
    (model, name)
    for model in MODELS
    for name, field in model.model_fields.items()
    if not field.is_required()
]


@pytest.mark.parametrize(
    ("model", "name"), OPTIONAL, ids=lambda part: getattr(part, "__name__", part)
)
def test_null_in_an_optional_field_is_absence(model: type[Record], name: str) -> None:
    needed = {key: value for key, value in _needed(model).items() if key != name}
    if (model.__name__, name) == ("Command", "run"):
        needed["tenant"] = "t"
    without = model.model_validate_json(json.dumps(needed))

    assert decode(model, json.dumps({**needed, name: None}).encode()) == without
    assert encode(model(**{**needed, name: None})) == encode(model(**needed))


def test_null_deep_inside_is_absence_too_and_null_in_a_schema_stays() -> None:
    request = {
        "messages": [{**M, "name": None}],
        "extras": None,
        "tool_choice": {"type": None, "function": {"name": "f"}},
        "max_tokens": None,
    }
    output = {"name": None, "json_schema": {"const": None}}
    job = {**_needed(Job), "request": request, "output": output, "labels": {"a": None, "b": "c"}}

    read = decode(Job, json.dumps(job).encode())

    assert read.request.extras == {}
    assert read.labels == {"b": "c"}
    assert read.output is not None
    assert (read.output.name, read.output.json_schema) == ("answer", {"const": None})


# -- made in Python


def test_a_record_is_made_of_lists_and_dictionaries_too() -> None:
    plain = ChatRequest(messages=[M], stop=["x"])  # type: ignore[arg-type] # pyright: ignore[reportArgumentType] what users write

    assert plain == ChatRequest(messages=(Message(role="user", content="hi"),), stop=("x",))
    assert (
        ChatRequest.model_validate({"messages": [M, Message(role="user")]}).messages[0]
        == (plain.messages[0])
    )


class _OfAnotherPackage(BaseModel):
    role: str = "assistant"
    content: str = "hello"
    refusal: str | None = None


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"messages": [M], "max_tokens": 5}, "max_tokens: unknown field; the limit is max_output"),
        ({"messages": [{**M, "content": "\ud800"}]}, "messages: has text that UTF-8 cannot carry"),
        ({"messages": [{**M, "content": {1, 2}}]}, "messages: holds what JSON cannot"),
        ({"messages": [M], "temperature": float("nan")}, "temperature: must be a finite number"),
        ({"messages": 5}, "messages: must be a list, not a number"),
    ],
)
def test_wrong_fields_in_python_are_an_error_of_ours(fields: dict[str, Any], sentence: str) -> None:
    with pytest.raises(InvalidValue) as caught:
        ChatRequest(**fields)

    assert str(caught.value).startswith(sentence)


def test_messages_of_another_library_are_taken_as_what_they_say() -> None:
    fields: dict[str, Any] = {"messages": [M, _OfAnotherPackage()]}

    assert ChatRequest(**fields).messages[1] == Message(role="assistant", content="hello")


# -- types of users


class _Inner(BaseModel):
    value: int | str


class _Outer(BaseModel):
    inner: dict[str, list[_Inner]] | None = None
    total: float


def test_faults_are_found_in_types_that_are_not_ours() -> None:
    adapter = TypeAdapter(_Outer)
    with pytest.raises(ValidationError) as caught:
        adapter.validate_json('{"inner": {"a": [{"value": 1}, {"value": []}]}, "total": "x"}')

    found = faults(caught.value, adapter.core_schema)

    assert found == (
        Fault(("inner", "a", 1, "value"), "must be a whole number or text, not a list"),
        Fault(("total",), "must be a number"),
    )
    assert sentence(found).startswith("inner.a[1].value: must be")


def test_nulls_of_every_item_of_a_list_are_absence() -> None:
    messages = [{"role": "user", "content": "hi", "name": None}] * 3 + [
        {"role": "user", "content": [{"type": "text", "text": "x"}], "tool_calls": None}
    ]

    request = ChatRequest.model_validate_json(json.dumps({"messages": messages, "seed": None}))

    assert len(request.messages) == 4
    assert request.seed is None
