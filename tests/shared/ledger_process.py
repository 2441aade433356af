"""One process's ledger on a real Kafka, and its calls, without a worker around them."""

import asyncio
from decimal import Decimal

from eventually import eventually
from samples import attempt, job, lane, progress

from tollway_schemas.attempt import Billed
from tollway_schemas.ledger import Pot
from tollway_schemas.usage import Usage
from tollway_workers.budgets.lack import Lack
from tollway_workers.budgets.spending import Money, Spending
from tollway_workers.clock import SystemClock
from tollway_workers.config.shape.budget import BudgetSettings
from tollway_workers.config.shape.price import Price
from tollway_workers.kafka.talk.ledger_log import LedgerLog

PRICE = Price(input=Decimal(1), output=Decimal(1), cache_write_5m=Decimal(1))
LANE = lane(price=PRICE, max_output_tokens=64)
CLAIM = 117 * 10**6
POT = Pot("all", None, "total")


class Process:
    """One process's ledger on Kafka, and its calls."""

    def __init__(self, servers: str, topic: str, calls: int) -> None:
        limit = Decimal(calls * CLAIM) / 10**12
        budgets = {"all": BudgetSettings(usd=limit, per="total")}
        clock = SystemClock()
        self.spending = Spending(budgets, {"main": LANE}, "w", clock)
        self.log = LedgerLog({"bootstrap_servers": servers}, topic, self.spending, clock)

    def claim(self) -> Money | Lack | None:
        return self.spending.claim(progress(job()), "main")

    async def paid(self, cost: int = CLAIM) -> None:
        money = await eventually(lambda: each if isinstance(each := self.claim(), Money) else None)
        assert money is not None
        usage = Usage(input_total=1, output_total=1)
        money.pay(attempt(usage=usage, cost=cost, billed=Billed.YES))

    async def spend_all(self, within: float = 2.0) -> int:
        """Pay until nothing was granted for a while; how many calls that were."""
        calls, last = 0, asyncio.get_running_loop().time()
        while asyncio.get_running_loop().time() - last < within:
            if isinstance(money := self.claim(), Money):
                usage = Usage(input_total=1, output_total=1)
                money.pay(attempt(usage=usage, cost=CLAIM, billed=Billed.YES))
                calls, last = calls + 1, asyncio.get_running_loop().time()
            await asyncio.sleep(0.02)
        return calls
