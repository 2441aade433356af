"""Budgets in worker processes on a real Kafka: what the simulator bills never passes them."""

import signal
from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any

import pytest
import tomlkit
from eventually import eventually
from live_fleet import LiveFleet, OpenFleet, by_job, fresh_jobs

from tollway_schemas.failure import FailureClass
from tollway_schemas.ledger import Pot
from tollway_schemas.reply import Reply
from tollway_schemas.usage import pico_usd
from tollway_workers.budgets.ledger import Ledger
from tollway_workers.local.simulator import Simulator, SimulatorOptions

pytestmark = pytest.mark.kafka

PRICE = {"input": 0.15, "output": 0.60}
#: Its claims are some 300 tokens of prompt and 64 of answer: 83 micro-dollars.
LANE: dict[str, Any] = {"price": PRICE, "max_output_tokens": 64, "tool_tokens": 100}


@pytest.fixture
async def simulator() -> AsyncIterator[Simulator]:
    async with Simulator(SimulatorOptions()) as simulator:
        yield simulator


def bill(simulator: Simulator, *runs: str) -> int:
    """Pico-USD by the provider's own books."""
    return sum(call.cost_pico_usd for call in simulator.calls if call.billed)


async def ledger_of(fleet: LiveFleet) -> Ledger:
    ledger = Ledger()
    for record in await fleet.records(fleet.names.ledger):
        ledger.apply(record.key, record.value, record.timestamp)
    return ledger


def refused(replies: dict[str, Reply]) -> list[str]:
    """What replies say that failed for a budget."""
    failures = [each.failure for each in replies.values() if each.failure is not None]
    assert {each.failure_class for each in failures} <= {FailureClass.BUDGET_EXCEEDED}
    return [each.message for each in failures]


async def test_two_workers_never_pass_a_budget_and_settle_to_the_bill_when_they_leave(
    live_fleet: OpenFleet, simulator: Simulator
) -> None:
    limit = Decimal("0.002")
    budget = {"usd": float(limit), "per": "total", "on_exceeded": "fail"}
    fleet = await live_fleet(simulator.base_url, lanes={"main": LANE}, budgets={"all": budget})
    jobs = fresh_jobs(500)
    async with fleet.workers("one", "two"):
        await fleet.publish(*jobs)
        replies = by_job(await fleet.until_answered(jobs))
    ledger = await ledger_of(fleet)

    said = refused(replies)
    assert said, "the budget was never spent"
    assert set(said) == {
        "budget all ($0.002000 per total) has not enough left for one more call; it never turns"
    }
    assert 0.9 * pico_usd(limit) <= bill(simulator) <= pico_usd(limit)
    assert not await fleet.records(fleet.names.dead_letters)
    entries = [each.entry for each in ledger.pots[Pot("all", None, "total")].parts.values()]
    assert sum(each.settled for each in entries) == bill(simulator)
    assert all(each.left and each.granted == each.settled for each in entries)


@pytest.mark.slow
@pytest.mark.timeout(240)
async def test_a_killed_worker_s_bill_lies_between_what_it_settled_and_what_it_was_granted(
    live_fleet: OpenFleet, simulator: Simulator
) -> None:
    limit = Decimal("0.002")
    budget = {"usd": float(limit), "per": "total", "on_exceeded": "fail"}
    fleet = await live_fleet(simulator.base_url, lanes={"main": LANE}, budgets={"all": budget})
    jobs = fresh_jobs(120)
    worker = await fleet.worker("one")
    await fleet.publish(*jobs)
    await fleet.until_answered(60)
    worker.kill()
    await worker.wait()
    at_death = await ledger_of(fleet)
    spent = bill(simulator)
    async with fleet.workers("two"):
        await fleet.publish(*fresh_jobs(520, first=120))
        replies = by_job(await fleet.until_answered(520, seconds=150.0))

    (died,) = at_death.pots[Pot("all", None, "total")].parts.values()
    assert died.entry.settled <= spent <= died.entry.counts
    assert refused(replies)
    assert bill(simulator) <= pico_usd(limit)


