"""What every protocol does alike with a request: nothing that a job says is lost on its way."""

from typing import Any

import orjson
import pytest

from tollway_schemas import ChatRequest
from tollway_schemas.failure import ErrorScope, FailureClass
from tollway_workers.config.load.layers import build_fleet
from tollway_workers.config.shape.fleet import LaneConfig, resolve_lane
from tollway_workers.errors import ProviderError
from tollway_workers.providers.protocols import wire_format

PROTOCOLS = ("openai", "responses", "anthropic", "gemini")
TOOL = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
NONE: frozenset[str] = frozenset()


def lane_of(protocol: str, model: str = "m", **provider: str) -> LaneConfig:
    named = {"base_url": "https://a.example/v1", "protocol": protocol} | provider
    given = {
        "providers": {"p": named},
        "lanes": {"l": {"provider": "p", "model": model, "concurrency": 1}},
        "routes": {"r": {"lanes": ["l"]}},
    }
    return resolve_lane("l", build_fleet(given, source="a test", environ={}, overrides={}))


def asked(*messages: Any, **fields: Any) -> ChatRequest:
    said = messages or ({"role": "user", "content": "hi"},)
    return ChatRequest.model_validate({"messages": said, **fields})


def body_of(protocol: str, request: ChatRequest, model: str = "m") -> dict[str, Any]:
    lane = lane_of(protocol, model)
    assert wire_format(protocol).unsupported(request, None, lane) == ()
    body: dict[str, Any] = orjson.loads(wire_format(protocol).build(request, None, lane, NONE))
    return body


def unsaid(protocol: str, request: ChatRequest, model: str = "m") -> list[str]:
    clauses = wire_format(protocol).unsupported(request, None, lane_of(protocol, model))
    return [clause.partition(":")[0] for clause in clauses]


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_providers_own_tools_stand_beside_those_of_the_job(protocol: str) -> None:
    own = {"type": "web_search"}

    body = body_of(protocol, asked(tools=[TOOL], extras={protocol: {"tools": [own]}}))

    assert body["tools"][-1] == own
    assert len(body["tools"]) == 2


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_tools_that_are_no_list_are_refused_and_not_left_out(protocol: str) -> None:
    request = asked(tools=[TOOL], extras={protocol: {"tools": {"type": "web_search"}}})

    with pytest.raises(ProviderError, match=rf"extras\.{protocol}\.tools must be a list"):
        wire_format(protocol).build(request, None, lane_of(protocol), NONE)


def test_what_gemini_is_told_for_itself_joins_what_the_request_says() -> None:
    own = {
        "generationConfig": {"thinkingConfig": {"includeThoughts": True}},
        "toolConfig": {"retrievalConfig": {"languageCode": "de"}},
    }

    body = body_of(
        "gemini",
        asked(tools=[TOOL], tool_choice="required", reasoning_effort="low", extras={"gemini": own}),
        "gemini-3-pro",
    )

    thinking = body["generationConfig"]["thinkingConfig"]
    assert thinking == {"thinkingLevel": "LOW", "includeThoughts": True}
    assert body["toolConfig"]["functionCallingConfig"] == {"mode": "ANY"}
    assert body["toolConfig"]["retrievalConfig"] == {"languageCode": "de"}


def test_a_budget_of_thinking_is_asked_for_as_it_is_and_no_effort_beside_it() -> None:
    thinking = {"type": "enabled", "budget_tokens": 4096}

    body = body_of(
        "anthropic",
        asked(reasoning_effort="low", extras={"anthropic": {"thinking": thinking}}),
    )

    assert body["thinking"] == thinking
    assert "output_config" not in body


@pytest.mark.parametrize("protocol", ["responses", "anthropic", "gemini"])
def test_fields_of_parts_that_a_protocol_has_not_are_named(protocol: str) -> None:
    image = {"url": "https://x.example/a.png", "format": "image/png"}
    parts = [
        {"type": "text", "text": "x", "odd": 1},
        {"type": "image_url", "image_url": image, "odd": 2},
    ]

    assert unsaid(protocol, asked({"role": "user", "content": parts})) == [
        "request.messages.0.content.0.odd",
        "request.messages.0.content.1.odd",
        "request.messages.0.content.1.image_url.format",
    ]


@pytest.mark.parametrize(
    ("protocol", "fields", "named"),
    [
        ("anthropic", {"stop": ["END", "\n\n"]}, "request.stop"),
        ("anthropic", {"temperature": 0.2, "reasoning_effort": "high"}, "request.temperature"),
        ("anthropic", {"top_p": 0.5, "reasoning_effort": "high"}, "request.top_p"),
        ("gemini", {"stop": list("abcdef")}, "request.stop"),
    ],
)
def test_what_a_provider_always_refuses_makes_its_lane_no_rung(
    protocol: str, fields: dict[str, Any], named: str
) -> None:
    assert unsaid(protocol, asked(**fields)) == [named]


