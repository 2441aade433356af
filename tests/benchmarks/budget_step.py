"""A call's way through three budgets, alone: found, claimed, taken, settled."""

from collections.abc import Callable
from decimal import Decimal

from tollway_schemas.attempt import Attempt
from tollway_workers.budgets.spending import Money, Spending
from tollway_workers.clock import SystemClock
from tollway_workers.config.shape.budget import BudgetSettings
from tollway_workers.config.shape.fleet import LaneConfig
from tollway_workers.job.progress import JobProgress

#: More than the benchmark ever claims, so that nothing is ever fetched.
_PLENTY = 10**30
_BUDGETS = {
    "day": BudgetSettings(usd=Decimal(10**9), per="day"),
    "tenant": BudgetSettings(usd=Decimal(10**9), per="month", each="tenant"),
    "tokens": BudgetSettings(tokens=10**12, per="hour", routes=("bench",)),
}


def budget_step(progress: JobProgress, lane: LaneConfig, attempt: Attempt) -> Callable[[], None]:
    """The step: what three budgets cost each job, its claim included."""
    clock = SystemClock()
    spending = Spending(_BUDGETS, {lane.name: lane}, "bench", clock)

    def hear() -> None:
        now = clock.boottime()
        spending.time.observe(now, clock.now(), now)

    hear()
    spending.ready = True
    spending.claim(progress, lane.name)
    for purse in spending._purses.values():
        purse.granted = purse.reach = purse._told = _PLENTY

    def step() -> None:
        progress.claim = None
        # Other steps take longer than calls may go on without a word of Kafka's clock.
        hear()
        money = spending.claim(progress, lane.name)
        assert isinstance(money, Money)
        money.pay(attempt)

    return step
