"""Anthropic's own client reads what the simulator says: it speaks no dialect of ours."""

from collections.abc import AsyncIterator
from typing import Any

import anthropic
import httpx
import orjson
import pytest
from anthropic import AsyncAnthropic, DefaultAsyncHttpxClient, transform_schema
from pydantic import SecretStr

from tollway_workers.local.simulator import Fault, FaultKind, Simulator, SimulatorOptions

_SCHEMA = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "amount": {"type": "integer"}},
    "required": ["name", "amount"],
    "additionalProperties": False,
}


def _of(each: dict[str, Any]) -> dict[str, Any]:
    """The schema of an object of one property."""
    named = {"properties": {"a": each}, "required": ["a"]}
    return {"type": "object", **named, "additionalProperties": False}


_TOOL: Any = {"name": "book", "description": "Books it.", "input_schema": _SCHEMA}
_OTHER: Any = {"name": "look", "input_schema": {"type": "object", "properties": {}}}
_ASKED: Any = [{"role": "user", "content": "What does it cost?"}]
_LONG = "word " * 900


def _client(sim: Simulator, **fields: Any) -> AsyncAnthropic:
    named: dict[str, Any] = {"default_headers": {"x-job-id": "job-1"}} | fields
    # Reading the certificates of the world takes longer than a test.
    http = DefaultAsyncHttpxClient(verify=False)
    return AsyncAnthropic(
        base_url=sim.url, api_key="key-1", max_retries=0, http_client=http, **named
    )


@pytest.fixture
async def sim() -> AsyncIterator[Simulator]:
    async with Simulator(SimulatorOptions(answers={"said": "x" * 40})) as sim:
        yield sim


async def _ask(sim: Simulator, **fields: Any) -> anthropic.types.Message:
    given: dict[str, Any] = {"model": "claude-sim", "max_tokens": 500, "messages": _ASKED} | fields
    async with _client(sim) as client:
        message: anthropic.types.Message = await client.messages.create(**given)
    return message


async def _streamed(sim: Simulator, **fields: Any) -> tuple[list[str], anthropic.types.Message]:
    given: dict[str, Any] = {"model": "claude-sim", "max_tokens": 500, "messages": _ASKED} | fields
    async with _client(sim) as client, client.messages.stream(**given) as stream:
        kinds: list[str] = [event.type async for event in stream]
        return kinds, await stream.get_final_message()


async def test_a_plain_answer(sim: Simulator) -> None:
    message = await _ask(sim)

    (block,) = message.content
    assert block.type == "text" and block.text
    assert (message.stop_reason, message.model) == ("end_turn", "claude-sim")
    assert message.usage.input_tokens == 4 + 5
    (call,) = sim.calls
    assert (call.protocol, call.ending) == ("anthropic", "ok")
    assert (call.prompt_tokens, call.completion_tokens) == (9, message.usage.output_tokens)


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"tools": [_TOOL], "tool_choice": {"type": "tool", "name": "book"}},
        {"thinking": {"type": "adaptive"}},
        {"output_config": {"format": {"type": "json_schema", "schema": _SCHEMA}}},
        {"max_tokens": 2},
    ],
    ids=["text", "tool", "thinking", "schema", "cut"],
)
async def test_a_stream_comes_to_what_the_plain_answer_is(
    sim: Simulator, fields: dict[str, Any]
) -> None:
    plain = await _ask(sim, **fields)
    kinds, streamed = await _streamed(sim, **fields)

    assert kinds[0] == "message_start" and kinds[-1] == "message_stop"
    # Ids count the calls of a job.
    unlike: Any = {"id": True, "content": {"__all__": {"id", "signature", "parsed_output"}}}
    assert streamed.model_dump(exclude=unlike, exclude_none=True) == plain.model_dump(
        exclude=unlike, exclude_none=True
    )


async def test_a_forced_tool_is_called_with_arguments_of_its_schema(sim: Simulator) -> None:
    message = await _ask(sim, tools=[_OTHER, _TOOL], tool_choice={"type": "tool", "name": "book"})

    (block,) = message.content
    assert block.type == "tool_use" and block.name == "book"
    assert set(block.input) == {"name", "amount"}
    assert isinstance(block.input["amount"], int)
    assert message.stop_reason == "tool_use"


async def test_who_has_the_results_is_answered_in_words(sim: Simulator) -> None:
    first = await _ask(sim, tools=[_TOOL], tool_choice={"type": "any"})
    results = [
        {"type": "tool_result", "tool_use_id": block.id, "content": "done"}
        for block in first.content
        if block.type == "tool_use"
    ]
    turns = [*_ASKED, {"role": "assistant", "content": first.content}]

    second = await _ask(sim, tools=[_TOOL], messages=[*turns, {"role": "user", "content": results}])

    assert second.stop_reason == "end_turn"


