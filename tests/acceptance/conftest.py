"""The command as a person or a script starts it: a process in an empty folder and home."""

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from in_process import run_here
from run_command import IN_FLIGHT, Command, Start, Tollway

from tollway_workers.local.simulator.latency import LatencyProfile
from tollway_workers.local.simulator.options import SimulatorOptions
from tollway_workers.local.simulator.server import Simulator


@pytest.fixture
def tollway_environment(
    tmp_path: Path, bootstrap_servers: str, topic_prefix: str
) -> dict[str, str]:
    """Nothing but a path, an empty home, the broker and this test's prefix."""
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "TOLLWAY_BOOTSTRAP_SERVERS": bootstrap_servers,
        "TOLLWAY_PREFIX": topic_prefix,
    }


@pytest.fixture
def tollway(tmp_path: Path, tollway_environment: dict[str, str]) -> Tollway:
    """`tollway(*arguments, status=0, **environ)`: run it in the test's folder to its end."""

    def run(
        *arguments: object, status: int = 0, **environ: str
    ) -> "subprocess.CompletedProcess[bytes]":
        done = subprocess.run(
            [sys.executable, "-m", "tollway_workers.cli.entry", *map(str, arguments)],
            cwd=tmp_path,
            env=tollway_environment | environ,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == status, done.stderr.decode() + done.stdout.decode()
        assert b"Traceback" not in done.stderr
        return done

    return run


@pytest.fixture
def tollway_here(tmp_path: Path, tollway_environment: dict[str, str]) -> Tollway:
    """As `tollway`, in this process: for what ends by itself. `status` None: any."""

    def run(
        *arguments: object, status: int | None = 0, **environ: str
    ) -> "subprocess.CompletedProcess[bytes]":
        done = run_here(tuple(map(str, arguments)), tmp_path, tollway_environment | environ)
        assert status in (None, done.returncode), done.stderr.decode() + done.stdout.decode()
        assert b"Traceback" not in done.stderr
        return done

    return run


@pytest.fixture
async def simulator() -> AsyncIterator[Simulator]:
    """One that takes its time, so that a run can be caught half-way."""
    latency = LatencyProfile(ttft_median_seconds=0.15, ttft_sigma=0.2)
    async with Simulator(SimulatorOptions(latency=latency)) as running:
        yield running


@pytest.fixture
async def start(
    tmp_path: Path, bootstrap_servers: str, topic_prefix: str, simulator: Simulator
) -> AsyncIterator[Start]:
    """Start `tollway run` on topics of this test, with as many workers as it is about."""
    environ = {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "TOLLWAY_BOOTSTRAP_SERVERS": bootstrap_servers,
        "TOLLWAY_PREFIX": topic_prefix,
    }
    started: list[asyncio.subprocess.Process] = []

    async def run(
        *arguments: object, answering: bool = True, model: str = "m", workers: int = 1
    ) -> Command:
        who = ["--base-url", simulator.base_url, "--model", model, "--concurrency", str(IN_FLIGHT)]
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tollway_workers.cli.entry", "run"),
            *map(str, arguments),
            *([*who, "--workers", str(workers)] if answering else []),
            cwd=tmp_path,
            env=environ,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        started.append(process)
        return Command(process)

    yield run
    for process in started:
        if process.returncode is None:
            process.kill()
            await process.communicate()
