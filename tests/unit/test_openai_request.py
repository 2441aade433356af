"""Requests as OpenAI's protocol says them."""

from dataclasses import replace
from typing import Any, Literal

import orjson
import pytest

from tollway_schemas.failure import FailureClass
from tollway_schemas.request import ChatRequest, OutputSchema
from tollway_workers.config.shape.fleet import LaneConfig
from tollway_workers.config.shape.profiles import PROFILES
from tollway_workers.config.shape.provider import LimitSettings
from tollway_workers.errors import ProviderError
from tollway_workers.providers.openai.request import build

LANE = LaneConfig(
    name="lane",
    provider_name="p",
    model="gpt-5-mini",
    limits=LimitSettings(),
    token_rule="openai_max",
    call_timeout=60.0,
    connect_timeout=5.0,
    max_tokens_field="max_completion_tokens",
    structured_output="json_schema",
    stream="never",
)
SCHEMA: dict[str, Any] = {"type": "object", "properties": {"a": {"const": None}}}


def _request(**fields: Any) -> ChatRequest:
    given = {"messages": [{"role": "user", "content": "hi"}]} | fields
    return ChatRequest.model_validate_json(orjson.dumps(given))


def _body(request: ChatRequest, output: OutputSchema | None = None, **lane: Any) -> Any:
    return orjson.loads(build(request, output, replace(LANE, **lane)))


def test_what_a_request_leaves_open_is_not_sent() -> None:
    assert _body(_request()) == {
        "model": "gpt-5-mini",
        "messages": [{"role": "user", "content": "hi"}],
    }


def test_everything_a_request_says_is_sent() -> None:
    tool = {
        "type": "function",
        "function": {"name": "f", "parameters": {"type": "object", "default": None}},
    }
    choice = {"type": "function", "function": {"name": "f"}}
    request = _request(
        max_output_tokens=9,
        temperature=0,
        top_p=0.5,
        stop=["x"],
        seed=1,
        tools=[tool],
        tool_choice=choice,
        parallel_tool_calls=False,
        reasoning_effort="low",
        extras={"openai": {"logit_bias": {"1": 2}}, "gemini": {"safety": 1}},
    )

    body = _body(request, max_tokens_field="max_tokens")

    assert body | {"messages": 0} == {
        "model": "gpt-5-mini",
        "messages": 0,
        "max_tokens": 9,
        "temperature": 0,
        "top_p": 0.5,
        "stop": ["x"],
        "seed": 1,
        "tools": [tool],
        "tool_choice": choice,
        "parallel_tool_calls": False,
        "reasoning_effort": "low",
        "logit_bias": {"1": 2},
    }


@pytest.mark.parametrize(
    ("mode", "fields", "streams"),
    [
        ("auto", {}, True),
        ("auto", {"max_output_tokens": 513}, True),
        ("auto", {"max_output_tokens": 512}, False),
        ("auto", {"max_output_tokens": 512, "reasoning_effort": "minimal"}, False),
        ("auto", {"max_output_tokens": 512, "reasoning_effort": "low"}, True),
        ("always", {"max_output_tokens": 1}, True),
        ("never", {}, False),
        ("always", {"extras": {"openai": {"audio": {"voice": "a", "format": "mp3"}}}}, False),
    ],
)
def test_an_answer_that_may_be_long_is_asked_for_as_a_stream(
    mode: Literal["auto", "always", "never"], fields: dict[str, Any], streams: bool
) -> None:
    body = _body(_request(**fields), stream=mode)

    assert body.get("stream") == (True if streams else None)
    assert body.get("stream_options") == ({"include_usage": True} if streams else None)


def test_what_a_server_refuses_of_streams_is_left_out() -> None:
    lane = replace(LANE, stream="always")

    without_usage = orjson.loads(build(_request(), None, lane, frozenset({"stream_options"})))
    plain = orjson.loads(build(_request(), None, lane, frozenset({"stream"})))

    assert without_usage["stream"] and "stream_options" not in without_usage
    assert "stream" not in plain and "stream_options" not in plain


