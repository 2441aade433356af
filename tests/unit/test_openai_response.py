"""Answers of OpenAI and of servers like it, as completions."""

from contextlib import suppress
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tollway_schemas.failure import FailureClass
from tollway_schemas.usage import Usage
from tollway_workers.errors import ProviderError
from tollway_workers.providers.base import Completion, Finish
from tollway_workers.providers.openai.response import parse


def _body(message: Any, finish: Any = "stop", **envelope: Any) -> bytes:
    choice = {"index": 0, "message": message, "finish_reason": finish}
    return orjson.dumps({"id": "c-1", "model": "m-1", "choices": [choice], **envelope})


def _parsed(message: Any, finish: Any = "stop", **envelope: Any) -> Completion:
    return parse(200, {}, _body(message, finish, **envelope))


def test_a_whole_answer_keeps_everything_the_provider_said() -> None:
    usage = {
        "prompt_tokens": 1200,
        "completion_tokens": 90,
        "prompt_tokens_details": {"cached_tokens": 1024, "cache_write_tokens": 7},
        "completion_tokens_details": {"reasoning_tokens": 64},
    }
    body = _body({"content": "hi", "refusal": None}, usage=usage, service_tier="flex")

    completion = parse(200, {"x-request-id": "req_1"}, body)

    assert completion.text == "hi"
    assert completion.finish is Finish.STOP
    assert completion.model_served == "m-1"
    assert completion.provider_request_id == "req_1"
    assert completion.body == body
    assert not completion.scripted
    assert completion.usage == Usage(
        input_total=1200,
        input_cached_read=1024,
        input_cache_write_5m=7,
        output_total=90,
        reasoning=64,
        service_tier="flex",
    )


def test_a_simulators_answer_is_marked() -> None:
    assert _parsed({"content": "x"}, system_fingerprint="scripted").scripted


@pytest.mark.parametrize(
    ("word", "finish"),
    [
        ("stop", Finish.STOP),
        ("eos", Finish.STOP),
        ("length", Finish.LENGTH),
        ("model_length", Finish.CONTEXT),
        ("tool_calls", Finish.TOOL),
        ("function_call", Finish.TOOL),
        ("content_filter", Finish.CONTENT_FILTER),
        ("eos_token", Finish.STOP),
        ("STOP", Finish.STOP),
        ("end_turn", Finish.STOP),
        ("MAX_TOKENS", Finish.LENGTH),
        ("tool_use", Finish.TOOL),
        ("SAFETY", Finish.CONTENT_FILTER),
        ("refusal", Finish.REFUSAL),
        ("abort", Finish.UNKNOWN),
        ("a word of next year", Finish.UNKNOWN),
    ],
)
def test_a_finish_reason_is_translated_and_kept(word: str, finish: Finish) -> None:
    completion = _parsed({"content": "x"}, word)

    assert (completion.finish, completion.finish_reason) == (finish, word)


@pytest.mark.parametrize(
    ("said", "finish", "kept"),
    [
        (None, Finish.NOT_SAID, None),
        ("", Finish.NOT_SAID, None),
        (7, Finish.UNKNOWN, "7"),
        (False, Finish.UNKNOWN, "false"),
        ({"type": "stop"}, Finish.UNKNOWN, '{"type":"stop"}'),
        (["stop"], Finish.UNKNOWN, '["stop"]'),
        ("x" * 300, Finish.UNKNOWN, "x" * 256),
    ],
)
def test_a_finish_reason_that_is_no_word_is_unknown_and_kept_as_json(
    said: Any, finish: Finish, kept: str | None
) -> None:
    completion = _parsed({"content": "x"}, said)

    assert (completion.finish, completion.finish_reason) == (finish, kept)


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (None, None),
        ("", ""),
        (
            [{"type": "text", "text": "a"}, {"type": "thinking"}, {"type": "text", "text": "b"}],
            "ab",
        ),
        ([], None),
        ({"text": "x"}, None),
        (3, None),
    ],
)
def test_content_may_be_anything(content: Any, text: str | None) -> None:
    assert _parsed({"content": content, "reasoning_content": "hm"}).text == text


@pytest.mark.parametrize(
    "message",
    [
        {"content": None, "refusal": "no"},
        {"content": [{"type": "refusal", "refusal": "no"}]},
    ],
)
def test_a_refusal_is_told_from_an_answer(message: Any) -> None:
    assert _parsed(message).finish is Finish.REFUSAL


def test_a_call_by_the_older_field_is_a_tool_call() -> None:
    message = {"content": None, "function_call": {"name": "f", "arguments": "{}"}}

    (call,) = _parsed(message, "function_call").tool_calls

    assert (call.function.name, call.function.arguments) == ("f", "{}")


@pytest.mark.parametrize(
    ("message", "other"),
    [
        ({"content": None, "audio": {"id": "a", "data": "aGk="}}, True),
        ({"content": "", "images": [{"type": "image_url"}]}, True),
        ({"content": [{"type": "image_url", "image_url": {"url": "data:"}}]}, True),
        ({"content": None, "tool_calls": [{"type": "custom", "custom": {"name": "c"}}]}, True),
        ({"content": None, "tool_calls": [{"type": "function", "function": {}}]}, False),
        ({"content": None, "reasoning_content": "only thoughts"}, False),
        ({"content": [{"type": "thinking", "thinking": []}]}, False),
    ],
)
def test_an_answer_in_another_form_is_told_from_an_empty_one(message: Any, other: bool) -> None:
    assert _parsed(message).other is other


