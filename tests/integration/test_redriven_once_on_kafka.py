"""Each dead letter is redriven once: whatever is killed, whoever else does it, on a real Kafka."""

import asyncio
import gc
import random
import sys
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest
import redrive_process
from bench_of_letters import Bench, letter
from size import sized

from tollway.dead_letters import (
    Fenced,
    Filter,
    Progress,
    RedriveInterrupted,
    RedriveReport,
    Skip,
)
from tollway.dead_letters.marks import MarkTable
from tollway.dead_letters.reading.mark_log import read_marks
from tollway.dead_letters.redrive.transactions import Outgoing, RouteWriter, RouteWriters
from tollway.dead_letters.report import OnProgress
from tollway_schemas import Fate, Mark, Priority
from tollway_schemas.codec import encode
from tollway_schemas.keys import mark_key
from tollway_workers.local.kafka import LocalKafka

pytestmark = pytest.mark.kafka

_LETTERS, _KILLS = 5_000, 10


@pytest.fixture
async def bench(
    bootstrap_servers: str, topic_prefix: str, make_topics: Callable[..., Awaitable[None]]
) -> AsyncIterator[Bench]:
    async with Bench(bootstrap_servers, topic_prefix) as bench:
        await make_topics(*bench.topics("extract", "other"))
        yield bench


