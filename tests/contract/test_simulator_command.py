"""`tollway simulator` as a process: it says where it is, ends cleanly, and explains mistakes."""

import json
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import typer
from typer.testing import CliRunner

from tollway_workers.cli.simulator.command import register

# The command alone, so that these tests stand on this room only.
_COMMAND = [
    sys.executable,
    "-c",
    "import typer; from tollway_workers.cli.simulator.command import register; "
    "app = typer.Typer(); register(app); app()",
]


@contextmanager
def _started(*arguments: str) -> Iterator[tuple[subprocess.Popen[str], dict[str, Any]]]:
    with subprocess.Popen(
        [*_COMMAND, "--port", "0", "--json", *arguments], stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            yield process, json.loads(process.stdout.readline())
        finally:
            process.kill()


def _ask(facts: dict[str, Any], job: str) -> httpx.Response:
    return httpx.post(
        f"{facts['base_url']}/chat/completions",
        json={"model": "m", "messages": [{"role": "user", "content": "hi"}]},
        headers={"X-Client-Request-Id": f"{job}/1/1"},
    )


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_serves_until_it_is_told_to_end(number: signal.Signals, tmp_path: Path) -> None:
    key, faults = tmp_path / "key.jsonl", tmp_path / "faults.toml"
    key.write_text('{"custom_id": "a", "answer": "from the key"}\n')
    faults.write_text('[[fault]]\nkind = 500\njobs = ["b"]\n')

    with _started("--answers", str(key), "--faults", str(faults)) as (process, facts):
        good, bad = _ask(facts, "a"), _ask(facts, "b")
        process.send_signal(number)

        assert process.wait(timeout=10) == 0
    assert good.json()["choices"][0]["message"]["content"] == "from the key"
    assert bad.status_code == 500
    assert facts["pid"] == process.pid


def test_a_killed_one_loses_no_call(tmp_path: Path) -> None:
    books = ["--calls-file", str(tmp_path / "calls.jsonl")]
    with _started(*books) as (process, facts):
        _ask(facts, "a")
        # Its answer is here a moment before its ending is in the books.
        until = time.monotonic() + 10
        while httpx.get(f"{facts['url']}/calls").json()[0]["ending"] != "ok":
            assert time.monotonic() < until
        process.kill()
        process.wait(timeout=10)

    with _started(*books) as (_, facts):
        _ask(facts, "b")
        calls = httpx.get(f"{facts['url']}/calls").json()

    assert [(call["id"], call["job_id"], call["ending"]) for call in calls] == [
        (1, "a", "ok"),
        (2, "b", "ok"),
    ]


def test_a_taken_port_is_one_sentence_and_exit_code_2() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])

        result = subprocess.run(
            [*_COMMAND, "--port", port], capture_output=True, text=True, timeout=30, check=False
        )

    assert result.returncode == 2
    assert result.stderr.startswith(f"the simulator cannot listen on 127.0.0.1:{port}")
    assert len(result.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--faults", "nowhere.toml"], "nowhere.toml: cannot be read"),
        (["--answers", "nowhere.jsonl"], "nowhere.jsonl: cannot be read"),
        (["--profile", "warp"], "--profile warp: unknown; there are instant"),
        (["--calls-file", "/nowhere/calls.jsonl"], "cannot be the file of calls"),
        (["--price-in", "free"], "is not a number of dollars"),
        (["--price-in", "-1"], "must be at least 0"),
        (["--rpm", "inf"], "'--rpm'"),
        (["--latency-ms", "1e400"], "'--latency-ms'"),
        (["--prices", sys.executable], "it is not UTF-8 text"),
        (["--faults", sys.executable], "it is not UTF-8 text"),
    ],
)
def test_a_mistake_is_explained_and_exit_code_2(arguments: list[str], said: str) -> None:
    app = typer.Typer()
    register(app)

    result = CliRunner().invoke(app, ["--port", "0", *arguments], env={"COLUMNS": "200"})

    assert result.exit_code == 2
    assert said in result.stderr
    assert isinstance(result.exception, SystemExit)


def test_it_says_where_each_protocol_is() -> None:
    help_text = subprocess.run(
        [*_COMMAND, "--help"], capture_output=True, text=True, check=True
    ).stdout
    with _started() as (_, facts):
        pass

    ends = {name: url.removeprefix(facts["url"]) for name, url in facts["base_urls"].items()}
    speaking = dict.fromkeys(("openai", "responses", "anthropic", "embeddings"), "/v1")
    assert ends == {**speaking, "gemini": "/v1beta"}
    for path in (
        "/v1/chat/completions",
        "/v1/responses",
        "/v1/embeddings",
        "/v1/messages",
        ":generateContent",
    ):
        assert path in help_text