def test_the_whole_answer_is_kept_as_it_came() -> None:
    body = _body({"content": "x", "reasoning": "r"}, citations=["https://e.example"])

    assert parse(200, {}, body).kept is body


def test_an_answer_that_no_reader_of_records_could_read_is_told_so() -> None:
    deep: Any = []
    for _ in range(190):
        deep = [deep]

    completion = _parsed({"content": "x", "annotations": deep})

    assert (completion.text, completion.deep) == ("x", True)


@pytest.mark.parametrize("levels", [190, 400, 1_000])
def test_arguments_nested_however_deep_are_no_bug(levels: int) -> None:
    deep = "[" * levels + "]" * levels
    body = b'{"choices":[{"finish_reason":%b,"message":{"tool_calls":[{"function":{"name":"f",'
    body = body % deep.encode() + b'"arguments":%b}}]}}]}' % deep.encode()

    with suppress(ProviderError):
        assert parse(200, {}, body).finish is Finish.UNKNOWN


def test_tool_calls_come_as_text_whatever_the_server_made_of_them() -> None:
    calls = [
        {"id": "call_a", "type": "function", "function": {"name": "f", "arguments": '{"a":1}'}},
        {"function": {"name": "g", "arguments": {"b": 2}}},
        {"function": {"name": "h", "arguments": None}},
        {"function": {}},
        "nonsense",
    ]

    found = _parsed({"content": None, "tool_calls": calls}, "tool_calls").tool_calls

    assert [(c.id, c.function.name, c.function.arguments) for c in found] == [
        ("call_a", "f", '{"a":1}'),
        ("call_1", "g", '{"b":2}'),
        ("call_2", "h", "{}"),
    ]


@pytest.mark.parametrize("usage", [None, {}, [], "x", {"prompt_tokens": "3"}])
def test_missing_usage_is_unknown_not_zero(usage: Any) -> None:
    assert _parsed({"content": "x"}, usage=usage).usage is None


def test_usage_of_other_servers_is_read_too() -> None:
    deepseek = {"prompt_tokens": 5, "completion_tokens": 1, "prompt_cache_hit_tokens": 4}
    openrouter = {"prompt_tokens": 5, "completion_tokens": -1, "cost": 0.00014}

    assert _parsed({"content": "x"}, usage=deepseek).usage == Usage(
        input_total=5, output_total=1, input_cached_read=4
    )
    assert _parsed({"content": "x"}, usage=openrouter).usage == Usage(
        input_total=5, cost_reported=140_000_000, estimated=True
    )


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"", FailureClass.NO_COMPLETION),
        (b'{"choices": [{"mess', FailureClass.TRANSIENT),
        (b"<html>", FailureClass.NO_COMPLETION),
        (b"[]", FailureClass.NO_COMPLETION),
        (b"{}", FailureClass.NO_COMPLETION),
        (b'{"choices": []}', FailureClass.TRANSIENT),
        (b'{"choices": [null]}', FailureClass.TRANSIENT),
        (b'{"error": {"message": "x", "code": 502}}', FailureClass.TRANSIENT),
        (b'{"error": {"message": "x", "code": 429}}', FailureClass.RATE_LIMIT),
        (b'{"error": {"code": "rate_limit_exceeded"}}', FailureClass.RATE_LIMIT),
        (b'{"error": "overloaded"}', FailureClass.NO_COMPLETION),
        (b'{"choices":[{"error":{"code":503},"finish_reason":"error"}]}', FailureClass.OVERLOADED),
        (b'{"choices":[{"finish_reason":"error"}]}', FailureClass.TRANSIENT),
        # The first of several: half an answer.
        (b'{"choices":[{"message":{"content":"a"}}]}\n{"choices":[]}', FailureClass.TRANSIENT),
    ],
)
def test_a_200_need_not_be_an_answer(body: bytes, expected: FailureClass) -> None:
    with pytest.raises(ProviderError) as raised:
        parse(200, {}, body)

    assert raised.value.failure.failure_class is expected
    assert raised.value.failure.status == 200
    assert raised.value.failure.body == body


NUMBERS = st.integers(-(2**62), 2**63) | st.floats(allow_nan=False)
JSON = st.recursive(
    st.none() | st.booleans() | NUMBERS | st.text(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["choices", "message", "content", "tool_calls", "function", "name", "arguments",
                 "usage", "prompt_tokens", "cost", "error", "finish_reason", "refusal", "text"]
            ),
            inner,
        )
    ),
    max_leaves=20,
)  # fmt: skip


@given(status=st.integers(100, 599), body=st.binary() | JSON.map(orjson.dumps))
def test_whatever_comes_is_a_completion_or_a_provider_error(status: int, body: bytes) -> None:
    with suppress(ProviderError):
        assert isinstance(parse(status, {}, body), Completion)


@given(message=JSON, usage=JSON, finish=JSON)
def test_whatever_an_answer_holds_is_a_completion_or_a_provider_error(
    message: Any, usage: Any, finish: Any
) -> None:
    with suppress(ProviderError):
        assert isinstance(parse(200, {}, _body(message, finish, usage=usage)), Completion)


def test_a_request_id_of_strange_bytes_is_kept_as_far_as_json_takes_it() -> None:
    body = orjson.dumps({"choices": [{"message": {"content": "yes"}, "finish_reason": "stop"}]})

    completion = parse(200, {"x-request-id": "req-\udcff\xe9"}, body)

    assert completion.provider_request_id == "req-??"
