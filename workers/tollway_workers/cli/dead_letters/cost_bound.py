"""What one call for each job may cost at most, by the fleet's prices."""

from collections.abc import Mapping
from dataclasses import dataclass

from tollway.dead_letters.report import RouteEstimate
from tollway_workers.config.shape.fleet import FleetSettings, resolve_lane


@dataclass(frozen=True, slots=True)
class CostBound:
    """An upper bound, or why there is none."""

    #: Pico-USD; None: nobody knows.
    pico: int | None
    why: str = ""


def cost_bound(
    estimate: Mapping[str, RouteEstimate], settings: FleetSettings, *, now: float
) -> CostBound:
    """By the dearest prices of each route from `now` (seconds since 1970) on: any of its lanes may
    answer, and none says when.
    """
    total = 0
    for name, each in estimate.items():
        if each.unlimited:
            return CostBound(None, f"{each.unlimited:,} jobs do not limit their answer")
        route = settings.routes.get(name)
        if route is None:
            return CostBound(None, f"the configuration has no route {name!r}")
        lists = [resolve_lane(lane, settings).prices for lane in route.lanes]
        if any(prices.at(now) is None for prices in lists):
            return CostBound(None, f"a lane of route {name!r} has no price")
        rates = [price.rates for prices in lists for price in prices.from_(now)]
        total += each.prompt_tokens * max(rate.dearest_input for rate in rates)
        total += each.answer_tokens * max(rate.dearest_output for rate in rates)
        total += each.jobs * max(rate.per_call for rate in rates)
    return CostBound(total)
