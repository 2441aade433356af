"""What a route costs that one budget covers, beside one that none covers.

Money enough, so that no job waits: each call is claimed and settled, and the ledger's records of
it are written and read back.
"""

from decimal import Decimal

from rich.console import Console
from segments import ROUTE
from two_routes import Pair, compare, report

from tollway_workers.config.shape.budget import BudgetSettings
from tollway_workers.config.shape.fleet import FleetSettings

#: Microseconds of a job, at most.
BOUND = 30.0
BUDGETED = "budgeted"


def _settings(plain: FleetSettings) -> FleetSettings:
    """The same route once more, of which a budget pays."""
    (lane,) = plain.lanes.items()
    budget = BudgetSettings(usd=Decimal(1_000_000), per="total", routes=(BUDGETED,))
    return plain.model_copy(
        update={
            "routes": {**plain.routes, BUDGETED: plain.routes[ROUTE]},
            "lanes": {lane[0]: lane[1].model_copy(update={"max_output_tokens": 400})},
            "budgets": {"bench": budget},
        }
    )


async def measure(servers: str, console: Console, *, rounds: int, jobs: int) -> dict[str, float]:
    """Its figures."""
    sides = await compare(servers, Pair(route=BUDGETED, settings=_settings), rounds, jobs)
    return report(console, sides, what="that one budget covers", bound=BOUND)
