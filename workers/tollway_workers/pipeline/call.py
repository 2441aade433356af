"""One call for one job, to exactly one outcome."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

import structlog

from tollway_schemas.failure import FailureClass
from tollway_schemas.reply import Answer
from tollway_workers.budgets.claims import bounded
from tollway_workers.clock import Clock
from tollway_workers.config.shape.fleet import LaneConfig
from tollway_workers.errors import (
    CallNotSent,
    InvalidResult,
    InvalidSchema,
    ProviderError,
    ProviderFailure,
)
from tollway_workers.job.endings import bug, cancelled, invalid_job
from tollway_workers.job.envelopes import Exchange
from tollway_workers.job.outcome import Completed, Decision, Outcome, RetryLater
from tollway_workers.job.progress import JobProgress
from tollway_workers.lanes.lane_wait import reason_of
from tollway_workers.pipeline.admit import Admission, Permit
from tollway_workers.pipeline.attempt import Call, note_answer, note_failure
from tollway_workers.pipeline.decide import RetryPolicy
from tollway_workers.pipeline.first_token import FirstTokens
from tollway_workers.pipeline.turns import Turns
from tollway_workers.pipeline.validate import check_accepted, provenance_of, validated
from tollway_workers.providers.base import Completion, Provider, ProviderCall, nothing
from tollway_workers.safe_traceback import error_fields
from tollway_workers.validation.asking import ask_next
from tollway_workers.validation.checks import NO_CHECKS, RouteChecks
from tollway_workers.validation.validator import ResultValidator

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Lane:
    """Everything that belongs to one lane in this process."""

    config: LaneConfig
    admission: Admission
    provider: Provider


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
        #: Of the answers that come together.
        self.turns = Turns()
        self._first_tokens = {
            name: FirstTokens(clock, lane.config.slow_after, self._slow)
            for name, lane in lanes.items()
        }

    async def execute(
        self,
        progress: JobProgress,
        permit: Permit,
        may_send: Callable[[], bool] = lambda: True,
    ) -> tuple[Decision, Exchange | None]:
        """What is decided of the job after one more call, and that call for the journal.

        `may_send` is asked again when the call is connected, which may be seconds after it was
        begun. Raises CallNotSent where it says no: nothing was sent, and nothing has changed.
        Cancellation closes the connection; the permit comes back. A job that an operator cancelled
        ends so too, and then it is an outcome.
        """
        call: Call | None = None
        try:
            with permit:
                if progress.cancelled:
                    permit.withdraw()
                    return cancelled(progress.lane), None
                call = await self._prepare(progress, permit)
                completion = await self._send(call, progress, permit, may_send)
                if not self.turns.crowded:
                    # The next call goes out while this answer waits.
                    permit.release()
                await self.turns.take()
            answer = await self._validate(progress, completion)
        except (ProviderError, InvalidResult) as error:
            exchange = _paid(permit, note_failure(progress, call, error))
            outcome = self._policy.decide(progress, error, now=self._clock.now())
            if isinstance(outcome, RetryLater):
                bad = (error.answer, error.problems) if isinstance(error, InvalidResult) else None
                ask_next(progress, outcome.ask, bad, permit.admission.lane.max_output_tokens)
            return outcome, exchange
        except InvalidSchema as error:
            return invalid_job(f"output.json_schema: {error}"), None
        except asyncio.CancelledError:
            if not progress.cancelled:
                raise
            return cancelled(progress.lane), _paid(permit, self._cancelled(progress, call))
        outcome, exchange = self.completed(progress, call, completion, answer)
        return outcome, _paid(permit, exchange)

    async def _prepare(self, progress: JobProgress, permit: Permit) -> Call:
        """What is to be sent. Where it comes to nothing, what was reserved for it is given back.

        Raises ProviderError where the provider's format cannot say it, InvalidSchema where the
        answer could be held against nothing: nothing is paid for then.
        """
        job, lane = progress.job, self._lanes[progress.lane]
        try:
            if job.output and self._validator.compiles_elsewhere(job.output, progress.schema):
                await self._validator.compile(job.output, progress.schema)
            request = bounded(progress.request, lane.config)
            body = lane.provider.build(request, job.output)
            stream = lane.provider.streams(request)
        except BaseException:
            permit.withdraw()
            raise
        return Call(lane.config, body, self._clock.now(), self._clock.monotonic(), stream=stream)

    async def _validate(self, progress: JobProgress, completion: Completion) -> Answer:
        """The answer; raises ProviderError, InvalidResult. What was paid for stays on record even
        where holding it to the job meets an unexpected exception.
        """
        try:
            answer = await validated(self._validator, self._answer_checks, progress, completion)
            check_accepted(progress, completion, answer)
            return answer
        except (ProviderError, InvalidResult, InvalidSchema):
            raise
        except Exception as error:  # noqa: BLE001 a bug met by one answer must not lose its record
            log.error(
                "unexpected exception while validating an answer: the job is a dead letter",
                job=progress.job.id,
                **error_fields(error),
            )
            failure = ProviderFailure(
                failure_class=FailureClass.UNKNOWN, message=bug(error).failure.message
            )
            raise ProviderError(failure) from None

    async def _send(
        self, call: Call, progress: JobProgress, permit: Permit, may_send: Callable[[], bool]
    ) -> Completion:
        job, admission = progress.job, self._lanes[progress.lane].admission
        try:
            completion = await self._complete(call, progress, permit, may_send)
        except CallNotSent:
            permit.withdraw()
            raise
        except ProviderError as error:
            call.latency = self._clock.monotonic() - call.started_monotonic
            failure = admission.judge(error.failure, job.id)
            reason = reason_of(failure, call.config.model)
            permit.failed(failure, progress, call.started_monotonic, reason)
            raise ProviderError(failure) from None
        call.latency = self._clock.monotonic() - call.started_monotonic
        call.completion = completion
        permit.answered(call.started_monotonic)
        admission.observe(completion.said, call.latency)
        if completion.usage is not None:
            permit.settle(completion.usage)
        return completion

    async def _complete(
        self, call: Call, progress: JobProgress, permit: Permit, may_send: Callable[[], bool]
    ) -> Completion:
        job, config = progress.job, call.config
        first_token = self._first_tokens[progress.lane]
        first_token.wait(permit, call.started_monotonic)
        call.received.on_first_token = partial(self._heard, call, permit, first_token)
        try:
            return await self._lanes[progress.lane].provider.complete(
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
            first_token.over(permit)
            # It holds the call, which holds it, and its answer: nobody would free them for long.
            call.received.on_first_token = nothing
            if not call.received.streamed:
                call.first_token = None

    def _heard(self, call: Call, permit: Permit, first_token: FirstTokens) -> None:
        """Its first token is there."""
        call.first_token = self._clock.monotonic() - call.started_monotonic
        first_token.over(permit)

    def _slow(self, permit: Permit) -> None:
        permit.slow()
        self._on_slow(permit.admission.lane.name)

    def completed(
        self, progress: JobProgress, call: Call, completion: Completion, answer: Answer
    ) -> tuple[Outcome, Exchange]:
        """The outcome of a call whose answer is good, and that call for the journal."""
        outcome = Completed(
            answer,
            provenance_of(answer, progress),
            progress.lane,
            completion.model_served,
            completion.scripted,
            completion.kept,
            whole=not completion.deep,
        )
        return outcome, note_answer(progress, call, completion)

    def _cancelled(self, progress: JobProgress, call: Call | None) -> Exchange | None:
        """The call that was broken off; it may have been billed."""
        if call is not None and call.completion is None:
            call.latency = self._clock.monotonic() - call.started_monotonic
        message = "an operator cancelled the job while it was called"
        failure = ProviderFailure(failure_class=FailureClass.CANCELLED, message=message)
        return note_failure(progress, call, ProviderError(failure))


def _paid(permit: Permit, exchange: Exchange | None) -> Exchange | None:
    """The exchange; what its call has cost is taken from the budgets that it claimed from."""
    if exchange is None:
        return None
    draws = permit.pay(exchange.attempt)
    return exchange._replace(draws=draws) if draws else exchange
