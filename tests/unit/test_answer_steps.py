"""From a bad answer to its job's end: repaired, asked for again, or given up with what was said."""

from random import Random
from typing import Any

import orjson
import pytest
from manual_clock import ManualClock
from samples import NOW, admission_of, job, lane, progress
from scripted_provider import ScriptedProvider, Turn, completion
from unconfined import Unconfined

from tollway_schemas.failure import FailureClass
from tollway_schemas.job import Job
from tollway_schemas.provenance import Provenance
from tollway_schemas.request import OutputSchema
from tollway_workers.config.shape.route import RouteSettings
from tollway_workers.job.envelopes import reply
from tollway_workers.job.outcome import Completed, DeadLettered, Decision, RetryLater
from tollway_workers.job.progress import JobProgress
from tollway_workers.pipeline.admit import Permit
from tollway_workers.pipeline.call import JobExecutor, Lane
from tollway_workers.pipeline.decide import RetryPolicy
from tollway_workers.validation.checks import NO_CHECKS, RouteCheck, RouteChecks
from tollway_workers.validation.judge import Judge
from tollway_workers.validation.validator import ResultValidator

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"n": {"type": "integer"}},
    "required": ["n"],
}


def _job(**settings: Any) -> JobProgress:
    output = OutputSchema(json_schema=SCHEMA)
    route = RouteSettings(lanes=("main",), **settings)
    return progress(job(output=output), route=route)


async def _outcomes(
    subject: JobProgress, *said: str, checks: RouteChecks = NO_CHECKS
) -> list[Decision]:
    """How each call of a job ended, whose model says these texts, until the job has."""
    clock = ManualClock(NOW)
    turns: list[Turn] = [completion(text) for text in said]
    config = lane(concurrency=4)
    admission = admission_of(config, clock)
    executor = JobExecutor(
        {"main": Lane(config, admission, ScriptedProvider(turns))},
        ResultValidator(Judge(Unconfined())),
        RetryPolicy(Random(1)),
        clock,
        checks,
    )
    outcomes: list[Decision] = []
    while not outcomes or isinstance(outcomes[-1], RetryLater):
        permit = admission.admit(subject)
        assert isinstance(permit, Permit)
        outcomes.append((await executor.execute(subject, permit))[0])
    return outcomes


@pytest.mark.parametrize(
    ("said", "provenance", "repairs"),
    [
        (['{"n": 1}'], Provenance.LIVE, ()),
        (['```json\n{"n": 1}\n```'], Provenance.LIVE, ()),
        (['{"n": 1,}'], Provenance.REPAIRED, ("trailing_comma",)),
        (['{"n": "1"}'], Provenance.REPAIRED, ("number_from_string /n",)),
        (["{}", '{"n": 1}'], Provenance.REASKED, ()),
        # The weaker of both names it.
        (["{}", '{"n": "1"}'], Provenance.REPAIRED, ("number_from_string /n",)),
    ],
)
async def test_an_answer_says_what_it_took(
    said: list[str], provenance: Provenance, repairs: tuple[str, ...]
) -> None:
    subject = _job()

    outcome = (await _outcomes(subject, *said))[-1]

    assert isinstance(outcome, Completed)
    assert (outcome.answer.parsed, outcome.answer.text) in (
        ({"n": 1}, '{"n": 1}'),
        ({"n": 1}, '{"n":1}'),
    )
    assert (outcome.provenance, outcome.answer.repairs) == (provenance, repairs)
    written = orjson.loads(reply(subject, outcome, dead=False, worker="w", now=NOW))
    assert (written["provenance"], written["scripted"]) == (provenance.value, True)
    assert written["answer"]["text"] == outcome.answer.text
    assert tuple(written["answer"]["repairs"]) == repairs


async def test_what_is_never_valid_is_a_dead_letter_with_all_that_was_said() -> None:
    subject = _job(reasks=2)

    outcomes = await _outcomes(subject, '{"n": "12,5"}', '{"n": 1.5}', '{"n": [')

    assert [type(each) for each in outcomes] == [RetryLater, RetryLater, DeadLettered]
    assert [each.text for each in subject.bad_answers] == ['{"n": "12,5"}', '{"n": 1.5}', '{"n": [']
    assert all(each.problems for each in subject.bad_answers)
    assert [each.reask for each in subject.attempts] == [False, True, True]
    last = outcomes[-1]
    assert isinstance(last, DeadLettered)
    assert last.failure.failure_class is FailureClass.BAD_OUTPUT


def _even(answer: Any, job: Job) -> str | None:
    return None if answer["n"] % 2 == 0 else "/n: must be even"


async def test_an_answer_that_its_route_refuses_is_asked_for_again_with_that_problem() -> None:
    checks = RouteChecks({"extract": RouteCheck(_even, 5.0)})
    subject = _job()

    outcome = (await _outcomes(subject, '{"n": 1}', '{"n": 2}', checks=checks))[-1]

    assert isinstance(outcome, Completed)
    assert (outcome.answer.parsed, outcome.provenance) == ({"n": 2}, Provenance.REASKED)
    assert subject.bad_answers[0].problems == ("/n: must be even",)
    assert "- /n: must be even" in str(subject.request.messages[-1].content)


async def test_a_check_that_raises_ends_its_job_and_no_worker() -> None:
    def broken(answer: Any, job: Job) -> None:
        raise RuntimeError(answer)

    failed: list[str] = []
    checks = RouteChecks(
        {"extract": RouteCheck(broken, 5.0)}, lambda route, _: failed.append(route)
    )

    outcome = (await _outcomes(_job(), '{"n": 1}', checks=checks))[-1]

    assert isinstance(outcome, DeadLettered)
    assert outcome.failure.problems == ("/: the route's check failed (RuntimeError)",)
    assert failed == ["extract", "extract"]
