"""What a job takes for an answer: nothing else is tried for it, paid for or published."""

from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import orjson
import pytest
from manual_clock import ManualClock
from memory_fleet import MemoryFleet
from samples import NOW, admission_of, job, lane, progress
from scripted_provider import ScriptedProvider, completion
from unconfined import Unconfined

from tollway.errors import InvalidNewJob
from tollway.new_job import NewJob, ready
from tollway.testing import FakeFleet
from tollway_schemas.codec import decode, encode
from tollway_schemas.errors import UndecodableRecord
from tollway_schemas.failure import FailureClass
from tollway_schemas.job import Job
from tollway_schemas.provenance import Provenance
from tollway_schemas.request import OutputSchema
from tollway_workers.config.shape.route import RouteSettings
from tollway_workers.config.shape.rungs import rungs_of
from tollway_workers.job.accepted import accepted
from tollway_workers.job.duplicates import job_digest
from tollway_workers.job.outcome import (
    Completed,
    DeadLettered,
    Decision,
    Forwarded,
    RetryLater,
    StandIn,
)
from tollway_workers.job.progress import JobProgress
from tollway_workers.pipeline.admit import Permit
from tollway_workers.pipeline.call import JobExecutor, Lane
from tollway_workers.pipeline.checks.accept import has_an_acceptable_rung
from tollway_workers.pipeline.decide import RetryPolicy
from tollway_workers.pipeline.stand_ins.rule import RouteRule
from tollway_workers.validation.judge import Judge
from tollway_workers.validation.validator import ResultValidator

NOW_UTC = datetime.fromtimestamp(NOW, UTC)
LIVE, REASKED, REPAIRED = Provenance.LIVE, Provenance.REASKED, Provenance.REPAIRED
FALLBACK, RULE = Provenance.FALLBACK, Provenance.RULE
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"n": {"type": "integer"}},
    "required": ["n"],
}


def route_of(**settings: Any) -> RouteSettings:
    return RouteSettings(**{"lanes": ("main",), **settings})


def subject(
    *accept: Provenance, route: RouteSettings | None = None, schema: Any = None
) -> JobProgress:
    output = None if schema is None else OutputSchema(json_schema=schema)
    return progress(job(accept=accept or None, output=output), route=route or route_of())


@pytest.mark.parametrize(
    ("settings", "rungs"),
    [
        ({}, {LIVE, REASKED, REPAIRED}),
        ({"reasks": 0}, {LIVE, REPAIRED}),
        ({"repair": False}, {LIVE, REASKED, REPAIRED}),
        ({"repair": False, "coercions": ()}, {LIVE, REASKED}),
        ({"lanes": ("main", "other")}, {LIVE, REASKED, REPAIRED, FALLBACK}),
        ({"rule": "a:b"}, {LIVE, REASKED, REPAIRED, RULE}),
    ],
)
def test_a_route_has_the_rungs_that_it_is_configured_for(
    settings: dict[str, Any], rungs: set[Provenance]
) -> None:
    assert rungs_of(route_of(**settings)) == rungs


def test_what_counts_is_what_both_the_route_and_the_job_accept() -> None:
    route = route_of(accept=(LIVE, RULE))

    assert accepted(subject()) == frozenset(Provenance)
    assert accepted(subject(route=route)) == {LIVE, RULE}
    assert accepted(subject(LIVE, FALLBACK)) == {LIVE, FALLBACK}
    assert accepted(subject(LIVE, FALLBACK, route=route)) == {LIVE}


@pytest.mark.parametrize(
    ("accept", "settings"),
    [
        ((FALLBACK,), {}),
        ((RULE,), {}),
        ((REASKED,), {"reasks": 0}),
        ((REPAIRED,), {"repair": False, "coercions": ()}),
        ((Provenance.CACHED, Provenance.SEMANTIC, Provenance.STALE), {"rule": "a:b"}),
        ((LIVE,), {"accept": (REPAIRED,)}),
    ],
)
def test_a_job_that_no_rung_of_its_route_can_answer_is_a_dead_letter_in_one_sentence(
    accept: tuple[Provenance, ...], settings: dict[str, Any]
) -> None:
    outcome = has_an_acceptable_rung(subject(*accept, route=route_of(**settings)), NOW)

    assert isinstance(outcome, DeadLettered)
    assert outcome.failure.failure_class is FailureClass.INVALID_JOB
    (problem,) = outcome.failure.problems
    assert problem.startswith("accept: nothing that route extract can give is accepted (live")


def test_a_job_goes_where_what_it_accepts_can_be_had() -> None:
    two = route_of(lanes=("main", "other"), rule="a:b")

    def decided(*accept: Provenance, lane: str = "main") -> Decision | None:
        the_job = subject(*accept, route=two)
        the_job.lane = lane
        return has_an_acceptable_rung(the_job, NOW)

    assert [decided(), decided(LIVE), decided(REASKED, RULE)] == [None] * 3
    assert decided(FALLBACK, RULE) == Forwarded("other", "accept")
    assert decided(FALLBACK, RULE, lane="other") is None
    assert decided(LIVE, lane="other") == Forwarded("main", "accept")
    found = decided(RULE)
    assert isinstance(found, StandIn)
    assert isinstance(found.otherwise, DeadLettered)
    assert found.otherwise.failure.failure_class is FailureClass.INVALID_JOB


