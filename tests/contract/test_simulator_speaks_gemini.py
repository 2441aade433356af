"""Google's own client reads what the simulator says: it speaks no dialect of ours."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, cast

import httpx
import orjson
import pytest
from google import genai
from google.genai import errors, types
from google.genai.client import AsyncClient
from pydantic import SecretStr

from tollway_workers.local.simulator import Fault, FaultKind, Simulator, SimulatorOptions

_SCHEMA = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "amount": {"type": "integer"}},
    "required": ["name", "amount"],
    "additionalProperties": False,
}
_BOOK = {"name": "book", "description": "Books it.", "parametersJsonSchema": _SCHEMA}
_LOOK = {"name": "look", "description": "Looks."}
_TOOLS: Any = [{"functionDeclarations": [_LOOK, _BOOK]}]
_ASKED = "What does it cost?"


def _must_call(*names: str) -> dict[str, Any]:
    calling = {"mode": "ANY", "allowedFunctionNames": [*names]}
    return {"tools": _TOOLS, "toolConfig": {"functionCallingConfig": calling}}


@pytest.fixture
async def sim() -> AsyncIterator[Simulator]:
    async with Simulator() as sim:
        yield sim


@asynccontextmanager
async def _client(sim: Simulator, key: str = "key-1") -> AsyncIterator[AsyncClient]:
    # Of Google's two transports the one that is closed when it is told so.
    async with httpx.AsyncClient(verify=False) as http:  # noqa: S501 - 127.0.0.1, no TLS
        options = types.HttpOptions(
            base_url=sim.url,
            api_version="v1beta",
            headers={"x-job-id": "job-1"},
            httpx_async_client=http,
        )
        client = genai.Client(api_key=key, http_options=options, vertexai=False)
        yield client.aio
        client.close()


async def _ask(
    sim: Simulator, contents: Any = _ASKED, **config: Any
) -> types.GenerateContentResponse:
    async with _client(sim) as client:
        return await client.models.generate_content(
            model="gemini-sim", contents=contents, config=cast("Any", config or None)
        )


async def _streamed(sim: Simulator, **config: Any) -> list[types.GenerateContentResponse]:
    async with _client(sim) as client:
        stream = await client.models.generate_content_stream(
            model="gemini-sim", contents=_ASKED, config=cast("Any", config or None)
        )
        return [chunk async for chunk in stream]


def _parts(response: types.GenerateContentResponse) -> list[types.Part]:
    (candidate,) = response.candidates or []
    return (candidate.content.parts if candidate.content else None) or []


def _usage(response: types.GenerateContentResponse) -> types.GenerateContentResponseUsageMetadata:
    assert response.usage_metadata is not None
    return response.usage_metadata


def _finish(response: types.GenerateContentResponse) -> str:
    (candidate,) = response.candidates or []
    assert candidate.finish_reason is not None
    return str(candidate.finish_reason.value)


async def test_a_plain_answer(sim: Simulator) -> None:
    response = await _ask(sim)

    usage = _usage(response)
    assert response.text
    assert (_finish(response), response.model_version) == ("STOP", "gemini-sim")
    assert usage.prompt_token_count == 4 + 5
    assert usage.total_token_count == 9 + (usage.candidates_token_count or 0)
    (call,) = sim.calls
    assert (call.protocol, call.model, call.ending) == ("gemini", "gemini-sim", "ok")
    assert (call.prompt_tokens, call.completion_tokens) == (9, usage.candidates_token_count)


@pytest.mark.parametrize(
    "config",
    [
        {},
        _must_call("book"),
        {"thinkingConfig": {"thinkingBudget": 20, "includeThoughts": True}},
        {"responseMimeType": "application/json", "responseJsonSchema": _SCHEMA},
        {"maxOutputTokens": 2},
    ],
    ids=["text", "tool", "thinking", "schema", "cut"],
)
async def test_a_stream_comes_to_what_the_plain_answer_is(
    sim: Simulator, config: dict[str, Any]
) -> None:
    plain = await _ask(sim, **config)
    chunks = await _streamed(sim, **config)

    said = [part for chunk in chunks for part in _parts(chunk)]
    calls = [part.function_call for part in said if part.function_call]
    assert "".join(part.text or "" for part in said) == "".join(
        part.text or "" for part in _parts(plain)
    )
    assert calls == [part.function_call for part in _parts(plain) if part.function_call]
    assert _usage(chunks[-1]) == _usage(plain)
    assert _finish(chunks[-1]) == _finish(plain)


async def test_a_function_that_must_be_called_gets_arguments_of_its_schema(sim: Simulator) -> None:
    response = await _ask(sim, **_must_call("book"))

    (call,) = response.function_calls or []
    assert call.name == "book" and call.args is not None
    assert set(call.args) == {"name", "amount"}


async def test_who_has_the_results_is_answered_in_words(sim: Simulator) -> None:
    first = await _ask(sim, **_must_call("book"))
    (candidate,) = first.candidates or []
    result = types.Part.from_function_response(name="book", response={"result": "done"})
    question = types.Content(role="user", parts=[types.Part(text=_ASKED)])

    second = await _ask(
        sim,
        [question, candidate.content, types.Content(role="user", parts=[result])],
        tools=_TOOLS,
    )

    assert second.text and not second.function_calls


@pytest.mark.parametrize(
    "asked",
    [
        {"responseJsonSchema": _SCHEMA},
        {
            "responseSchema": {
                "type": "OBJECT",
                "properties": {
                    "name": {"type": "STRING", "maxLength": "9"},
                    "amount": {"type": "INTEGER"},
                },
                "required": ["name", "amount"],
            }
        },
    ],
    ids=["json-schema", "open-api"],
)
async def test_an_answer_to_a_schema_of_either_kind_satisfies_it(
    sim: Simulator, asked: dict[str, Any]
) -> None:
    response = await _ask(sim, responseMimeType="application/json", **asked)

    assert set(orjson.loads(response.text or "")) >= {"name", "amount"}


async def test_thoughts_count_beside_the_answer_and_are_shown_to_who_asks(sim: Simulator) -> None:
    shown = await _ask(sim, thinkingConfig={"thinkingBudget": 20, "includeThoughts": True})
    hidden = await _ask(sim, thinkingConfig={"thinkingBudget": 20})

    assert [bool(part.thought) for part in _parts(shown)] == [True, False]
    assert [bool(part.thought) for part in _parts(hidden)] == [False]
    usage = _usage(hidden)
    assert usage.thoughts_token_count == 20
    assert sim.calls[-1].completion_tokens == 20 + (usage.candidates_token_count or 0)


async def test_a_long_prompt_that_was_read_before_is_cached(sim: Simulator) -> None:
    first, second = [
        _usage(await _ask(sim, systemInstruction="word " * 900, temperature=0.5)) for _ in range(2)
    ]

    assert first.cached_content_token_count is None
    assert second.cached_content_token_count == 1129 // 128 * 128
    assert second.prompt_token_count == first.prompt_token_count == 1129 + 9


async def test_an_image_is_read(sim: Simulator) -> None:
    image = types.Part.from_bytes(data=b"\x89PNG", mime_type="image/png")

    response = await _ask(sim, [image, "What is it?"])

    assert _usage(response).prompt_token_count == 4 + 85 + 3


@pytest.mark.parametrize(
    ("kind", "status", "name"),
    [
        ("401", 400, "INVALID_ARGUMENT"),
        ("404", 404, "NOT_FOUND"),
        ("429", 429, "RESOURCE_EXHAUSTED"),
        ("insufficient_quota", 429, "RESOURCE_EXHAUSTED"),
        ("context_length", 400, "INVALID_ARGUMENT"),
        ("500", 500, "INTERNAL"),
        ("503", 503, "UNAVAILABLE"),
        ("529", 503, "UNAVAILABLE"),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
async def test_an_error_is_of_the_clients_own_class(
    kind: str, status: int, name: str, stream: bool
) -> None:
    async with Simulator(SimulatorOptions(faults=(Fault(kind=FaultKind(kind)),))) as sim:
        with pytest.raises(errors.APIError) as caught:
            await (_streamed(sim) if stream else _ask(sim))
        (call,) = sim.calls

    assert (caught.value.code, caught.value.status) == (status, name)
    assert isinstance(caught.value, errors.ClientError) is (status < 500)
    assert (call.ending, call.fault, call.billed) == (str(status), kind, False)


async def test_a_rate_limit_tells_which_quota_and_how_long_in_its_body() -> None:
    options = SimulatorOptions(requests_per_minute=1)
    async with Simulator(options) as sim:
        await _ask(sim)
        with pytest.raises(errors.ClientError) as caught:
            await _ask(sim)

    body: Any = caught.value.details
    quota, wait = body["error"]["details"]
    (violation,) = quota["violations"]
    assert violation["quotaId"] == "GenerateRequestsPerMinutePerProjectPerModel-PaidTier"
    assert violation["quotaValue"] == "1"
    assert wait["@type"] == "type.googleapis.com/google.rpc.RetryInfo"
    assert 50 < float(wait["retryDelay"].removesuffix("s")) <= 60


async def test_only_the_prompt_counts_against_tokens_a_minute() -> None:
    async with Simulator(SimulatorOptions(tokens_per_minute=20)) as sim:
        await _ask(sim, maxOutputTokens=5000)
        await _ask(sim, maxOutputTokens=5000)
        with pytest.raises(errors.ClientError):
            await _ask(sim)
        calls = sim.calls

    assert [call.charged_tokens for call in calls] == [9, 9, 0]


@pytest.mark.parametrize("stream", [False, True])
async def test_a_refusal_is_an_answer_without_content(stream: bool) -> None:
    async with Simulator(SimulatorOptions(faults=(Fault(kind=FaultKind.REFUSAL),))) as sim:
        response = (await _streamed(sim))[-1] if stream else await _ask(sim)

    assert (_finish(response), _parts(response)) == ("SAFETY", [])


async def test_arguments_that_are_no_json_make_a_malformed_call() -> None:
    async with Simulator(SimulatorOptions(faults=(Fault(kind=FaultKind.BROKEN_JSON),))) as sim:
        response = await _ask(sim, **_must_call("book"))

    assert (_finish(response), _parts(response)) == ("MALFORMED_FUNCTION_CALL", [])


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"contents": []},
        {"contents": [{"role": "assistant", "parts": [{"text": "x"}]}]},
        {"contents": [{"parts": []}]},
        {"contents": [{"parts": [{"text": "x", "inlineData": {}}]}]},
        {"messages": []},
        {"seed": 1},
        {"generationConfig": {"max_tokens": 5}},
        {"generationConfig": {"candidateCount": 2}},
        {"generationConfig": {"responseJsonSchema": _SCHEMA}},
        {
            "generationConfig": {
                "responseMimeType": "application/json",
                "responseJsonSchema": {"type": "string", "pattern": "a"},
            }
        },
        {
            "generationConfig": {
                "responseMimeType": "application/json",
                "responseSchema": {"type": "OBJECT", "additionalProperties": False},
            }
        },
        {"tools": [{"functionDeclarations": [{"name": "a b"}]}]},
        {"toolConfig": {"functionCallingConfig": {"mode": "ANY"}}},
        {
            "contents": [
                {"role": "user", "parts": [{"functionResponse": {"name": "a", "response": {}}}]}
            ]
        },
    ],
)
async def test_a_request_that_google_would_refuse_is_refused(
    sim: Simulator, body: dict[str, Any]
) -> None:
    asked = {"contents": [{"parts": [{"text": "x"}]}]} if body else {}
    url = f"{sim.url}/v1beta/models/gemini-sim:generateContent"

    async with httpx.AsyncClient(verify=False) as http:  # noqa: S501 - no TLS
        response = await http.post(url, json=asked | body)

    assert response.status_code == 400
    assert response.json()["error"]["status"] == "INVALID_ARGUMENT"


async def test_only_the_right_key_opens() -> None:
    async with Simulator(SimulatorOptions(required_key=SecretStr("right"))) as sim:
        async with _client(sim, "right") as client:
            await client.models.generate_content(model="m", contents=_ASKED)
        with pytest.raises(errors.ClientError) as caught:
            await _ask(sim)

    body: Any = caught.value.details
    (reason,) = body["error"]["details"]
    assert reason["reason"] == "API_KEY_INVALID"
