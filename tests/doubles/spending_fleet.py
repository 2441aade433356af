"""Processes that share a ledger in memory, and jobs whose calls draw from its budgets."""

from decimal import Decimal
from random import Random
from typing import Any

from manual_clock import ManualClock
from memory_ledger import MemoryLedger
from samples import attempt, job, lane, progress

from tollway_schemas.attempt import Billed
from tollway_schemas.usage import Usage
from tollway_workers.budgets.lack import Lack, Short
from tollway_workers.budgets.spending import Money, Spending
from tollway_workers.config.shape.budget import BudgetSettings
from tollway_workers.config.shape.price import Price
from tollway_workers.config.shape.route import RouteSettings
from tollway_workers.job.progress import JobProgress

#: Whatever becomes of a token, it costs the same: a claim of money is one of tokens.
PRICE = Price(input=Decimal(1), output=Decimal(1), cache_write_5m=Decimal(1))
#: Of the request "hello": 53 tokens of prompt and 64 of answer.
CLAIM = 117 * 10**6
LANES = {name: lane(name, price=PRICE, max_output_tokens=64) for name in ("main", "other")}


class Fleet:
    """Processes that share a ledger in memory."""

    def __init__(self, **budgets: dict[str, Any]) -> None:
        self.clock = ManualClock()
        self.ledger = MemoryLedger(self.clock)
        self.budgets = {name: BudgetSettings(**each) for name, each in budgets.items()}
        self.started = 0

    def process(self) -> Spending:
        self.started += 1
        rng = Random(self.started)
        spending = Spending(self.budgets, LANES, f"w{self.started}", self.clock, rng)
        self.ledger.join(spending)
        return spending

    def claim(self, spending: Spending, job: JobProgress) -> Money | Lack | None:
        """What comes of a claim once the ledger has come to rest."""
        found: Money | Lack | None = None
        for _ in range(20):
            found = spending.claim(job, job.lane)
            if not isinstance(found, Lack) or found.short is not Short.PENDING:
                return found
            self.ledger.settle_down()
            self.clock._elapsed += 0.6
        return found

    def paid(self, spending: Spending, job: JobProgress, cost: int = 10) -> Money:
        money = self.claim(spending, job)
        assert isinstance(money, Money)
        money.pay(answered(cost))
        return money


def answered(cost: int, tokens: int = 3) -> Any:
    usage = Usage(input_total=tokens - 1, output_total=1)
    return attempt(usage=usage, cost=cost, billed=Billed.YES)


def of(bound: str | None = None, /, **fields: Any) -> JobProgress:
    """A job; of a route that is bound to a tenant where one is given."""
    return progress(job(**fields), route=RouteSettings(lanes=("main", "other"), tenant=bound))


def usd(pico: int) -> Decimal:
    return Decimal(pico) / 10**12