@pytest.mark.parametrize(
    "fields",
    [
        {"stop": [" END"], "temperature": 0.2},
        {"temperature": 1, "top_p": 0.95, "reasoning_effort": "high"},
        {"temperature": 0.2, "reasoning_effort": "none"},
    ],
)
def test_what_anthropic_takes_is_sent(fields: dict[str, Any]) -> None:
    assert unsaid("anthropic", asked(**fields)) == []


def test_what_anthropic_itself_refuses_other_servers_of_its_protocol_are_asked() -> None:
    request = asked(stop=["\n"], temperature=0.2, reasoning_effort="high")

    lane = lane_of("anthropic", profile="vllm")

    assert wire_format("anthropic").unsupported(request, None, lane) == ()


def test_an_image_that_a_tool_gave_is_for_models_that_see_it_there() -> None:
    called = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,aGk="}}
    request = asked(
        {"role": "user", "content": "hi"},
        {"role": "assistant", "tool_calls": [called]},
        {"role": "tool", "tool_call_id": "c", "content": [image]},
    )

    assert unsaid("gemini", request, "gemini-2.5-flash") == ["request.messages.2.content.0"]
    assert unsaid("gemini", request, "gemini-3-pro") == []


def test_a_tool_whose_arguments_have_free_names_keeps_what_they_are() -> None:
    free = {"type": "object", "additionalProperties": {"type": "string"}}
    tool = {"type": "function", "function": {"name": "f", "parameters": free}}

    [declared] = body_of("gemini", asked(tools=[tool]))["tools"][0]["functionDeclarations"]

    assert declared["parametersJsonSchema"] == free


def test_marks_of_what_may_be_cached_go_with_what_they_stand_on() -> None:
    mark = {"type": "ephemeral"}
    file = {"file_data": "data:application/pdf;base64,aGk="}
    called = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}

    body = body_of(
        "anthropic",
        asked(
            {"role": "system", "content": "long", "cache_control": mark},
            {
                "role": "user",
                "content": [{"type": "file", "file": file, "cache_control": mark}],
            },
            {"role": "assistant", "tool_calls": [called]},
            {"role": "tool", "tool_call_id": "c", "content": "x", "cache_control": mark},
        ),
    )

    assert body["system"][0]["cache_control"] == mark
    assert body["messages"][0]["content"][0]["cache_control"] == mark
    assert body["messages"][2]["content"][0]["cache_control"] == mark


@pytest.mark.parametrize(
    ("protocol", "error"),
    [
        (
            "anthropic",
            {
                "type": "error",
                "error": {"type": "not_found_error", "message": "File not found: f1"},
            },
        ),
        (
            "responses",
            {
                "error": {
                    "message": "Item with id 'rs_1' not found.",
                    "type": "invalid_request_error",
                    "param": "input",
                    "code": None,
                }
            },
        ),
        (
            "openai",
            {
                "error": {
                    "message": "No such File object: file-1",
                    "type": "invalid_request_error",
                    "param": "id",
                    "code": None,
                }
            },
        ),
    ],
)
def test_a_thing_that_a_request_names_and_that_is_not_there_is_the_jobs_fault(
    protocol: str, error: dict[str, Any]
) -> None:
    with pytest.raises(ProviderError) as raised:
        wire_format(protocol).parse(404, {}, orjson.dumps(error), b"{}")

    failure = raised.value.failure
    assert (failure.failure_class, failure.scope) == (
        FailureClass.INVALID_REQUEST,
        ErrorScope.REQUEST,
    )


@pytest.mark.parametrize("protocol", ["anthropic", "gemini"])
def test_arguments_that_would_lose_a_digit_are_not_sent(protocol: str) -> None:
    arguments = '{"id": 123456789012345678901234567890}'
    called = {"id": "c", "type": "function", "function": {"name": "f", "arguments": arguments}}
    request = asked(
        {"role": "user", "content": "hi"},
        {"role": "assistant", "tool_calls": [called]},
        {"role": "tool", "tool_call_id": "c", "content": "x"},
    )

    assert unsaid(protocol, request) == ["request.messages.1.tool_calls.0.function.arguments"]


@pytest.mark.parametrize(("protocol", "name"), [("anthropic", "messages"), ("gemini", "contents")])
def test_a_conversation_of_a_system_prompt_alone_is_asked_as_the_users(
    protocol: str, name: str
) -> None:
    body = body_of(protocol, asked({"role": "system", "content": "Say hi."}))

    assert [turn["role"] for turn in body[name]] == ["user"]
    assert "Say hi." in str(body[name])
    assert body.keys().isdisjoint(("system", "systemInstruction"))


def test_a_model_that_always_thinks_is_no_rung_for_a_job_without_thought() -> None:
    request = asked(reasoning_effort="none")

    assert unsaid("gemini", request, "gemini-2.5-pro-preview") == ["request.reasoning_effort"]
    assert unsaid("gemini", request, "gemini-2.5-flash") == []
