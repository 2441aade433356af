"""One call to exactly one outcome, and the attempt that tells of it."""

import asyncio
from decimal import Decimal
from random import Random
from typing import Any

import pytest
from manual_clock import ManualClock
from samples import NOW, admission_of, job, lane, progress
from scripted_provider import ScriptedProvider, Turn, completion

from tollway_schemas.attempt import Billed
from tollway_schemas.failure import FailureClass
from tollway_schemas.provenance import Provenance
from tollway_schemas.request import OutputSchema
from tollway_schemas.usage import Usage
from tollway_workers.config.shape.price import Price
from tollway_workers.errors import ProviderError, ProviderFailure
from tollway_workers.job.outcome import Ask, Completed, DeadLettered, RetryLater
from tollway_workers.job.progress import JobProgress
from tollway_workers.lanes.state import LaneState
from tollway_workers.pipeline.admit import Permit
from tollway_workers.pipeline.call import JobExecutor, Lane
from tollway_workers.pipeline.decide import RetryPolicy
from tollway_workers.providers.base import Finish
from tollway_workers.validation.validator import ResultValidator

_PRICE = Price(input=Decimal(1), output=Decimal(2))


class Desk:
    """An executor with one lane."""

    def __init__(self, *turns: Turn) -> None:
        self.clock = ManualClock(NOW)
        self.provider = ScriptedProvider(turns)
        config = lane(concurrency=4, call_timeout=30.0, price=_PRICE)
        self.admission = admission_of(config, self.clock)
        self._executor = JobExecutor(
            {"main": Lane(config, self.admission, self.provider)},
            ResultValidator(),
            RetryPolicy(Random(1)),
            self.clock,
        )

    async def call(self, subject: JobProgress):  # type: ignore[no-untyped-def]  # as execute's own
        permit = self.admission.admit(subject)
        assert isinstance(permit, Permit)
        outcome, exchange = await self._executor.execute(subject, permit)
        assert self.admission.in_flight == 0
        return outcome, exchange


def failing(failure_class: FailureClass, status: int | None = 500, **more: object) -> Turn:
    return ProviderFailure(
        failure_class=failure_class,
        message="no",
        status=status,
        **more,  # type: ignore[arg-type]  # any other field
    )


async def test_an_answer_completes_its_job_and_says_where_it_is_from() -> None:
    desk, subject = Desk(completion("yes")), progress()

    outcome, exchange = await desk.call(subject)

    assert isinstance(outcome, Completed)
    assert (outcome.answer.text, outcome.lane, outcome.model) == ("yes", "main", "scripted")
    assert (outcome.provenance, outcome.scripted) == (Provenance.LIVE, True)
    assert exchange is not None
    assert exchange.attempt is subject.attempts[0]
    assert b"hello" in exchange.request
    assert exchange.response == b'{"text":"yes"}'


@pytest.mark.parametrize(("left", "allowed"), [(600.0, 30.0), (12.0, 12.0)])
async def test_a_call_ends_with_the_lane_s_timeout_or_the_job_s_deadline(
    left: float, allowed: float
) -> None:
    desk = Desk()

    await desk.call(progress(job(seconds=left)))

    assert desk.provider.calls[0].timeout == pytest.approx(allowed, abs=1e-3)


@pytest.mark.parametrize(
    ("failure_class", "status", "billed"),
    [
        (FailureClass.TRANSIENT, 500, Billed.NO),
        (FailureClass.TRANSIENT, None, Billed.UNKNOWN),
        (FailureClass.TIMEOUT_TOTAL, None, Billed.UNKNOWN),
        (FailureClass.TRANSIENT, 200, Billed.UNKNOWN),
        (FailureClass.CONNECT, None, Billed.NO),
    ],
)
async def test_a_failed_call_is_billed_as_far_as_we_can_know(
    failure_class: FailureClass, status: int | None, billed: Billed
) -> None:
    desk, subject = Desk(failing(failure_class, status)), progress()

    outcome, _ = await desk.call(subject)

    assert isinstance(outcome, RetryLater)
    attempt = subject.attempts[0]
    assert (attempt.billed, attempt.cost, attempt.status) == (billed, None, status)
    assert attempt.failure_class is failure_class


