"""A schema that asked too much: its dead letters are answered by what was paid for already."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from bad_ground import done
from live_fleet import LiveFleet, OpenFleet, by_job, fresh_jobs

from tollway import DeadLetters
from tollway.dead_letters import Filter
from tollway_schemas import Fate, OutputSchema
from tollway_schemas.failure import FailureClass
from tollway_workers.local.simulator import Simulator, SimulatorOptions
from tollway_workers.local.simulator.faults import Fault, FaultKind

pytestmark = [pytest.mark.kafka, pytest.mark.slow]

_JOBS = 20
_TEXT = {"type": "string"}


def _asking(*required: str) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {"name": _TEXT, "total": {"type": "number"}},
        "required": list(required),
        "additionalProperties": False,
    }


@pytest.fixture
async def simulator() -> AsyncIterator[Simulator]:
    options = SimulatorOptions(faults=(Fault(kind=FaultKind.MISSING_FIELD),))
    async with Simulator(options) as simulator:
        yield simulator


@pytest.fixture
async def fleet(live_fleet: OpenFleet, simulator: Simulator) -> LiveFleet:
    fleet = await live_fleet(simulator.base_url)
    output = OutputSchema(json_schema=_asking("name", "total"))
    await fleet.publish(*fresh_jobs(_JOBS, output=output))
    await done(fleet)
    return fleet


def letters_of(fleet: LiveFleet) -> DeadLetters:
    return DeadLetters(fleet.servers, prefix=fleet.names.prefix, by="me@here")


async def test_a_corrected_schema_answers_dead_letters_without_a_call(
    fleet: LiveFleet, simulator: Simulator
) -> None:
    letters, paid = letters_of(fleet), len(simulator.calls)
    groups = (await letters.groups()).groups
    assert [(each.count, each.failure_class) for each in groups] == [(_JOBS, "bad_output")]

    report = await letters.redrive(revalidate=True, schema=_asking())
    await done(fleet)

    replies = by_job(await fleet.replies())
    assert (report.redriven, report.with_answers) == (_JOBS, _JOBS)
    assert len(simulator.calls) == paid
    assert len(replies) == _JOBS
    assert all(each.revalidated and each.generation == 2 for each in replies.values())
    assert all(each.cost == 0 and each.scripted for each in replies.values())
    assert {each.fate async for each in letters.each()} == {Fate.ANSWERED}


async def test_what_is_only_revalidated_and_does_not_pass_is_a_dead_letter_again(
    fleet: LiveFleet, simulator: Simulator
) -> None:
    letters, paid = letters_of(fleet), len(simulator.calls)

    await letters.redrive(only_revalidate=True, schema=_asking("name", "total", "date"))
    await done(fleet)

    (newest, first) = await letters.find("job-0001")
    assert len(simulator.calls) == paid
    assert newest.letter is not None
    assert first.letter is not None
    assert newest.letter.failure.failure_class is FailureClass.BAD_OUTPUT
    assert newest.letter.generation == 2
    assert newest.letter.stored_answers() == first.letter.stored_answers()
    assert first.entry.fate is Fate.FAILED

    # What was kept is worth as much as before.
    await letters.redrive(Filter(), revalidate=True, schema=_asking())
    await done(fleet)

    assert len(simulator.calls) == paid
    assert {each.generation for each in by_job(await fleet.replies()).values()} == {3}
