"""The simulator on a real socket: OpenAI's wire format, and books that are exact."""

import asyncio
from collections.abc import AsyncIterator
from concurrent.futures import Future
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest
from eventually import eventually
from pydantic import SecretStr

from tollway_workers.clock import SystemClock
from tollway_workers.errors import LocalError
from tollway_workers.local.simulator import LatencyProfile, Simulator, SimulatorOptions
from tollway_workers.validation.confined import Confined, Ended

_SCHEMA = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "amount": {"type": "integer", "minimum": 1}},
    "required": ["name", "amount"],
    "additionalProperties": False,
}
_FORMAT = {"type": "json_schema", "json_schema": {"name": "a", "strict": True, "schema": _SCHEMA}}
BODY: dict[str, Any] = {
    "model": "gpt-sim",
    "messages": [{"role": "user", "content": "What does it cost?"}],
    "response_format": _FORMAT,
}


@pytest.fixture
async def http() -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(timeout=60) as client:
        yield client


def _as(job: str) -> dict[str, str]:
    return {"X-Client-Request-Id": f"{job}/1/1"}


async def _ask(
    http: httpx.AsyncClient, base_url: str, job: str = "a", **fields: Any
) -> httpx.Response:
    return await http.post(f"{base_url}/chat/completions", json=BODY | fields, headers=_as(job))


def _events(response: httpx.Response) -> list[bytes]:
    return [event.removeprefix(b"data: ") for event in response.content.split(b"\n\n") if event]


class HeldBack:
    """The process that makes answers, which says nothing before it is told to."""

    def __init__(self) -> None:
        self.asked: list[bytes] = []
        self.said: Future[Ended] = Future()

    def ask(self, payload: bytes) -> "Future[Ended]":
        self.asked.append(payload)
        return self.said


