"""Where a decision asks for a stand-in: the job ends by its answer, or else as it would have."""

import threading
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

import pytest
from memory_fleet import NAMES, MemoryFleet
from samples import job, lane, progress
from scripted_provider import ScriptedProvider, completion

from tollway_schemas.codec import encode
from tollway_schemas.command import Action, Command
from tollway_schemas.failure import FailureClass
from tollway_schemas.job import Job
from tollway_schemas.provenance import Provenance
from tollway_schemas.reply import Answer
from tollway_workers.config.shape.route import RouteSettings
from tollway_workers.errors import ProviderFailure
from tollway_workers.job.envelopes import instant
from tollway_workers.job.outcome import Completed, DeadLettered, Decision, StandIn
from tollway_workers.job.progress import JobProgress
from tollway_workers.pipeline.decide import CallError, RetryPolicy
from tollway_workers.pipeline.stand_in import StandIns
from tollway_workers.pipeline.stand_ins.rule import RouteRule

ROUTE = RouteSettings(lanes=("main",), rule="shop.rules:answer", rule_timeout=30.0)
REFUSED = ProviderFailure(failure_class=FailureClass.CONTENT_POLICY, message="no", status=200)


class _AsksAtTheEnd(RetryPolicy):
    """Asks for a stand-in instead of a dead letter."""

    def decide(self, progress: JobProgress, error: CallError, *, now: float) -> Decision:
        decided = super().decide(progress, error, now=now)
        return StandIn(decided) if isinstance(decided, DeadLettered) else decided


def fleet_of(rule: Any, provider: ScriptedProvider, *, route: RouteSettings = ROUTE) -> MemoryFleet:
    class Fleet(MemoryFleet):
        rules: ClassVar[Mapping[str, RouteRule]] = {"extract": RouteRule(rule, 30.0)}
        policy = _AsksAtTheEnd

    return Fleet({lane(concurrency=4, call_timeout=5.0): provider}, {"extract": route})


class Slow:
    """A rule that says `answer` once it is let."""

    def __init__(self, answer: str | None = "from the rule") -> None:
        self.begun, self.may_answer = threading.Event(), threading.Event()
        self._answer = answer

    def __call__(self, job: Job) -> str | None:
        self.begun.set()
        self.may_answer.wait(30)
        return self._answer


@pytest.fixture
def slow() -> Iterator[Slow]:
    rule = Slow()
    yield rule
    rule.may_answer.set()


async def test_an_ending_becomes_the_answer_of_the_rule_with_what_was_tried() -> None:
    fleet = fleet_of(lambda job: "from the rule", ScriptedProvider([REFUSED]))
    async with fleet:
        await fleet.publish(job("a"))
        await fleet.until(lambda: fleet.lag == 0)

    reply = fleet.replies["a"]
    assert (reply.status, reply.provenance) == ("completed", Provenance.RULE)
    assert (reply.lane, reply.model, reply.cost, reply.scripted) == ("main", None, None, False)
    assert reply.answer == Answer(text="from the rule")
    assert [each.failure_class for each in reply.attempts] == [FailureClass.CONTENT_POLICY]
    assert fleet.dead_letters == []
    counted = fleet.metrics.registry.get_sample_value
    assert counted("tollway_answers_total", {"route": "extract", "provenance": "rule"}) == 1.0


async def test_the_journal_has_a_line_for_the_call_and_one_for_the_answer_without_one() -> None:
    fleet = fleet_of(lambda job: {"n": 1}, ScriptedProvider([REFUSED]))
    async with fleet:
        await fleet.publish(job("a"))
        await fleet.until(lambda: fleet.lag == 0)

    call, answer = fleet.journal
    assert call.attempt is not None
    assert (call.attempt.failure_class, call.provenance) == (FailureClass.CONTENT_POLICY, None)
    assert (answer.attempt, answer.provenance) == (None, Provenance.RULE)
    assert answer.answered_at is not None
    assert (answer.request, answer.response) == (None, {"n": 1})


@pytest.mark.parametrize("journal", ["metadata", "off"])
async def test_a_route_that_journals_less_has_less_of_a_rule_s_answer(journal: Any) -> None:
    route = ROUTE.model_copy(update={"journal": journal})
    fleet = fleet_of(lambda job: "secret", ScriptedProvider([REFUSED]), route=route)
    async with fleet:
        await fleet.publish(job("a"))
        await fleet.until(lambda: fleet.lag == 0)

    lines = fleet.broker.records(NAMES.journal)
    assert len(lines) == (2 if journal == "metadata" else 0)
    assert b"secret" not in b"".join(line.value for line in lines)


async def test_a_rule_without_an_answer_leaves_the_job_its_ending() -> None:
    fleet = fleet_of(lambda job: None, ScriptedProvider([REFUSED]))
    async with fleet:
        await fleet.publish(job("a"))
        await fleet.until(lambda: fleet.lag == 0)

    assert fleet.replies["a"].failure is not None
    assert len(fleet.dead_letters) == 1
    counted = fleet.metrics.registry.get_sample_value
    assert counted("tollway_rule_unanswered_total", {"route": "extract", "why": "none"}) == 1.0


