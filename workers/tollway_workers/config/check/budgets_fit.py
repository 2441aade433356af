"""Whether a `[budgets.<name>]` can be kept by what it covers. Pure."""

from collections.abc import Collection, Iterator

from tollway_workers.config.say.explain import did_you_mean
from tollway_workers.config.say.fields import shown
from tollway_workers.config.shape.budget import BudgetSettings
from tollway_workers.config.shape.fleet import FleetSettings, resolve_lane
from tollway_workers.config.shape.route import RouteSettings
from tollway_workers.errors import ConfigMistake


def budget_errors(name: str, settings: FleetSettings) -> Iterator[ConfigMistake]:
    """What keeps a budget from being kept. Lanes and routes that do not exist are none of its."""
    budget, key = settings.budgets[name], f"budgets.{name}"
    if (budget.usd is None) == (budget.tokens is None):
        yield ConfigMistake(
            key=key,
            problem="names both usd and tokens" if budget.usd else "names neither usd nor tokens",
            remedy="give one of them: usd = 50, or tokens = 20000000",
        )
        return
    yield from _unknown(key, "routes", budget.routes, settings.routes)
    yield from _unknown(key, "lanes", budget.lanes, settings.lanes)
    covered = covered_lanes(budget, settings)
    if not covered and not _has_unknown(budget, settings):
        yield ConfigMistake(
            key=key,
            problem="covers no call: no route that it is for has a lane that it is for",
            remedy="name other tenants, routes or lanes, or remove it",
        )
    for lane in sorted(covered):
        yield from _lane_errors(name, budget, lane, settings)
    for route in sorted(_routes(budget, settings)):
        if settings.routes[route].journal == "off":
            yield ConfigMistake(
                key=f"routes.{route}.journal",
                problem=f"is off, but budget {name} covers the route: what a worker that died had "
                "spent could not be told",
                remedy='set journal = "metadata" at least',
            )
    bound = [each for each in _routes(budget, settings) if settings.routes[each].tenant]
    if budget.each is not None and not bound:
        yield ConfigMistake(
            key=f"{key}.each",
            problem="has no effect: no route that it is for is bound to a tenant, and what jobs "
            "say of themselves is not believed",
            remedy="bind routes by tenant, or remove it",
        )


def budget_warnings(name: str, settings: FleetSettings) -> Iterator[ConfigMistake]:
    """What is allowed but hardly meant."""
    budget = settings.budgets[name]
    for route in sorted(_routes(budget, settings)):
        if budget.tenants and settings.routes[route].tenant is None:
            yield ConfigMistake(
                key=f"budgets.{name}.tenants",
                problem=f"goes by what jobs of route {shown(route)} say of themselves: a service "
                "can name another tenant",
                remedy="bind the route by tenant",
            )
    if budget.on_exceeded == "wait" and budget.per in ("total", "run"):
        yield ConfigMistake(
            key=f"budgets.{name}.on_exceeded",
            problem=f"nothing to wait for: a budget per {budget.per} never turns, so jobs fail",
            remedy='set on_exceeded = "fail" or "fallback"',
        )


def covered_lanes(budget: BudgetSettings, settings: FleetSettings) -> set[str]:
    """The lanes whose calls may draw from a budget."""
    lanes = {
        lane
        for route in _routes(budget, settings)
        for lane in settings.routes[route].lanes
        if lane in settings.lanes
    }
    return lanes & set(budget.lanes) if budget.lanes else lanes


def _routes(budget: BudgetSettings, settings: FleetSettings) -> set[str]:
    return {name for name, route in settings.routes.items() if _covers(budget, name, route)}


def _covers(budget: BudgetSettings, name: str, route: RouteSettings) -> bool:
    for_route = not budget.routes or name in budget.routes
    for_tenant = not budget.tenants or route.tenant is None or route.tenant in budget.tenants
    for_lane = not budget.lanes or not set(route.lanes).isdisjoint(budget.lanes)
    return for_route and for_tenant and for_lane


def _has_unknown(budget: BudgetSettings, settings: FleetSettings) -> bool:
    return not (
        set(budget.routes) <= settings.routes.keys() and set(budget.lanes) <= settings.lanes.keys()
    )


def _unknown(
    key: str, field: str, names: Collection[str], known: Collection[str]
) -> Iterator[ConfigMistake]:
    for index, name in enumerate(names):
        if name not in known:
            yield ConfigMistake(
                key=f"{key}.{field}[{index}]",
                problem=f"there is no {field.removesuffix('s')} {shown(name)}",
                remedy=did_you_mean(name, known) if known else f"add one as [{field}.NAME]",
            )


def _lane_errors(
    name: str, budget: BudgetSettings, lane: str, settings: FleetSettings
) -> Iterator[ConfigMistake]:
    given = settings.lanes[lane]
    if given.provider not in settings.providers:
        return
    if resolve_lane(lane, settings).max_output_tokens is None:
        yield ConfigMistake(
            key=f"lanes.{lane}.max_output_tokens",
            problem=f"is missing, but budget {name} covers the lane: what a call may cost at most "
            "must be known before it is made",
            remedy="give the most tokens that an answer may have",
        )
    if budget.tokens is None and not resolve_lane(lane, settings).prices.entries:
        yield ConfigMistake(
            key=f"lanes.{lane}.price",
            problem=f"is missing, but budget {name} covers the lane: an unknown cost cannot be "
            "kept within US dollars",
            remedy="give its price, or a budget in tokens",
        )
