"""Bad outputs over the wire: what the simulator says, its books name, and the fleet makes of it."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from tollway_schemas.codec import decode
from tollway_schemas.request import ChatRequest, Message, OutputSchema
from tollway_workers.config.shape.fleet import FleetSettings, resolve_lane
from tollway_workers.errors import InvalidResult, ProviderError
from tollway_workers.local.simulator import Fault, FaultKind, Simulator, SimulatorOptions
from tollway_workers.providers.base import Provider, ProviderCall
from tollway_workers.providers.registry import ProviderRegistry
from tollway_workers.validation.validator import ResultValidator

TRUTH = {"kind": "late", "n": 7, "who": "Ada"}
OUTPUT = OutputSchema(
    json_schema={
        "type": "object",
        "properties": {
            "kind": {"enum": ["late", "early"]},
            "n": {"type": "integer"},
            "who": {"type": "string"},
        },
        "required": ["kind", "n", "who"],
        "additionalProperties": False,
    }
)
REQUEST = decode(ChatRequest, b'{"messages": [{"role": "user", "content": "hi"}]}')


@asynccontextmanager
async def _lane(simulator: Simulator) -> AsyncIterator[Provider]:
    settings = FleetSettings.model_validate(
        {
            "providers": {"sim": {"base_url": simulator.base_url}},
            "lanes": {"main": {"provider": "sim", "model": "m", "concurrency": 1}},
            "routes": {"extract": {"lanes": ["main"]}},
        }
    )
    provider = ProviderRegistry(settings.providers).open(resolve_lane("main", settings))
    try:
        yield provider
    finally:
        await provider.aclose()


async def _answered(simulator: Simulator) -> tuple[object, tuple[str, ...]]:
    """What a lane of this simulator makes of one call, and what was done to the answer."""
    async with _lane(simulator) as provider:
        body = provider.build(REQUEST, OUTPUT)
        said = await provider.complete(ProviderCall(body=body, call_id="job-1/1/1", timeout=10))
        answer = await ResultValidator().validate(OUTPUT, said)
    return answer.parsed, answer.repairs


@pytest.mark.parametrize(
    ("kind", "repairs"),
    [
        (FaultKind.FENCE, ()),
        (FaultKind.PROSE, ()),
        (FaultKind.THINK, ()),
        (FaultKind.TRAILING_COMMA, ("trailing_comma",)),
        (FaultKind.ENUM_CASE, ("enum_case /kind",)),
        (FaultKind.NUMBER_AS_STRING, ("number_from_string /n",)),
    ],
)
async def test_a_bad_output_that_can_be_read_is_the_truth(
    kind: FaultKind, repairs: tuple[str, ...]
) -> None:
    options = SimulatorOptions(answers={"job-1": TRUTH}, faults=(Fault(kind=kind),))

    async with Simulator(options) as simulator:
        assert await _answered(simulator) == (TRUTH, repairs)

        (call,) = simulator.calls
        assert (call.fault, call.ending, call.billed) == (kind.value, kind.value, True)


@pytest.mark.parametrize(
    "kind", [FaultKind.MISSING_FIELD, FaultKind.BROKEN_JSON, FaultKind.TRUNCATED, FaultKind.EMPTY]
)
async def test_a_bad_output_that_cannot_be_read_is_never_an_answer(kind: FaultKind) -> None:
    options = SimulatorOptions(answers={"job-1": TRUTH}, faults=(Fault(kind=kind),))

    async with Simulator(options) as simulator:
        with pytest.raises((InvalidResult, ProviderError)):
            await _answered(simulator)

        assert [call.ending for call in simulator.calls] == [kind.value]


@pytest.mark.parametrize(
    ("answer", "kind", "text"),
    [
        (42, FaultKind.NUMBER_AS_STRING, '"42"'),
        (-1.5, FaultKind.NUMBER_AS_STRING, '"-1.5"'),
        (True, FaultKind.NUMBER_AS_STRING, "true"),
        (None, FaultKind.NUMBER_AS_STRING, "null"),
        ('"x"', FaultKind.NUMBER_AS_STRING, '"x"'),
        (42, FaultKind.MISSING_FIELD, "42"),
        (True, FaultKind.MISSING_FIELD, "true"),
        (None, FaultKind.MISSING_FIELD, "null"),
        ('"x"', FaultKind.MISSING_FIELD, '"x"'),
        ('"late"', FaultKind.ENUM_CASE, '"LATE"'),
        (42, FaultKind.ENUM_CASE, "42"),
    ],
)
async def test_an_answer_that_is_no_object_is_damaged_where_it_can_be_and_is_in_the_books(
    answer: object, kind: FaultKind, text: str
) -> None:
    options = SimulatorOptions(answers={"job-1": answer}, faults=(Fault(kind=kind),))
    output = OutputSchema(json_schema={"enum": ["late", "early", "x", 42, -1.5, True, None]})

    async with Simulator(options) as simulator:
        async with _lane(simulator) as provider:
            body = provider.build(REQUEST, output)
            said = await provider.complete(ProviderCall(body=body, call_id="job-1/1/1", timeout=10))

        assert said.text == text
        (call,) = simulator.calls
        is_as_it_was = json.loads(text) == (
            json.loads(answer) if isinstance(answer, str) else answer
        )
        ending = "ok" if is_as_it_was else kind.value
        assert (call.fault, call.ending, call.billed) == (kind.value, ending, True)


async def test_the_other_token_rule_shows_in_books_and_usage() -> None:
    text = "It is 2026, and nobody counts like that."

    tokens = []
    for rule in ("characters", "pieces"):
        options = SimulatorOptions(token_rule=rule)
        async with Simulator(options) as simulator:
            async with _lane(simulator) as provider:
                request = ChatRequest(messages=(Message(role="user", content=text),))
                call = ProviderCall(body=provider.build(request, None), call_id="j/1/1", timeout=10)
                usage = (await provider.complete(call)).usage
            assert usage is not None
            assert usage.input_total == simulator.calls[0].prompt_tokens
            tokens.append(usage.input_total)

    assert tokens == [14, 18]
