"""Protocols by name: those that come with Tollway, and a third party's by entry point."""

from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any

from tollway_workers.config.shape.protocols import BUILT_IN, GROUP
from tollway_workers.config.shape.provider import ProviderSettings
from tollway_workers.errors import ConfigError, ConfigMistake
from tollway_workers.providers.wire_format import WireFormat

_ROOM = "tollway_workers.providers"


@cache
def wire_format(protocol: str) -> WireFormat:
    """The protocol of this name. Raises ConfigError where there is none that can be used.

    A module is imported when its protocol is first asked for.
    """
    if protocol in BUILT_IN:
        found: Any = import_module(f"{_ROOM}.{protocol}.wire_format").WIRE_FORMAT
    else:
        found = _installed(protocol)
    if not isinstance(found, WireFormat):
        raise _unusable(protocol, "is no WireFormat")
    return found


def check_protocols(providers: Mapping[str, ProviderSettings]) -> None:
    """Raise ConfigError, with every mistake, where a provider's protocol cannot be used."""
    mistakes: list[ConfigMistake] = []
    for name, provider in providers.items():
        try:
            wire_format(provider.protocol)
        except ConfigError as error:
            key = f"providers.{name}.protocol"
            mistakes += (replace(mistake, key=key) for mistake in error.mistakes)
    if mistakes:
        raise ConfigError.of(*mistakes)


def _installed(protocol: str) -> Any:
    named = list(entry_points(group=GROUP, name=protocol))
    if not named:
        raise _unusable(protocol, f"has no entry point in the group {GROUP}")
    try:
        return named[0].load()
    except Exception as error:  # noqa: BLE001 an import runs all that the module holds
        raise _unusable(protocol, f"cannot be imported ({type(error).__name__})") from None


def _unusable(protocol: str, why: str) -> ConfigError:
    return ConfigError.of(
        ConfigMistake(
            problem=f"protocol {protocol!r} {why}",
            remedy="install the package that brings it, or name another protocol",
        )
    )
