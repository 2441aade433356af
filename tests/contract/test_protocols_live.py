"""What befalls calls of each protocol at the simulator: the same classes whoever is asked."""

from itertools import product
from typing import Any, Literal

import pytest
from samples import lane
from size import thinned

from tollway_schemas.failure import FailureClass
from tollway_schemas.request import ChatRequest, Message, OutputSchema
from tollway_workers.config.shape.provider import ProviderSettings
from tollway_workers.errors import InvalidResult, ProviderError
from tollway_workers.local.simulator import Fault, FaultKind, Simulator, SimulatorOptions
from tollway_workers.providers.base import ProviderCall
from tollway_workers.providers.registry import ProviderRegistry
from tollway_workers.validation.validator import ResultValidator

REQUEST = ChatRequest(messages=(Message(role="user", content="hi"),), max_output_tokens=100)
Stream = Literal["always", "never"]
_PROTOCOLS = ("openai", "responses", "anthropic", "gemini")
_STREAMS: tuple[Stream, ...] = ("always", "never")
_EACH = pytest.mark.parametrize("protocol", _PROTOCOLS)

_SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"a": {"type": "integer"}},
    "required": ["a"],
    "additionalProperties": False,
}


async def _live(protocol: str, stream: Stream, output: OutputSchema | None, **options: Any) -> Any:
    """What is validated of the simulator's answer, or the class of its failure; and its books."""
    validator = ResultValidator()
    async with Simulator(SimulatorOptions(**options)) as simulator:
        settings = ProviderSettings(base_url=simulator.base_url, protocol=protocol)
        config = lane(provider_name="p", model="m", stream=stream, protocol=protocol)
        provider = ProviderRegistry({"p": settings}).open(config)
        call = ProviderCall(
            body=provider.build(REQUEST, output),
            call_id="job/1/1",
            timeout=10.0,
            stream=provider.streams(REQUEST),
        )
        try:
            completion = await provider.complete(call)
            said: Any = await validator.validate(output, completion)
            booked = simulator.calls[0]
            usage = completion.usage
            assert usage is not None
            assert booked.stream == (stream == "always")
            counted = (booked.prompt_tokens, booked.completion_tokens)
            assert (usage.input_total, usage.output_total) == counted
        except ProviderError as error:
            said = error.failure.failure_class
        except InvalidResult:
            said = FailureClass.BAD_OUTPUT
        finally:
            await provider.aclose()
    return said


@_EACH
@pytest.mark.parametrize("stream", ["always", "never"])
async def test_an_answer_of_the_simulator_is_whole_and_counted(
    protocol: str, stream: Stream
) -> None:
    answer = await _live(protocol, stream, None, answers={"job": "Hello \u2028 wörld"})
    held = await _live(protocol, stream, OutputSchema(json_schema=_SCHEMA))

    assert answer.text == "Hello \u2028 wörld"
    assert isinstance(held.parsed["a"], int)


_CLASSES = (
    (FaultKind.REFUSAL, FailureClass.CONTENT_POLICY),
    (FaultKind.CONTENT_FILTER, FailureClass.CONTENT_POLICY),
    (FaultKind.TRUNCATED, FailureClass.TRUNCATED),
    (FaultKind.EMPTY, FailureClass.TRANSIENT),
    (FaultKind.BROKEN_JSON, FailureClass.BAD_OUTPUT),
    (FaultKind.CUT, FailureClass.TRANSIENT),
    (FaultKind.RESET, FailureClass.TRANSIENT),
    (FaultKind.RATE_LIMIT, FailureClass.RATE_LIMIT),
    (FaultKind.INSUFFICIENT_QUOTA, FailureClass.QUOTA_EXHAUSTED),
    (FaultKind.UNAUTHORIZED, FailureClass.AUTH),
    (FaultKind.MODEL_NOT_FOUND, FailureClass.MODEL_NOT_FOUND),
    (FaultKind.CONTEXT_LENGTH, FailureClass.CONTEXT_LENGTH),
    (FaultKind.SERVER_ERROR, FailureClass.TRANSIENT),
    (FaultKind.HTML_ERROR, FailureClass.TRANSIENT),
    (FaultKind.UNAVAILABLE, FailureClass.OVERLOADED),
    (FaultKind.OVERLOADED, FailureClass.OVERLOADED),
)


# A third of all has each fault, and each protocol with each way to answer.
@pytest.mark.parametrize(
    ("fault", "stream", "protocol"), thinned([*product(_CLASSES, _STREAMS, _PROTOCOLS)], every=3)
)
async def test_a_failure_of_the_simulator_has_its_class(
    fault: tuple[FaultKind, FailureClass], stream: Stream, protocol: str
) -> None:
    kind, failure_class = fault
    faults = (Fault(kind=kind),)

    met = await _live(protocol, stream, OutputSchema(json_schema=_SCHEMA), faults=faults)

    assert met is failure_class


@_EACH
@pytest.mark.parametrize("stream", ["always", "never"])
async def test_an_error_in_mid_stream_is_the_provider_s(protocol: str, stream: Stream) -> None:
    met = await _live(protocol, stream, None, faults=(Fault(kind=FaultKind.STREAM_ERROR),))

    # A response that fails has no word for too much work.
    failed = protocol == "responses" and stream == "always"
    assert met is (FailureClass.TRANSIENT if failed else FailureClass.OVERLOADED)