async def killed(bench: Bench, after: int) -> None:
    """Redrive in a process that is killed in the middle, after so many transactions."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        redrive_process.__file__,
        bench.connection.bootstrap_servers,
        bench.names.prefix,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    for _ in range(after):
        await process.stdout.readline()
    if process.returncode is None:
        process.kill()
    await process.communicate()


def _setting(event: asyncio.Event) -> OnProgress:
    """Set it once something was published."""

    def say(progress: Progress) -> None:
        if progress.stage == "redriving":
            event.set()

    return say


async def published(bench: Bench, route: str = "extract") -> Counter[tuple[str, int]]:
    return Counter((job["id"], job["generation"]) for job in await bench.job_values(route))


@pytest.mark.slow
async def test_a_redrive_that_is_killed_again_and_again_publishes_each_job_once(
    bench: Bench,
) -> None:
    count = sized(1_500, _LETTERS)
    await bench.write(*(letter(f"job-{number}") for number in range(count)))
    dice = random.Random(7)

    for _ in range(sized(3, _KILLS)):
        await killed(bench, dice.randrange(1, 3))
    killed_at = sum((await published(bench)).values())
    report = await bench.letters.redrive()

    assert 0 < killed_at < count
    assert report.redriven == count - killed_at
    assert await published(bench) == {(f"job-{number}", 2): 1 for number in range(count)}
    assert len(await bench.marks()) == count


async def test_of_two_operators_on_one_route_the_first_is_fenced_and_each_job_published_once(
    bench: Bench,
) -> None:
    await bench.write(*(letter(f"job-{number}") for number in range(30)))
    begun = asyncio.Event()

    slow = asyncio.create_task(bench.letters.redrive(rate=60, on_progress=_setting(begun)))
    await begun.wait()
    report = await bench.letters.redrive()

    with pytest.raises(Fenced, match=r"another operator has begun.*route 'extract'") as fenced:
        await slow
    assert fenced.value.done + report.redriven == 30
    assert await published(bench) == {(f"job-{number}", 2): 1 for number in range(30)}


async def test_what_another_operator_did_since_it_was_counted_is_not_done_again(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    await bench.write(letter("a"), letter("b"), letter("c"))
    take, reports = RouteWriters.take, list[RedriveReport]()

    async def late(self: RouteWriters, routes: Sequence[str]) -> None:
        monkeypatch.setattr(RouteWriters, "take", take)
        reports.append(await bench.letters.redrive(Filter(job_id="a")))
        await bench.letters.discard(Filter(job_id="b"), why="of no use")
        await take(self, routes)

    monkeypatch.setattr(RouteWriters, "take", late)
    report = await bench.letters.redrive()

    assert (report.redriven, report.skipped) == (1, {Skip.MARKED: 2})
    assert [each.redriven for each in reports] == [1]
    assert set(await published(bench)) == {("a", 2), ("c", 2)}


async def test_operators_on_two_routes_do_not_disturb_each_other(bench: Bench) -> None:
    await bench.write(*(letter(f"a-{number}") for number in range(4)))
    await bench.write(*(letter(f"b-{number}", route="other") for number in range(4)))

    reports = await asyncio.gather(
        bench.letters.redrive(Filter(route="extract"), rate=240),
        bench.letters.redrive(Filter(route="other"), rate=240),
    )

    assert [report.redriven for report in reports] == [4, 4]


async def test_a_letter_is_either_discarded_or_redriven_by_operators_at_once(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    await bench.write(*(letter(f"job-{number}") for number in range(300)))

    async def redrive() -> None:
        await bench.letters.redrive()

    async def discard() -> None:
        await bench.letters.discard(Filter(), why="at once")

    ended = await asyncio.gather(redrive(), discard(), return_exceptions=True)

    assert all(each is None or isinstance(each, Fenced) for each in ended)
    marks = await bench.marks()
    assert len({mark.letter.job_id for mark in marks}) == len(marks)
    redriven = {mark.letter.job_id for mark in marks if mark.fate is Fate.REDRIVEN}
    assert {name for name, _ in await published(bench)} == redriven
    gc.collect()
    # Whoever was fenced sees a sentence, and no trace of aiokafka's.
    assert not [record for record in caplog.records if record.name == "asyncio"]


async def test_what_an_operator_left_open_is_taken_back_by_the_next(bench: Bench) -> None:
    await bench.write(letter("a"))
    left = RouteWriter(bench.connection, bench.names.prefix, "extract")
    await left.start()
    topic = bench.names.jobs("extract", Priority.BULK)
    await left._producer.begin_transaction()
    await left._send(left._producer, [Outgoing(topic, b"a", b'{"id": "half"}', [])])

    report = await bench.letters.redrive()

    assert report.redriven == 1
    assert set(await published(bench)) == {("a", 2)}
    with pytest.raises(Fenced):
        await left.write([Outgoing(topic, b"a", b"{}", [])])
    await left.stop()


async def test_a_mark_behind_another_routes_open_transaction_is_waited_for(bench: Bench) -> None:
    # To a reader of what is committed such a partition seems to end before the mark.
    dead = letter("a")
    async with RouteWriters(bench.connection, bench.names.prefix) as writers:
        await writers.take(["other", "extract"])
        left = writers.of("other")._producer
        await left.begin_transaction()
        for key in range(30):
            await left.send(bench.names.marks, b"x", key=bytes([key]))
        await left.flush()
        mark = Mark(letter=dead.name, fate=Fate.DISCARDED, at=datetime.now(UTC), by="me", why="no")
        record = Outgoing(bench.names.marks, mark_key(dead.name), encode(mark), [])
        await writers.of("extract").write([record])
        table = MarkTable()

        reading = asyncio.create_task(read_marks(bench.connection, bench.names, table))
        # Read as far as it goes: it would be over long before.
        await asyncio.wait([reading], timeout=2)
        await left.abort_transaction()
        await reading

    assert table.fate_of(dead.name) is Fate.DISCARDED


@pytest.mark.slow
async def test_a_broker_that_goes_away_in_the_middle_is_one_sentence_and_nothing_half_done(
    tmp_path: Path, create_topics: Callable[..., Awaitable[None]]
) -> None:
    folder = tmp_path / "kafka"
    kafka = LocalKafka(folder)
    servers = kafka.start().bootstrap_servers
    try:
        async with Bench(servers, "t") as bench:
            names = [topic.name for topic in bench.topics("extract")]
            await create_topics(*names, bootstrap_servers=servers)
            await bench.write(*(letter(f"job-{number}") for number in range(40)))
            begun = asyncio.Event()
            redrive = bench.letters.redrive(rate=120, on_progress=_setting(begun))
            task = asyncio.create_task(redrive)
            await begun.wait()
            await asyncio.to_thread(kafka.stop)
            with pytest.raises(
                RedriveInterrupted, match=r"after \d+ dead letters: no Kafka can be"
            ):
                await task
        servers = (await asyncio.to_thread(kafka.start)).bootstrap_servers
        async with Bench(servers, "t") as bench:
            await bench.letters.redrive()
            assert await published(bench) == {(f"job-{number}", 2): 1 for number in range(40)}
    finally:
        await asyncio.to_thread(kafka.stop)
