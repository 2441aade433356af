"""A fleet with budgets spends on a real Kafka, and a worker dies: what operators see and do."""

import json
from typing import Any

import pytest
from live_fleet import LiveFleet, OpenFleet, fresh_jobs

from tollway_workers.local.simulator import Simulator

pytestmark = pytest.mark.kafka

LANE: dict[str, Any] = {
    "price": {"input": 0.15, "output": 0.60},
    "max_output_tokens": 64,
    "tool_tokens": 100,
}


async def told(fleet: LiveFleet, *arguments: str) -> Any:
    return json.loads(await fleet.tollway(*arguments, "--json"))


async def test_what_budgets_and_cost_say_is_what_the_provider_bills(live_fleet: OpenFleet) -> None:
    async with Simulator() as simulator:
        fleet = await live_fleet(
            simulator.base_url,
            lanes={"main": LANE},
            budgets={
                "all": {"usd": 1, "per": "total", "on_exceeded": "fail"},
                "none": {"usd": 1, "per": "day", "routes": ["extract"], "tenants": ["nobody"]},
            },
        )
        jobs = fresh_jobs(60, tenant="acme")
        async with fleet.workers("one"):
            await fleet.publish(*jobs)
            await fleet.until_answered(jobs)
        bill = simulator.summary().cost_pico_usd
        stands = await told(fleet, "budgets")
        cost = await told(fleet, "cost", "--by", "tenant")
        (part,) = (await told(fleet, "ledger"))["parts"]

    (all_,) = stands["budgets"]
    assert (all_["settled"], all_["granted"], all_["in_doubt"]) == (str(bill), "0", "0")
    assert all_["rate_per_second"] is None or all_["rate_per_second"] > 0
    assert all_["who_spends"] == [{"tenant": "acme", "part": 1.0}]
    assert stands["unused"] == ["none"]
    assert (part["state"], part["settled"]) == ("left", str(bill))
    assert cost["total"]["cost_pico_usd"] == str(bill)
