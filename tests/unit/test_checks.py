"""Reasons not to call a job: asked in order, and none of them ends a worker."""

import pytest
from memory_fleet import MemoryFleet
from samples import NOW, job, lane, progress
from scripted_provider import ScriptedProvider

from tollway_schemas.codec import encode
from tollway_schemas.command import Action, Command
from tollway_schemas.failure import FailureClass
from tollway_schemas.request import ChatRequest, FunctionTool, Message, Tool
from tollway_workers.config.shape.route import RouteSettings
from tollway_workers.job.endings import cancelled, invalid_job
from tollway_workers.job.envelopes import instant
from tollway_workers.job.outcome import Cancelled, DeadLettered, Forwarded, Outcome
from tollway_workers.job.progress import JobProgress
from tollway_workers.pipeline.check import Check, outcome_of


def test_the_first_check_that_has_an_outcome_decides() -> None:
    asked: list[str] = []

    def check(name: str, outcome: Outcome | None) -> Check:
        def ask(subject: JobProgress, now: float) -> Outcome | None:
            asked.append(name)
            return outcome

        return ask

    checks = (check("a", None), check("b", cancelled("main")), check("c", invalid_job("x: y")))

    assert outcome_of(checks, progress(), NOW) == cancelled("main")
    assert asked == ["a", "b"]


def test_a_check_that_fails_ends_the_job_and_tells_nothing_of_it() -> None:
    def broken(subject: JobProgress, now: float) -> Outcome | None:
        raise ValueError("the prompt was: secret")

    outcome = outcome_of([broken], progress(), NOW)

    assert isinstance(outcome, DeadLettered)
    assert outcome.failure.failure_class is FailureClass.UNKNOWN
    assert "secret" not in outcome.failure.message


@pytest.fixture
def fleet() -> MemoryFleet:
    route = RouteSettings(lanes=("main",))
    return MemoryFleet({lane(): ScriptedProvider()}, {"extract": route}, retired=["old"])


def test_a_job_that_nothing_speaks_against_is_called(fleet: MemoryFleet) -> None:
    assert outcome_of(fleet.checks.when_read, progress(), NOW) is None


def test_a_job_on_a_retired_lane_goes_where_its_route_begins(fleet: MemoryFleet) -> None:
    subject = progress()
    subject.lane = "old"

    outcome = outcome_of(fleet.checks.when_read, subject, NOW)

    assert isinstance(outcome, Forwarded)
    assert (outcome.lane, outcome.reason) == ("main", "retired")


def test_a_deadline_is_asked_about_before_an_operator_s_word(fleet: MemoryFleet) -> None:
    subject = progress(job("a"))
    command = Command(
        action=Action.CANCEL,
        jobs=("a",),
        issued_at=instant(NOW),
        expires_at=instant(subject.deadline + 100.0),
    )
    fleet.commands.apply(b"key", encode(command), NOW)

    in_time = outcome_of(fleet.checks.when_read, subject, NOW)
    late = outcome_of(fleet.checks.when_read, subject, subject.deadline)

    assert isinstance(in_time, Cancelled)
    assert isinstance(late, DeadLettered)
    assert late.failure.failure_class is FailureClass.EXPIRED


def test_the_schemas_of_tools_are_looked_at_once(
    fleet: MemoryFleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked: list[object] = []
    monkeypatch.setattr(fleet.validator, "check_tools", looked.append)
    tool = Tool(function=FunctionTool(name="count", parameters={"type": "object"}))
    messages = (Message(role="user", content="hello"),)
    subject = progress(job(request=ChatRequest(messages=messages, tools=(tool,))))

    assert [outcome_of(fleet.checks.when_read, subject, NOW) for _ in range(3)] == [
        None,
        None,
        None,
    ]
    assert len(looked) == 1
