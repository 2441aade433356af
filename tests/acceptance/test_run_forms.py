"""`tollway run` of lines in three batch formats, whatever protocol the lane speaks."""

import json
from pathlib import Path
from typing import Any

import pytest
from run_command import Start, results

from tollway_workers.local.simulator.server import Simulator

pytestmark = pytest.mark.kafka

_SCHEMA = {
    "type": "object",
    "properties": {"n": {"type": "integer"}},
    "required": ["n"],
    "additionalProperties": False,
}
_ASKED = [{"role": "user", "content": "How many?"}]


def _line(custom_id: str, url: str, body: dict[str, Any]) -> dict[str, Any]:
    return {"custom_id": custom_id, "method": "POST", "url": url, "body": {"model": "m", **body}}


def _lines() -> list[dict[str, Any]]:
    form = {"type": "json_schema", "schema": _SCHEMA}
    named = {"type": "json_schema", "json_schema": {"name": "count", "schema": _SCHEMA}}
    return [
        _line("chat", "/v1/chat/completions", {"messages": _ASKED, "response_format": named}),
        _line(
            "responses",
            "/v1/responses",
            {"input": "How many?", "text": {"format": {**form, "name": "count"}}},
        ),
        {
            "custom_id": "anthropic",
            "params": {
                "model": "m",
                "max_tokens": 400,
                "messages": _ASKED,
                "output_config": {"format": form},
            },
        },
        # Nothing but OpenAI has a seed.
        _line("seed", "/v1/chat/completions", {"messages": _ASKED, "seed": 7}),
        {"custom_id": "no", "params": {"model": "m", "messages": "How many?"}},
    ]


@pytest.mark.parametrize("protocol", ["openai", "anthropic"])
async def test_each_answer_is_in_the_form_of_its_line(
    start: Start, simulator: Simulator, tmp_path: Path, protocol: str
) -> None:
    source, out = tmp_path / "jobs.jsonl", tmp_path / "results.jsonl"
    source.write_text("".join(json.dumps(each) + "\n" for each in _lines()))

    status, _, _ = await (await start(source, "-o", out, "--protocol", protocol)).end()

    assert status == 1
    found = {item["custom_id"]: item for item in results(out)}
    assert len(found) == 5
    chat = found["chat"]["response"]["body"]
    response = found["responses"]["response"]["body"]
    message = found["anthropic"]["result"]["message"]
    for text in (
        chat["choices"][0]["message"]["content"],
        response["output"][-1]["content"][0]["text"],
        message["content"][-1]["text"],
    ):
        assert isinstance(json.loads(text)["n"], int)
    assert chat["choices"][0]["finish_reason"] == "stop"
    assert (response["object"], response["status"]) == ("response", "completed")
    assert message["stop_reason"] == "end_turn"
    assert found["no"]["result"]["error"]["error"]["type"] == "invalid_request_error"
    if protocol == "anthropic":
        assert found["seed"]["error"]["code"] == "invalid_request"
        assert "request.seed" in found["seed"]["error"]["message"]
    else:
        assert found["seed"]["error"] is None
    assert {call.protocol for call in simulator.calls} == {protocol}
