"""What a streamed call tells before it ends, and what is known of one that broke off."""

import asyncio
import gc
from decimal import Decimal
from random import Random

import pytest
from manual_clock import ManualClock
from samples import NOW, admission_of, job, lane, progress
from scripted_provider import ScriptedProvider, Turn, completion

from tollway_schemas.failure import FailureClass
from tollway_schemas.usage import Usage
from tollway_workers.clock import Clock
from tollway_workers.config.shape.price import Price
from tollway_workers.errors import ProviderFailure
from tollway_workers.job.outcome import Cancelled, RetryLater
from tollway_workers.job.progress import JobProgress
from tollway_workers.limits.estimate import prompt_tokens, text_tokens
from tollway_workers.pipeline.admit import Permit
from tollway_workers.pipeline.attempt import Call
from tollway_workers.pipeline.call import JobExecutor, Lane
from tollway_workers.pipeline.decide import RetryPolicy
from tollway_workers.providers.base import Completion, ProviderCall
from tollway_workers.validation.validator import ResultValidator

_SAID = "The first half of an answer, "


class Desk:
    """An executor with one lane whose calls are slow after ten seconds."""

    def __init__(self, *turns: Turn) -> None:
        self.clock = ManualClock(NOW)
        self.provider = ScriptedProvider(turns)
        self.slow: list[str] = []
        price = Price(input=Decimal(1), output=Decimal(2))
        config = lane(slow_after=10.0, price=price)
        self._admission = admission_of(config, self.clock)
        lanes = {"main": Lane(config, self._admission, self.provider)}
        clock: Clock = self.clock
        self._executor = JobExecutor(
            lanes, ResultValidator(), RetryPolicy(Random(1)), clock, on_slow=self.slow.append
        )

    async def call(self, subject: JobProgress):  # type: ignore[no-untyped-def]  # as execute's own
        permit = self._admission.admit(subject)
        assert isinstance(permit, Permit)
        return await self._executor.execute(subject, permit)


def _speaking(turn: Completion | ProviderFailure, *, said: str = _SAID) -> Turn:
    """A turn that comes as a stream, of which so much has been said when it ends."""

    def speak(call: ProviderCall) -> Completion | ProviderFailure:
        call.received.streamed, call.received.text = True, lambda: said
        call.received.on_first_token()
        return turn

    return speak


def _broken(failure_class: FailureClass = FailureClass.TIMEOUT_IDLE) -> ProviderFailure:
    return ProviderFailure(failure_class=failure_class, message="no")


async def _begun(desk: Desk, subject: JobProgress, calls: int = 1):  # type: ignore[no-untyped-def]  # a task
    """A call that its provider has, as so many by now, and that hangs."""
    desk.provider.hold.clear()
    calling = asyncio.create_task(desk.call(subject))
    async with asyncio.timeout(10):
        while len(desk.provider.calls) < calls:  # noqa: ASYNC110 - the double has no event for it
            await asyncio.sleep(0)
    return calling


async def _after(desk: Desk, subject: JobProgress, seconds: float) -> None:
    """Let a call be answered so many seconds after its start."""
    calling = await _begun(desk, subject)
    desk.clock.advance(seconds)
    desk.provider.hold.set()
    await calling


async def test_a_call_without_a_first_token_is_told_to_be_slow_once_and_goes_on() -> None:
    desk, subject = Desk(_speaking(completion())), progress(job())

    await _after(desk, subject, 25.0)

    assert desk.slow == ["main"]
    assert subject.attempts[-1].failure_class is None
    assert subject.attempts[-1].first_token == 25.0


async def test_an_answer_is_gone_from_memory_with_the_call_that_brought_it() -> None:
    desk, enabled = Desk(lambda _: completion("soon forgotten")), gc.isenabled()
    gc.disable()
    try:
        await desk.call(progress(job()))
        calls = [each for each in gc.get_objects() if isinstance(each, Call)]
    finally:
        if enabled:
            gc.enable()

    # Else it waits for the next collection, which looks at all that there is.
    said = [call.completion.text for call in calls if call.completion is not None]
    assert "soon forgotten" not in said


async def test_a_call_whose_first_token_came_in_time_is_never_slow() -> None:
    desk, subject = Desk(_speaking(completion())), progress(job())

    await _after(desk, subject, 9.0)
    desk.clock.advance(60.0)

    assert desk.slow == []


async def test_a_call_that_has_failed_is_not_slow_afterwards() -> None:
    desk = Desk(_broken())

    await desk.call(progress(job()))
    desk.clock.advance(60.0)

    assert desk.slow == []


async def test_each_call_is_slow_after_its_own_time() -> None:
    desk = Desk(_speaking(completion()), _speaking(completion()), _speaking(completion()))

    first = await _begun(desk, progress(job()))
    desk.clock.advance(4.0)
    second = await _begun(desk, progress(job()), calls=2)
    desk.clock.advance(5.9)
    assert desk.slow == []
    desk.clock.advance(0.1)
    assert desk.slow == ["main"]
    desk.clock.advance(3.9)
    assert desk.slow == ["main"]
    desk.clock.advance(0.1)
    assert desk.slow == ["main", "main"]

    third = await _begun(desk, progress(job()), calls=3)
    desk.clock.advance(10.0)
    assert desk.slow == ["main", "main", "main"]
    desk.provider.hold.set()
    await asyncio.gather(first, second, third)


async def test_an_answer_in_one_piece_has_no_first_token() -> None:
    desk, subject = Desk(completion()), progress(job())

    await desk.call(subject)

    assert subject.attempts[-1].first_token is None
    assert subject.attempts[-1].usage is None


@pytest.mark.parametrize(
    "ending",
    [_broken(), _broken(FailureClass.TIMEOUT_TOTAL), _broken(FailureClass.TRANSIENT), completion()],
)
async def test_what_a_stream_said_without_its_usage_is_estimated_and_marked_so(
    ending: Completion | ProviderFailure,
) -> None:
    desk, subject = Desk(_speaking(ending)), progress(job())

    await desk.call(subject)

    attempt = subject.attempts[-1]
    tokens_in = prompt_tokens(subject.request, subject.job.output)
    tokens_out = text_tokens(_SAID)
    assert attempt.usage == Usage(input_total=tokens_in, output_total=tokens_out, estimated=True)
    assert attempt.cost == (tokens_in + 2 * tokens_out) * 10**6


async def test_a_stream_that_broke_before_its_first_token_has_no_usage() -> None:
    desk, subject = Desk(_broken(FailureClass.TIMEOUT_FIRST_TOKEN)), progress(job())

    outcome, _ = await desk.call(subject)

    assert isinstance(outcome, RetryLater)
    assert (subject.attempts[-1].usage, subject.attempts[-1].cost) == (None, None)


async def test_the_provider_s_own_count_is_never_replaced() -> None:
    said = Usage(input_total=1, output_total=2)
    desk, subject = Desk(_speaking(completion()._replace(usage=said))), progress(job())

    await desk.call(subject)

    assert subject.attempts[-1].usage == said


async def test_a_stream_that_an_operator_breaks_off_has_cost_what_it_said() -> None:
    desk, subject = Desk(completion()), progress(job())
    calling = await _begun(desk, subject)
    (call,) = desk.provider.calls
    call.received.streamed, call.received.text = True, lambda: _SAID
    call.received.on_first_token()

    subject.cancelled = True
    calling.cancel()
    outcome, _ = await calling

    assert isinstance(outcome, Cancelled)
    usage = subject.attempts[-1].usage
    assert usage is not None
    assert (usage.output_total, usage.estimated) == (text_tokens(_SAID), True)
