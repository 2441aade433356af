"""`tollway run` given again after a redrive: new answers take the places of failures."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from run_command import SCHEMA, Command, Start, Tollway, good_line, results

from tollway_workers.local.simulator import Fault, FaultKind, Simulator, SimulatorOptions

pytestmark = pytest.mark.kafka

JOBS = 4


@pytest.fixture
async def short_of_a_field() -> AsyncIterator[Simulator]:
    """A provider that never says `n`, which the schema of every job wants."""
    faults = (Fault(kind=FaultKind.WRONG_SHAPE),)
    async with Simulator(SimulatorOptions(faults=faults)) as simulator:
        yield simulator


async def test_a_run_that_is_given_again_has_its_redriven_jobs_answered_without_a_call(
    start: Start, tollway_here: Tollway, tmp_path: Path, short_of_a_field: Simulator
) -> None:
    source, out = tmp_path / "jobs.jsonl", tmp_path / "out.jsonl"
    source.write_text("".join(map(good_line, range(JOBS))))
    corrected = tmp_path / "corrected.json"
    corrected.write_text(json.dumps(SCHEMA | {"required": []}))
    url = short_of_a_field.base_url
    who = ("--base-url", url, "--model", "m", "--concurrency", "4", "--workers", "1")

    async def run() -> tuple[int, str]:
        command: Command = await start(source, "-o", out, *who, answering=False)
        status, stdout, _ = await command.end()
        return status, stdout

    async def dead_letters(*arguments: str) -> str:
        done = await asyncio.to_thread(tollway_here, "dead-letters", *arguments)
        return done.stdout.decode()

    failed, said = await run()
    run_id = said.partition("run ")[2].split()[0]
    calls = short_of_a_field.summary().calls
    assert failed == 1 and "tollway dead-letters groups --run" in said

    fix = ("redrive", "--run", run_id, "--revalidate", "--schema", str(corrected))
    redriven = await dead_letters(*fix)
    assert f"redrove {JOBS} of {JOBS} dead letters" in redriven
    assert "only a `tollway run` has workers for run-" in redriven
    again, said = await run()

    # Nobody but the run's own workers answers on its routes: it brings them, and waits.
    assert (again, short_of_a_field.summary().calls) == (0, calls), said
    lines = results(out)
    assert len(lines) == JOBS and all(line["error"] is None for line in lines)
    assert {line["tollway"]["generation"] for line in lines} == {2}
    # What the first generation cost is not forgotten.
    assert sum(line["tollway"]["earlier"]["attempts"] for line in lines) == calls
    assert "answered" in await dead_letters("list", "--marked", "--run", run_id)
