"""Anthropic's requests beyond what its documentation shows: schemas, turns, thinking, limits."""

from dataclasses import replace
from typing import Any

import orjson
import pytest
from samples import lane

from tollway_schemas.failure import FailureClass
from tollway_schemas.request import ChatRequest, OutputSchema
from tollway_workers.config.shape.profiles import PROFILES
from tollway_workers.errors import ProviderError
from tollway_workers.providers.anthropic.native_schema import native_schema
from tollway_workers.providers.anthropic.request import build
from tollway_workers.providers.anthropic.thinking import ADAPTIVE
from tollway_workers.providers.anthropic.unsupported import unsupported

LANE = replace(lane(stream="never"), protocol="anthropic", profile=PROFILES["anthropic"])
TEXT = {"type": "string"}


def _request(**fields: Any) -> ChatRequest:
    given = {"messages": [{"role": "user", "content": "hi"}]} | fields
    return ChatRequest.model_validate_json(orjson.dumps(given))


def _body(request: ChatRequest, *refused: str, output: OutputSchema | None = None) -> Any:
    return orjson.loads(build(request, output, LANE, frozenset(refused)))


def _object(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(properties)}


@pytest.mark.parametrize(
    "schema",
    [
        # A dictionary, a list of anything, anything at all.
        {"type": "object", "additionalProperties": {"type": "number"}},
        _object(a={"type": "array"}),
        _object(a={}),
        {"type": "object"},
        # Recursion, a reference to elsewhere, several parts at once.
        {"$ref": "#"},
        _object(a={"$ref": "#/properties/a"}),
        _object(a={"$ref": "https://example.com/schema"}),
        {"allOf": [_object(a=TEXT), _object(b=TEXT)]},
        # More than it takes.
        {"type": "object", "properties": {f"p{n}": TEXT for n in range(25)}},
        _object(**{f"p{n}": {"anyOf": [TEXT, {"type": "null"}]} for n in range(17)}),
    ],
)
def test_a_schema_whose_meaning_would_be_lost_has_no_native_form(schema: dict[str, Any]) -> None:
    assert native_schema(schema) is None


def test_references_are_written_out_and_narrowing_words_left_out() -> None:
    schema = {
        "$defs": {"money": {"type": "number", "minimum": 0}},
        "allOf": [_object(a={"$ref": "#/$defs/money"}, b={"type": "string", "pattern": "^x$"})],
        "title": "T",
    }

    assert native_schema(schema) == {
        "title": "T",
        "type": "object",
        "properties": {"a": {"type": "number"}, "b": {"type": "string"}},
        "required": ["a", "b"],
        "additionalProperties": False,
    }


def test_a_schema_that_grows_without_bound_is_given_up_at_once() -> None:
    """Each level refers twice to the one below: written out it would have a billion parts."""
    levels: dict[str, Any] = {
        f"l{n}": _object(a={"$ref": f"#/$defs/l{n + 1}"}, b={"$ref": f"#/$defs/l{n + 1}"})
        for n in range(30)
    }
    levels["l30"] = TEXT

    assert native_schema({"$defs": levels, "$ref": "#/$defs/l0"}) is None


def test_results_of_calls_come_first_in_their_turn() -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    messages = [
        {"role": "user", "content": "a"},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "user", "content": "meanwhile"},
        {"role": "tool", "tool_call_id": "c1", "content": "b", "is_error": True},
    ]

    last = _body(_request(messages=messages))["messages"][-1]

    assert [block["type"] for block in last["content"]] == ["tool_result", "text"]
    assert last["content"][0]["is_error"] is True


def test_a_model_that_counts_thinking_is_given_less_than_the_answer_may_have() -> None:
    thinking = _body(_request(reasoning_effort="high", max_output_tokens=2_000), ADAPTIVE)
    assert thinking["thinking"] == {"type": "enabled", "budget_tokens": 1_999}

    with pytest.raises(ProviderError) as raised:
        _body(_request(reasoning_effort="high", max_output_tokens=1_000), ADAPTIVE)
    assert raised.value.failure.failure_class is FailureClass.INVALID_REQUEST


def test_extras_are_added_to_what_the_request_says() -> None:
    request = _request(
        reasoning_effort="low",
        tools=[{"type": "function", "function": {"name": "f"}}],
        extras={
            "anthropic": {
                "output_config": {"task_budget": 5},
                "tools": [{"type": "web_search_20260209", "name": "web_search"}],
            }
        },
    )

    body = _body(request)

    assert body["output_config"] == {"effort": "low", "task_budget": 5}
    assert [tool["name"] for tool in body["tools"]] == ["f", "web_search"]


@pytest.mark.parametrize("name", ["model", "messages", "system", "stream"])
def test_what_the_lane_and_the_request_decide_is_no_extra(name: str) -> None:
    with pytest.raises(ProviderError, match=f"extras.anthropic may not set {name}"):
        _body(_request(extras={"anthropic": {name: "x"}}))


def test_a_tool_that_must_be_used_has_to_be_there() -> None:
    (clause,) = unsupported(_request(tool_choice="required"), None, LANE)

    assert clause == "request.tool_choice: demands a tool, and there is none"
