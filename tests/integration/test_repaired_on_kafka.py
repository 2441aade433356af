"""Dead letters of a real fleet, repaired by code: a canary that fails, a corrected schema."""

import pytest
from live_fleet import OpenFleet, by_job, fresh_jobs

from tollway import DeadLetters, OutputSchema
from tollway.dead_letters import Canary, Filter
from tollway_schemas import Fate
from tollway_workers.local.simulator import Simulator

pytestmark = pytest.mark.kafka

_JOBS = 12


async def test_a_wrong_schema_fails_its_canary_and_corrected_it_is_answered_without_a_call(
    live_fleet: OpenFleet,
) -> None:
    # What no answer satisfies.
    wrong = OutputSchema(json_schema={"type": "object", "required": ["x"], "maxProperties": 0})
    async with Simulator() as simulator:
        fleet = await live_fleet(simulator.base_url, routes={"extract": {"reasks": 0}})
        jobs = fresh_jobs(_JOBS, output=wrong)
        async with (
            fleet.workers("one"),
            DeadLetters(fleet.servers, prefix=fleet.names.prefix) as letters,
        ):
            await fleet.publish(*jobs)
            await fleet.until_answered(jobs)
            (group,) = (await letters.groups()).groups
            assert (group.count, group.failure_class) == (_JOBS, "bad_output")

            canary = await letters.redrive(canary=Canary(count=2, within=60))
            assert (canary.redriven, canary.canary_failed > 0) == (2, True)
            assert canary.stopped is not None
            calls = len(simulator.calls)
            report = await letters.redrive(
                Filter(marked=False), schema={"type": "object"}, only_revalidate=True
            )
            assert (report.redriven, report.with_answers) == (_JOBS, _JOBS)
            await fleet.until_records(fleet.names.replies, 2 * _JOBS + 2)

            replies = by_job(sorted(await fleet.replies(), key=lambda each: each.generation))
            assert {reply.status for reply in replies.values()} == {"completed"}
            assert {reply.generation for reply in replies.values()} == {2, 3}
            assert len(simulator.calls) == calls
            # Beside the replies: a courtesy, and never late for long.
            await fleet.until_records(fleet.names.marks, 2 + 2 + _JOBS + _JOBS)
            fates = [entry.fate async for entry in letters.each()]
            assert sorted(map(str, fates)) == sorted([*[Fate.ANSWERED] * _JOBS, *[Fate.FAILED] * 2])
