"""One small call to a lane, to learn whether its provider answers at all."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass

from tollway_schemas.failure import FailureClass
from tollway_schemas.request import ChatRequest, Message
from tollway_workers.config.shape.fleet import LaneConfig
from tollway_workers.errors import FleetError, ProviderError, ProviderFailure
from tollway_workers.lanes.address import wrong_address
from tollway_workers.providers.base import Completion, Provider, ProviderCall

#: Tokens of the answer; the prompt has about ten.
MOST_TOKENS = 16
#: Seconds, where the lane does not say less.
_LONGEST_WAIT = 60.0
#: The limit's other name is all that a request without a schema has to be asked again for.
_MOST_CALLS = 2

_REQUEST = ChatRequest(
    messages=(Message(role="user", content="Answer with the word yes."),),
    max_output_tokens=MOST_TOKENS,
)
#: Such a failure is the model's own: the provider answers.
_ANSWERED = frozenset({FailureClass.TRUNCATED, FailureClass.CONTENT_POLICY})


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """How a lane's call ended."""

    lane: str
    answers: bool
    #: The provider's reason where it did not answer, else what the call took.
    said: str


async def try_lane(lane: LaneConfig, open_provider: Callable[[LaneConfig], Provider]) -> Trial:
    """Call a lane once (again only where the server refuses the limit's name)."""
    try:
        provider = await asyncio.to_thread(open_provider, lane)
    except FleetError as error:
        return Trial(lane=lane.name, answers=False, said=str(error))
    try:
        return await _call(lane, provider)
    finally:
        await provider.aclose()


async def _call(lane: LaneConfig, provider: Provider) -> Trial:
    started = time.monotonic()
    for number in range(1, _MOST_CALLS + 1):
        call = ProviderCall(
            body=provider.build(_REQUEST, None),
            call_id=f"config-check/1/{number}",
            timeout=min(lane.call_timeout, _LONGEST_WAIT),
            stream=provider.streams(_REQUEST),
        )
        try:
            completion = await provider.complete(call)
        except ProviderError as error:
            failure = error.failure
            if failure.failure_class is FailureClass.UNSUPPORTED_FIELD and number < _MOST_CALLS:
                continue
            return _failed(lane, failure)
        return Trial(lane=lane.name, answers=True, said=_took(completion, started))
    raise AssertionError("the last call returns")


def _failed(lane: LaneConfig, failure: ProviderFailure) -> Trial:
    if failure.failure_class is FailureClass.NO_COMPLETION:
        failure = wrong_address(failure)
    answers = failure.failure_class in _ANSWERED
    return Trial(lane=lane.name, answers=answers, said=failure.message)


def _took(completion: Completion, started: float) -> str:
    seconds = f"{time.monotonic() - started:.2g} s"
    usage = completion.usage
    if usage is None:
        return f"{seconds}, no tokens said"
    return f"{seconds}, {usage.input_total} tokens in, {usage.output_total} out"