async def test_what_a_provider_counted_is_costed_also_where_the_call_failed() -> None:
    usage = Usage(input_total=10, output_total=5)
    desk, subject = Desk(failing(FailureClass.CONTENT_POLICY, 400, usage=usage)), progress()

    await desk.call(subject)

    assert (subject.attempts[0].usage, subject.attempts[0].cost) == (usage, 20_000_000)


async def test_a_truncated_answer_is_asked_again_with_more_room_once() -> None:
    desk, subject = Desk(completion("cut", finish=Finish.LENGTH)), progress()

    first, _ = await desk.call(subject)
    second, _ = await desk.call(subject)

    assert first == RetryLater(0.0, Ask.LARGER)
    assert isinstance(second, DeadLettered)
    assert subject.request.max_output_tokens == 8_192
    assert all(attempt.billed is Billed.YES for attempt in subject.attempts)


@pytest.mark.parametrize("text", ["", "   ", None])
async def test_nothing_empty_is_ever_a_success(text: str | None) -> None:
    desk = Desk(completion(text))

    outcome, _ = await desk.call(progress())

    assert isinstance(outcome, RetryLater)


async def test_a_bad_answer_is_re_asked_with_its_errors_and_kept_for_the_dead_letter() -> None:
    schema = OutputSchema(json_schema={"type": "object", "required": ["n"]})
    desk, subject = Desk(completion('{"m": 1}')), progress(job(output=schema))

    first, _ = await desk.call(subject)
    second, _ = await desk.call(subject)

    assert first == RetryLater(0.0, Ask.REASK)
    assert isinstance(second, DeadLettered)
    assert [bad.text for bad in subject.bad_answers] == ['{"m": 1}', '{"m": 1}']
    assert b'{\\"m\\": 1}' in desk.provider.calls[1].body
    assert [attempt.reask for attempt in subject.attempts] == [False, True]


async def test_half_an_answer_is_asked_for_again_and_kept_for_the_dead_letter() -> None:
    half = completion("hi there, I was", finish=Finish.UNKNOWN)._replace(finish_reason="abort")
    desk, subject = Desk(half), progress()

    first, _ = await desk.call(subject)
    second, _ = await desk.call(subject)
    last, _ = await desk.call(subject)

    assert isinstance(first, RetryLater)
    assert isinstance(second, RetryLater)
    assert isinstance(last, DeadLettered)
    assert (last.failure.failure_class, last.detail) == (FailureClass.TRANSIENT, "abort")
    assert [attempt.finish_reason for attempt in subject.attempts] == ["abort"] * 3
    assert [bad.text for bad in subject.bad_answers] == ["hi there, I was"] * 3


async def test_the_providers_whole_answer_goes_with_its_outcome() -> None:
    body = b'{"choices": [{"message": {"content": "yes"}}]}'
    said = completion("yes")._replace(body=body, kept=body)

    whole, exchange = await Desk(said).call(progress())
    deep, _ = await Desk(said._replace(deep=True)).call(progress())

    assert isinstance(whole, Completed)
    assert whole.body is body
    assert exchange is not None
    assert exchange.parsed
    assert isinstance(deep, Completed)
    assert (whole.whole, deep.whole) == (True, False)


async def test_an_answer_proves_that_the_lane_lives_also_where_it_is_a_bad_one() -> None:
    desk = Desk(completion(""))
    desk.admission.on_failure(FailureClass.AUTH, None, 0.0)
    desk.clock.advance(5.0)

    await desk.call(progress())

    assert desk.admission.state is LaneState.OPEN


async def test_a_request_that_cannot_be_expressed_is_a_dead_letter_and_no_attempt() -> None:
    desk, subject = Desk(), progress()
    failure = failing(FailureClass.INVALID_REQUEST, None)
    assert isinstance(failure, ProviderFailure)

    def build(*_: object) -> bytes:
        raise ProviderError(failure)

    desk.provider.build = build  # type: ignore[method-assign, assignment]  # it cannot be said
    outcome, exchange = await desk.call(subject)

    assert isinstance(outcome, DeadLettered)
    assert (exchange, subject.attempts, desk.provider.calls) == (None, [], [])


async def test_cancellation_gives_the_permit_back_and_leaves_no_attempt() -> None:
    desk, subject = Desk(), progress()
    desk.provider.hold.clear()
    calling = asyncio.create_task(desk.call(subject))
    for _ in range(5):
        await asyncio.sleep(0)
    assert desk.provider.calls

    calling.cancel()
    with pytest.raises(asyncio.CancelledError):
        await calling

    assert (desk.admission.in_flight, subject.attempts) == (0, [])