async def test_an_answer_to_a_schema_satisfies_it(sim: Simulator) -> None:
    asked = {"format": {"type": "json_schema", "schema": _SCHEMA}}

    message = await _ask(sim, output_config=asked)

    (block,) = message.content
    assert block.type == "text"
    assert set(orjson.loads(block.text)) == {"name", "amount"}


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "object", "properties": {}},
        _of({"type": "string", "minLength": 1}),
        _of({"type": "integer", "minimum": 1}),
        _of({"type": "array", "items": {"type": "null"}, "minItems": 2}),
        {
            **_of({"$ref": "#/$defs/a"}),
            "$defs": {"a": {"anyOf": [{"type": "null"}, {"$ref": "#/$defs/a"}]}},
        },
        {**_of({}), "properties": {f"p{n}": {"type": "string"} for n in range(25)}, "required": []},
    ],
)
async def test_a_schema_that_it_does_not_take_is_refused_until_the_client_has_trimmed_it(
    sim: Simulator, schema: dict[str, Any]
) -> None:
    with pytest.raises(anthropic.BadRequestError) as caught:
        await _ask(sim, output_config={"format": {"type": "json_schema", "schema": schema}})

    assert caught.value.status_code == 400
    if "$defs" not in schema and schema.get("required") != []:
        trimmed = {"type": "json_schema", "schema": transform_schema(schema)}
        assert (await _ask(sim, output_config={"format": trimmed})).stop_reason == "end_turn"


async def test_thinking_comes_first_and_counts(sim: Simulator) -> None:
    message = await _ask(sim, max_tokens=2000, thinking={"type": "enabled", "budget_tokens": 1024})

    thought, said = message.content
    assert thought.type == "thinking" and thought.thinking and thought.signature
    assert said.type == "text"
    details = message.usage.output_tokens_details
    assert details is not None and 0 < details.thinking_tokens < message.usage.output_tokens


async def test_what_is_marked_is_cached_for_as_long_as_it_says(sim: Simulator) -> None:
    def system(ttl: str) -> list[dict[str, Any]]:
        kept = {"type": "ephemeral", "ttl": ttl}
        return [{"type": "text", "text": _LONG + ttl, "cache_control": kept}]

    written, read = [(await _ask(sim, system=system("5m"))).usage for _ in range(2)]
    hour = (await _ask(sim, system=system("1h"))).usage

    assert written.cache_creation is not None and hour.cache_creation is not None
    tokens = written.cache_creation.ephemeral_5m_input_tokens
    assert tokens == 4 + (4500 + 2 + 3) // 4
    assert (written.cache_read_input_tokens, written.input_tokens) == (0, 9)
    assert (read.cache_read_input_tokens, read.cache_creation_input_tokens) == (tokens, 0)
    assert read.input_tokens == 9
    assert hour.cache_creation.ephemeral_1h_input_tokens == tokens
    assert [call.prompt_tokens for call in sim.calls] == [tokens + 9] * 3


async def test_an_image_is_read(sim: Simulator) -> None:
    source = {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="}
    content = [{"type": "image", "source": source}, {"type": "text", "text": "What is it?"}]

    message = await _ask(sim, messages=[{"role": "user", "content": content}])

    assert message.usage.input_tokens == 4 + 85 + 3


@pytest.mark.parametrize(
    ("kind", "error", "status", "said"),
    [
        ("401", anthropic.AuthenticationError, 401, "authentication_error"),
        ("404", anthropic.NotFoundError, 404, "not_found_error"),
        ("429", anthropic.RateLimitError, 429, "rate_limit_error"),
        ("insufficient_quota", anthropic.RateLimitError, 429, "rate_limit_error"),
        ("context_length", anthropic.BadRequestError, 400, "invalid_request_error"),
        ("500", anthropic.InternalServerError, 500, "api_error"),
        ("503", anthropic.APIStatusError, 503, "api_error"),
        ("529", anthropic.APIStatusError, 529, "overloaded_error"),
    ],
)
async def test_an_error_is_of_the_clients_own_class(
    kind: str, error: type[anthropic.APIStatusError], status: int, said: str
) -> None:
    async with Simulator(SimulatorOptions(faults=(Fault(kind=FaultKind(kind)),))) as sim:
        with pytest.raises(error) as caught:
            await _ask(sim)
        (call,) = sim.calls

    body: Any = caught.value.body
    assert (caught.value.status_code, body["error"]["type"]) == (status, said)
    assert body["request_id"] == caught.value.request_id == "req_000000000001"
    # A spent quota does not say when to come again.
    assert ("retry-after" in caught.value.response.headers) is (kind == "429")
    assert (call.ending, call.fault, call.billed) == (str(status), kind, False)


async def test_a_refusal_has_a_stop_reason_of_its_own() -> None:
    async with Simulator(SimulatorOptions(faults=(Fault(kind=FaultKind.REFUSAL),))) as sim:
        message = await _ask(sim)

    assert (message.stop_reason, message.content) == ("refusal", [])
    assert message.stop_details is not None and message.stop_details.explanation


@pytest.mark.parametrize(
    "fields",
    [
        {"temperature": 0.5},
        {"seed": 1},
        {"stop_sequences": ["END", "\n\n"]},
        {"max_tokens": None},
        {"max_tokens": 0},
        {"messages": []},
        {"messages": [{"role": "system", "content": "x"}]},
        {"messages": [*_ASKED, {"role": "assistant", "content": "The answer is"}]},
        {"messages": [{"role": "user", "content": ""}]},
        {"messages": [{"role": "user", "content": [{"type": "image_url"}]}]},
        {
            "messages": [
                *_ASKED,
                {
                    "role": "assistant",
                    "content": [{"type": "tool_use", "id": "a", "name": "book", "input": {}}],
                },
                *_ASKED,
            ]
        },
        {
            "messages": [
                {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "a"}]},
            ]
        },
        {"tool_choice": {"type": "any"}},
        {"tools": [_TOOL], "tool_choice": {"type": "tool", "name": "other"}},
        {"tools": [{"name": "a b", "input_schema": _SCHEMA}]},
        {"tools": [{"name": "a", "input_schema": {}}]},
        {"thinking": {"type": "enabled", "budget_tokens": 1024}},
    ],
)
async def test_a_request_that_anthropic_would_refuse_is_refused(
    sim: Simulator, fields: dict[str, Any]
) -> None:
    body = {"model": "claude-sim", "max_tokens": 500, "messages": _ASKED} | fields
    headers = {"x-api-key": "k", "anthropic-version": "2026-10-21"}

    async with httpx.AsyncClient(verify=False) as http:  # noqa: S501 - no TLS
        response = await http.post(f"{sim.base_url}/messages", json=body, headers=headers)

    assert response.status_code == 400
    assert response.json()["error"]["type"] == "invalid_request_error"


