"""Every fault as a client meets it, and as the books tell it."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import orjson
import pytest

from tollway_workers.local.simulator import Fault, FaultKind, Simulator, SimulatorOptions

BODY: dict[str, Any] = {
    "model": "gpt-sim",
    "messages": [{"role": "user", "content": "What does it cost?"}],
    "response_format": {
        "type": "json_schema",
        "json_schema": {"name": "a", "schema": {"type": "object", "required": ["price"]}},
    },
}


@pytest.fixture
async def http() -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(timeout=60) as client:
        yield client


def _with(kind: FaultKind, **fields: Any) -> Simulator:
    return Simulator(SimulatorOptions(faults=(Fault(kind=kind, **fields),)))


async def _ask(http: httpx.AsyncClient, sim: Simulator, **fields: Any) -> httpx.Response:
    url = f"{sim.base_url}/chat/completions"
    return await http.post(url, json=BODY | fields, headers={"X-Client-Request-Id": "a/1/1"})


async def _the_call(sim: Simulator) -> tuple[str, str | None, bool]:
    """Ending, fault and whether billed, once the only call has ended."""
    async with asyncio.timeout(5):
        while sim.summary().running:  # noqa: ASYNC110 - polled with a deadline: no event outside
            await asyncio.sleep(0.005)
    (call,) = sim.calls
    return call.ending, call.fault, call.billed


@pytest.mark.parametrize(
    ("kind", "status", "code", "retry_after"),
    [
        ("401", 401, "invalid_api_key", None),
        ("404", 404, "model_not_found", None),
        ("429", 429, "rate_limit_exceeded", "1"),
        ("insufficient_quota", 429, "insufficient_quota", None),
        ("context_length", 400, "context_length_exceeded", None),
        ("500", 500, None, None),
        ("503", 503, "service_unavailable", None),
        ("529", 529, "server_is_overloaded", None),
    ],
)
async def test_an_error_has_openais_body_and_costs_nothing(
    http: httpx.AsyncClient, kind: str, status: int, code: str | None, retry_after: str | None
) -> None:
    async with _with(FaultKind(kind)) as sim:
        response = await _ask(http, sim)
        call = await _the_call(sim)

    assert response.status_code == status
    assert response.json()["error"]["code"] == code
    assert response.headers.get("retry-after") == retry_after
    assert call == (str(status), kind, False)


async def test_an_error_asks_to_wait_as_long_as_the_script_says(http: httpx.AsyncClient) -> None:
    async with _with(FaultKind.UNAVAILABLE, retry_after_seconds=0.25) as sim:
        response = await _ask(http, sim)

    assert response.headers["retry-after-ms"] == "250"


async def test_a_500_may_be_a_page_of_html(http: httpx.AsyncClient) -> None:
    async with _with(FaultKind.HTML_ERROR) as sim:
        response = await _ask(http, sim)
        call = await _the_call(sim)

    assert response.status_code == 500
    assert response.headers["content-type"].startswith("text/html")
    assert response.text.startswith("<html>")
    assert call == ("500", "html_500", False)


@pytest.mark.parametrize("stream", [False, True])
async def test_a_reset_is_a_connection_that_breaks(http: httpx.AsyncClient, stream: bool) -> None:
    async with _with(FaultKind.RESET) as sim:
        with pytest.raises(httpx.ReadError):
            await _ask(http, sim, stream=stream)
        call = await _the_call(sim)

    assert call == ("reset", "reset", False)


@pytest.mark.parametrize("stream", [False, True])
async def test_a_hang_ends_when_the_client_goes_and_is_billed(
    http: httpx.AsyncClient, stream: bool
) -> None:
    async with _with(FaultKind.HANG) as sim:
        with pytest.raises(httpx.ReadTimeout):
            url = f"{sim.base_url}/chat/completions"
            await http.post(url, json=BODY | {"stream": stream}, timeout=0.1)
        call = await _the_call(sim)

    assert call == ("hang", "hang", True)


@pytest.mark.parametrize("stream", [False, True])
async def test_a_stall_sends_a_part_and_ends_when_the_client_goes(
    http: httpx.AsyncClient, stream: bool
) -> None:
    async with _with(FaultKind.STALL) as sim:
        got = await _until_silent(http, sim, stream=stream)
        call = await _the_call(sim)

    assert b'"content":"' in got
    assert b'"finish_reason":"stop"' not in got
    assert call == ("stall", "stall", True)


@pytest.mark.parametrize("stream", [False, True])
async def test_a_drip_sends_byte_by_byte(http: httpx.AsyncClient, stream: bool) -> None:
    async with _with(FaultKind.DRIP) as sim:
        got = await _until_silent(http, sim, stream=stream)
        call = await _the_call(sim)

    assert len(got) == 1
    assert call == ("drip", "drip", True)


async def test_a_drip_may_be_fast_enough_to_be_an_answer(http: httpx.AsyncClient) -> None:
    async with _with(FaultKind.DRIP, bytes_per_second=1e6) as sim:
        response = await _ask(http, sim)
        call = await _the_call(sim)

    assert response.json()["choices"][0]["finish_reason"] == "stop"
    assert call == ("ok", "drip", True)


async def _until_silent(http: httpx.AsyncClient, sim: Simulator, *, stream: bool) -> bytes:
    """What comes until nothing comes for a moment; then the client leaves."""
    got = b""
    url, body = f"{sim.base_url}/chat/completions", BODY | {"stream": stream}
    with pytest.raises(httpx.ReadTimeout):
        async with http.stream("POST", url, json=body, timeout=0.2) as response:
            async for piece in response.aiter_raw():
                got += piece
    return got


@pytest.mark.parametrize("stream", [False, True])
async def test_a_cut_body_ends_too_early_and_is_billed(
    http: httpx.AsyncClient, stream: bool
) -> None:
    async with _with(FaultKind.CUT) as sim:
        with pytest.raises(httpx.RemoteProtocolError, match="peer closed connection"):
            await _ask(http, sim, stream=stream)
        call = await _the_call(sim)

    assert call == ("cut", "cut", True)


async def test_a_slow_call_takes_its_time_and_is_an_answer(http: httpx.AsyncClient) -> None:
    async with _with(FaultKind.SLOW, seconds=0.3) as sim:
        response = await _ask(http, sim)
        call = await _the_call(sim)

    assert response.elapsed.total_seconds() >= 0.3
    assert int(response.headers["openai-processing-ms"]) >= 299
    assert call == ("ok", "slow", True)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("kind", "finish_reason"),
    [("broken_json", "stop"), ("truncated", "length"), ("empty", "stop"), ("refusal", "stop")],
)
async def test_a_bad_answer_is_a_whole_answer_that_is_billed(
    http: httpx.AsyncClient, kind: str, finish_reason: str, stream: bool
) -> None:
    async with _with(FaultKind(kind)) as sim:
        response = await _ask(http, sim, stream=stream)
        call = await _the_call(sim)

    content, refusal, finished = _said(response, stream)
    assert finished == finish_reason
    assert call == (kind, kind, True)
    assert (refusal is not None) == (kind == "refusal")
    if kind == "empty":
        assert content == ""
    elif kind != "refusal":
        assert content
        with pytest.raises(orjson.JSONDecodeError):
            orjson.loads(content)


def _said(response: httpx.Response, stream: bool) -> tuple[str | None, str | None, str]:
    if not stream:
        choice = response.json()["choices"][0]
        return choice["message"]["content"], choice["message"]["refusal"], choice["finish_reason"]
    events = [event.removeprefix(b"data: ") for event in response.content.split(b"\n\n")]
    choices = [orjson.loads(event)["choices"][0] for event in events if event.startswith(b"{")]
    content = "".join(choice["delta"].get("content") or "" for choice in choices)
    refusal = "".join(choice["delta"].get("refusal") or "" for choice in choices)
    return content, refusal or None, choices[-1]["finish_reason"]


async def test_a_fault_of_the_first_call_is_gone_at_the_second(http: httpx.AsyncClient) -> None:
    async with _with(FaultKind.SERVER_ERROR, first_attempts=1) as sim:
        statuses = [(await _ask(http, sim)).status_code for _ in range(3)]

    assert statuses == [500, 200, 200]


async def test_a_fault_that_the_limits_forestall_is_not_in_the_books(
    http: httpx.AsyncClient,
) -> None:
    options = SimulatorOptions(requests_per_minute=1, faults=(Fault(kind=FaultKind.HANG, every=2),))
    async with Simulator(options) as sim:
        await _ask(http, sim)
        response = await _ask(http, sim)
        calls = sim.calls

    assert response.status_code == 429
    assert [(call.ending, call.fault) for call in calls] == [("ok", None), ("429", None)]
