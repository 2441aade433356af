"""Whether the keys that a run needs can be had, before anything is started for it."""

import os
from collections.abc import Collection, Mapping

from tollway_workers.cli.run.options import RunOptions
from tollway_workers.cli.run.settings import FleetPlan
from tollway_workers.config.keys import keys_of
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
    settings, known = plan.settings, plan.routes or {}
    names = [known[route].name for route in routes]
    lanes = {lane for name in names for lane in settings.routes[name].lanes}
    called = settings.model_copy(
        update={"lanes": {name: settings.lanes[name] for name in sorted(lanes)}}
    )
    missing = {
        key.provider: key.missing for key in keys_of(called, environ) if key.missing is not None
    }
    mistakes = [_mistake(options, provider, why) for provider, why in missing.items()]
    if mistakes:
        raise ConfigError.of(*mistakes)


def _mistake(options: RunOptions, provider: str, why: str) -> ConfigMistake:
    where = (
        {"source": "--key-env"}
        if options.key_env is not None
        else {"source": str(options.config or ""), "key": f"providers.{provider}.api_key"}
    )
    return ConfigMistake(problem=why, remedy="no call can be made without it", **where)
