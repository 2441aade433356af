"""What befalls a call is the same in every protocol, and so are the books."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import httpx
import orjson
import pytest
from eventually import eventually

from tollway_workers.local.simulator import Fault, FaultKind, Simulator, SimulatorOptions

_SCHEMA = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "amount": {"type": "integer"}},
    "required": ["name", "amount"],
    "additionalProperties": False,
}
_ASKED = "What does it cost?"
_ANSWER = {"name": "x" * 90, "amount": 7}


@dataclass(frozen=True)
class Protocol:
    """How one asks for a text, for an object, and for a call of a function."""

    name: str
    path: str
    body: dict[str, Any]
    form: dict[str, Any]
    tool: dict[str, Any]
    streamed: dict[str, Any]
    streamed_path: str = ""

    def request(self, stream: bool, **fields: Any) -> tuple[str, dict[str, Any]]:
        body = self.body | fields | (self.streamed if stream else {})
        return (stream and self.streamed_path) or self.path, body


_MESSAGES = [{"role": "user", "content": _ASKED}]
_FUNCTION = {"name": "book", "description": "Books it.", "parameters": _SCHEMA}
_GEMINI = "/v1beta/models/sim"
PROTOCOLS = [
    Protocol(
        name="openai",
        path="/v1/chat/completions",
        body={"model": "sim", "messages": _MESSAGES, "max_completion_tokens": 400},
        form={
            "response_format": {
                "type": "json_schema",
                "json_schema": {"name": "a", "schema": _SCHEMA},
            }
        },
        tool={
            "tools": [{"type": "function", "function": _FUNCTION}],
            "tool_choice": "required",
        },
        streamed={"stream": True, "stream_options": {"include_usage": True}},
    ),
    Protocol(
        name="anthropic",
        path="/v1/messages",
        body={"model": "sim", "messages": _MESSAGES, "max_tokens": 400},
        form={"output_config": {"format": {"type": "json_schema", "schema": _SCHEMA}}},
        tool={
            "tools": [{"name": "book", "description": "Books it.", "input_schema": _SCHEMA}],
            "tool_choice": {"type": "any"},
        },
        streamed={"stream": True},
    ),
    Protocol(
        name="gemini",
        path=f"{_GEMINI}:generateContent",
        streamed_path=f"{_GEMINI}:streamGenerateContent?alt=sse",
        body={"contents": [{"role": "user", "parts": [{"text": _ASKED}]}]},
        form={
            "generationConfig": {
                "responseMimeType": "application/json",
                "responseJsonSchema": _SCHEMA,
            }
        },
        tool={
            "tools": [
                {
                    "functionDeclarations": [
                        {
                            "name": "book",
                            "description": "Books it.",
                            "parametersJsonSchema": _SCHEMA,
                        }
                    ]
                }
            ],
            "toolConfig": {"functionCallingConfig": {"mode": "ANY"}},
        },
        streamed={},
    ),
    Protocol(
        name="responses",
        path="/v1/responses",
        body={"model": "sim", "input": _ASKED, "max_output_tokens": 400},
        form={"text": {"format": {"type": "json_schema", "name": "a", "schema": _SCHEMA}}},
        tool={"tools": [{"type": "function", **_FUNCTION}], "tool_choice": "required"},
        streamed={"stream": True},
    ),
]
each_protocol = pytest.mark.parametrize("protocol", PROTOCOLS, ids=lambda each: each.name)
both_ways = pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])


@pytest.fixture
async def http() -> AsyncIterator[httpx.AsyncClient]:
    async with _client(timeout=20) as client:
        yield client


def _client(timeout: float) -> httpx.AsyncClient:
    # Reading the certificates of the world takes longer than a test.
    return httpx.AsyncClient(timeout=timeout, verify=False)  # noqa: S501 - 127.0.0.1, no TLS


async def _ask(
    http: httpx.AsyncClient,
    sim: Simulator,
    protocol: Protocol,
    stream: bool,
    job: str = "a",
    **fields: Any,
) -> httpx.Response:
    path, body = protocol.request(stream, **fields)
    headers = {"X-Client-Request-Id": f"run:{job}/1/1", "anthropic-version": "2026-10-21"}
    return await http.post(f"{sim.url}{path}", json=body, headers=headers)


def _with(kind: FaultKind, **fields: Any) -> Simulator:
    return Simulator(SimulatorOptions(answers={"a": _ANSWER}, faults=(Fault(kind=kind, **fields),)))


def _each_for_its_job(kinds: list[str]) -> Simulator:
    """Each fault for the job of its name."""
    faults = tuple(Fault(kind=FaultKind(kind), jobs=(kind,)) for kind in kinds)
    answers = dict.fromkeys([*kinds, "well"], _ANSWER)
    return Simulator(SimulatorOptions(answers=answers, faults=faults))


async def _the_call(sim: Simulator) -> tuple[str, str | None, bool]:
    """Ending, fault and whether billed, once the only call has ended."""
    await eventually(lambda: not sim.summary().running)
    (call,) = sim.calls
    return call.ending, call.fault, call.billed


async def test_the_same_job_has_the_same_books_in_every_protocol(http: httpx.AsyncClient) -> None:
    async with Simulator(SimulatorOptions(answers={"a": _ANSWER})) as sim:
        for protocol in PROTOCOLS:
            for stream in (False, True):
                for asked in (protocol.form, protocol.tool):
                    await _ask(http, sim, protocol, stream, **asked)
        calls = sim.calls

    counted = {
        protocol.name: [
            (call.prompt_tokens, call.completion_tokens, call.cost_pico_usd, call.ending)
            for call in calls
            if call.protocol == protocol.name
        ]
        for protocol in PROTOCOLS
    }
    assert len({tuple(each) for each in counted.values()}) == 1
    assert {call.ending for call in calls} == {"ok"}


@each_protocol
@both_ways
async def test_nothing_that_it_says_is_taken_for_a_models(
    http: httpx.AsyncClient, protocol: Protocol, stream: bool
) -> None:
    async with Simulator() as sim:
        response = await _ask(http, sim, protocol, stream)

    assert response.headers["x-tollway-scripted"] == "true"


@each_protocol
@both_ways
@pytest.mark.parametrize("kind", ["reset", "cut"])
async def test_a_connection_breaks(
    http: httpx.AsyncClient, protocol: Protocol, stream: bool, kind: str
) -> None:
    async with _with(FaultKind(kind)) as sim:
        with pytest.raises((httpx.ReadError, httpx.RemoteProtocolError)):
            await _ask(http, sim, protocol, stream)
        call = await _the_call(sim)

    assert call == (kind, kind, kind == "cut")


@each_protocol
@both_ways
@pytest.mark.parametrize("kind", ["hang", "stall", "drip"])
async def test_a_call_that_never_ends_is_billed(
    protocol: Protocol, stream: bool, kind: str
) -> None:
    async with _with(FaultKind(kind)) as sim, _client(timeout=0.1) as http:
        with pytest.raises(httpx.ReadTimeout):
            await _ask(http, sim, protocol, stream)
        call = await _the_call(sim)

    assert call == (kind, kind, True)


@each_protocol
async def test_a_stream_stalls_after_something_was_said(protocol: Protocol) -> None:
    got = b""
    path, body = protocol.request(True, **protocol.form)
    async with _with(FaultKind.STALL) as sim, _client(timeout=0.2) as http:
        headers = {"X-Job-Id": "a", "anthropic-version": "2026-10-21"}
        with pytest.raises(httpx.ReadTimeout):
            async with http.stream(
                "POST", f"{sim.url}{path}", json=body, headers=headers
            ) as response:
                async for part in response.aiter_raw():
                    got += part

    assert b"xxx" in got
    assert b"message_stop" not in got and b"response.completed" not in got


@each_protocol
@both_ways
async def test_an_error_costs_nothing(
    http: httpx.AsyncClient, protocol: Protocol, stream: bool
) -> None:
    kinds = ["500", "503", "529", "429", "insufficient_quota", "html_500"]
    async with _each_for_its_job(kinds) as sim:
        responses = [await _ask(http, sim, protocol, stream, kind) for kind in kinds]
        calls = sim.calls

    assert [call.fault for call in calls] == kinds
    assert [call.ending for call in calls] == [str(each.status_code) for each in responses]
    assert not any(call.billed for call in calls)
    assert min(each.status_code for each in responses) == 429
    types = [each.headers["content-type"].partition(";")[0] for each in responses]
    assert types == ["application/json"] * 5 + ["text/html"]


@each_protocol
@both_ways
@pytest.mark.parametrize("asked", ["form", "tool"])
async def test_a_bad_answer_is_billed_and_said_in_any_protocol(
    http: httpx.AsyncClient, protocol: Protocol, stream: bool, asked: str
) -> None:
    kinds = ["broken_json", "wrong_shape", "truncated", "empty", "refusal", "missing_field"]
    wanted = getattr(protocol, asked)
    async with _each_for_its_job(kinds) as sim:
        well = await _ask(http, sim, protocol, stream, "well", **wanted)
        responses = [await _ask(http, sim, protocol, stream, kind, **wanted) for kind in kinds]
        calls = sim.calls[1:]

    assert [(call.ending, call.fault, call.billed) for call in calls] == [
        (kind, kind, True) for kind in kinds
    ]
    for response in responses:
        assert response.status_code == 200
        assert len(response.content) != len(well.content)
        if not stream:
            orjson.loads(response.content)


@each_protocol
async def test_a_source_has_limits_of_its_own_in_any_protocol(
    http: httpx.AsyncClient, protocol: Protocol
) -> None:
    path, body = protocol.request(False)
    headers = {"anthropic-version": "2026-10-21"}
    async with Simulator(SimulatorOptions(requests_per_minute=1)) as sim:
        statuses = [
            (await http.post(f"{sim.url}/s/{source}{path}", json=body, headers=headers)).status_code
            for source in ("ours", "theirs", "ours")
        ]
        sources = sim.summary().sources

    assert statuses == [200, 200, 429]
    assert sources == ("ours", "theirs")


@each_protocol
async def test_a_stream_breaks_off_with_an_error_in_its_protocols_words(
    http: httpx.AsyncClient, protocol: Protocol
) -> None:
    said = {
        "openai": b'data: {"error":{"message":',
        "anthropic": b'event: error\ndata: {"type":"error","error":{"type":"overloaded_error"',
        "gemini": b'data: {"error":{"code":503,',
        "responses": b"event: response.failed\n",
    }
    async with _with(FaultKind.STREAM_ERROR) as sim:
        streamed = await _ask(http, sim, protocol, True)
        plain = await _ask(http, sim, protocol, False)
        calls = sim.calls

    assert said[protocol.name] in streamed.content
    assert b"xxx" in streamed.content
    assert b"[DONE]" not in streamed.content and b"message_stop" not in streamed.content
    assert (streamed.status_code, plain.status_code >= 503) == (200, True)
    assert [(call.ending, call.billed) for call in calls] == [
        ("stream_error", True),
        (str(plain.status_code), False),
    ]


@each_protocol
@both_ways
async def test_a_filter_is_said_to_be_why_nothing_is_said(
    http: httpx.AsyncClient, protocol: Protocol, stream: bool
) -> None:
    said = {
        "openai": b'"finish_reason":"content_filter"',
        "anthropic": b'"stop_reason":"refusal"',
        "gemini": b'"promptFeedback":{"blockReason":"PROHIBITED_CONTENT"}',
        "responses": b'"incomplete_details":{"reason":"content_filter"}',
    }
    async with _with(FaultKind.CONTENT_FILTER) as sim:
        response = await _ask(http, sim, protocol, stream)
        call = await _the_call(sim)

    assert said[protocol.name] in response.content
    assert b'candidates":' not in response.content
    assert call == ("content_filter", "content_filter", True)