async def test_an_offset_is_complete_only_after_the_rule_s_answer_is_written(slow: Slow) -> None:
    fleet = fleet_of(slow, ScriptedProvider([REFUSED, completion()]))
    async with fleet:
        await fleet.publish(job("a"), job("b"))
        await fleet.until(lambda: "b" in fleet.replies and slow.begun.is_set())

        assert fleet.lag > 0
        assert fleet.worker.held_bytes > 0
        slow.may_answer.set()
        await fleet.until(lambda: fleet.lag == 0)
    assert set(fleet.replies) == {"a", "b"}
    assert fleet.worker.held_bytes == 0


async def test_a_deadline_that_passes_while_a_rule_runs_ends_no_job_twice(slow: Slow) -> None:
    fleet = fleet_of(slow, ScriptedProvider([REFUSED]))
    async with fleet:
        await fleet.publish(job("a", seconds=2.0))
        await fleet.until(slow.begun.is_set)
        fleet.clock.advance(5.0)
        await fleet.settle()
        slow.may_answer.set()
        await fleet.until(lambda: fleet.lag == 0)

    assert len(fleet.broker.records(NAMES.replies)) == 1
    assert fleet.replies["a"].provenance is Provenance.RULE


async def test_a_job_that_an_operator_cancels_while_its_rule_runs_is_cancelled_at_once(
    slow: Slow,
) -> None:
    fleet = fleet_of(slow, ScriptedProvider([REFUSED]))
    async with fleet:
        await fleet.publish(job("a"))
        await fleet.until(slow.begun.is_set)
        now = fleet.clock.now()
        command = Command(
            action=Action.CANCEL,
            jobs=("a",),
            issued_at=instant(now),
            expires_at=instant(now + 600.0),
        )
        fleet.worker.operators.apply([(b"key", encode(command))])
        await fleet.until(lambda: fleet.lag == 0)

    assert len(fleet.broker.records(NAMES.replies)) == 1
    assert (fleet.replies["a"].status, fleet.dead_letters) == ("cancelled", [])
    assert len(fleet.journal) == 1


async def test_a_worker_that_leaves_waits_for_a_rule_as_for_a_call(slow: Slow) -> None:
    fleet = fleet_of(slow, ScriptedProvider([REFUSED]))
    fleet.start()
    await fleet.publish(job("a"))
    await fleet.until(slow.begun.is_set)

    fleet.worker.drain()
    await fleet.settle()
    slow.may_answer.set()
    await fleet.left()

    assert fleet.replies["a"].provenance is Provenance.RULE
    assert fleet.lag == 0


@pytest.mark.parametrize("drain_timeout", [1.0, 60.0], ids=["by the drain", "by the release"])
async def test_a_rule_that_is_broken_off_leaves_the_job_its_ending_and_the_call_its_line(
    slow: Slow, drain_timeout: float
) -> None:
    fleet = fleet_of(slow, ScriptedProvider([REFUSED]))
    fleet.start(drain_timeout)
    await fleet.publish(job("a"))
    await fleet.until(slow.begun.is_set)

    begun = fleet.clock.now()
    await fleet.drain()

    assert fleet.clock.now() < begun + 15.0
    assert fleet.replies["a"].failure is not None
    assert len(fleet.broker.records(NAMES.replies)) == 1
    assert len(fleet.journal) == 1
    assert fleet.lag == 0


async def test_a_copy_gets_what_the_rule_said(slow: Slow) -> None:
    fleet = fleet_of(slow, ScriptedProvider([REFUSED]))
    async with fleet:
        await fleet.publish(job("a", labels={"copy": "1"}))
        await fleet.until(slow.begun.is_set)
        await fleet.publish(job("a", labels={"copy": "2"}))
        await fleet.settle()
        slow.may_answer.set()
        await fleet.until(lambda: fleet.lag == 0)

    assert len(fleet.broker.records(NAMES.replies)) == 2
    assert fleet.replies["a"].provenance is Provenance.RULE


async def test_the_first_rung_that_has_an_accepted_answer_gives_it() -> None:
    asked: list[str] = []

    class Says:
        def __init__(self, name: str, provenance: Provenance | None) -> None:
            self._name, self._provenance = name, provenance

        async def find(self, job: JobProgress) -> Completed | None:
            asked.append(self._name)
            if self._provenance is None:
                raise RuntimeError("a bug")
            return Completed(Answer(text=self._name), self._provenance, job.lane, None)

    rungs = StandIns(
        (
            Says("broken", None),
            Says("stale", Provenance.STALE),
            Says("rule", Provenance.RULE),
            Says("never", Provenance.RULE),
        )
    )
    subject = progress(job(accept=(Provenance.LIVE, Provenance.RULE)))

    found = await rungs.find(subject)

    assert found is not None
    assert found.answer.text == "rule"
    assert asked == ["broken", "stale", "rule"]
    assert await StandIns().find(subject) is None
