"""Whether the lanes' keys can be found, without calling anyone and without showing them."""

from collections.abc import Mapping
from dataclasses import dataclass

from tollway_workers.config.load.secrets import resolve
from tollway_workers.config.shape.fleet import FleetSettings
from tollway_workers.config.shape.secret import SecretReference
from tollway_workers.errors import ConfigError


@dataclass(frozen=True, slots=True, kw_only=True)
class LaneKey:
    """One lane and where its key is."""

    lane: str
    provider: str
    model: str
    #: Where the key is, in words; None: the provider has none.
    reference: str | None
    #: Why it cannot be had; None: it can, or none is asked for.
    missing: str | None


def keys_of(settings: FleetSettings, environ: Mapping[str, str]) -> tuple[LaneKey, ...]:
    """Every lane with the state of its key. Runs the commands that references name, once each."""
    states = {
        name: _missing(provider.api_key, environ) for name, provider in settings.providers.items()
    }
    return tuple(
        LaneKey(
            lane=name,
            provider=lane.provider,
            model=lane.model,
            reference=_words(settings.providers[lane.provider].api_key),
            missing=states[lane.provider],
        )
        for name, lane in settings.lanes.items()
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbedderKey:
    """An embedder that is a provider's, and where its key is; the rest as of a lane."""

    embedder: str
    provider: str
    model: str
    reference: str | None
    missing: str | None


def embedder_keys_of(
    settings: FleetSettings, environ: Mapping[str, str]
) -> tuple[EmbedderKey, ...]:
    """Every embedder that is a provider's, with the state of its key."""
    return tuple(
        EmbedderKey(
            embedder=name,
            provider=provider,
            model=embedder.model or "",
            reference=_words(settings.providers[provider].api_key),
            missing=_missing(settings.providers[provider].api_key, environ),
        )
        for name, embedder in settings.embedders.items()
        if (provider := embedder.provider) is not None
    )


def _words(reference: SecretReference | None) -> str | None:
    return None if reference is None else str(reference)


def _missing(reference: SecretReference | None, environ: Mapping[str, str]) -> str | None:
    if reference is None:
        return None
    try:
        resolve(reference, environ=environ)
    except ConfigError as error:
        return str(error)
    return None
