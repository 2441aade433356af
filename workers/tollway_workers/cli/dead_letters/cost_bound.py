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


def cost_bound(estimate: Mapping[str, RouteEstimate], settings: FleetSettings) -> CostBound:
    """By the dearest prices of each route: any of its lanes may answer."""
    total = 0
    for name, each in estimate.items():
        if each.unlimited:
            return CostBound(None, f"{each.unlimited:,} jobs do not limit their answer")
        route = settings.routes.get(name)
        if route is None:
            return CostBound(None, f"the configuration has no route {name!r}")
        prices = [resolve_lane(lane, settings).price for lane in route.lanes]
        known = [price.pico_per_token for price in prices if price is not None]
        if len(known) < len(prices):
            return CostBound(None, f"a lane of route {name!r} has no price")
        total += each.prompt_tokens * max(per_input for per_input, _, _ in known)
        total += each.answer_tokens * max(per_output for _, _, per_output in known)
    return CostBound(total)
