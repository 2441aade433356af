"""`tollway run --retry-failed` and dead letters: each is asked again once, whoever asks."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete
from run_command import Start, Tollway, good_line, results

from tollway_workers.local.simulator import Fault, FaultKind, Simulator, SimulatorOptions

pytestmark = [pytest.mark.kafka, pytest.mark.slow]

#: They fail once. Another one fails always, so that the run's topics are kept.
FAILING = ("job-1", "job-3")
DOOMED = "job-0"
JOBS = 4


@dataclass(frozen=True, slots=True)
class Bench:
    """A run of which jobs failed, and the commands that are given about it."""

    start: Start
    tollway: Tollway
    provider: Simulator
    folder: Path
    run_id: str = ""

    async def run(self, *more: str) -> tuple[int, str]:
        """The run's command: its status, and what it said."""
        who = ("--base-url", self.provider.base_url, "--model", "m", "--concurrency", "4")
        files = self.folder / "jobs.jsonl", "-o", self.folder / "out.jsonl"
        command = await self.start(*files, *who, "--workers", "1", *more, answering=False)
        status, stdout, stderr = await command.end()
        return status, stdout + stderr

    async def dead_letters(self, name: str, *more: str, job: str = "", status: int = 0) -> str:
        """What a command about the run's dead letters says."""
        which = ("--job", f"{self.run_id}:{job}") if job else ()
        done = await asyncio.to_thread(
            self.tollway, "dead-letters", name, "--run", self.run_id, *which, *more, status=status
        )
        return done.stdout.decode() + done.stderr.decode()

    def calls(self) -> int:
        """Those that were made, and paid."""
        return self.provider.summary().calls

    def answered(self) -> dict[str, int]:
        """The generations of the answers in OUT."""
        lines = (line for line in results(self.folder / "out.jsonl") if line["error"] is None)
        return {line["custom_id"]: line["tollway"]["generation"] for line in lines}


@pytest.fixture
async def bench(start: Start, tollway: Tollway, tmp_path: Path) -> AsyncIterator[Bench]:
    """A run that was played once: three jobs of four are dead letters."""
    (tmp_path / "jobs.jsonl").write_text("".join(map(good_line, range(JOBS))))
    faults = (
        Fault(kind=FaultKind.CONTEXT_LENGTH, jobs=FAILING, first_attempts=1),
        Fault(kind=FaultKind.CONTEXT_LENGTH, jobs=(DOOMED,)),
    )
    async with Simulator(SimulatorOptions(faults=faults)) as provider:
        made = Bench(start, tollway, provider, tmp_path)
        status, said = await made.run()
        assert (status, made.answered()) == (1, {"job-2": 1}), said
        yield replace(made, run_id=said.partition("run ")[2].split()[0])


ALL_AGAIN = {"job-2": 1, "job-1": 2, "job-3": 2}


async def test_a_letter_that_was_retried_is_redriven_and_cannot_be_redriven_again(
    bench: Bench,
) -> None:
    _, said = await bench.run("--retry-failed")
    assert bench.answered() == ALL_AGAIN, said
    assert "asking again for 3 lines that failed" in said
    calls = bench.calls()

    redriven = [await bench.dead_letters("redrive", job=each, status=1) for each in FAILING]
    listed = [await bench.dead_letters("list", "--marked", job=each) for each in FAILING]

    assert all("redrove 0 of 1" in each for each in redriven), redriven
    assert all("answered" in each for each in listed), listed
    again, said = await bench.run()
    assert (again, bench.answered(), bench.calls()) == (1, ALL_AGAIN, calls), said


async def test_a_letter_that_was_redriven_before_is_waited_for_and_not_retried(
    bench: Bench,
) -> None:
    calls = bench.calls()
    assert "redrove 1 of 1" in await bench.dead_letters("redrive", job=FAILING[0])

    _, said = await bench.run("--retry-failed")

    assert bench.answered() == ALL_AGAIN, said
    assert bench.calls() == calls + len([*FAILING, DOOMED])


async def test_a_letter_that_was_discarded_is_left_and_that_is_said(bench: Bench) -> None:
    await bench.dead_letters("discard", "--why", "a test", job=FAILING[0])

    _, said = await bench.run("--retry-failed")

    assert bench.answered() == {"job-2": 1, "job-3": 2}, said
    assert "1 line is not asked again" in said and "dead-letters unmark" in said, said


async def test_a_job_whose_dead_letter_is_nowhere_is_asked_again_from_the_file(
    bench: Bench, topic_prefix: str, bootstrap_servers: str
) -> None:
    await delete_all(bootstrap_servers, f"{topic_prefix}.dead-letters")

    _, said = await bench.run("--retry-failed")

    assert bench.answered() == ALL_AGAIN, said


async def delete_all(servers: str, topic: str) -> None:
    """As retention does, in time."""
    admin = AIOKafkaAdminClient(bootstrap_servers=servers)
    async with AIOKafkaConsumer(bootstrap_servers=servers) as consumer:
        await consumer.topics()
        numbers = consumer.partitions_for_topic(topic) or ()
        ends = await consumer.end_offsets([TopicPartition(topic, each) for each in numbers])
    await admin.start()
    try:
        await admin.delete_records(
            {at: RecordsToDelete(before_offset=end) for at, end in ends.items()}
        )
    finally:
        await admin.close()