async def test_an_address_that_is_no_api_parks_the_lane_and_costs_no_job_an_attempt() -> None:
    desk = Desk(failing(FailureClass.NO_COMPLETION, 200))
    jobs = [progress(job(f"job-{n}", seconds=1e6)) for n in range(2)]

    outcomes = []
    for _ in range(9):
        for each in jobs:
            desk.clock.advance(400.0)
            outcomes.append((await desk.call(each))[0])

    assert {type(outcome) for outcome in outcomes} == {RetryLater}
    assert desk.admission.state is LaneState.PARKED
    attempt = jobs[0].attempts[0]
    assert (attempt.charged, attempt.failure_class) == (False, FailureClass.MODEL_NOT_FOUND)
    said = "does not look like the API of the provider's protocol: check base_url"
    assert said in str(attempt.message)


async def test_a_job_that_alone_gets_no_completion_ends_by_evidence() -> None:
    bad = failing(FailureClass.NO_COMPLETION, 200)
    turns = [completion("yes")] * 40
    desk = Desk(*[turn for _ in range(5) for turn in (*turns, bad)])
    poison, outcomes = progress(), []

    for _ in range(5):
        for n in range(40):
            await desk.call(progress(job(f"job-{n}")))
        outcomes.append((await desk.call(poison))[0])

    assert [type(each) for each in outcomes] == [RetryLater] * 4 + [DeadLettered]
    assert (poison.charged, desk.admission.state) == (4, LaneState.OPEN)


async def test_a_refused_field_is_asked_again_at_once_and_costs_no_attempt() -> None:
    desk, subject = (
        Desk(failing(FailureClass.UNSUPPORTED_FIELD, 422), completion("yes")),
        progress(),
    )

    first, _ = await desk.call(subject)
    second, _ = await desk.call(subject)

    assert first == RetryLater(0.0)
    assert isinstance(second, Completed)
    assert [a.charged for a in subject.attempts] == [False, True]
    assert (subject.attempts[0].billed, subject.attempts[0].cost) == (Billed.NO, None)


async def test_nothing_is_called_for_a_schema_that_cannot_be_compiled() -> None:
    desk = Desk(completion("{}"))
    # Too dear to be compiled by the event loop, which is why intake did not see the mistake.
    schema: dict[str, Any] = {"not": {}, "pattern": "("}
    subject = progress(job(output=OutputSchema(json_schema=schema)))

    outcome, exchange = await desk.call(subject)

    assert isinstance(outcome, DeadLettered)
    assert outcome.failure.failure_class is FailureClass.INVALID_JOB
    assert outcome.failure.problems[0].startswith("output.json_schema: the schema is not valid: ")
    assert (exchange, desk.provider.calls, subject.attempts) == (None, [], [])


async def test_an_answer_that_takes_too_long_to_judge_is_a_dead_letter_that_was_paid_for() -> None:
    desk = Desk(completion("[" + "1e300," * 100_000 + "1]"))
    schema: dict[str, Any] = {"items": {"multipleOf": 1e-300}}
    subject = progress(job(output=OutputSchema(json_schema=schema)))

    outcome, _ = await desk.call(subject)

    assert isinstance(outcome, DeadLettered)
    assert outcome.failure.failure_class is FailureClass.INVALID_JOB
    assert "takes more than 0.5 s of CPU time" in outcome.failure.message
    assert subject.attempts[0].billed is Billed.YES


async def test_an_answer_that_meets_a_bug_is_on_record_as_what_was_paid_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    desk = Desk(completion("an answer")._replace(usage=Usage(input_total=10, output_total=5)))

    async def broken(*asked: object, **how: object) -> None:
        raise OSError("no process left")

    monkeypatch.setattr(ResultValidator, "validate", broken)
    subject = progress()
    outcome, exchange = await desk.call(subject)

    assert isinstance(outcome, DeadLettered)
    assert (
        "an unexpected exception in the worker ended the job (OSError)" in outcome.failure.message
    )
    (attempt,) = subject.attempts
    assert (attempt.failure_class, attempt.billed) == (FailureClass.UNKNOWN, Billed.YES)
    assert attempt.cost is not None
    assert exchange is not None
    assert b"an answer" in exchange.response
    assert [answer.text for answer in subject.bad_answers] == ["an answer"]