async def test_a_job_waits_in_no_lane_for_a_window_that_turns_behind_its_deadline(
    live_fleet: OpenFleet, simulator: Simulator
) -> None:
    spent = {"usd": 0.000001, "per": "month", "tenants": ["a"]}
    fleet = await live_fleet(
        simulator.base_url,
        lanes={"main": LANE},
        routes={"extract": {"lanes": ["main"]}, "of-a": {"lanes": ["main"], "tenant": "a"}},
        budgets={"small": spent},
    )
    of_a = fresh_jobs(40, route="of-a")
    others = fresh_jobs(80, first=40)
    async with fleet.workers("one"):
        await fleet.publish(*of_a, *others)
        replies = by_job(await fleet.until_answered(80))

    assert {name for name, reply in replies.items() if reply.failure} == {e.id for e in of_a}
    assert all("budget small ($0.000001 per month)" in said for said in refused(replies))
    assert all("it turns at 20" in said for said in refused(replies))
    assert {call.job_id.partition("/")[0] for call in simulator.calls} == {e.id for e in others}


async def test_a_spent_budget_leads_to_a_cheaper_lane_of_the_route(
    live_fleet: OpenFleet, simulator: Simulator
) -> None:
    dear = {**LANE, "price": {"input": 150, "output": 600}}
    cheap = {"provider": "simulator", "model": "cheap", "concurrency": 8, **LANE}
    fleet = await live_fleet(
        simulator.base_url,
        lanes={"main": dear, "cheap": cheap},
        routes={"extract": {"lanes": ["main", "cheap"]}},
        budgets={"all": {"usd": 0.01, "per": "total", "on_exceeded": "fallback"}},
    )
    jobs = fresh_jobs(20)
    async with fleet.workers("one"):
        await fleet.publish(*jobs)
        replies = by_job(await fleet.until_answered(jobs))

    assert not [reply for reply in replies.values() if reply.failure]
    assert {reply.lane for reply in replies.values()} == {"cheap"}


async def test_a_job_s_own_limit_and_that_of_its_run_end_it(
    live_fleet: OpenFleet, simulator: Simulator
) -> None:
    fleet = await live_fleet(simulator.base_url, lanes={"main": LANE})
    poor = fresh_jobs(5, max_cost_usd=Decimal("0.000001"))
    rich = fresh_jobs(10, first=5, max_cost_usd=1.0)
    first = fresh_jobs(11, first=10, run="loop", run_budget_usd=0.0005)
    loop = fresh_jobs(311, first=11, run="loop")
    async with fleet.workers("one", "two"):
        await fleet.publish(*poor, *rich, *first)
        await fleet.until_answered(11)
        await fleet.publish(*loop)
        replies = by_job(await fleet.until_answered([*poor, *rich, *first, *loop]))

    assert all("max_cost_usd of $0.000001" in said for said in refused(only(replies, poor)))
    assert not refused(only(replies, [*rich, *first]))
    said = refused(only(replies, loop))
    assert 0 < len(said) < 300
    assert "budget of the run ($0.000500, stated by its first job)" in said[0]
    ids = {each.id for each in (*first, *loop)}
    spent = [call for call in simulator.calls if call.job_id.partition("/")[0] in ids]
    assert sum(call.cost_pico_usd for call in spent) <= pico_usd(Decimal("0.0005"))


async def test_a_budget_that_is_raised_by_sighup_lets_the_next_jobs_go(
    live_fleet: OpenFleet, simulator: Simulator
) -> None:
    budget = {"usd": 0.000001, "per": "total", "on_exceeded": "fail"}
    fleet = await live_fleet(simulator.base_url, lanes={"main": LANE}, budgets={"all": budget})
    async with fleet.workers("one") as (worker,):
        await fleet.publish(*fresh_jobs(1))
        before = by_job(await fleet.until_answered(1))
        table: dict[str, Any] = tomlkit.parse(fleet.config.read_text()).unwrap()
        table["budgets"]["all"]["usd"] = 1.0
        fleet.config.write_text(tomlkit.dumps(table))
        worker.send_signal(signal.SIGHUP)
        await until_said(fleet, "configuration")
        jobs = fresh_jobs(6, first=1)
        await fleet.publish(*jobs)
        replies = by_job(await fleet.until_answered(jobs))

    assert len(refused(before)) == 1
    assert not refused(only(replies, jobs))


def only(replies: dict[str, Reply], jobs: list[Any]) -> dict[str, Reply]:
    return {each.id: replies[each.id] for each in jobs}


async def until_said(fleet: LiveFleet, words: str) -> None:
    await eventually(lambda: words in fleet.log().read_text())
