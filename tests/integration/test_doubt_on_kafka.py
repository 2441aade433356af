"""A worker is killed: its journal says what it had settled, and calls in flight stay in doubt."""

import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import orjson
import pytest
from live_fleet import LiveFleet, OpenFleet, fresh_jobs

from tollway_schemas.codec import encode
from tollway_schemas.ledger import LedgerClosing, Pot, closing_key
from tollway_schemas.usage import pico_usd
from tollway_workers.budgets.standings import GONE_AFTER
from tollway_workers.cli.budgets.closing import BY_JOURNAL, Choice, closings
from tollway_workers.cli.budgets.reading import reading
from tollway_workers.cli.budgets.view import PartLine
from tollway_workers.cli.shared.topic_scan import Place
from tollway_workers.config.shape.kafka import KafkaSettings
from tollway_workers.kafka.talk.command_log import send
from tollway_workers.local.simulator import LatencyProfile, Simulator, SimulatorOptions

pytestmark = [pytest.mark.kafka, pytest.mark.slow]

PRICE = {"input": 0.15, "output": 0.60}
CONCURRENCY = 8
LANE: dict[str, Any] = {
    "price": PRICE,
    "max_output_tokens": 64,
    "tool_tokens": 100,
    "concurrency": CONCURRENCY,
}
POT = Pot("all", None, "total")
LIMIT = Decimal("0.02")
#: Pico-USD that a call claims at most.
CLAIM = 500 * 150_000 + 64 * 600_000


@pytest.fixture
async def simulator() -> AsyncIterator[Simulator]:
    profile = LatencyProfile(ttft_median_seconds=0.4)
    async with Simulator(SimulatorOptions(latency=profile)) as simulator:
        yield simulator


def billed(simulator: Simulator) -> int:
    return sum(call.cost_pico_usd for call in simulator.calls if call.billed)


async def close_by_journal(fleet: LiveFleet) -> tuple[PartLine, LedgerClosing]:
    """As `tollway ledger close --by-journal` does once the process is silent for long enough."""
    kafka = KafkaSettings(bootstrap_servers=fleet.servers, prefix=fleet.names.ledger[:-7])
    async with reading(Place(kafka), spenders=False) as found:
        later = time.time() + GONE_AFTER + 1
        parts = list(found.view.parts(later, turned=False))
        lines = Choice(process=parts[0].process).of(parts)
        journaled = await found.journaled(lines)
    at = datetime.now(UTC)
    (record,) = closings(lines, BY_JOURNAL, journaled, at=at, by="me@here", why="killed")
    written = [(closing_key(record.pot, record.process), encode(record))]
    await send(fleet.client, fleet.names.ledger, written)
    return lines[0], record


@pytest.mark.timeout(240)
async def test_what_a_killed_worker_had_settled_is_closed_by_the_journal_and_calls_in_flight_stay(
    live_fleet: OpenFleet, simulator: Simulator
) -> None:
    budget = {"usd": float(LIMIT), "per": "total", "on_exceeded": "fail"}
    fleet = await live_fleet(simulator.base_url, lanes={"main": LANE}, budgets={"all": budget})
    worker = await fleet.worker("one")
    await fleet.publish(*fresh_jobs(120))
    await fleet.until_answered(60)
    worker.kill()
    await worker.wait()

    line, closing = await close_by_journal(fleet)

    lines = [orjson.loads(each.value or b"") for each in await fleet.records(fleet.names.journal)]
    (draws,) = zip(*(each["draws"] for each in lines), strict=True)
    assert {(each["process"], each["budget"]) for each in draws} == {(line.process, "all")}
    assert [each["amount"] for each in draws] == [each["attempt"]["cost"] for each in lines]
    assert closing.settled >= sum(int(each["amount"]) for each in draws)
    assert closing.settled == max(int(each["settled"]) for each in draws)
    assert closing.settled <= billed(simulator) <= closing.settled + closing.doubt
    assert closing.doubt <= 2 * CONCURRENCY * CLAIM

    async with fleet.workers("two"):
        await fleet.publish(*fresh_jobs(140, first=120))
        await fleet.until_answered(140, seconds=150.0)
    assert billed(simulator) <= pico_usd(LIMIT)
