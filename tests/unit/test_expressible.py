"""What a protocol cannot say is never dropped: the job goes where it can be said, or ends."""

from collections.abc import Iterator
from dataclasses import replace
from types import MappingProxyType

import pytest
from memory_fleet import MemoryFleet
from samples import NOW, job, lane, progress
from scripted_provider import ScriptedProvider

from tollway_schemas.failure import FailureClass
from tollway_schemas.request import ChatRequest, Message, OutputSchema
from tollway_workers.config.shape.fleet import LaneConfig
from tollway_workers.config.shape.route import RouteSettings
from tollway_workers.job.outcome import DeadLettered, Forwarded
from tollway_workers.job.progress import JobProgress
from tollway_workers.lanes.ladder import lanes_to_go
from tollway_workers.pipeline.check import outcome_of
from tollway_workers.pipeline.checks import expressible
from tollway_workers.providers.foreign_fields import foreign_fields
from tollway_workers.providers.protocols import wire_format
from tollway_workers.providers.wire_format import WireFormat

ASKED = ChatRequest(messages=(Message(role="user", content="hello"),), seed=1)


def _seedless(
    request: ChatRequest, output: OutputSchema | None, lane: LaneConfig
) -> tuple[str, ...]:
    return ("request.seed: there is no such field",) if request.seed is not None else ()


@pytest.fixture(autouse=True)
def _protocols(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    known = MappingProxyType(
        {
            "openai": wire_format("openai"),
            "seedless": replace(wire_format("openai"), unsupported=_seedless),
        }
    )

    def find(name: str) -> WireFormat:
        return known[name]

    monkeypatch.setattr(expressible, "wire_format", find)
    yield


def _asked(*protocols: str) -> tuple[MemoryFleet, JobProgress]:
    """A fleet of one route with a lane for each protocol, and a job in the first of them."""
    lanes = {
        replace(lane(), name=f"lane-{n}", protocol=name): ScriptedProvider()
        for n, name in enumerate(protocols)
    }
    route = RouteSettings(lanes=tuple(each.name for each in lanes))
    subject = progress(job(request=ASKED), route=route)
    subject.lane = "lane-0"
    return MemoryFleet(lanes, {"extract": route}), subject


def test_a_job_goes_on_to_the_lane_whose_protocol_can_say_it() -> None:
    fleet, subject = _asked("seedless", "openai")

    outcome = outcome_of(fleet.checks.when_read, subject, NOW)

    assert outcome == Forwarded("lane-1", "invalid_request")


def test_a_job_that_no_lane_can_say_is_its_own_fault() -> None:
    fleet, subject = _asked("seedless")

    outcome = outcome_of(fleet.checks.when_read, subject, NOW)

    assert isinstance(outcome, DeadLettered)
    assert outcome.failure.failure_class is FailureClass.INVALID_REQUEST
    assert outcome.failure.problems == ("request.seed: there is no such field",)


def test_a_lane_that_cannot_say_a_job_is_no_rung_for_it() -> None:
    fleet, subject = _asked("openai", "seedless", "openai")

    assert outcome_of(fleet.checks.when_read, subject, NOW) is None
    assert lanes_to_go(subject) == ["lane-2"]


def test_what_is_said_for_another_protocol_alone_is_not_left_out_unseen() -> None:
    asked = ASKED.model_copy(update={"extras": {"openai": {"logit_bias": {"1": 2}, "user": "u"}}})

    (clause,) = foreign_fields(asked, "anthropic")

    assert clause.startswith("request.extras.openai.logit_bias: ")
    meant = asked.model_copy(update={"extras": {**asked.extras, "anthropic": {}}})
    assert list(foreign_fields(meant, "anthropic")) == []
    assert list(foreign_fields(asked, "openai")) == []
