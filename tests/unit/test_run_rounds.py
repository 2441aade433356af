"""Rounds of a run: whose endings are waited for, what counts, and whose answers are refused."""

from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
import pytest

from tollway_schemas import (
    Answer,
    Attempt,
    Failure,
    FailureClass,
    Provenance,
    Reply,
    Usage,
    codec,
)
from tollway_workers.cli.batch.collect import Collector
from tollway_workers.cli.batch.out_file import OutFile
from tollway_workers.cli.batch.output_lines import read_ending, reply_line
from tollway_workers.kafka.read.log_reader import LoggedRecord

NOW = datetime(2026, 1, 1, tzinfo=UTC)
LINES = {"r1:a": 1, "r1:b": 2}
FAILURE = Failure(failure_class=FailureClass.TRANSIENT, message="a bad minute")


def reply(name: str, generation: int = 1, *, model: str = "m", good: bool = True) -> Reply:
    attempt = Attempt(
        number=1, lane="l", provider="p", model=model, started_at=NOW, latency=0.1, cost=7
    )
    ending: dict[str, Any] = {"status": "failed", "failure": FAILURE, "dead_letter": True}
    if good:
        ending = {
            "status": "completed",
            "answer": Answer(text="yes", finish_reason="stop"),
            "provenance": Provenance.LIVE,
        }
    return Reply(
        job_id=f"r1:{name}",
        generation=generation,
        route="run-m-1",
        attempts=(attempt,),
        usage=Usage(input_total=3, output_total=2),
        cost=7,
        created_at=NOW,
        finished_at=NOW,
        **ending,
    )


def record(made: Reply, offset: int) -> LoggedRecord:
    return LoggedRecord(("replies", 0), offset, made.job_id.encode(), codec.encode(made))


@pytest.fixture
def out(tmp_path: Path) -> Iterator[OutFile]:
    """One line failed, the other was answered."""
    path = tmp_path / "out.jsonl"
    path.write_bytes(reply_line(reply("a", good=False), 1) + reply_line(reply("b"), 2))
    with closing(OutFile(path, fresh=False)) as opened:
        yield opened


def test_a_round_waits_only_for_what_failed(out: OutFile) -> None:
    collector = Collector(LINES, out)
    assert (collector.missing, [each.line for each in collector.failed()]) == (set(), [1])

    collector.begin(2)

    assert collector.missing == {1}
    # A process that goes on with this round waits for the same.
    assert Collector(LINES, out, generation=2).missing == {1}


@pytest.mark.parametrize("good", [True, False])
def test_a_round_ends_with_the_reply_of_its_generation(out: OutFile, good: bool) -> None:
    collector = Collector(LINES, out, generation=2)

    collector.take([record(reply("a", 1, good=False), 4), record(reply("a", 2, good=good), 5)])

    assert (collector.missing, collector.unsettled) == (set(), 5)
    assert (collector.tally.lines, collector.tally.failed) == (2, 0 if good else 1)
    # The calls of before were paid too: two for this line, one for the other.
    assert (collector.tally.calls.total, collector.tally.cost) == (3, 21)
    collector.settle()
    assert collector.unsettled is None
    assert (out.endings[1].generation, out.endings[1].calls.total, out.endings[1].cost) == (
        2,
        2,
        14,
    )
    assert Collector(LINES, out, generation=2).missing == set()


@pytest.mark.parametrize("good", [True, False])
def test_a_line_whose_job_was_redriven_waits_for_the_reply_to_that_generation(
    out: OutFile, good: bool
) -> None:
    collector = Collector(LINES, out)

    collector.expect({"r1:a": 3, "r1:b": 1, "another:a": 2})

    assert (collector.missing, collector.is_unasked(1)) == ({1}, False)
    collector.take([record(reply("a", 2, good=False), 4)])
    assert collector.missing == {1}
    collector.take([record(reply("a", 3, good=good), 5)])
    assert collector.missing == set()
    assert collector.tally.failed == (0 if good else 1)


def test_a_redriven_job_ends_its_line_in_whatever_round(out: OutFile) -> None:
    collector = Collector(LINES, out, generation=3)

    collector.expect({"r1:a": 2})
    collector.take([record(reply("a", 2, good=False), 4)])

    assert collector.missing == set()
    # What failed again is asked again by the next round.
    collector.begin(4)
    assert collector.is_unasked(1)


def test_replies_that_are_in_memory_only_are_read_again_after_a_crash(out: OutFile) -> None:
    collector = Collector(LINES, out, generation=2)

    collector.take([record(reply("a", 2), 5)])

    assert out.endings[1].generation == 1
    assert collector.unsettled == 5


def test_an_answer_of_another_model_is_none(tmp_path: Path) -> None:
    with closing(OutFile(tmp_path / "out.jsonl", fresh=False)) as out:
        collector = Collector(LINES, out, models={"run-m-1": {"m"}})

        collector.take([record(reply("a", model="other"), 0), record(reply("b"), 1)])

        assert {line: ending.answered for line, ending in out.endings.items()} == {
            1: False,
            2: True,
        }
        out.sync()
        refused = orjson.loads(out.path.read_bytes().splitlines()[0])
    assert refused["error"]["code"] == "other_model"
    assert "answered by 'other', not by 'm'" in refused["error"]["message"]
    assert refused["response"] is None


def test_what_the_generations_before_took_is_summed_once() -> None:
    first = read_ending(reply_line(reply("a", 1, good=False), 1))
    second = read_ending(reply_line(reply("a", 2, good=False), 1, earlier=first))

    third = read_ending(reply_line(reply("a", 3), 1, earlier=second))

    assert (third.calls.total, third.input_tokens, third.output_tokens, third.cost) == (3, 9, 6, 21)