def test_a_signature_of_google_s_goes_to_servers_that_may_be_google_s_alone() -> None:
    call = {
        "id": "c",
        "type": "function",
        "function": {"name": "f", "arguments": "{}"},
        "extra_content": {"google": {"thought_signature": "c2ln"}},
    }
    request = _request(messages=[{"role": "assistant", "tool_calls": [call]}])

    unknown = _body(request)
    known = _body(request, profile=PROFILES["openai"])

    assert unknown["messages"][0]["tool_calls"] == [call]
    assert known["messages"][0]["tool_calls"] == [
        {name: value for name, value in call.items() if name != "extra_content"}
    ]


def test_messages_arrive_as_they_are() -> None:
    messages = [
        {"role": "developer", "content": "be brief", "name": "boss"},
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "look", "cache_control": {"ttl": None}},
                {"type": "image_url", "image_url": {"url": "data:x"}},
                {"type": "input_audio", "input_audio": {"data": "AA=="}},
            ],
        },
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [
                {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
            ],
        },
        {"role": "tool", "content": "42", "tool_call_id": "c"},
        {"role": "assistant", "content": "ok", "reasoning_content": "hm"},
    ]

    assert _body(_request(messages=messages))["messages"] == messages


def test_a_schema_goes_to_a_server_that_takes_one() -> None:
    output = OutputSchema(json_schema=SCHEMA, name="x", description="d", strict=True)

    assert _body(_request(), output)["response_format"] == {
        "type": "json_schema",
        "json_schema": {"name": "x", "schema": SCHEMA, "description": "d", "strict": True},
    }


def test_a_server_without_schemas_gets_it_in_the_system_message() -> None:
    request = _request(
        messages=[{"role": "system", "content": "be brief"}, {"role": "user", "content": "hi"}]
    )

    body = _body(request, OutputSchema(json_schema=SCHEMA), structured_output="json_object")

    assert body["response_format"] == {"type": "json_object"}
    assert len(body["messages"]) == 2
    assert body["messages"][0]["content"].startswith("be brief\n\n")
    assert orjson.dumps(SCHEMA).decode() in body["messages"][0]["content"]


def test_json_object_adds_the_word_json_only_where_it_is_missing() -> None:
    output = OutputSchema(mode="json_object", json_schema=SCHEMA)

    without = _body(_request(), output)["messages"]
    with_it = _body(_request(messages=[{"role": "user", "content": "as json"}]), output)["messages"]

    assert without[0] == {
        "role": "system",
        "content": "Answer with one JSON object and nothing else.",
    }
    assert with_it == [{"role": "user", "content": "as json"}]


def test_a_server_that_can_be_asked_for_nothing_gets_the_prompt_alone() -> None:
    output = OutputSchema(json_schema=SCHEMA)

    assert _body(_request(), output, structured_output="none") == _body(_request())


@pytest.mark.parametrize("name", ["model", "messages", "stream", "stream_options", "n"])
def test_an_extra_may_not_change_whose_call_it_is(name: str) -> None:
    with pytest.raises(ProviderError) as raised:
        _body(_request(extras={"openai": {name: 1}}))

    assert raised.value.failure.failure_class is FailureClass.INVALID_REQUEST
    assert name in str(raised.value)


def test_what_json_cannot_hold_is_refused_without_quoting_it() -> None:
    request = ChatRequest.model_validate_json(
        b'{"messages":[{"role":"user","content":"hi"}],"extras":{"openai":{"x":1%s}}}' % (b"0" * 40)
    )

    with pytest.raises(ProviderError, match="beyond 64 bits"):
        _body(request)


def test_marks_of_another_protocol_s_cache_do_not_reach_a_server_that_refuses_them() -> None:
    marked = {"type": "text", "text": "a", "cache_control": {"type": "ephemeral"}}
    request = _request(messages=[{"role": "user", "content": [marked]}])

    plain = _body(request, profile=PROFILES["openai"])
    gateway = _body(request, profile=PROFILES["openrouter"])

    assert plain["messages"][0]["content"] == [{"type": "text", "text": "a"}]
    assert gateway["messages"][0]["content"] == [marked]
