"""Loads the configuration: one TOML file, then the environment, then the command line."""

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_settings import (
    BaseSettings,
    InitSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from tollway_workers.config.check.fleet_fits import errors_in
from tollway_workers.config.load.environment import CONFIG_VARIABLE, VARIABLES, settings_from
from tollway_workers.config.load.toml_file import read_toml
from tollway_workers.config.say.explain import explain
from tollway_workers.config.say.fields import NAMED_TABLES
from tollway_workers.config.shape.fleet import FleetSettings
from tollway_workers.errors import ConfigError, ConfigMistake

DEFAULT_FILE = Path("tollway.toml")


def load_fleet(
    path: Path | None,
    *,
    environ: Mapping[str, str],
    overrides: Mapping[str, object] | None = None,
) -> FleetSettings:
    """The settings of the file at `path`, else of the one that `find_file` finds.

    `overrides` are the command line's, by dotted key (`kafka.prefix`); None leaves a key unset.
    Raises ConfigError with every mistake of file, environment and command line at once.
    """
    file = find_file(path, environ)
    return build_fleet(read_toml(file), source=str(file), environ=environ, overrides=overrides)


def find_file(path: Path | None, environ: Mapping[str, str]) -> Path:
    """`path`, else what TOLLWAY_CONFIG names, else `tollway.toml` here. Raises ConfigError."""
    if path is not None:
        return path
    if environ.get(CONFIG_VARIABLE):
        return Path(environ[CONFIG_VARIABLE])
    if not DEFAULT_FILE.exists():
        problem = f"there is no {DEFAULT_FILE} in this folder"
        remedy = (
            "make one with `tollway config init`, "
            f"or name one with --config or the variable {CONFIG_VARIABLE}"
        )
        raise ConfigError.of(ConfigMistake(problem=problem, remedy=remedy))
    return DEFAULT_FILE


def build_fleet(
    document: Mapping[str, object],
    *,
    source: str,
    environ: Mapping[str, str],
    overrides: Mapping[str, object] | None = None,
) -> FleetSettings:
    """The settings of a parsed file, or of what a command made in place of one.

    `source` names it in messages. Raises ConfigError with every mistake at once.
    """
    from_environment = settings_from(environ)
    from_command = {k: v for k, v in (overrides or {}).items() if v is not None}
    merged = _merged(_nested(from_command), _nested(from_environment), document)
    settings, mistakes, broken = _validated(merged)
    mistakes += errors_in(settings, broken)
    if mistakes:
        names = {v.key: f"environment variable {v.name}" for v in VARIABLES}
        sources = {key: names[key] for key in from_environment}
        sources |= dict.fromkeys(from_command, "command line")
        located = (replace(m, source=sources.get(m.key, source)) for m in mistakes)
        raise ConfigError.of(*located)
    return settings


def _nested(flat: Mapping[str, object]) -> dict[str, Any]:
    document: dict[str, Any] = {}
    for key, value in flat.items():
        *tables, last = key.split(".")
        table = document
        for name in tables:
            table = table.setdefault(name, {})
        table[last] = value
    return document


def _merged(*documents: Mapping[str, object]) -> dict[str, Any]:
    """The documents as one, first come first; what none of them sets stays unset."""

    class Merged(BaseSettings):
        model_config = SettingsConfigDict(extra="allow", case_sensitive=True)

        @classmethod
        def settings_customise_sources(
            cls, settings_cls: type[BaseSettings], *_: Any, **__: Any
        ) -> tuple[PydanticBaseSettingsSource, ...]:
            return tuple(InitSettingsSource(settings_cls, dict(d)) for d in documents)

    return Merged().model_extra or {}


def _validated(
    document: dict[str, Any],
) -> tuple[FleetSettings, tuple[ConfigMistake, ...], frozenset[str]]:
    """The settings without the entries that have mistakes, these, and the entries' names.

    So the cross checks run on what is sound, and one run shows every mistake of a file.
    """
    mistakes: tuple[ConfigMistake, ...] = ()
    broken: frozenset[str] = frozenset()
    sound = deepcopy(document)
    while True:
        try:
            return FleetSettings.model_validate(sound), mistakes, broken
        except ValidationError as error:
            mistakes += explain(error)
            # Each round takes at least one entry away, so this ends.
            for detail in error.errors(include_url=False, include_input=False):
                broken |= {_take_out(sound, detail["loc"])}


def _take_out(document: dict[str, Any], place: tuple[str | int, ...]) -> str:
    """Removes the named entry, else the top-level table, that holds `place`; returns its name."""
    table, name = str(place[0]), str(place[1]) if len(place) > 1 else ""
    if table in NAMED_TABLES and isinstance(document.get(table), dict) and name:
        document[table].pop(name, None)
        return f"{table}.{name}"
    document.pop(table, None)
    return table
