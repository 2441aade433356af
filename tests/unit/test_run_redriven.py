"""What a run that is given again learns of jobs that were redriven since."""

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from samples import job, progress

from tollway_schemas import Failure, FailureClass, TopicNames
from tollway_schemas.codec import encode
from tollway_schemas.keys import mark_key
from tollway_schemas.mark import Fate, LetterName, Mark
from tollway_schemas.redrive import Redrive
from tollway_workers.cli.run.redriven import redriven_jobs
from tollway_workers.errors import BrokerUnavailable
from tollway_workers.job.marks import ending_mark
from tollway_workers.job.outcome import DeadLettered
from tollway_workers.kafka.read.log_reader import LoggedRecord

TOPIC = TopicNames().marks
NOW = datetime(2026, 1, 1, tzinfo=UTC)


def letter(job: str, generation: int = 1) -> LetterName:
    return LetterName(route="extract", job_id=job, generation=generation)


def mark(
    of: LetterName, fate: Fate = Fate.REDRIVEN, *, run: str = "r1", next_route: str | None = None
) -> LoggedRecord:
    made = Mark(
        letter=of,
        fate=fate,
        at=NOW,
        by="ann@host",
        next_generation=of.generation + 1 if fate is Fate.REDRIVEN else None,
        next_route=next_route,
        run=run,
    )
    return LoggedRecord((TOPIC, 0), 0, mark_key(of), encode(made))


def unmarked(of: LetterName) -> LoggedRecord:
    return LoggedRecord((TOPIC, 0), 0, mark_key(of), None)


def log_of(*records: LoggedRecord, is_there: bool = True) -> Any:
    """A topic that holds these records."""

    async def ends(topics: list[str]) -> dict[tuple[str, int], int]:
        if not is_there:
            raise BrokerUnavailable("the topic does not exist")
        return {(topics[0], 0): len(records)}

    async def starts(ends: Any, since: None) -> dict[tuple[str, int], int]:
        return dict.fromkeys(ends, 0)

    async def between(starts: Any, ends: Any) -> Any:
        for record in records:
            yield record

    return SimpleNamespace(ends=ends, starts=starts, between=between)


async def test_the_highest_generation_of_each_job_of_the_run_counts() -> None:
    log = log_of(
        mark(letter("r1:a", 2)),
        mark(letter("r1:a", 1)),
        mark(letter("r1:b"), Fate.DISCARDED),
        mark(letter("r2:c"), run="r2"),
    )

    assert await redriven_jobs(log, TOPIC, "r1") == {"r1:a": 3}


async def test_a_mark_that_was_taken_back_or_replaced_counts_no_more() -> None:
    a, b = letter("r1:a"), letter("r1:b")
    log = log_of(mark(a), mark(b), unmarked(a), mark(b, Fate.DISCARDED))

    assert await redriven_jobs(log, TOPIC, "r1") == {}


async def test_a_job_counts_whatever_became_of_it_since() -> None:
    of = letter("r1:a")
    again = progress(job(of.job_id, generation=2, run="r1", redrive=Redrive(of=of)))
    failure = Failure(failure_class=FailureClass.BAD_OUTPUT, message="it says no number")
    ended = ending_mark(again, DeadLettered(failure), {}, worker="w", now=NOW.timestamp())
    assert ended is not None

    log = log_of(mark(of, next_route="extract"), LoggedRecord((TOPIC, 0), 1, *ended))

    assert await redriven_jobs(log, TOPIC, "r1") == {"r1:a": 2}


async def test_a_mark_under_the_key_of_another_letter_hides_nothing() -> None:
    a, b = letter("r1:a"), letter("r1:b")
    forged = LoggedRecord((TOPIC, 0), 1, mark_key(a), mark(b).value)

    assert await redriven_jobs(log_of(mark(a), forged), TOPIC, "r1") == {"r1:a": 2}


async def test_what_is_no_mark_is_passed_over() -> None:
    log = log_of(LoggedRecord((TOPIC, 0), 0, None, b"\xff"), mark(letter("r1:a")))

    assert await redriven_jobs(log, TOPIC, "r1") == {"r1:a": 2}


async def test_a_topic_of_marks_that_cannot_be_read_is_not_taken_for_an_empty_one() -> None:
    with pytest.raises(BrokerUnavailable):
        await redriven_jobs(log_of(is_there=False), TOPIC, "r1")
