"""The plain script beside Tollway in the demo: honest work in 60 lines, that survives a kill."""

import ast
import asyncio
import json
import sys
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from eventually import eventually

SCRIPT = Path(__file__).parents[2] / "producers" / "examples" / "plain_script.py"
DEADLINE_SECONDS = 20.0


class ChatServer:
    """Answers each job, after what `faults` says of its first try; a call may be held back."""

    def __init__(self) -> None:
        self.base_url = ""
        self.calls = Counter[str]()
        self.faults: dict[str, web.Response] = {}
        self.held: set[str] = set()
        self.waiting = 0
        self.most_waiting = 0
        self.released = asyncio.Event()
        self.arrivals: list[float] = []

    async def complete(self, request: web.Request) -> web.Response:
        call = request.headers["X-Client-Request-Id"]
        job_id, _, attempt = call.partition("/1/")
        self.calls[call] += 1
        self.arrivals.append(asyncio.get_running_loop().time())
        assert (await request.json()) == {"model": "extract", "messages": []}
        if job_id in self.held and attempt == "1":
            self.waiting += 1
            self.most_waiting = max(self.most_waiting, self.waiting)
            await self.released.wait()
            self.waiting -= 1
        if attempt == "1" and job_id in self.faults:
            return self.faults[job_id]
        return completion(json.dumps({"purpose": f"of {job_id}"}))


def completion(content: str) -> web.Response:
    message = {"role": "assistant", "content": content}
    return web.json_response({"choices": [{"message": message, "finish_reason": "stop"}]})


@pytest.fixture
async def server() -> AsyncIterator[ChatServer]:
    chat = ChatServer()
    app = web.Application()
    app.router.add_post("/v1/chat/completions", chat.complete)
    listening = TestServer(app)
    await listening.start_server()
    chat.base_url = str(listening.make_url("/v1"))
    yield chat
    chat.released.set()
    await listening.close()


class Script:
    """Starts the script on one file of jobs."""

    def __init__(self, folder: Path, server: ChatServer) -> None:
        self.jobs, self.out = folder / "jobs.jsonl", folder / "answers.jsonl"
        self.base_url = server.base_url

    def write_jobs(self, *ids: str) -> None:
        body = {"model": "extract", "messages": []}
        rows = [{"custom_id": name, "method": "POST", "body": body} for name in ids]
        self.jobs.write_text("".join(json.dumps(row) + "\n" for row in rows))

    async def start(self, *options: str) -> asyncio.subprocess.Process:
        files = [str(self.jobs), str(self.out), "--base-url", self.base_url, "--rpm", "60000"]
        return await asyncio.create_subprocess_exec(
            sys.executable, str(SCRIPT), *files, *options, stderr=asyncio.subprocess.PIPE
        )

    async def run(self, *options: str) -> tuple[int | None, str]:
        """The exit code and stderr."""
        process = await self.start(*options)
        _, stderr = await asyncio.wait_for(process.communicate(), DEADLINE_SECONDS)
        return process.returncode, stderr.decode()

    def answers(self) -> list[Any]:
        lines = self.out.read_bytes().splitlines() if self.out.exists() else []
        return [json.loads(line) for line in lines]


@pytest.fixture
def script(tmp_path: Path, server: ChatServer) -> Script:
    return Script(tmp_path, server)


def test_it_has_at_most_sixty_lines_of_code() -> None:
    source = SCRIPT.read_text()
    docstring = ast.parse(source).body[0]
    code = source.splitlines()[docstring.end_lineno :]

    assert len([line for line in code if line.strip() and not line.strip().startswith("#")]) <= 60


async def test_each_job_is_answered_once(script: Script, server: ChatServer) -> None:
    ids = [f"json.loads-{number}" for number in range(40)]
    script.write_jobs(*ids)

    assert await script.run() == (0, "")

    assert {row["custom_id"]: row["answer"] for row in script.answers()} == {
        name: {"purpose": f"of {name}"} for name in ids
    }
    assert server.calls == Counter(f"{name}/1/1" for name in ids)


