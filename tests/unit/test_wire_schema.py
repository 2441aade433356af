"""What a server is given in place of a job's schema, and what is remembered of its refusals."""

from dataclasses import replace
from typing import Any

import orjson
import pytest
from samples import lane

from tollway_schemas.failure import FailureClass
from tollway_schemas.request import ChatRequest, Message, OutputSchema
from tollway_workers.errors import ProviderFailure
from tollway_workers.providers.openai.dialect import refusals
from tollway_workers.providers.openai.request import build
from tollway_workers.providers.openai.wire_schema import strict_schema
from tollway_workers.providers.refused import remembered

LANE = lane()
ASKED = ChatRequest(messages=(Message(role="user", content="hi"),))
SCHEMA: dict[str, Any] = {
    "$defs": {"line": {"type": "object", "properties": {"n": {"type": "integer", "default": 1}}}},
    "type": "object",
    "properties": {
        "a": {"type": "string", "minLength": 3, "pattern": "^x"},
        "b": {"type": "number", "minimum": 0},
        "kind": {"enum": ["x", "y"]},
        "lines": {"type": "array", "items": {"$ref": "#/$defs/line"}, "uniqueItems": True},
    },
    "required": ["a"],
    "patternProperties": {"^x-": {}},
}


def _sent(output: OutputSchema, refused: frozenset[str] = frozenset()) -> dict[str, Any]:
    body: dict[str, Any] = orjson.loads(build(ASKED, output, LANE, refused))
    return body


def test_a_strict_server_is_given_the_words_that_it_takes() -> None:
    assert strict_schema(SCHEMA) == {
        "$defs": {
            "line": {
                "type": "object",
                "properties": {"n": {"type": ["integer", "null"]}},
                "required": ["n"],
                "additionalProperties": False,
            }
        },
        "type": "object",
        "properties": {
            "a": {"type": "string", "pattern": "^x"},
            "b": {"type": ["number", "null"], "minimum": 0},
            "kind": {"anyOf": [{"enum": ["x", "y"]}, {"type": "null"}]},
            "lines": {"type": ["array", "null"], "items": {"$ref": "#/$defs/line"}},
        },
        "required": ["a", "b", "kind", "lines"],
        "additionalProperties": False,
    }


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "array", "items": {"type": "string"}},
        {"anyOf": [SCHEMA, SCHEMA]},
        {"type": "object"},
        {"type": "object", "properties": {"a": {"type": "object", "additionalProperties": {}}}},
        {"type": "object", "properties": {"a": {"allOf": [{"minimum": 1}, {"maximum": 2}]}}},
        {"type": "object", "properties": {"a": True}},
    ],
)
def test_strict_words_cannot_say_every_schema(schema: dict[str, Any]) -> None:
    assert strict_schema(schema) is None


def test_strict_words_stay_as_they_are() -> None:
    strict = strict_schema(SCHEMA)

    assert strict is not None
    assert strict_schema(strict) == strict


@pytest.mark.parametrize(
    "message",
    [
        "Invalid schema for response_format 'answer': 'allOf' is not permitted.",
        "The provided JSON schema contains features not supported by xgrammar.",
        "JSON schema conversion failed: Unsupported pattern",
        "Failed to compile grammar from the schema",
        "Invalid JSON schema in format",
    ],
)
def test_a_schema_that_is_refused_is_said_in_other_words_from_then_on(message: str) -> None:
    output, strict = (OutputSchema(json_schema=SCHEMA, strict=each) for each in (None, True))
    failure = ProviderFailure(
        failure_class=FailureClass.INVALID_REQUEST,
        message=message,
        status=400,
        body=orjson.dumps({"error": {"message": message, "type": "invalid_request_error"}}),
    )

    refused = refusals(failure, build(ASKED, output, LANE), frozenset())

    assert len(refused) == 1
    again = _sent(output, refused)
    assert again["response_format"] == {"type": "json_object"}
    assert '"patternProperties"' in again["messages"][0]["content"]
    # The next schema is another one.
    other = OutputSchema(json_schema={**SCHEMA, "title": "other"})
    assert _sent(other, refused)["response_format"]["type"] == "json_schema"
    assert refusals(failure, orjson.dumps(again), refused) == frozenset()
    # Who asked for strictness gets it, where the server has words for it.
    body = build(ASKED, strict, LANE, refused)
    named = orjson.loads(body)["response_format"]["json_schema"]
    assert (named["schema"], named["strict"]) == (strict_schema(SCHEMA), True)
    both = refused | refusals(failure, body, refused)
    assert len(both) == 2
    assert _sent(strict, both)["response_format"] == {"type": "json_object"}


def test_a_schema_of_a_tool_is_the_job_s_own() -> None:
    message = "Invalid schema for function 'f': 'allOf' is not permitted."
    failure = ProviderFailure(
        failure_class=FailureClass.INVALID_REQUEST,
        message=message,
        status=400,
        body=orjson.dumps({"error": {"message": message, "param": "tools[0].function.parameters"}}),
    )

    body = build(ASKED, OutputSchema(json_schema=SCHEMA), LANE)
    assert refusals(failure, body, frozenset()) == frozenset()


def test_of_schemas_that_were_refused_only_so_many_are_remembered() -> None:
    known = frozenset({"max_tokens"})
    for number in range(1_000):
        known = remembered(known, frozenset({f"schema:{number}"}))

    assert "max_tokens" in known
    assert "schema:999" in known
    assert len(known) == 257


def test_a_lane_that_takes_no_schema_is_given_none() -> None:
    configured = replace(LANE, structured_output="json_object")

    body = orjson.loads(build(ASKED, OutputSchema(json_schema=SCHEMA, strict=True), configured))
    assert body["response_format"] == {"type": "json_object"}
