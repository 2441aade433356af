"""`tollway run` of lines that ask for vectors: as jobs, with all that holds for jobs."""

import json
from base64 import b64decode
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from run_command import Start, Tollway, results

from tollway_workers.job.vectors import numbers_in, packed
from tollway_workers.local.simulator import Fault, FaultKind, Simulator, SimulatorOptions
from tollway_workers.local.simulator.values.vectors import vector_of

pytestmark = pytest.mark.kafka

_FLEET = """
[providers.p]
protocol = "embeddings"
base_url = "{url}"
[lanes.vectors]
provider = "p"
model = "m"
concurrency = 4
price = {{input = 0.02, output = 0}}
[routes.embed]
lanes = ["vectors"]
[routes.embed.cache]
exact = true
"""


def _line(custom_id: str, given: Any, url: str = "/v1/embeddings", **body: Any) -> str:
    asked = {"model": "embed", "input": given, **body}
    return json.dumps({"custom_id": custom_id, "method": "POST", "url": url, "body": asked}) + "\n"


def _as_float32(texts: Iterable[str], dimensions: int = 256) -> list[list[float]]:
    return [numbers_in(packed(vector_of(text, dimensions))) for text in texts]


def _vectors(item: dict[str, Any]) -> list[Any]:
    data = item["response"]["body"]["data"]
    assert [each["index"] for each in data] == list(range(len(data)))
    return [each["embedding"] for each in data]


@pytest.mark.slow
async def test_vectors_come_through_limits_retries_budget_and_cache_in_openai_s_form(
    start: Start, tollway: Tollway, tmp_path: Path
) -> None:
    config, source, out = (tmp_path / name for name in ("fleet.toml", "in.jsonl", "out.jsonl"))
    texts = [f"text {number}" for number in range(12)]
    lines = [_line(f"job-{number}", text) for number, text in enumerate(texts)]
    lines += [
        _line("several", ["a", "b"], dimensions=8),
        _line("packed", "a", encoding_format="base64"),
        _line("tokens", [1, 2, 3]),
        _line("empty", ""),
        _line("words", None, "/v1/chat/completions", messages=[{"role": "user", "content": "hi"}]),
    ]
    source.write_text("".join(lines))
    faults = (
        Fault(kind=FaultKind.RATE_LIMIT, jobs=("job-0",), first_attempts=1),
        Fault(kind=FaultKind.SERVER_ERROR, jobs=("job-1",), first_attempts=1),
        # A vector too few is no answer.
        Fault(kind=FaultKind.WRONG_SHAPE, jobs=("several",), first_attempts=1),
    )
    async with Simulator(SimulatorOptions(faults=faults)) as simulator:
        config.write_text(_FLEET.format(url=simulator.base_url))
        tollway("topics", "apply", "--config", config)
        given = ("--config", config, "--budget", "0.01", "--workers", "1")
        run = await start(source, "-o", out, *given, answering=False)
        status, _, said = await run.end()
        calls = simulator.calls

    found = {item["custom_id"]: item for item in results(out)}
    assert status == 1, said
    assert len(found) == len(lines)
    for number, text in enumerate(texts):
        assert _vectors(found[f"job-{number}"]) == _as_float32([text])
    assert _vectors(found["several"]) == _as_float32(["a", "b"], 8)
    assert numbers_in(b64decode(_vectors(found["packed"])[0])) == _as_float32(["a"])[0]
    assert len(_vectors(found["tokens"])[0]) == 256
    assert "body.input" in found["empty"]["error"]["message"]
    assert "asks for an answer in words" in found["words"]["error"]["message"]
    usage = found["several"]["response"]["body"]["usage"]
    assert usage == {"prompt_tokens": 2, "total_tokens": 2}
    assert {call.protocol for call in calls} == {"embeddings"}
    assert sum("several" in call.job_id for call in calls) == 2
    billed = sum(call.cost_pico_usd for call in calls if call.billed)
    told = sum(int(item["tollway"].get("cost_pico_usd") or 0) for item in found.values())
    assert 0 < told <= billed


@pytest.mark.slow
async def test_equal_texts_are_asked_for_once(
    start: Start, tollway: Tollway, tmp_path: Path
) -> None:
    config, source, out = (tmp_path / name for name in ("fleet.toml", "in.jsonl", "out.jsonl"))
    source.write_text("".join(_line(f"job-{number}", "the same") for number in range(20)))
    async with Simulator() as simulator:
        config.write_text(_FLEET.format(url=simulator.base_url))
        tollway("topics", "apply", "--config", config)
        run = await start(source, "-o", out, "--config", config, "--workers", "1", answering=False)
        status, _, said = await run.end()
        calls = simulator.calls

    assert status == 0, said
    assert all(_vectors(item) == _as_float32(["the same"]) for item in results(out))
    assert len(calls) <= 4, said


async def test_without_a_configuration_its_own_lane_speaks_what_its_lines_want(
    start: Start, simulator: Simulator, tmp_path: Path
) -> None:
    source, out = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    source.write_text("".join(_line(f"job-{number}", f"text {number}") for number in range(3)))

    status, _, said = await (await start(source, "-o", out)).end()

    assert status == 0, said
    assert len(results(out)) == 3
    assert {call.protocol for call in simulator.calls} == {"embeddings"}
