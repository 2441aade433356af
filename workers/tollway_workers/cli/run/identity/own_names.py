"""Settings of a run whose routes and lanes are its own: everything is named after who answers."""

import re
from collections.abc import Callable

from tollway_workers.cli.run.identity.who import Who
from tollway_workers.config.shape.fleet import FleetSettings
from tollway_workers.errors import InputError
from tollway_workers.topics.run_names import run_name

_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")


def own_lane(
    settings: FleetSettings, who: Who, route: str | None
) -> tuple[FleetSettings, dict[str, str]]:
    """The settings with their only route and lane renamed, and the new name by the old one.

    `route`: what `--route` says; runs with another one share nothing. Raises InputError.
    """
    if route is not None and _NAME.fullmatch(route) is None:
        raise InputError(f"--route: {route[:80]!r} is no name: give a-z, 0-9 and -, 63 at most")
    model = "simulated" if who.script is not None else who.models[0].model
    name = run_name((route or "", model), f"{route}|{who.digest_input}")
    return _renamed(settings, lambda _: name)


def own_names(settings: FleetSettings, script: str) -> tuple[FleetSettings, dict[str, str]]:
    """The same for the routes, lanes and limit groups of a configuration under a simulator.

    `script`: what the simulator is told.
    """
    models = "|".join(f"{name}={lane.model}" for name, lane in sorted(settings.lanes.items()))
    return _renamed(
        settings, lambda name: run_name(("simulated", name), f"{name}|{script}|{models}")
    )


def _renamed(
    settings: FleetSettings, new: Callable[[str], str]
) -> tuple[FleetSettings, dict[str, str]]:
    lanes = {
        new(name): lane.model_copy(
            update={"limit_group": None if lane.limit_group is None else new(lane.limit_group)}
        )
        for name, lane in settings.lanes.items()
    }
    routes = {
        new(name): route.model_copy(update={"lanes": tuple(map(new, route.lanes))})
        for name, route in settings.routes.items()
    }
    groups = {new(name): group for name, group in settings.limit_groups.items()}
    changed = {"lanes": lanes, "routes": routes, "limit_groups": groups}
    return settings.model_copy(update=changed), {name: new(name) for name in settings.routes}
