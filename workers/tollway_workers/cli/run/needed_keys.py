"""Whether the keys that a run, or a fleet, needs can be had, before anything is started for it."""

import os
from collections.abc import Collection, Mapping

from tollway_workers.cli.run.options import RunOptions
from tollway_workers.cli.run.settings import FleetPlan
from tollway_workers.config.load.keys import keys_of
from tollway_workers.config.shape.fleet import FleetSettings
from tollway_workers.errors import ConfigError, ConfigMistake


def require_keys(
    options: RunOptions,
    plan: FleetPlan,
    routes: Collection[str],
    environ: Mapping[str, str] = os.environ,
) -> None:
    """Raise ConfigError for each key that workers of this run would miss on these routes.

    Runs the commands that references name. Where the run brings no workers, or a simulator, no
    key is needed.
    """
    if not plan.workers or plan.simulated:
        return
    known = plan.routes or {}
    names = [known[route].name for route in routes]
    given_by_option = options.key_env is not None
    source = "--key-env" if given_by_option else str(options.config or "")
    require_keys_of(plan.settings, names, environ, source=source, of_a_setting=not given_by_option)


def require_keys_of(
    settings: FleetSettings,
    routes: Collection[str],
    environ: Mapping[str, str],
    *,
    source: str,
    of_a_setting: bool = True,
) -> None:
    """Raise ConfigError for each key that cannot be had of a lane in these routes.

    `source`: where the settings come from; `of_a_setting`: it is a file with a setting for each.
    """
    lanes = {lane for name in routes for lane in settings.routes[name].lanes}
    called = settings.model_copy(
        update={"lanes": {name: settings.lanes[name] for name in sorted(lanes)}}
    )
    missing = {
        key.provider: key.missing for key in keys_of(called, environ) if key.missing is not None
    }
    mistakes = [
        ConfigMistake(
            source=source,
            key=f"providers.{provider}.api_key" if of_a_setting else "",
            problem=why,
            remedy="no call can be made without it",
        )
        for provider, why in missing.items()
    ]
    if mistakes:
        raise ConfigError.of(*mistakes)
