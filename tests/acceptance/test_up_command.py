"""`tollway up` on a real Kafka: ready for jobs, whole after a death, gone after Ctrl-C."""

import asyncio
import json
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

pytestmark = pytest.mark.kafka

Tollway = Callable[..., "subprocess.CompletedProcess[bytes]"]
Process = asyncio.subprocess.Process
Up = Callable[..., Awaitable[Process]]


@pytest.fixture
async def up(tmp_path: Path, tollway_environment: dict[str, str]) -> AsyncIterator[Up]:
    """Start `tollway up` with some arguments; whatever is left of it is killed afterwards."""
    started: list[Process] = []

    async def start(*arguments: str) -> Process:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tollway_workers.cli.entry", "up", *arguments),
            cwd=tmp_path,
            env=tollway_environment,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        if process.returncode is None:
            process.kill()
            await process.communicate()


async def fact(process: Process, wanted: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    """The first object on stdout that is wanted."""
    assert process.stdout is not None
    async with asyncio.timeout(60):
        while line := await process.stdout.readline():
            found: dict[str, Any] = json.loads(line)
            if wanted(found):
                return found
    raise AssertionError("it ended before it said so")


def is_ready(found: dict[str, Any]) -> bool:
    return bool(found["kind"] == "ready")


async def test_a_fleet_answers_jobs_survives_a_death_and_leaves_at_ctrl_c(
    up: Up, tollway: Tollway, tmp_path: Path
) -> None:
    process = await up("--json", "--profile", "instant")
    ready = await fact(process, is_ready)
    assert ready["routes"] == ["demo", "extract"]

    run_jobs(tollway, tmp_path, 1)
    seen = await fact(process, lambda found: done_in(found) == 20)
    first = seen["workers"][0]["pid"]
    psutil.Process(first).send_signal(signal.SIGKILL)
    await fact(process, lambda found: replaced(found, first))
    run_jobs(tollway, tmp_path, 2)

    children = psutil.Process(process.pid).children(recursive=True)
    process.send_signal(signal.SIGINT)
    _, stderr = await process.communicate()

    assert process.returncode == 0
    said = stderr.decode()
    assert "SIMULATED" in said
    assert "worker 0 ended by signal 9: starting it again" in said
    assert "[1] " in said
    assert said.splitlines()[-1] == "all workers have left"
    assert not any(child.is_running() for child in children)


async def test_for_people_it_is_plain_text_that_says_how_to_enqueue(
    up: Up, bootstrap_servers: str
) -> None:
    process = await up("--workers", "1")
    assert process.stdout is not None
    said = b""
    async with asyncio.timeout(60):
        while b"dead-letters list" not in said:
            said += await process.stdout.readline()

    process.send_signal(signal.SIGTERM)
    rest, stderr = await process.communicate()

    assert (process.returncode, stderr) == (0, b"")
    assert f"export TOLLWAY_BOOTSTRAP_SERVERS={bootstrap_servers}\n".encode() in said
    assert b"1 worker ready for jobs on demo, extract" in said
    assert b"\x1b" not in said + rest


async def test_a_second_ctrl_c_ends_everything_at_once(
    up: Up, tollway_environment: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "faults.toml").write_text('[[fault]]\nkind = "hang"\n')
    process = await up("--json", "--workers", "1", "--faults", "faults.toml")
    await fact(process, is_ready)
    write_jobs(tmp_path / "jobs.jsonl", 1)
    run = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tollway_workers.cli.entry", "run", "jobs.jsonl"),
        *("-o", "results.jsonl", "--route", "demo"),
        cwd=tmp_path,
        env=tollway_environment,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        await fact(process, lambda found: found["kind"] == "figures" and in_flight(found) > 0)
        children = psutil.Process(process.pid).children(recursive=True)

        process.send_signal(signal.SIGINT)
        assert process.stderr is not None
        while b"finishing" not in await process.stderr.readline():
            continue
        process.send_signal(signal.SIGINT)
        await process.communicate()
    finally:
        run.kill()
        await run.wait()

    assert process.returncode == 130
    _, alive = psutil.wait_procs(children, timeout=5)
    assert not alive


async def test_what_cannot_be_started_is_one_sentence(up: Up, tmp_path: Path) -> None:
    (tmp_path / "tollway.toml").write_text("[routes.r]\nlanes = ['none']\n")

    process = await up()
    stdout, stderr = await process.communicate()

    assert (process.returncode, stdout) == (2, b"")
    assert b"Traceback" not in stderr


@pytest.mark.parametrize(
    ("in_the_way", "named", "why"),
    [
        (Path("up"), "up/0", "Not a directory"),
        (Path("up/0/lock/a-file"), "up/0", "Is a directory"),
        (Path("up/0/fleet.toml/a-file"), "up/0/fleet.toml", "Is a directory"),
    ],
)
async def test_a_state_folder_that_cannot_be_written_is_one_sentence(
    in_the_way: Path, named: str, why: str, tollway: Tollway, tmp_path: Path
) -> None:
    state = tmp_path / "state" / "tollway"
    (state / in_the_way.parent).mkdir(parents=True)
    (state / in_the_way).touch()

    done = tollway("up", "--workers", "1", status=2, XDG_STATE_HOME=str(tmp_path / "state"))

    assert done.stderr.decode() == (
        f"tollway: {state / named} cannot be written: {why}; "
        "make room there, or name another folder with XDG_STATE_HOME\n"
    )


async def test_a_key_that_cannot_be_had_is_told_before_anything_is_started(
    up: Up, tmp_path: Path
) -> None:
    (tmp_path / "tollway.toml").write_text(
        "[kafka]\nbootstrap_servers = '127.0.0.1:1'\n"
        "[providers.p]\nbase_url = 'https://h/v1'\napi_key = {env = 'NOT_THERE'}\n"
        "[lanes.l]\nprovider = 'p'\nmodel = 'm'\nconcurrency = 2\n"
        "[routes.r]\nlanes = ['l']\n"
    )

    process = await up()
    stdout, stderr = await process.communicate()

    assert (process.returncode, stdout) == (2, b"")
    assert stderr.decode() == (
        "tollway: tollway.toml: providers.p.api_key: environment variable NOT_THERE is not set: "
        "export it, or refer to another; no call can be made without it\n"
    )


def write_jobs(file: Path, number: int) -> None:
    body = {"model": "demo", "messages": [{"role": "user", "content": "Count."}]}
    lines = (
        {
            "custom_id": f"job-{number}-{index}",
            "method": "POST",
            "url": "/v1/chat/completions",
            "body": body,
        }
        for index in range(20)
    )
    file.write_text("".join(f"{json.dumps(line)}\n" for line in lines))


def run_jobs(tollway: Tollway, folder: Path, number: int) -> None:
    write_jobs(folder / f"jobs-{number}.jsonl", number)
    tollway("run", f"jobs-{number}.jsonl", "-o", f"results-{number}.jsonl", "--route", "demo")


def done_in(found: dict[str, Any]) -> int:
    return sum(each["completed"] for each in found.get("workers", ()))


def in_flight(found: dict[str, Any]) -> int:
    return sum(each["in_flight"] for each in found["workers"])


def replaced(found: dict[str, Any], pid: int) -> bool:
    first = found.get("workers", [{"pid": pid}])[0]
    return bool(first["pid"] != pid and first["state"] == "ready")
