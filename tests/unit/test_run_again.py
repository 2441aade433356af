"""A round that asks again: what has a dead letter is redriven, the rest is enqueued."""

from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from samples import run_state

from tollway.dead_letters import Filter
from tollway_schemas import Failure, FailureClass, LetterName, Reply, TopicNames, codec
from tollway_schemas.keys import mark_key
from tollway_schemas.mark import Fate, Mark
from tollway_workers.cli.batch.out_file import OutFile
from tollway_workers.cli.batch.output_lines import reply_line
from tollway_workers.cli.run.work import RunWork
from tollway_workers.kafka.read.log_reader import LoggedRecord
from tollway_workers.ownership.partition import Partition

NAMES = TopicNames("tollway")
NOW = datetime(2026, 1, 1, tzinfo=UTC)
#: The last one ended without a dead letter.
LINES = {"r:a": 1, "r:b": 2, "r:c": 3, "r:d": 4}
#: The generations of the dead letters.
THERE = {"r:a": 1, "r:b": 3, "r:c": 1}


def failed(job_id: str, generation: int) -> Reply:
    return Reply(
        job_id=job_id,
        generation=generation,
        route="extract",
        run="r",
        created_at=NOW,
        finished_at=NOW,
        status="failed",
        failure=Failure(failure_class=FailureClass.EXPIRED, message="too late"),
        dead_letter=job_id != "r:d",
    )


def mark(job_id: str, fate: Fate, next_generation: int | None = None) -> Mark:
    return Mark(
        letter=LetterName(route="extract", job_id=job_id, generation=THERE[job_id]),
        fate=fate,
        at=NOW,
        by="ann@host",
        next_generation=next_generation,
        run="r",
    )


@dataclass(slots=True)
class Fleet:
    """Its dead letters and their marks, by job, as the SDK and the log give them."""

    there: Mapping[str, int]
    without_job: str | None = None
    marks: dict[str, Mark] = field(default_factory=dict)
    redriven: list[str] = field(default_factory=list)

    async def redrive(self, wanted: Filter, *, generation: int) -> None:
        for name in self._meant(wanted):
            if name.job_id not in {*self.marks, self.without_job}:
                self.redriven.append(name.job_id)
                self.marks[name.job_id] = mark(name.job_id, Fate.REDRIVEN, generation)

    async def each(self, wanted: Filter) -> AsyncIterator[Any]:
        for name in self._meant(wanted):
            yield SimpleNamespace(job_id=name.job_id)

    def _meant(self, wanted: Filter) -> list[LetterName]:
        assert wanted.run == "r" and wanted.letters is not None
        return [each for each in wanted.letters if self.there.get(each.job_id) == each.generation]

    async def ends(self, topics: list[str]) -> dict[Partition, int]:
        return {(topic, 0): len(self.marks) for topic in topics}

    async def starts(self, ends: dict[Partition, int], since: None) -> dict[Partition, int]:
        return dict.fromkeys(ends, 0)

    async def between(
        self, starts: dict[Partition, int], ends: dict[Partition, int]
    ) -> AsyncIterator[LoggedRecord]:
        if (NAMES.marks, 0) in ends:
            for each in self.marks.values():
                key = mark_key(each.letter)
                yield LoggedRecord((NAMES.marks, 0), 0, key, codec.encode(each))


@pytest.fixture
def out(tmp_path: Path) -> Iterator[OutFile]:
    """Every line failed: the second one as its third generation."""
    path = tmp_path / "out.jsonl"
    path.write_bytes(
        b"".join(reply_line(failed(job, THERE.get(job, 1)), LINES[job]) for job in LINES)
    )
    with closing(OutFile(path, fresh=False)) as opened:
        yield opened


def work(out: OutFile, fleet: Fleet, generation: int = 1) -> RunWork:
    state = run_state(generation=generation, lines_written=len(LINES))
    batch = SimpleNamespace(
        line_of=LINES, jobs_of={"extract": 4}, routes=("extract",), lines=4, bad_lines=()
    )
    parts: Any = SimpleNamespace(
        reader=SimpleNamespace(topic_route=str),
        batch=batch,
        out=out,
        state_file=None,
        models={},
        made={},
        names=NAMES,
        jobs_log=fleet,
        replies_log=SimpleNamespace(follow=lambda _: None),
        letters=fleet,
    )
    return RunWork(parts, state)


async def test_what_has_a_dead_letter_is_redriven_and_the_rest_enqueued(out: OutFile) -> None:
    fleet = Fleet(THERE)
    asking = work(out, fleet)

    assert await asking.ask_again() == 4

    assert sorted(fleet.redriven) == ["r:a", "r:b", "r:c"]
    # So that OUT alone tells later who was asked in this round.
    assert {each.next_generation for each in fleet.marks.values()} == {4}
    assert [line for line in LINES.values() if asking.collector.is_unasked(line)] == [4]


async def test_an_interrupted_round_goes_on_and_redrives_nothing_twice(out: OutFile) -> None:
    fleet = Fleet(THERE, marks={"r:a": mark("r:a", Fate.REDRIVEN, 4)})
    asking = work(out, fleet, generation=4)

    await asking.prepare()

    assert sorted(fleet.redriven) == ["r:b", "r:c"]
    assert [line for line in LINES.values() if asking.collector.is_unasked(line)] == [4]


async def test_who_redrives_first_asks_and_both_wait_for_that_reply(out: OutFile) -> None:
    asking = work(out, fleet := Fleet(THERE))
    await asking.prepare()

    # After the marks were read.
    fleet.marks["r:a"] = mark("r:a", Fate.REDRIVEN, 2)
    assert await asking.ask_again() == 4

    assert "r:a" not in fleet.redriven
    assert not asking.collector.is_unasked(1)
    reply = LoggedRecord((NAMES.replies, 0), 0, b"r:a", codec.encode(failed("r:a", 2)))
    asking.collector.take([reply])
    assert 1 not in asking.collector.missing


async def test_a_discarded_letter_and_one_that_nobody_can_redrive_are_left(out: OutFile) -> None:
    asking = work(out, Fleet(THERE, "r:c", {"r:a": mark("r:a", Fate.DISCARDED)}))

    assert await asking.ask_again() == 2

    assert (asking.left_alone, asking.collector.missing) == (2, {2, 4})


async def test_a_letter_that_is_gone_is_no_reason_not_to_ask(out: OutFile) -> None:
    asking = work(out, Fleet({}))

    assert await asking.ask_again() == 4

    assert all(map(asking.collector.is_unasked, LINES.values()))
    assert asking.left_alone == 0
