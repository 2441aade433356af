"""`tollway run` against a provider that lets nothing through: it says why, ends, and goes on."""

import asyncio
import json
import subprocess
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from aiohttp import web
from run_command import FLEET

pytestmark = [pytest.mark.kafka, pytest.mark.slow]

Tollway = Callable[..., "subprocess.CompletedProcess[bytes]"]

_REFUSAL = {"error": {"message": "Incorrect API key: secret", "code": "invalid_api_key"}}
_ANSWER = {
    "choices": [{"message": {"role": "assistant", "content": "fine"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 9, "completion_tokens": 3},
}
_REASON = "the provider refused the key (HTTP 401, invalid_api_key)"


@dataclass
class Provider:
    """Refuses every key until it is told to answer."""

    url: str = ""
    answers: bool = False
    calls: int = 0

    async def complete(self, request: web.Request) -> web.Response:
        self.calls += 1
        if self.answers:
            return web.json_response(_ANSWER)
        return web.json_response(_REFUSAL, status=401)


@pytest.fixture
async def provider() -> AsyncIterator[Provider]:
    serving = Provider()
    app = web.Application()
    app.router.add_post("/v1/chat/completions", serving.complete)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    serving.url = f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
    yield serving
    await runner.cleanup()


def batch(folder: Path) -> Path:
    body = {"model": "any", "messages": [{"role": "user", "content": "hi"}]}
    line = {"custom_id": "a", "method": "POST", "url": "/v1/chat/completions", "body": body}
    source = folder / "jobs.jsonl"
    source.write_text(json.dumps(line) + "\n")
    return source


async def test_a_run_with_a_wrong_key_says_so_gives_up_and_goes_on_once_the_key_is_right(
    tollway: Tollway, tmp_path: Path, provider: Provider
) -> None:
    who = ["--base-url", provider.url, "--model", "m", "--concurrency", "2", "--workers", "1"]
    command = ["run", batch(tmp_path), "-o", tmp_path / "out.jsonl", *who]

    gave_up = await asyncio.to_thread(tollway, *command, "--give-up-after", "4s", status=1)
    refused = provider.calls
    (log,) = (tmp_path / ".local/state/tollway/runs").glob("*-0.log")
    logged = log.read_text()
    provider.answers = True
    done = await asyncio.to_thread(tollway, *command, "--json")

    said = gave_up.stdout.decode()
    assert f"waiting: {_REASON}; " in said
    assert f"{refused} ({refused} refused, not charged)" in said
    assert "gave up with 1 line left, after 4 s in which no lane let a call through" in said
    assert "give the same command again" in said
    # Once, not for each try.
    assert logged.count(f"waiting: {_REASON}; next try in 1 s") == logged.count(_REASON) == 1
    assert "secret" not in said + logged
    told = json.loads(done.stdout)
    assert (told["answered"], told["left"], told["waits"]) == (1, 0, [])


async def test_a_run_that_no_worker_serves_says_so_and_gives_up(
    tollway: Tollway, tmp_path: Path, provider: Provider
) -> None:
    fleet = tmp_path / "fleet.toml"
    fleet.write_text(FLEET)
    await asyncio.to_thread(tollway, "topics", "apply", "--config", fleet)

    alone = await asyncio.to_thread(
        tollway,
        *("run", batch(tmp_path), "-o", tmp_path / "out.jsonl", "--route", "extract"),
        *("--give-up-after", "2s"),
        status=1,
    )

    assert "waiting: no worker serves route extract: start one" in alone.stdout.decode()
    assert provider.calls == 0
