"""The whole ladder down to the rule, in one worker: who asks it, when, and who waits instead."""

from collections import Counter
from typing import Any, ClassVar

import pytest
from memory_fleet import MemoryFleet
from samples import NOW, job, lane
from scripted_provider import ScriptedProvider

from tollway_schemas.failure import FailureClass
from tollway_schemas.job import Job, Priority
from tollway_schemas.provenance import Provenance
from tollway_workers.config.shape.route import RouteSettings
from tollway_workers.errors import ProviderFailure
from tollway_workers.pipeline.stand_ins.rule import RouteRule

_DOWN = ProviderFailure(failure_class=FailureClass.TRANSIENT, message="no", status=500)
_LIMITS = {"requests_per_minute": 600, "burst": 10}


def _by_id(job: Job) -> str | None:
    return None if job.id.startswith("none") else f"rule: {job.id}"


class _Fleet(MemoryFleet):
    rules: ClassVar = {"extract": RouteRule(_by_id, 5.0)}


def fleet_of(*lanes: str, **settings: Any) -> MemoryFleet:
    """A fleet of which no lane answers."""
    route = RouteSettings(lanes=lanes, rule="shop.rules:answer", **settings)
    down = {lane(name, **_LIMITS): ScriptedProvider([_DOWN]) for name in lanes}
    return _Fleet(down, {"extract": route})


@pytest.mark.parametrize("lanes", [("main",), ("main", "other")])
async def test_interactive_jobs_are_answered_by_the_rule_where_no_lane_is_left(
    lanes: tuple[str, ...],
) -> None:
    jobs = [job(f"job-{n}", priority=Priority.INTERACTIVE, seconds=120.0) for n in range(40)]
    async with fleet_of(*lanes) as fleet:
        await fleet.publish(*jobs)
        await fleet.until(lambda: fleet.lag == 0)

        assert fleet.clock.now() < NOW + 120.0
    assert Counter(each.provenance for each in fleet.replies.values()) == {Provenance.RULE: 40}
    assert all(each.answer and each.answer.text for each in fleet.replies.values())
    assert not fleet.dead_letters


async def test_a_job_without_an_answer_of_the_rule_waits_and_ends_by_its_deadline() -> None:
    given: dict[str, Any] = {"priority": Priority.INTERACTIVE, "seconds": 60.0}
    async with fleet_of("main") as fleet:
        await fleet.publish(job("none-1", **given), *(job(f"job-{n}", **given) for n in range(20)))
        await fleet.until(lambda: len(fleet.replies) == 20)
        assert "none-1" not in fleet.replies
        await fleet.until(lambda: "none-1" in fleet.replies)

        assert fleet.clock.now() < NOW + 62.0
    failure = fleet.replies["none-1"].failure
    assert failure is not None
    assert failure.failure_class is FailureClass.EXPIRED


async def test_bulk_jobs_wait_for_their_lane_and_ask_the_rule_before_their_deadline() -> None:
    async with fleet_of("main") as fleet:
        await fleet.publish(*(job(f"job-{n}", seconds=300.0) for n in range(20)))
        await fleet.until(lambda: fleet.clock.now() > NOW + 200.0, step=0.5)
        assert fleet.replies == {}
        await fleet.until(lambda: fleet.lag == 0, step=0.5)

        assert fleet.clock.now() < NOW + 302.0
    assert Counter(each.provenance for each in fleet.replies.values()) == {Provenance.RULE: 20}


async def test_jobs_that_accept_no_rule_end_without_one() -> None:
    async with fleet_of("main", accept=(Provenance.LIVE,)) as fleet:
        given: dict[str, Any] = {"priority": Priority.INTERACTIVE, "seconds": 20.0}
        await fleet.publish(*(job(f"job-{n}", **given) for n in range(20)))
        await fleet.until(lambda: len(fleet.replies) == 20)

    assert {each.failure and each.failure.failure_class for each in fleet.replies.values()} == {
        FailureClass.EXPIRED
    }
