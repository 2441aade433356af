"""`tollway run` with a local Kafka of its own that is killed under it."""

import asyncio
import os
import sys
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from run_command import Command, good_line, lines_in, results

from tollway_workers.local.kafka import LocalKafka
from tollway_workers.local.kafka.broker import default_jars_folder
from tollway_workers.local.kafka.processes import ProcessId, kill
from tollway_workers.local.kafka.state import read_state
from tollway_workers.local.simulator.server import Simulator

pytestmark = [pytest.mark.slow, pytest.mark.kafka]

JOBS = 90

StartOwn = Callable[[Path, Path], Awaitable[Command]]


@pytest.fixture
def kafka(tmp_path: Path, kafka_jars: tuple[Path, ...]) -> LocalKafka:
    """The one that a run in this test's home starts."""
    return LocalKafka(tmp_path / "data" / "tollway" / "kafka")


@pytest.fixture
async def start_own(
    tmp_path: Path, kafka: LocalKafka, simulator: Simulator
) -> AsyncIterator[StartOwn]:
    """Start a run that names no Kafka."""
    started: list[asyncio.subprocess.Process] = []

    async def start(source: Path, out: Path) -> Command:
        process = await asyncio.create_subprocess_exec(
            *(
                sys.executable,
                "-m",
                "tollway_workers.cli.entry",
                "run",
                str(source),
                "-o",
                str(out),
            ),
            *("--base-url", simulator.base_url, "--model", "m", "--concurrency", "4"),
            cwd=tmp_path,
            env={
                "PATH": os.environ["PATH"],
                "HOME": str(tmp_path),
                "XDG_DATA_HOME": str(tmp_path / "data"),
                "XDG_CACHE_HOME": str(default_jars_folder().parent.parent),
            },
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        started.append(process)
        return Command(process)

    yield start
    for process in started:
        if process.returncode is None:
            process.kill()
            await process.communicate()
    await asyncio.to_thread(kafka.stop, force=True)


def node_of(kafka: LocalKafka) -> ProcessId:
    """The process that was started last, at work or not."""
    state = read_state(kafka.folder / "state.json")
    assert state is not None
    return state.nodes[0].process


async def killed(kafka: LocalKafka, *, after: ProcessId | None) -> ProcessId:
    """Kill the process that came after that one, as soon as there is one."""
    async with asyncio.timeout(60):
        while (found := node_of(kafka)) == after:  # noqa: ASYNC110 a file has no event to wait for
            await asyncio.sleep(0.05)
    await asyncio.to_thread(kill, found)
    return found


async def test_a_kafka_that_is_killed_is_started_again_and_the_run_goes_on_by_itself(
    start_own: StartOwn, kafka: LocalKafka, tmp_path: Path
) -> None:
    source, out = tmp_path / "jobs.jsonl", tmp_path / "results.jsonl"
    source.write_text("".join(map(good_line, range(JOBS))))
    command = await start_own(source, out)
    await lines_in(out, JOBS // 3)

    await killed(kafka, after=None)
    status, stdout, stderr = await command.end()

    assert status == 0, stdout + stderr
    assert Counter(item["custom_id"] for item in results(out) if item["error"] is None) == (
        Counter(f"job-{number}" for number in range(JOBS))
    )
    assert stdout.count("starting it again on its data") == 1
    assert kafka.status() is None


async def test_a_kafka_that_dies_again_and_again_ends_the_run_with_a_sentence(
    start_own: StartOwn, kafka: LocalKafka, tmp_path: Path
) -> None:
    source, out = tmp_path / "jobs.jsonl", tmp_path / "results.jsonl"
    source.write_text("".join(map(good_line, range(10 * JOBS))))
    command = await start_own(source, out)
    await lines_in(out, 1)

    last = None
    for _ in range(3):
        last = await killed(kafka, after=last)
    status, stdout, stderr = await command.end()

    assert status == 2, stdout + stderr
    assert stderr.startswith("tollway: the local Kafka does not stay alive (it ended 3 times")
    assert stderr.count("\n") == 1


async def test_a_kafka_that_is_stopped_on_purpose_stays_so_and_the_run_says_it(
    start_own: StartOwn, kafka: LocalKafka, tmp_path: Path
) -> None:
    source, out = tmp_path / "jobs.jsonl", tmp_path / "results.jsonl"
    source.write_text("".join(map(good_line, range(10 * JOBS))))
    command = await start_own(source, out)
    await lines_in(out, 1)

    await asyncio.to_thread(kafka.stop, force=True)
    status, stdout, stderr = await command.end()

    assert "starting it again" not in stdout
    assert (status, kafka.status()) == (2, None), stdout + stderr
    assert stderr == (
        "tollway: the local Kafka was stopped while this command used it: give the command again\n"
    )