async def test_who_thinks_is_not_told_how_random_to_be(sim: Simulator) -> None:
    asked = {"model": "m", "max_tokens": 500, "messages": _ASKED, "thinking": {"type": "adaptive"}}
    headers = {"x-api-key": "k", "anthropic-version": "2023-06-01"}

    async with httpx.AsyncClient(verify=False) as http:  # noqa: S501 - no TLS
        refused, taken = [
            await http.post(
                f"{sim.base_url}/messages", json=asked | {"temperature": each}, headers=headers
            )
            for each in (0.5, 1)
        ]

    assert (refused.status_code, taken.status_code) == (400, 200)
    assert "may only be set to 1 when thinking" in refused.json()["error"]["message"]


async def test_the_older_version_samples_and_none_is_refused(sim: Simulator) -> None:
    body = {"model": "m", "max_tokens": 5, "messages": _ASKED, "temperature": 0.5}
    async with httpx.AsyncClient(verify=False) as http:  # noqa: S501 - no TLS
        older = await http.post(
            f"{sim.base_url}/messages", json=body, headers={"anthropic-version": "2023-06-01"}
        )
        none = await http.post(f"{sim.base_url}/messages", json=body)

    assert (older.status_code, none.status_code) == (200, 400)
    assert "anthropic-version" in none.json()["error"]["message"]


@pytest.mark.parametrize("named", [{"api_key": "right"}, {"auth_token": "right"}])
async def test_only_the_right_key_opens(named: dict[str, Any]) -> None:
    async with Simulator(SimulatorOptions(required_key=SecretStr("right"))) as sim:
        async with AsyncAnthropic(base_url=sim.url, max_retries=0, **named) as client:
            await client.messages.create(model="m", max_tokens=9, messages=_ASKED)
        with pytest.raises(anthropic.AuthenticationError):
            await _ask(sim)


async def test_input_and_output_have_limits_of_their_own_and_cached_input_none() -> None:
    options = SimulatorOptions(
        answers={"a": "x" * 40},
        requests_per_minute=60,
        input_tokens_per_minute=10_000,
        output_tokens_per_minute=8,
        burst_seconds=60,
    )
    named = {"x-job-id": "a"}
    async with Simulator(options) as sim:
        async with _client(sim, default_headers=named) as client:
            raw = await client.messages.with_raw_response.create(
                model="m", max_tokens=4096, messages=_ASKED
            )
            with pytest.raises(anthropic.RateLimitError) as caught:
                await client.messages.create(model="m", max_tokens=4096, messages=_ASKED)
        calls = sim.calls

    told = raw.headers
    assert told["anthropic-ratelimit-requests-limit"] == "60"
    assert told["anthropic-ratelimit-requests-remaining"] == "59"
    assert told["anthropic-ratelimit-input-tokens-limit"] == "10000"
    assert told["anthropic-ratelimit-input-tokens-remaining"] == "10000"
    assert told["anthropic-ratelimit-output-tokens-limit"] == "8"
    assert told["anthropic-ratelimit-tokens-limit"] == "10000"
    assert told["anthropic-ratelimit-requests-reset"].endswith("Z")
    # The answer of ten tokens was more than the minute had: the next waits.
    assert "output tokens" in caught.value.message
    assert int(caught.value.response.headers["retry-after"]) >= 1
    assert [call.charged_tokens for call in calls] == [9, 0]
