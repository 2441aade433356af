"""What a worker says of the dead letter that a redriven job was."""

import asyncio
from typing import Any

import pytest
from memory_fleet import NAMES, MemoryFleet
from samples import job, lane
from scripted_provider import ScriptedProvider, Turn

from tollway_schemas.codec import encode
from tollway_schemas.command import Action, Command
from tollway_schemas.failure import FailureClass
from tollway_schemas.job import Job, Priority
from tollway_schemas.keys import ending_key
from tollway_schemas.mark import Fate, LetterName, Mark
from tollway_schemas.redrive import Redrive
from tollway_workers.config.shape.route import RouteSettings
from tollway_workers.errors import ProviderFailure
from tollway_workers.job.envelopes import instant
from tollway_workers.job.ports import OutgoingRecord
from tollway_workers.worker import letter_marks

_REFUSED = ProviderFailure(failure_class=FailureClass.INVALID_REQUEST, message="no", status=400)
_ROUTES = {
    "extract": RouteSettings(lanes=("main",)),
    "other": RouteSettings(lanes=("main",)),
    "acmes": RouteSettings(lanes=("main",), tenant="acme"),
}


def name(**fields: Any) -> LetterName:
    return LetterName(**{"route": "extract", "job_id": "job-1", "generation": 1, **fields})


def redriven(of: LetterName | None = None, **fields: Any) -> Job:
    return job(**{"generation": 2, "redrive": Redrive(of=of or name()), **fields})


def fleet_of(*turns: Turn) -> MemoryFleet:
    return MemoryFleet({lane(): ScriptedProvider(turns)}, _ROUTES)


async def marks_of(subject: MemoryFleet, *jobs: Job) -> list[Mark]:
    async with subject as fleet:
        await fleet.publish(*jobs)
        await fleet.until(lambda: fleet.lag == 0)
    return subject.marks


async def test_a_redriven_job_that_is_answered_marks_its_letter_answered() -> None:
    subject = fleet_of()

    (mark,) = await marks_of(subject, redriven(run="r-1"))

    assert (mark.fate, mark.letter, mark.by, mark.run) == (Fate.ANSWERED, name(), "worker-0", "r-1")
    assert (mark.next_generation, mark.next_route) == (2, "extract")
    assert subject.broker.records(NAMES.marks)[0].key == ending_key(name(), 2, "extract")


async def test_a_mark_has_nothing_of_what_a_forged_redrive_says_besides() -> None:
    forged = LetterName.model_validate({**name().model_dump(), "more": "x" * 5_000})
    subject = fleet_of()

    (mark,) = await marks_of(subject, redriven(forged))

    assert mark.letter == name()
    assert len(subject.broker.records(NAMES.marks)[0].value) < 1_000


async def test_one_that_is_given_up_again_marks_it_failed_and_says_why() -> None:
    subject = fleet_of(_REFUSED)

    (mark,) = await marks_of(subject, redriven())

    assert (mark.fate, mark.why) == (Fate.FAILED, "invalid_request: no")
    assert mark.fingerprint
    assert len(subject.dead_letters) == 1


async def test_one_that_expires_or_is_cancelled_marks_it_failed_too() -> None:
    subject = fleet_of()
    cancel = Command(
        action=Action.CANCEL,
        jobs=("gone",),
        issued_at=instant(subject.clock.now()),
        expires_at=instant(subject.clock.now() + 60.0),
    )
    subject.commands.apply(b"k", encode(cancel), subject.clock.now())

    marks = await marks_of(
        subject,
        redriven(name(job_id="gone"), job_id="gone"),
        redriven(name(job_id="late"), job_id="late", seconds=-1.0, priority=Priority.INTERACTIVE),
    )

    assert {(mark.letter.job_id, mark.fate) for mark in marks} == {
        ("gone", Fate.FAILED),
        ("late", Fate.FAILED),
    }


async def test_a_job_that_was_no_letter_marks_nothing() -> None:
    assert await marks_of(fleet_of(), job()) == []


@pytest.mark.parametrize(
    ("of", "fields"),
    [
        (name(tenant="acme"), {"tenant": "acme"}),
        (name(route="other"), {}),
        (name(route="gone"), {}),
        (name(job_id="tollway.jobs.extract.bulk-0-7"), {"tenant": "acme"}),
        (name(route="acmes", tenant="acme"), {"route": "acmes", "tenant": "said"}),
    ],
)
async def test_it_marks_a_letter_of_its_own_tenant(of: LetterName, fields: dict[str, Any]) -> None:
    assert [mark.letter for mark in await marks_of(fleet_of(), redriven(of, **fields))] == [of]


@pytest.mark.parametrize(
    ("of", "fields"),
    [
        (name(tenant="acme"), {}),
        (name(tenant="acme"), {"tenant": "other"}),
        (name(route="acmes", tenant="acme"), {"tenant": "acme"}),
        (name(tenant="acme"), {"route": "acmes"}),
        (name(route="acmes"), {}),
    ],
)
async def test_it_marks_no_letter_of_another_tenant(of: LetterName, fields: dict[str, Any]) -> None:
    assert await marks_of(fleet_of(), redriven(of, **fields)) == []


class TakesNoMarks:
    """A topic of marks that acknowledges nothing. State: the marks that were handed to it."""

    def __init__(self, subject: MemoryFleet) -> None:
        self.given: list[OutgoingRecord] = []
        self.written: asyncio.Future[object] = asyncio.get_running_loop().create_future()
        self._send = subject.sink.send
        subject.sink.send = self._take  # type: ignore[method-assign] # Kafka takes no marks

    async def _take(self, record: OutgoingRecord) -> Any:
        if record.topic != NAMES.marks:
            return await self._send(record)
        self.given.append(record)
        return self.written


async def test_nobody_waits_for_a_mark_and_one_that_is_not_written_stops_nothing() -> None:
    subject = fleet_of()
    marks = TakesNoMarks(subject)
    async with subject as fleet:
        await fleet.publish(redriven(), job("job-2"))
        await fleet.until(lambda: fleet.lag == 0)
        assert set(fleet.replies) == {"job-1", "job-2"}
        marks.written.set_exception(ConnectionError("no"))

    assert subject.marks == []


async def test_a_worker_that_leaves_gives_up_the_marks_that_kafka_does_not_take() -> None:
    subject = fleet_of()
    marks = TakesNoMarks(subject)
    subject.start(60.0)
    await subject.publish(redriven())
    await subject.until(lambda: subject.lag == 0)
    began = subject.clock.monotonic()

    subject.worker.drain()
    await subject.left()

    assert len(marks.given) == 1
    assert subject.clock.monotonic() - began < 60.0


async def test_marks_that_kafka_does_not_take_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(letter_marks, "_MOST_WAITING", 3)
    subject = fleet_of()
    marks = TakesNoMarks(subject)
    async with subject as fleet:
        jobs = [redriven(name(job_id=f"job-{n}"), job_id=f"job-{n}") for n in range(5)]
        await fleet.publish(*jobs)
        await fleet.until(lambda: fleet.lag == 0)

    assert len(subject.replies) == 5
    assert len(marks.given) == 3
