"""A provider is swapped by configuration alone, on a real Kafka: the simulator's books judge."""

from collections import Counter
from collections.abc import Iterable
from typing import Any

import orjson
import pytest
from live_fleet import LiveFleet, OpenFleet, by_job, fresh_jobs
from pydantic.types import JsonValue
from size import sized

from tollway_schemas import ChatRequest, Job, OutputSchema, Reply
from tollway_schemas.usage import Usage
from tollway_workers.local.simulator import Fault, FaultKind, ListPrice, Simulator, SimulatorOptions
from tollway_workers.local.simulator.prompt_cache import LEAST_TOKENS

pytestmark = [pytest.mark.kafka, pytest.mark.slow, pytest.mark.timeout(180)]

_JOBS = sized(40, 200)
_PROTOCOLS = ("openai", "responses", "anthropic", "gemini")
_DOLLARS = {
    "input": "1.10",
    "cached_read": "0.11",
    "cache_write_5m": "1.37",
    "cache_write_1h": "2.21",
    "output": "4.40",
    "reasoning": "5.13",
    "per_call": "0.000123456789",
}
_PIXEL = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJg"
    "gg=="
)
#: Long enough for a provider to cache it, and the same for all.
_RULES = "Answer as the house does, in one short sentence. " * (LEAST_TOKENS // 12 + 12)
_SCHEMA: dict[str, JsonValue] = {
    "type": "object",
    "properties": {"number": {"type": "string"}, "total": {"type": "number"}},
    "required": ["number", "total"],
    "additionalProperties": False,
}
_TOOL = {
    "type": "function",
    "function": {
        "name": "find",
        "description": "Find an order.",
        "parameters": {
            "type": "object",
            "properties": {"order": {"type": "string"}},
            "required": ["order"],
            "additionalProperties": False,
        },
    },
}
_CALLED = {
    "role": "assistant",
    "content": None,
    "tool_calls": [
        {"id": "call_1", "type": "function", "function": {"name": "find", "arguments": "{}"}}
    ],
}


def _asked(number: int) -> tuple[dict[str, Any], OutputSchema | None]:
    """Text, a schema, tools and an image by turns; each after a conversation in another one."""
    said = {"role": "user", "content": f"Question {number} about order {number * 17}."}
    ttl = ("", "1h", "5m")[number % 3]
    rules: dict[str, Any] = {"type": "text", "text": f"{_RULES}{ttl}"}
    if ttl:
        # For who has to be asked for that; others keep the beginnings of prompts by themselves.
        rules["cache_control"] = {"type": "ephemeral", "ttl": ttl}
    system = {"role": "system", "content": [rules]}
    match number % 4:
        case 0:
            effort = {"reasoning_effort": "low"} if number % 8 == 0 else {}
            return {"messages": [system, said], **effort}, None
        case 1:
            return {"messages": [system, said]}, OutputSchema(json_schema=_SCHEMA)
        case 2:
            return {"messages": [said], "tools": [_TOOL], "tool_choice": "required"}, None
        case _:
            image = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{_PIXEL}"}}
            seen = {"role": "user", "content": [{"type": "text", "text": "What is it?"}, image]}
            result = {"role": "tool", "tool_call_id": "call_1", "content": "a parcel"}
            return {"messages": [seen, _CALLED, result, said], "tools": [_TOOL]}, None


def _jobs() -> list[Job]:
    jobs = []
    for number, job in enumerate(fresh_jobs(_JOBS)):
        fields, output = _asked(number)
        request = ChatRequest.model_validate_json(
            orjson.dumps({**fields, "max_output_tokens": 600})
        )
        jobs.append(job.model_copy(update={"request": request, "output": output}))
    return jobs


def _shape(reply: Reply) -> tuple[object, ...]:
    """What a service sees of a reply, whoever has answered."""
    answer = reply.answer
    assert answer is not None, reply.failure
    parsed = sorted(answer.parsed) if isinstance(answer.parsed, dict) else None
    called = tuple(call.function.name for call in answer.tool_calls)
    return reply.status, answer.text is not None, parsed, called


#: By what is asked, modulo four.
_WANTED = (
    ("completed", True, None, ()),
    ("completed", True, ["number", "total"], ()),
    ("completed", False, None, ("find",)),
)


def _check_shapes(replies: Iterable[Reply]) -> None:
    for reply in replies:
        kind = int(reply.job_id.removeprefix("job-")) % 4
        if kind < len(_WANTED):
            assert _shape(reply) == _WANTED[kind], reply.job_id
        else:
            # With tools at hand it may call one, or say what it sees.
            assert _shape(reply) in (_WANTED[0], _WANTED[2]), reply.job_id


def _lane(provider: str, model: str = "scripted") -> dict[str, Any]:
    price = {name: float(dollars) for name, dollars in _DOLLARS.items() if name != "cached_read"}
    return {
        "provider": provider,
        "model": model,
        "concurrency": 24,
        "price": {**price, "cached_input": float(_DOLLARS["cached_read"])},
    }


def _options(**fields: Any) -> SimulatorOptions:
    return SimulatorOptions(prices=(ListPrice.model_validate(_DOLLARS),), **fields)


@pytest.mark.parametrize("protocol", _PROTOCOLS)
async def test_the_same_jobs_are_answered_in_the_same_shape_for_what_the_provider_bills(
    live_fleet: OpenFleet, protocol: str
) -> None:
    async with Simulator(_options()) as simulator:
        fleet: LiveFleet = await live_fleet(
            simulator.base_url,
            providers={"swapped": {"base_url": simulator.base_url, "protocol": protocol}},
            lanes={"main": _lane("swapped")},
        )
        jobs = _jobs()
        async with fleet.workers("one"):
            await fleet.publish(*jobs)
            answered = by_job(await fleet.until_answered(jobs))
        calls, bill = simulator.calls, simulator.summary()

    assert {call.protocol for call in calls} == {protocol}
    _check_shapes(answered.values())
    usages = [reply.usage or Usage() for reply in answered.values()]
    assert not any(usage.estimated for usage in usages)
    assert sum(usage.input_total for usage in usages) == bill.prompt_tokens
    assert sum(usage.output_total for usage in usages) == bill.completion_tokens
    assert sum(usage.input_cached_read for usage in usages) == bill.cached_tokens > 0
    for kind in ("5m", "1h"):
        written = sum(getattr(usage, f"input_cache_write_{kind}") for usage in usages)
        assert written == sum(getattr(call, f"written_{kind}_tokens") for call in calls)
        assert written > 0 or protocol != "anthropic"
    assert sum(usage.reasoning for usage in usages) == bill.reasoning_tokens
    costs = {job_id: reply.cost for job_id, reply in answered.items()}
    billed: Counter[str] = Counter()
    for call in calls:
        billed[call.job_id] += call.cost_pico_usd
    assert costs == dict(billed)
    assert sum(billed.values()) == bill.cost_pico_usd > 0


async def test_every_job_is_answered_where_the_lanes_of_its_route_speak_three_protocols(
    live_fleet: OpenFleet,
) -> None:
    """OpenAI is dead, Anthropic fails half of its calls, Gemini answers the rest."""
    faults = (
        Fault(kind=FaultKind.SERVER_ERROR, models=("dead",)),
        Fault(kind=FaultKind.SERVER_ERROR, models=("sick",), share=0.5),
    )
    named = {"openai": "dead", "anthropic": "sick", "gemini": "well"}
    async with Simulator(_options(faults=faults)) as simulator:
        fleet: LiveFleet = await live_fleet(
            simulator.base_url,
            providers={name: {"base_url": simulator.base_url, "protocol": name} for name in named},
            lanes={name: _lane(name, model) for name, model in named.items()},
            routes={"extract": {"lanes": list(named), "fallback": "eager"}},
        )
        jobs = _jobs()
        async with fleet.workers("one"):
            await fleet.publish(*jobs)
            answered = by_job(await fleet.until_answered(jobs, seconds=120))
        letters = await fleet.values(fleet.names.dead_letters)

    assert letters == []
    _check_shapes(answered.values())
    by_lane = Counter(reply.lane for reply in answered.values())
    assert "openai" not in by_lane
    assert set(by_lane) == {"anthropic", "gemini"}, by_lane
    assert sum(by_lane.values()) == _JOBS