async def test_other_calls_are_answered_while_answers_to_a_new_schema_are_made(
    http: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    child = HeldBack()
    monkeypatch.setattr(Confined, "ask", lambda _, payload: child.ask(payload))
    async with Simulator() as sim:
        waiting = [asyncio.create_task(_ask(http, sim.base_url, job)) for job in "ab"]
        await eventually(lambda: bool(child.asked))

        text = await _ask(http, sim.base_url, "c", response_format={"type": "text"})
        assert (text.status_code, [task.done() for task in waiting]) == (200, [False, False])
        child.said.set_result(Ended((b'v[{"name":"x","amount":1}]',)))
        answers = [await task for task in waiting]

    assert [each.status_code for each in answers] == [200, 200]
    # What two wait for is made once.
    assert len(child.asked) == 1


async def test_who_leaves_while_answers_are_made_has_called_all_the_same(
    http: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    child = HeldBack()
    monkeypatch.setattr(Confined, "ask", lambda _, payload: child.ask(payload))
    async with Simulator() as sim:
        waiting = asyncio.create_task(_ask(http, sim.base_url))
        await eventually(lambda: bool(child.asked))

        waiting.cancel()
        child.said.set_result(Ended((b'v[{"name":"x","amount":1}]',)))
        await asyncio.gather(waiting, return_exceptions=True)
        await eventually(lambda: not sim.summary().running and len(sim.calls) == 1)


async def test_a_plain_answer_is_openais_chat_completion(http: httpx.AsyncClient) -> None:
    async with Simulator() as sim:
        response = await _ask(http, sim.base_url)

    body = response.json()
    (choice,) = body["choices"]
    assert response.status_code == 200
    assert body["object"] == "chat.completion"
    assert body["model"] == "gpt-sim"
    assert body["system_fingerprint"] == "scripted"
    assert choice["finish_reason"] == "stop"
    assert choice["message"]["role"] == "assistant"
    assert choice["message"]["refusal"] is None
    assert set(orjson.loads(choice["message"]["content"])) == {"name", "amount"}
    usage = body["usage"]
    assert usage["prompt_tokens"] == 4 + 5
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]
    assert usage["prompt_tokens_details"]["cached_tokens"] == 0
    assert usage["completion_tokens_details"]["reasoning_tokens"] == 0


@pytest.mark.parametrize("pace", [None, 2000.0])
async def test_a_stream_says_what_the_plain_answer_says(
    http: httpx.AsyncClient, pace: float | None
) -> None:
    options = SimulatorOptions(
        answers={"a": "zwölf Boxkämpfer \u2028 jagen " * 9},
        latency=LatencyProfile(tokens_per_second=pace),
    )
    async with Simulator(options) as sim:
        plain = (await _ask(http, sim.base_url)).json()
        streamed = await _ask(
            http, sim.base_url, stream=True, stream_options={"include_usage": True}
        )

    *events, done = _events(streamed)
    chunks = [orjson.loads(event) for event in events]
    deltas = [chunk["choices"][0]["delta"] for chunk in chunks[:-1]]
    assert streamed.headers["content-type"].startswith("text/event-stream")
    assert done == b"[DONE]"
    assert deltas[0]["role"] == "assistant"
    assert (
        "".join(delta.get("content", "") for delta in deltas)
        == (plain["choices"][0]["message"]["content"])
    )
    assert chunks[-2]["choices"][0]["finish_reason"] == "stop"
    assert chunks[-1]["choices"] == []
    assert chunks[-1]["usage"] == plain["usage"]
    assert all(chunk["system_fingerprint"] == "scripted" for chunk in chunks)
    assert all(chunk["usage"] is None for chunk in chunks[:-1])


async def test_a_stream_without_usage_asked_for_has_none(http: httpx.AsyncClient) -> None:
    async with Simulator() as sim:
        streamed = await _ask(http, sim.base_url, stream=True)

    chunks = [orjson.loads(event) for event in _events(streamed)[:-1]]
    assert all("usage" not in chunk and chunk["choices"] for chunk in chunks)


async def test_equal_seeds_answer_equally_in_another_process_too(http: httpx.AsyncClient) -> None:
    async def answers(seed: int) -> list[str]:
        async with Simulator(SimulatorOptions(seed=seed)) as sim:
            replies = [await _ask(http, sim.base_url, f"job-{n}") for n in range(10)]
        return [reply.json()["choices"][0]["message"]["content"] for reply in replies]

    assert await answers(3) == await answers(3)
    assert await answers(3) != await answers(4)
    assert len(set(await answers(3))) > 1


async def test_models_and_health(http: httpx.AsyncClient) -> None:
    async with Simulator(SimulatorOptions(models=("gpt-sim", "other"))) as sim:
        models = (await http.get(f"{sim.base_url}/models")).json()
        health = await http.get(f"{sim.url}/health")
        unknown = await _ask(http, sim.base_url, model="third")
        nowhere = await http.get(f"{sim.url}/v1/embeddings")

    assert [model["id"] for model in models["data"]] == ["gpt-sim", "other"]
    assert health.status_code == 200
    assert (unknown.status_code, unknown.json()["error"]["code"]) == (404, "model_not_found")
    assert nowhere.status_code == 404


async def test_a_schema_that_nothing_satisfies_is_an_invalid_json_schema(
    http: httpx.AsyncClient,
) -> None:
    schema = {"type": "json_schema", "json_schema": {"name": "a", "schema": {"type": "nothing"}}}
    async with Simulator() as sim:
        response = await _ask(http, sim.base_url, response_format=schema)
        calls = sim.calls

    assert response.status_code == 400
    assert response.json()["error"]["code"] == "invalid_json_schema"
    assert (calls[0].ending, calls[0].billed) == ("400", False)


async def test_only_the_right_key_opens_and_no_key_is_echoed(http: httpx.AsyncClient) -> None:
    async with Simulator(SimulatorOptions(required_key=SecretStr("right"))) as sim:
        url = f"{sim.base_url}/chat/completions"
        wrong = await http.post(url, json=BODY, headers={"Authorization": "Bearer sk-wrong"})
        right = await http.post(url, json=BODY, headers={"Authorization": "Bearer right"})

    assert (wrong.status_code, wrong.json()["error"]["code"]) == (401, "invalid_api_key")
    assert "sk-wrong" not in wrong.text
    assert right.status_code == 200


class Stopped(SystemClock):
    """No limit refills while calls are made, however long they take."""

    monotonic = staticmethod(lambda: 1_000.0)


async def test_over_the_rate_is_a_429_that_says_how_long(http: httpx.AsyncClient) -> None:
    options = SimulatorOptions(requests_per_minute=2, tokens_per_minute=1000)
    async with Simulator(options, clock=Stopped()) as sim:
        first = await _ask(http, sim.base_url, max_completion_tokens=900)
        tokens = await _ask(http, sim.base_url, max_completion_tokens=900)
        requests = await _ask(http, sim.base_url)
        calls = sim.calls

    assert first.headers["x-ratelimit-limit-requests"] == "2"
    assert first.headers["x-ratelimit-remaining-tokens"] == "100"
    assert first.headers["x-ratelimit-reset-tokens"] == "54s"
    assert (tokens.status_code, tokens.json()["error"]["type"]) == (429, "tokens")
    assert (requests.status_code, requests.json()["error"]["type"]) == (429, "requests")
    assert requests.json()["error"]["code"] == "rate_limit_exceeded"
    assert requests.headers["retry-after-ms"] == "30000"
    assert requests.headers["retry-after"] == "30"
    assert [call.ending for call in calls] == ["ok", "429", "429"]
    assert [call.fault for call in calls] == [None, None, None]
    assert [call.charged_tokens for call in calls] == [900, 0, 0]


async def test_a_request_over_the_whole_limit_is_told_so(http: httpx.AsyncClient) -> None:
    async with Simulator(SimulatorOptions(tokens_per_minute=1000)) as sim:
        response = await _ask(http, sim.base_url, max_completion_tokens=1001)

    assert response.status_code == 429
    assert response.json()["error"]["message"].startswith("Request too large for gpt-sim")
    assert "Limit 1000, Requested 1001" in response.json()["error"]["message"]
    assert "retry-after" not in response.headers


async def test_a_spent_quota_is_insufficient_quota(http: httpx.AsyncClient) -> None:
    async with Simulator(SimulatorOptions(quota_usd=Decimal("0.000001"))) as sim:
        first = await _ask(http, sim.base_url)
        second = await _ask(http, sim.base_url)

    assert first.status_code == 200
    assert second.status_code == 429
    assert second.json()["error"]["type"] == "insufficient_quota"
    assert "retry-after" not in second.headers


async def test_beyond_the_most_at_once_is_refused(http: httpx.AsyncClient) -> None:
    options = SimulatorOptions(
        max_concurrent=1,
        over_concurrency_status=503,
        latency=LatencyProfile(ttft_median_seconds=30),
    )
    async with Simulator(options) as sim:
        waiting = asyncio.create_task(_ask(http, sim.base_url))
        await eventually(lambda: len(sim.calls) == 1)
        refused = await _ask(http, sim.base_url, "b")
        waiting.cancel()
        await eventually(lambda: sim.calls[0].ended is not None)
        calls = sim.calls

    assert refused.status_code == 503
    assert [(call.ending, call.in_flight) for call in calls] == [("client_gone", 1), ("503", 2)]


async def test_two_sources_have_books_and_limits_of_their_own(http: httpx.AsyncClient) -> None:
    async with Simulator(SimulatorOptions(requests_per_minute=1)) as sim:
        ours = await _ask(http, sim.base_url_for("ours"))
        theirs = await _ask(http, sim.base_url_for("theirs"))
        named = await http.post(
            f"{sim.base_url}/chat/completions", json=BODY, headers={"X-Source": "named"}
        )
        again = await _ask(http, sim.base_url_for("ours"))
        summary = (await http.get(f"{sim.url}/calls/summary?source=ours")).json()
        cleared = (await http.delete(f"{sim.url}/s/ours/calls")).json()
        fresh = await _ask(http, sim.base_url_for("ours"))
        sources = sim.summary().sources

    assert [r.status_code for r in (ours, theirs, named, again)] == [200, 200, 200, 429]
    assert (summary["calls"], summary["endings"]) == (2, {"ok": 1, "429": 1})
    assert cleared == {"cleared": 2}
    assert fresh.status_code == 200
    assert sources == ("named", "ours", "theirs")


async def test_the_books_hold_each_call_and_its_price(http: httpx.AsyncClient) -> None:
    options = SimulatorOptions(answers={"a": "x" * 40}, price_in=Decimal(1), price_out=Decimal(2))
    async with Simulator(options) as sim:
        url = f"{sim.base_url}/chat/completions"
        await http.post(url, json=BODY, headers={"X-Client-Request-Id": "a/2/3"})
        await http.post(url, content=b"{", headers={"X-Job-Id": "broken"})
        listed = (await http.get(f"{sim.url}/calls")).json()
        lines = (await http.get(f"{sim.url}/calls?format=jsonl")).content.splitlines()
        later = (await http.get(f"{sim.url}/calls", params={"since": 1e12})).json()
        wrong = await http.get(f"{sim.url}/calls?since=yesterday")

    first, broken = listed
    assert [orjson.loads(line) for line in lines] == listed
    assert (first["job_id"], first["generation"], first["attempt"]) == ("a", 2, 3)
    assert (first["prompt_tokens"], first["completion_tokens"]) == (9, 10)
    assert first["cost_pico_usd"] == str(9 * 1_000_000 + 10 * 2_000_000)
    assert first["billed"] and first["ended"] >= first["started"]
    assert (broken["job_id"], broken["ending"], broken["billed"]) == ("broken", "400", False)
    assert later == []
    assert wrong.status_code == 400


async def test_who_leaves_while_it_is_answered_is_billed(http: httpx.AsyncClient) -> None:
    options = SimulatorOptions(latency=LatencyProfile(ttft_median_seconds=30))
    async with Simulator(options) as sim:
        for stream in (False, True):
            with pytest.raises(httpx.ReadTimeout):
                await http.post(
                    f"{sim.base_url}/chat/completions", json=BODY | {"stream": stream}, timeout=0.1
                )
        await eventually(lambda: sim.summary().running == 0)
        calls = sim.calls

    assert [(call.ending, call.billed, call.status) for call in calls] == [
        ("client_gone", True, None),
        ("client_gone", True, None),
    ]


async def test_a_stopped_simulator_ends_its_calls_and_its_file_has_them(
    http: httpx.AsyncClient, tmp_path: Path
) -> None:
    path = tmp_path / "calls.jsonl"
    options = SimulatorOptions(latency=LatencyProfile(ttft_median_seconds=30), calls_file=path)
    async with Simulator(options) as sim:
        waiting = asyncio.create_task(_ask(http, sim.base_url))
        await eventually(lambda: len(sim.calls) == 1)
    with pytest.raises(httpx.HTTPError):
        await waiting

    async with Simulator(options) as again:
        (call,) = again.calls
    assert (call.ending, call.job_id, call.billed) == ("stopped", "a", True)


async def test_hundreds_of_calls_at_once_are_all_in_the_books() -> None:
    options = SimulatorOptions(latency=LatencyProfile(ttft_median_seconds=0.2))
    limits = httpx.Limits(max_connections=100)
    async with Simulator(options) as sim, httpx.AsyncClient(limits=limits, timeout=20) as http:
        replies = await asyncio.gather(*(_ask(http, sim.base_url, f"job-{n}") for n in range(100)))
        summary = sim.summary()

    assert all(reply.status_code == 200 for reply in replies)
    assert summary.calls == summary.answered_jobs == summary.billed_calls == 100
    assert summary.max_in_flight > 50
    assert summary.jobs_billed_more_than_once == 0
    assert summary.completion_tokens == sum(
        reply.json()["usage"]["completion_tokens"] for reply in replies
    )


async def test_a_taken_port_is_one_sentence() -> None:
    async with Simulator() as sim:
        port = int(sim.url.rsplit(":", 1)[1])

        with pytest.raises(LocalError, match=f"cannot listen on 127.0.0.1:{port}"):
            await Simulator(SimulatorOptions(port=port)).start()


async def test_a_body_of_megabytes_is_read(http: httpx.AsyncClient) -> None:
    async with Simulator() as sim:
        messages = [{"role": "user", "content": "x" * 5_000_000}]
        response = await _ask(http, sim.base_url, messages=messages)

    assert response.json()["usage"]["prompt_tokens"] == 1_250_004


async def test_limits_change_while_it_runs_for_one_source_or_for_all(
    http: httpx.AsyncClient,
) -> None:
    async with Simulator(SimulatorOptions(requests_per_minute=1)) as sim:
        await _ask(http, sim.base_url_for("ours"))
        await _ask(http, sim.base_url_for("theirs"))
        before = await _ask(http, sim.base_url_for("ours"))
        changed = await http.put(f"{sim.url}/limits?source=ours&requests_per_minute=60000")
        bad = await http.put(f"{sim.url}/limits?requests_per_minute=none")
        await asyncio.sleep(0.01)
        after = await _ask(http, sim.base_url_for("ours"))
        theirs = await _ask(http, sim.base_url_for("theirs"))

    assert (before.status_code, changed.status_code, bad.status_code) == (429, 200, 400)
    assert after.status_code == 200
    assert after.headers["x-ratelimit-limit-requests"] == "60000"
    assert theirs.status_code == 429


async def test_without_rate_headers_nothing_tells_what_is_left_or_when_to_come_again(
    http: httpx.AsyncClient,
) -> None:
    async with Simulator(SimulatorOptions(requests_per_minute=1, rate_headers=False)) as sim:
        answered = await _ask(http, sim.base_url)
        refused = await _ask(http, sim.base_url)

    assert (answered.status_code, refused.status_code) == (200, 429)
    names = {name for each in (answered, refused) for name in each.headers}
    assert not [name for name in names if "ratelimit" in name or "retry" in name]
    assert "again" not in refused.text
