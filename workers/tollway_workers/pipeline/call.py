"""One call for one job, to exactly one outcome."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial

from tollway_schemas.attempt import Attempt, Billed
from tollway_schemas.dead_letter import BadAnswer
from tollway_schemas.failure import FailureClass
from tollway_schemas.reply import Answer
from tollway_workers.clock import Clock
from tollway_workers.config.shape.fleet import LaneConfig
from tollway_workers.errors import (
    CallNotSent,
    InvalidResult,
    InvalidSchema,
    ProviderError,
    ProviderFailure,
)
from tollway_workers.job.cost import cost_of
from tollway_workers.job.endings import cancelled, invalid_job
from tollway_workers.job.envelopes import HEAD_BYTES, Exchange, instant
from tollway_workers.job.failure_table import FAILURE_TABLE
from tollway_workers.job.outcome import Completed, Outcome, RetryLater
from tollway_workers.job.progress import JobProgress
from tollway_workers.lanes.lane_wait import reason_of
from tollway_workers.limits.estimated_usage import estimated_usage
from tollway_workers.pipeline.admit import Admission, Permit
from tollway_workers.pipeline.decide import CallError, RetryPolicy, failure_class_of
from tollway_workers.pipeline.first_token import FirstToken
from tollway_workers.pipeline.validate import provenance_of, validated
from tollway_workers.providers.base import Completion, Provider, ProviderCall, Received
from tollway_workers.validation.asking import ask_next
from tollway_workers.validation.checks import NO_CHECKS, RouteChecks
from tollway_workers.validation.validator import ResultValidator


@dataclass(frozen=True, slots=True)
class Lane:
    """Everything that belongs to one lane in this process."""

    config: LaneConfig
    admission: Admission
    provider: Provider


@dataclass(slots=True)
class Call:
    """One call while it is made: what was sent, when, and what came back."""

    lane: Lane
    body: bytes
    started: float
    started_monotonic: float
    latency: float = 0.0
    completion: Completion | None = None
    #: Whether a stream was asked for.
    stream: bool = False
    received: Received = field(default_factory=Received)
    #: Seconds until the first token of a stream.
    first_token: float | None = None


class JobExecutor:
    """Makes one call and decides what becomes of its job."""

    def __init__(
        self,
        lanes: Mapping[str, Lane],
        validator: ResultValidator,
        policy: RetryPolicy,
        clock: Clock,
        answer_checks: RouteChecks = NO_CHECKS,
        on_slow: Callable[[str], None] = lambda _: None,
    ) -> None:
        """`answer_checks`: what routes ask of an answer beyond its schema.

        `on_slow` is told the lane of a call without a first token after its `slow_after`.
        """
        self._on_slow = on_slow
        self._lanes = lanes
        self._validator = validator
        self._policy = policy
        self._clock = clock
        self._answer_checks = answer_checks

    async def execute(
        self,
        progress: JobProgress,
        permit: Permit,
        may_send: Callable[[], bool] = lambda: True,
    ) -> tuple[Outcome, Exchange | None]:
        """The job's outcome after one more call, and that call for the journal.

        `may_send` is asked again when the call is connected, which may be seconds after it was
        begun. Raises CallNotSent where it says no: nothing was sent, and nothing has changed.
        Cancellation closes the connection; the permit comes back. A job that an operator cancelled
        ends so too, and then it is an outcome.
        """
        call: Call | None = None
        try:
            with permit:
                if progress.cancelled:
                    return cancelled(progress.lane), None
                if self._validator.compiles_elsewhere(progress.job.output, progress.schema):
                    await self._compile(progress, permit)
                call = self._prepare(progress)
                completion = await self._send(call, progress, permit, may_send)
            answer = await validated(self._validator, self._answer_checks, progress, completion)
        except (ProviderError, InvalidResult) as error:
            exchange = self._note_failure(progress, call, error)
            outcome = self._policy.decide(progress, error, now=self._clock.now())
            if isinstance(outcome, RetryLater):
                bad = (error.answer, error.problems) if isinstance(error, InvalidResult) else None
                ask_next(progress, outcome.ask, bad)
            return outcome, exchange
        except InvalidSchema as error:
            return invalid_job(f"output.json_schema: {error}"), None
        except asyncio.CancelledError:
            if not progress.cancelled:
                raise
            return cancelled(progress.lane), self._note_cancelled(progress, call)
        return self.complete(progress, call, completion, answer)

    async def _compile(self, progress: JobProgress, permit: Permit) -> None:
        """Raises InvalidSchema: nothing is paid for an answer that nothing can be held against."""
        output = progress.job.output
        try:
            if output is not None:
                await self._validator.compile(output, progress.schema)
        except InvalidSchema:
            permit.withdraw()
            raise

    def _prepare(self, progress: JobProgress) -> Call:
        lane = self._lanes[progress.lane]
        body = lane.provider.build(progress.request, progress.job.output)
        stream = lane.provider.streams(progress.request)
        return Call(lane, body, self._clock.now(), self._clock.monotonic(), stream=stream)

    async def _send(
        self, call: Call, progress: JobProgress, permit: Permit, may_send: Callable[[], bool]
    ) -> Completion:
        job, admission = progress.job, call.lane.admission
        try:
            completion = await self._complete(call, progress, may_send)
        except CallNotSent:
            permit.withdraw()
            raise
        except ProviderError as error:
            call.latency = self._clock.monotonic() - call.started_monotonic
            failure = admission.judge(error.failure, job.id)
            admission.on_failure(
                failure.failure_class,
                failure.retry_after,
                call.started_monotonic,
                reason_of(failure, call.lane.config.model),
            )
            raise ProviderError(failure) from None
        call.latency = self._clock.monotonic() - call.started_monotonic
        call.completion = completion
        admission.on_answer(call.started_monotonic)
        admission.observe(completion.said, call.latency)
        if completion.usage is not None:
            permit.settle(completion.usage)
        return completion

    async def _complete(
        self, call: Call, progress: JobProgress, may_send: Callable[[], bool]
    ) -> Completion:
        job, config = progress.job, call.lane.config
        first = FirstToken(self._clock, config.slow_after, partial(self._on_slow, config.name))
        call.received.on_first_token = first.came
        try:
            return await call.lane.provider.complete(
                ProviderCall(
                    body=call.body,
                    call_id=f"{job.id}/{job.generation}/{progress.calls + 1}",
                    timeout=min(config.call_timeout, max(progress.deadline - call.started, 0.001)),
                    may_send=may_send,
                    stream=call.stream,
                    received=call.received,
                )
            )
        finally:
            first.over()
            call.first_token = first.after if call.received.streamed else None

    def complete(
        self, progress: JobProgress, call: Call, completion: Completion, answer: Answer
    ) -> tuple[Outcome, Exchange]:
        attempt = self._attempt(progress, call, None)
        outcome = Completed(
            answer,
            provenance_of(answer, progress),
            progress.lane,
            completion.model_served,
            completion.scripted,
            completion.kept,
            whole=not completion.deep,
        )
        as_it_came = completion.kept is completion.body and not completion.deep
        return outcome, Exchange(attempt, call.body, completion.body, parsed=as_it_came)

    def _note_failure(
        self, progress: JobProgress, call: Call | None, error: CallError
    ) -> Exchange | None:
        progress.failures[failure_class_of(error)] += 1
        if call is None:
            # It could not even be expressed for this provider: nothing was sent.
            return None
        attempt = self._attempt(progress, call, error)
        bad = _bad_answer(attempt, call.completion, error)
        if bad is not None:
            progress.bad_answers.append(bad)
        came_back = call.completion.body if call.completion else b""
        if not came_back and isinstance(error, ProviderError):
            came_back = error.failure.body
        return Exchange(attempt, call.body, came_back)

    def _note_cancelled(self, progress: JobProgress, call: Call | None) -> Exchange | None:
        """The call that was broken off; it may have been billed."""
        if call is not None and call.completion is None:
            call.latency = self._clock.monotonic() - call.started_monotonic
        message = "an operator cancelled the job while it was called"
        failure = ProviderFailure(failure_class=FailureClass.CANCELLED, message=message)
        return self._note_failure(progress, call, ProviderError(failure))

    def _attempt(self, progress: JobProgress, call: Call, error: CallError | None) -> Attempt:
        """The record of a call, added to the job's own."""
        config, completion = call.lane.config, call.completion
        failure = error.failure if isinstance(error, ProviderError) else None
        failure_class = None if error is None else failure_class_of(error)
        usage = completion.usage if completion else (failure.usage if failure else None)
        if usage is None:
            said = call.received.text()
            usage = estimated_usage(progress.request, progress.job.output, said)
        status = completion.status if completion else (failure.status if failure else None)
        attempt = Attempt.trusted(
            number=progress.calls + 1,
            lane=config.name,
            provider=config.provider_name,
            model=config.model,
            model_served=completion.model_served if completion else None,
            provider_request_id=_request_id(completion, error),
            started_at=instant(call.started),
            latency=call.latency,
            first_token=call.first_token,
            status=status,
            failure_class=failure_class,
            message=None if error is None else str(error),
            finish_reason=completion.finish_reason if completion else None,
            charged=failure_class is None or FAILURE_TABLE[failure_class].charged,
            reask=progress.reasking,
            usage=usage,
            cost=cost_of(usage, config.price),
            billed=_billed(completion, status, failure_class),
        )
        progress.note(attempt)
        return attempt


def _bad_answer(
    attempt: Attempt, completion: Completion | None, error: CallError
) -> BadAnswer | None:
    """What was said and paid for, and could not be used; None where nothing was said."""
    if isinstance(error, InvalidResult):
        text, problems = error.answer, error.problems
    else:
        text, problems = (completion.text if completion else None) or "", ()
    if not text and not problems:
        return None
    return BadAnswer(attempt=attempt.number, text=text[:HEAD_BYTES], problems=problems)


def _billed(
    completion: Completion | None, status: int | None, failure_class: FailureClass | None
) -> Billed:
    if completion is not None:
        return Billed.YES
    if failure_class is FailureClass.CONNECT:
        # Nothing was sent.
        return Billed.NO
    # A connection that broke may have brought an answer to life; an error status did not.
    return Billed.NO if status is not None and status >= 400 else Billed.UNKNOWN


def _request_id(completion: Completion | None, error: CallError | None) -> str | None:
    if completion is not None:
        return completion.provider_request_id
    return error.failure.provider_request_id if isinstance(error, ProviderError) else None
