"""Who answers a run: another model, a simulator or another run never does, and nothing is left."""

import json
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiokafka.admin import AIOKafkaAdminClient
from run_command import FLEET, Start, Tollway, good_line, lines_in, results

from tollway_workers.local.simulator.faults import Fault, FaultKind
from tollway_workers.local.simulator.options import SimulatorOptions
from tollway_workers.local.simulator.server import Simulator

pytestmark = pytest.mark.kafka

#: More than one second's work, so that an interrupted run has jobs left.
JOBS = 100
FAILING = ("job-1", "job-3")


def batch(file: Path, jobs: int) -> Path:
    file.write_text("".join(good_line(number) for number in range(jobs)))
    return file


def models(out: Path) -> set[str]:
    """Those that were asked for the answers in OUT."""
    return {each["model"] for item in results(out) for each in item["tollway"]["attempt_log"]}


@pytest.fixture
async def admin(bootstrap_servers: str) -> AsyncIterator[AIOKafkaAdminClient]:
    client = AIOKafkaAdminClient(bootstrap_servers=bootstrap_servers)
    await client.start()
    yield client
    await client.close()


async def own_topics(admin: AIOKafkaAdminClient, prefix: str) -> list[str]:
    """Topics that runs made for themselves."""
    topics = await admin.list_topics()
    begins = (f"{prefix}.jobs.run-", f"{prefix}.lanes.run-")
    return sorted(topic for topic in topics if topic.startswith(begins))


async def interrupted(start: Start, source: Path, out: Path, **who: Any) -> str:
    """Start a run and stop it half-way; its id."""
    command = await start(source, "-o", out, **who)
    await lines_in(out, 1)
    command.process.send_signal(signal.SIGINT)
    status, stdout, _ = await command.end()
    assert status == 130
    assert len(results(out)) < JOBS
    return stdout.partition("run ")[2].split()[0]


@pytest.mark.slow
async def test_what_a_run_left_is_answered_by_its_own_model_or_not_at_all(
    start: Start, tmp_path: Path, admin: AIOKafkaAdminClient, topic_prefix: str
) -> None:
    source, out = batch(tmp_path / "x.jsonl", JOBS), tmp_path / "x.out"
    other, other_out = batch(tmp_path / "y.jsonl", 2), tmp_path / "y.out"
    await interrupted(start, source, out, model="model-x")

    status, stdout, _ = await (await start(other, "-o", other_out, model="model-y")).end()

    assert (status, models(other_out)) == (0, {"model-y"})
    assert "older job" not in stdout
    # The state file refuses another model for the same OUT.
    status, _, stderr = await (await start(source, "-o", out, model="model-y")).end()
    assert status == 2
    assert "it holds answers of model-x at" in stderr and "answers of model-y at" in stderr
    # What model-x was asked is answered by model-x.
    status, _, _ = await (await start(source, "-o", out, model="model-x")).end()
    assert (status, len(results(out)), models(out)) == (0, JOBS, {"model-x"})
    # And then nothing is left of either, commits included: a topic of that name begins anew.
    assert await own_topics(admin, topic_prefix) == []
    groups = await admin.list_consumer_group_offsets(f"{topic_prefix}.workers")
    assert not [at for at in groups if ".run-" in at.topic]


async def test_a_simulators_answers_are_never_taken_for_a_models(
    start: Start, tmp_path: Path
) -> None:
    source, out = batch(tmp_path / "jobs.jsonl", 2), tmp_path / "out.jsonl"
    simulated = ("--simulate", "--workers", "1")
    status, _, _ = await (await start(source, "-o", out, *simulated, answering=False)).end()
    before = out.read_bytes()
    assert status == 0

    status, _, stderr = await (await start(source, "-o", out)).end()

    assert (status, stderr.count("\n"), out.read_bytes()) == (2, 1, before)
    assert "it holds SIMULATED answers, and now it would get answers of m at" in stderr
    assert "--fresh" in stderr


@pytest.mark.slow
async def test_jobs_of_an_equal_run_are_told_of_while_they_go_first(
    start: Start, tmp_path: Path
) -> None:
    source, out = batch(tmp_path / "x.jsonl", JOBS), tmp_path / "x.out"
    run = await interrupted(start, source, out)

    second = await start(batch(tmp_path / "y.jsonl", 2), "-o", tmp_path / "y.out")
    status, stdout, _ = await second.end()

    assert status == 0
    assert f"of run {run} asked the same models and are answered first" in stdout


@pytest.mark.slow
async def test_a_run_that_is_given_up_leaves_nothing_behind(
    start: Start,
    tmp_path: Path,
    admin: AIOKafkaAdminClient,
    topic_prefix: str,
    tollway: Tollway,
) -> None:
    source, out = batch(tmp_path / "x.jsonl", JOBS), tmp_path / "x.out"
    run = await interrupted(start, source, out)
    there = await own_topics(admin, topic_prefix)
    assert there

    (tmp_path / "tollway.toml").write_text(FLEET)
    planned = json.loads(tollway("topics", "plan", "--json", status=3).stdout)
    assert any(f"unfinished job(s) of run {run}: give" in each for each in planned["remarks"])
    assert (planned["to_do"]["delete"], planned["refused"]) == ([], [])
    # It stands in nobody's way, and goes once it is given up.
    tollway("cancel", "--run", run, "--no-wait")
    done = json.loads(tollway("topics", "apply", "--json").stdout)
    assert done["to_do"]["delete"] == there
    assert await own_topics(admin, topic_prefix) == []

    # Who waits for the fleet to hear it needs no second command.
    again = await interrupted(start, source, tmp_path / "again.out")
    said = json.loads(tollway("cancel", "--run", again, "--json").stdout)
    assert said["deleted_topics"] == there
    assert await own_topics(admin, topic_prefix) == []


@pytest.fixture
async def failing() -> AsyncIterator[Simulator]:
    """A provider that refuses two jobs, and takes them when they come again."""
    faults = (Fault(kind=FaultKind.CONTEXT_LENGTH, jobs=FAILING, first_attempts=1),)
    async with Simulator(SimulatorOptions(faults=faults)) as simulator:
        yield simulator


@pytest.mark.slow
async def test_only_what_failed_is_asked_again(
    start: Start, tmp_path: Path, failing: Simulator
) -> None:
    source, out = batch(tmp_path / "jobs.jsonl", 6), tmp_path / "out.jsonl"
    who = ("--base-url", failing.base_url, "--model", "m", "--concurrency", "4", "--workers", "1")

    async def run(*more: str) -> tuple[int, str]:
        command = await start(source, "-o", out, *who, *more, answering=False)
        status, stdout, stderr = await command.end()
        return status, stdout + stderr

    first, _ = await run()
    calls = failing.summary().calls
    same, _ = await run()
    assert (first, same, failing.summary().calls) == (1, 1, calls)

    again, said = await run("--retry-failed")
    assert (again, "asking again for 2 lines that failed" in said) == (0, True), said
    answered = {item["custom_id"]: item["tollway"] for item in results(out)}
    assert len(results(out)) == len(answered) == 6
    assert {name for name in answered if answered[name]["generation"] == 2} == set(FAILING)
    # What the first round cost is not forgotten.
    assert all(answered[name]["earlier"]["attempts"] for name in FAILING)
    made = failing.summary().calls
    assert made == sum(
        each["attempts"] + (each["earlier"] or {}).get("attempts", 0) for each in answered.values()
    )

    nothing, said = await run("--retry-failed")
    assert (nothing, failing.summary().calls) == (0, made)
    assert "no line failed" in said