async def test_no_more_calls_are_in_flight_than_allowed(script: Script, server: ChatServer) -> None:
    server.held = {f"job-{number}" for number in range(12)}
    script.write_jobs(*server.held)

    process = await script.start("--concurrency", "3")
    await eventually(lambda: server.waiting == 3)
    server.released.set()
    await asyncio.wait_for(process.communicate(), DEADLINE_SECONDS)

    assert server.most_waiting == 3
    assert len(script.answers()) == 12


async def test_it_keeps_to_the_requests_a_minute_of_its_account(
    script: Script, server: ChatServer
) -> None:
    script.write_jobs(*(f"job-{number}" for number in range(21)))

    assert await script.run("--rpm", "1200") == (0, "")

    # 20 a second: the last is sent a second after the first, which took longer to connect.
    assert server.arrivals[-1] - server.arrivals[0] > 0.5


async def test_it_comes_back_no_sooner_than_it_was_asked_to(
    script: Script, server: ChatServer
) -> None:
    server.faults = {"refused": web.Response(status=429, headers={"Retry-After": "2"})}
    script.write_jobs("refused")

    assert await script.run() == (0, "")

    first, second = server.arrivals
    assert second - first >= 2


async def test_half_a_line_that_a_crash_left_is_asked_for_again(
    script: Script, server: ChatServer
) -> None:
    script.write_jobs("whole", "half")
    whole = json.dumps({"custom_id": "whole", "answer": 1}) + "\n"
    script.out.write_text(whole + '{"custom_id": "ha')

    assert await script.run() == (0, "")

    assert [row["custom_id"] for row in script.answers()] == ["whole", "half"]
    assert server.calls == Counter(["half/1/1"])


async def test_what_may_pass_is_tried_again(script: Script, server: ChatServer) -> None:
    server.faults = {
        "rate-limited": web.Response(status=429),
        "broken": web.Response(status=503),
        "bad-json": completion('{"purpose": "of bad-'),
        "bad-body": web.Response(text="<html>", content_type="text/html"),
    }
    server.held = {"hangs"}
    names = [*server.faults, "hangs"]
    script.write_jobs(*names)

    assert await script.run("--timeout", "1.5") == (0, "")

    assert sorted(row["custom_id"] for row in script.answers()) == sorted(names)
    assert server.calls == Counter(f"{name}/1/{attempt}" for name in names for attempt in (1, 2))


async def test_a_refused_job_is_named_and_left_to_the_next_start(
    script: Script, server: ChatServer
) -> None:
    server.faults = {"refused": web.Response(status=400)}
    script.write_jobs("refused", "fine")

    exit_code, stderr = await script.run()

    assert exit_code == 1
    assert stderr.startswith("refused: HTTPStatusError(")
    assert [row["custom_id"] for row in script.answers()] == ["fine"]
    assert server.calls == Counter(["refused/1/1", "fine/1/1"])

    del server.faults["refused"]
    assert await script.run() == (0, "")
    assert [row["custom_id"] for row in script.answers()] == ["fine", "refused"]


async def test_after_a_kill_only_what_has_no_answer_is_asked_again(
    script: Script, server: ChatServer
) -> None:
    answered = [f"early-{number}" for number in range(5)]
    in_flight = [f"late-{number}" for number in range(3)]
    never_sent = [f"waiting-{number}" for number in range(4)]
    server.held = {*in_flight, *never_sent}
    script.write_jobs(*answered, *in_flight, *never_sent)

    process = await script.start("--concurrency", "3")
    await eventually(lambda: server.waiting == 3 and len(script.answers()) == 5)
    process.kill()
    await process.communicate()
    server.released.set()
    assert await script.run("--concurrency", "3") == (0, "")

    ids = [*answered, *in_flight, *never_sent]
    assert sorted(row["custom_id"] for row in script.answers()) == sorted(ids)
    # The price of having no memory: what was in flight is asked, and paid for, a second time.
    again = Counter(f"{name}/1/1" for name in in_flight)
    assert server.calls == Counter(f"{name}/1/1" for name in ids) + again
