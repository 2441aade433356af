"""What the journal says that calls cost, against the provider's own bill."""

import json
from decimal import Decimal

import pytest
from live_fleet import OpenFleet, fresh_jobs

from tollway_schemas import ChatRequest, Job
from tollway_schemas.request import Message
from tollway_workers.local.simulator import Fault, FaultKind, ListPrice, Simulator, SimulatorOptions
from tollway_workers.local.simulator.prompt_cache import LEAST_TOKENS

pytestmark = pytest.mark.kafka

_JOBS = 1_000
_TENANTS = 5
#: Each kind has a price that no other has, and none is a round number.
_DOLLARS = {"input": "1.10", "output": "4.40", "reasoning": "5.13", "per_call": "0.000123456789"}
#: Long enough for the provider to cache it, and the same for all.
_RULES = "Answer as the house does, in one short sentence. " * (LEAST_TOKENS // 12 + 12)


def _jobs() -> list[Job]:
    jobs = []
    for number, job in enumerate(fresh_jobs(_JOBS)):
        request = ChatRequest(
            messages=(
                Message(role="system", content=_RULES),
                Message(role="user", content=f"question {number} " * (1 + number % 7)),
            ),
            max_output_tokens=400,
            reasoning_effort="high" if number % 3 == 0 else None,
        )
        tenant = f"tenant-{number % _TENANTS}"
        jobs.append(job.model_copy(update={"request": request, "tenant": tenant}))
    return jobs


async def test_a_thousand_calls_of_every_kind_of_token_cost_what_the_provider_bills(
    live_fleet: OpenFleet,
) -> None:
    """Its own arithmetic, its own price list; to the pico-dollar, and by tenant too."""
    listed = {kind: Decimal(dollars) for kind, dollars in _DOLLARS.items()}
    options = SimulatorOptions(
        prices=(ListPrice(**listed, cached_read=Decimal("0.11")),),
        # Refused calls are on no bill; half of an answer is on it as a whole one.
        faults=(
            Fault(kind=FaultKind.SERVER_ERROR, share=0.05, first_attempts=1),
            Fault(kind=FaultKind.EMPTY, share=0.05, first_attempts=1),
        ),
    )
    async with Simulator(options) as simulator:
        fleet = await live_fleet(
            simulator.base_url,
            lanes={
                "main": {
                    # That of long ago is not that of today.
                    "price": {"input": 9, "output": 9},
                    "prices": [
                        {"valid_from": "2020-01-01", **_numbers(_DOLLARS), "cached_input": 0.11}
                    ],
                }
            },
        )
        jobs = _jobs()
        async with fleet.workers("one"):
            await fleet.publish(*jobs)
            await fleet.until_answered(jobs)
        told = json.loads(await fleet.tollway("cost", "--by", "tenant", "--json"))
        bill = simulator.summary()

    total = told["total"]
    assert bill.billed_calls >= _JOBS < bill.calls
    assert min(bill.cached_tokens, bill.reasoning_tokens, bill.completion_tokens) > 0
    assert total["calls"] == bill.calls
    assert total["calls_of_unknown_cost"] == total["calls_with_estimated_tokens"] == 0
    assert int(total["cost_pico_usd"]) == bill.cost_pico_usd
    assert (
        total["input_tokens"],
        total["input_cached_read_tokens"],
        total["reasoning_tokens"],
    ) == (
        bill.prompt_tokens,
        bill.cached_tokens,
        bill.reasoning_tokens,
    )
    assert len(told["groups"]) == _TENANTS
    assert sum(int(group["cost_pico_usd"]) for group in told["groups"]) == bill.cost_pico_usd


def _numbers(dollars: dict[str, str]) -> dict[str, float]:
    return {kind: float(text) for kind, text in dollars.items()}