async def test_a_job_that_takes_the_rule_alone_costs_no_call() -> None:
    class Fleet(MemoryFleet):
        rules = {"extract": RouteRule(lambda job: "from the rule", 5.0)}  # noqa: RUF012 of one test

    provider = ScriptedProvider()
    async with Fleet({lane(): provider}, {"extract": route_of(rule="a:b")}) as fleet:
        await fleet.publish(job("a", accept=(RULE,)), job("b", accept=(FALLBACK,)), job("c"))
        await fleet.until(lambda: fleet.lag == 0)

    assert {name: reply.provenance for name, reply in fleet.replies.items()} == {
        "a": RULE,
        "b": None,
        "c": LIVE,
    }
    assert len(provider.calls) == 1
    assert len(fleet.dead_letters) == 1


async def _outcomes(the_job: JobProgress, *said: str) -> list[Decision]:
    """What was decided after each call of a job whose model says these texts."""
    clock, config = ManualClock(NOW), lane(concurrency=4)
    admission = admission_of(config, clock)
    provider = ScriptedProvider([completion(text) for text in said])
    executor = JobExecutor(
        {"main": Lane(config, admission, provider)},
        ResultValidator(Judge(Unconfined())),
        RetryPolicy(Random(1)),
        clock,
    )
    outcomes: list[Decision] = []
    while not outcomes or isinstance(outcomes[-1], RetryLater):
        permit = admission.admit(the_job)
        assert isinstance(permit, Permit)
        outcomes.append((await executor.execute(the_job, permit))[0])
    return outcomes


@pytest.mark.parametrize("said", ['{"n": 1,}', '{"n": "1"}', '{"n": 1, "x": NaN}'])
async def test_nothing_is_mended_for_a_job_that_takes_no_repaired_answer(said: str) -> None:
    mended = await _outcomes(subject(schema=SCHEMA), said)
    asked_again = await _outcomes(subject(LIVE, REASKED, schema=SCHEMA), said, '{"n": 1}')

    assert [type(each) for each in mended] == [Completed]
    assert [type(each) for each in asked_again] == [RetryLater, Completed]
    last = asked_again[-1]
    assert isinstance(last, Completed)
    assert (last.provenance, last.answer.repairs) == (REASKED, ())


async def test_no_re_ask_is_made_for_a_job_that_takes_none() -> None:
    outcomes = await _outcomes(subject(LIVE, REPAIRED, schema=SCHEMA), "{}", '{"n": 1}')

    (ended,) = outcomes
    assert isinstance(ended, DeadLettered)
    assert ended.failure.failure_class is FailureClass.BAD_OUTPUT


async def test_an_answer_that_the_job_does_not_take_is_kept_and_not_published() -> None:
    the_job = subject(REPAIRED, schema=SCHEMA)

    (ended,) = await _outcomes(the_job, '{"n": 1}')

    assert isinstance(ended, DeadLettered)
    assert ended.failure.failure_class is FailureClass.INVALID_JOB
    assert "the answer is live" in ended.failure.message
    assert [each.text for each in the_job.bad_answers] == ['{"n": 1}']
    assert isinstance(
        (await _outcomes(subject(REPAIRED, schema=SCHEMA), '{"n": 1,}'))[-1], Completed
    )


def test_a_service_says_what_it_accepts() -> None:
    def made(accept: Any) -> Any:
        return ready(NewJob(route="extract", request="hi", accept=accept), None, NOW_UTC).job.accept

    assert made(None) is None
    assert made(["live", Provenance.RULE, "live"]) == (LIVE, RULE)
    assert made("live") == (LIVE,)
    for bad, why in (([], "names nothing"), (["life"], "must be some of live, reasked")):
        with pytest.raises(InvalidNewJob, match=why):
            made(bad)


async def test_a_fake_fleet_says_what_made_an_answer() -> None:
    fleet = FakeFleet()
    fleet.answer("extract", "sorry", provenance="rule")
    fleet.hold("sum")
    async with fleet.producer() as producer:
        by_rule = await producer.enqueue(NewJob(route="extract", request="hi", accept=["rule"]))
        held = await producer.enqueue(NewJob(route="sum", request="hi"))
        fleet.reply(fleet.jobs[1], "3", provenance=FALLBACK)

        first, second = await by_rule.reply(), await held.reply()

    assert (first.provenance, first.model, first.scripted) == (RULE, None, False)
    assert (second.provenance, second.model, second.scripted) == (FALLBACK, "fake", True)


@pytest.mark.parametrize("provenance", ["cached", "stale"])
async def test_a_fake_fleet_says_whose_an_answer_was_that_is_given_again(provenance: str) -> None:
    fleet = FakeFleet()
    fleet.answer("extract", "17", provenance=provenance)
    async with fleet.producer() as producer:
        asked = await producer.enqueue(NewJob(route="extract", request="hi", tenant="acme"))
        strict = NewJob(route="extract", request="hi", max_age=timedelta(seconds=5))

        reply, younger = await asked.reply(), await (await producer.enqueue(strict)).reply()

    assert reply.cached_from is not None
    assert (reply.cached_from.tenant, reply.cached_from.route) == ("acme", "extract")
    assert reply.cached_from.job_id != reply.job_id
    assert (reply.age, younger.age) == (60.0, 5.0)


def test_only_a_job_that_says_what_it_accepts_is_another_job_for_it() -> None:
    plain, picky = job(), job(accept=(LIVE,))

    assert job_digest(plain, None) != job_digest(picky, None)
    assert job_digest(picky, None) == job_digest(job(accept=(LIVE,)), None)
    # That of a release which did not know the field.
    assert job_digest(plain, None) == "2e4273421607f6e77d3d748296ec41ab"


def test_a_job_that_accepts_a_thousand_times_is_no_job() -> None:
    """What is looked at for each job that waits, twice a second, is short."""
    asked = orjson.loads(encode(job())) | {"accept": ["live"] * 1000}

    with pytest.raises(UndecodableRecord, match="accept"):
        decode(Job, orjson.dumps(asked))
