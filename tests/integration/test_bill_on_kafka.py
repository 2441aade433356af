"""What the journal says that calls cost, against the provider's own bill."""

import json
from collections import Counter
from decimal import Decimal
from typing import Any

import pytest
from live_fleet import OpenFleet, fresh_jobs
from size import sized

from tollway_schemas import ChatRequest, Job
from tollway_workers.local.simulator import Fault, FaultKind, ListPrice, Simulator, SimulatorOptions
from tollway_workers.local.simulator.prompt_cache import LEAST_TOKENS

pytestmark = [pytest.mark.kafka, pytest.mark.slow]

_JOBS = sized(250, 1_000)
#: A lane, a route and a model of each; where the simulator speaks it.
_PATHS = {"openai": "/v1", "responses": "/v1", "anthropic": "/v1", "gemini": "/v1beta"}
#: Each kind has a price that no other has, none is a round number, and each model pays otherwise.
_INPUT = {"openai": "1.10", "responses": "1.31", "anthropic": "3.07", "gemini": "0.73"}
#: Long enough for providers to cache it, and the same for all.
_RULES = "Answer as the house does, in one short sentence. " * (LEAST_TOKENS // 12 + 12)


def _dollars(protocol: str) -> dict[str, Decimal]:
    dollar = Decimal(_INPUT[protocol])
    return {
        "input": dollar,
        "output": dollar * 4,
        "reasoning": dollar * 5,
        "cache_write_5m": dollar * Decimal("1.25"),
        "cache_write_1h": dollar * Decimal("2.2"),
        "per_call": Decimal("0.000123456789"),
    }


def _content(text: str, protocol: str, ttl: str) -> Any:
    if protocol != "anthropic":
        return text
    # What is to be cached is marked there, and is not cached else.
    mark = {"type": "ephemeral", "ttl": ttl}
    return [{"type": "text", "text": text, "cache_control": mark}]


def _job(job: Job, number: int, protocol: str) -> Job:
    question = f"question {number} " * (1 + number % 7)
    request = ChatRequest.model_validate(
        {
            "messages": [
                {"role": "system", "content": _content(_RULES, protocol, "1h")},
                {"role": "user", "content": _content(question, protocol, "5m")},
            ],
            "max_output_tokens": 4_000,
            "reasoning_effort": "high" if number % 3 == 0 else None,
        }
    )
    return job.model_copy(update={"request": request, "route": protocol})


def _jobs() -> list[Job]:
    protocols = list(_PATHS)
    return [
        _job(job, number, protocols[number % len(protocols)])
        for number, job in enumerate(fresh_jobs(_JOBS))
    ]


def _tables(simulator: Simulator) -> dict[str, Any]:
    dated = {
        name: {
            "valid_from": "2020-01-01",
            **{kind: float(dollars) for kind, dollars in _dollars(name).items()},
            "cached_input": 0.11,
        }
        for name in _PATHS
    }
    return {
        "providers": {
            name: {"protocol": name, "base_url": f"{simulator.url}{path}"}
            for name, path in _PATHS.items()
        },
        "lanes": {
            name: {
                "provider": name,
                "model": name,
                "concurrency": 8,
                # What held long ago is not what holds today.
                "price": {"input": 9, "output": 9},
                "prices": [dated[name]],
            }
            for name in _PATHS
        },
        "routes": {name: {"lanes": [name]} for name in _PATHS},
    }


async def test_calls_of_every_kind_of_token_cost_what_the_provider_bills(
    live_fleet: OpenFleet,
) -> None:
    """By its own arithmetic, from its own price list; to the pico-dollar, and by lane too."""
    prices = tuple(
        ListPrice(models=(name,), cached_read=Decimal("0.11"), **_dollars(name)) for name in _PATHS
    )
    # Refused calls are on no bill; an answer without a text is on it as any other.
    faults = (
        Fault(kind=FaultKind.SERVER_ERROR, share=0.05, first_attempts=1),
        Fault(kind=FaultKind.EMPTY, share=0.05, first_attempts=1),
    )
    async with Simulator(SimulatorOptions(prices=prices, faults=faults)) as simulator:
        fleet = await live_fleet(simulator.base_url, **_tables(simulator))
        jobs = _jobs()
        async with fleet.workers("one"):
            await fleet.publish(*jobs)
            await fleet.until_answered(jobs)
        told = json.loads(await fleet.tollway("cost", "--by", "lane", "--json"))
        calls, bill = simulator.calls, simulator.summary()

    total = told["total"]
    kinds = (
        bill.prompt_tokens,
        bill.cached_tokens,
        bill.written_5m_tokens + bill.written_1h_tokens,
        bill.completion_tokens,
        bill.reasoning_tokens,
    )
    assert bill.billed_calls >= _JOBS < bill.calls
    assert min(*kinds, bill.written_5m_tokens, bill.written_1h_tokens) > 0
    assert total["calls"] == bill.calls
    assert total["calls_of_unknown_cost"] == total["calls_with_estimated_tokens"] == 0
    assert int(total["cost_pico_usd"]) == bill.cost_pico_usd
    named = ("input", "input_cached_read", "input_cache_write", "output", "reasoning")
    assert tuple(total[f"{name}_tokens"] for name in named) == kinds
    billed: Counter[str] = Counter()
    for call in calls:
        billed[call.model] += call.cost_pico_usd
    assert {each["lane"]: int(each["cost_pico_usd"]) for each in told["groups"]} == billed
