"""From configuration to embedders. Nothing here imports the libraries of the `[semantic]` extra
before it is known that they are there.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from importlib.util import find_spec
from random import Random
from typing import TYPE_CHECKING, NamedTuple

import structlog

from tollway_workers.clock import Clock
from tollway_workers.config.shape.breaker import BreakerSettings
from tollway_workers.config.shape.embedder import EmbedderSettings
from tollway_workers.config.shape.fleet import (
    DEFAULT_CONNECT_TIMEOUT,
    FleetSettings,
    LaneConfig,
)
from tollway_workers.config.shape.profiles import profile_of
from tollway_workers.config.shape.protocols import EMBEDDINGS
from tollway_workers.config.shape.provider import LimitSettings, ProviderSettings
from tollway_workers.errors import ConfigError, ConfigMistake
from tollway_workers.job.ports import Embedder
from tollway_workers.lanes.breaker import Breaker
from tollway_workers.providers.registry import OpenTransport, ProviderRegistry, open_transport
from tollway_workers.telemetry.embedder_events import EmbedderEvents, Unheard

if TYPE_CHECKING:
    from tollway_workers.embedding.onnx_model import OnnxModel

log = structlog.get_logger(__name__)

#: What vectors need, and what a model on this machine needs besides.
_VECTORS = ("numpy",)
_MODEL = ("numpy", "onnxruntime", "tokenizers")
_EXTRA = "pip install 'tollway[semantic]'"
_OTHER_FOLDER = "give the folder of an ONNX model on this machine: nothing is downloaded"


class _Unusable(NamedTuple):
    """Why an embedder cannot be used: the setting, what is wrong with it, and what to do."""

    setting: str
    problem: str
    remedy: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What embedders are opened into."""

    clock: Clock
    #: How many workers share an endpoint's limits; 0 while that is not known.
    workers: Callable[[], int]
    events: EmbedderEvents = field(default_factory=Unheard)
    open_transport: OpenTransport = open_transport
    rng: Random


def open_embedders(
    settings: FleetSettings, names: Iterable[str], surroundings: Surroundings
) -> dict[str, Embedder]:
    """The embedders of these names. One that cannot be used is left out, and said in the log: no
    job fails for want of a similar one.

    Reads the models and the keys, which takes up to some seconds.
    """
    opened: dict[str, Embedder] = {}
    for name in dict.fromkeys(names):
        found = _opened(name, settings, surroundings)
        if isinstance(found, _Unusable):
            log.warning(
                "an embedder cannot be used: its routes find no similar prompts",
                embedder=name,
                why=str(_mistake(name, found)),
            )
        else:
            opened[name] = found
    return opened


def check_embedders(settings: FleetSettings) -> None:
    """Raise ConfigError, with every mistake, where an embedder could not be opened. Calls nobody
    and reads no key.
    """
    tried = {
        name: _missing_library(embedder)
        or (None if embedder.folder is None else _model_or_why(embedder))
        for name, embedder in settings.embedders.items()
    }
    mistakes = [_mistake(name, why) for name, why in tried.items() if isinstance(why, _Unusable)]
    if mistakes:
        raise ConfigError.of(*mistakes)


def _mistake(name: str, why: _Unusable) -> ConfigMistake:
    key = f"embedders.{name}.{why.setting}"
    return ConfigMistake(key=key, problem=why.problem, remedy=why.remedy)


def _opened(name: str, settings: FleetSettings, into: Surroundings) -> Embedder | _Unusable:
    embedder = settings.embedders[name]
    if missing := _missing_library(embedder):
        return missing
    if embedder.folder is None:
        return _endpoint(name, embedder, settings.providers, into)
    found = _model_or_why(embedder)
    if isinstance(found, _Unusable):
        return found
    from tollway_workers.embedding.onnx_embedder import OnnxEmbedder

    return OnnxEmbedder(found, timeout=embedder.timeout, name=name, events=into.events)


def _missing_library(settings: EmbedderSettings) -> _Unusable | None:
    setting, libraries = ("folder", _MODEL) if settings.folder else ("model", _VECTORS)
    missing = [library for library in libraries if find_spec(library) is None]
    if missing:
        problem = f"needs what is not installed ({', '.join(missing)})"
        return _Unusable(setting, problem, f"{_EXTRA}, or remove the embedder")
    broken = [said for library in libraries if (said := _why_not_loaded(library))]
    if broken:
        problem = f"needs what is installed and cannot be loaded ({', '.join(broken)})"
        return _Unusable(setting, problem, "install it anew, or remove the embedder")
    return None


def _why_not_loaded(library: str) -> str:
    """Empty where it can be loaded: what a library loads itself may be missing, or another's."""
    try:
        import_module(library)
    except Exception as error:  # noqa: BLE001 a library may raise anything while it is loaded
        return f"{library}: {type(error).__name__}"
    return ""


def _model_or_why(settings: EmbedderSettings) -> "OnnxModel | _Unusable":
    """The model in the folder, or why there is none."""
    from tollway_workers.embedding.model_folder import UnusableModel, read_folder
    from tollway_workers.embedding.onnx_model import OnnxModel

    try:
        return OnnxModel(read_folder(settings))
    except UnusableModel as error:
        return _Unusable("folder", str(error), _OTHER_FOLDER)


def _endpoint(
    name: str,
    settings: EmbedderSettings,
    providers: Mapping[str, ProviderSettings],
    into: Surroundings,
) -> Embedder | _Unusable:
    from tollway_workers.embedding.endpoint import Endpoint, EndpointEmbedder
    from tollway_workers.embedding.rate_share import RateShare

    provider = providers[settings.provider or ""].model_copy(update={"protocol": EMBEDDINGS})
    registry = ProviderRegistry({settings.provider or "": provider}, into.open_transport)
    try:
        opened = registry.open(_lane(name, settings, provider))
    except ConfigError as error:
        return _Unusable("provider", str(error), "see its api_key")
    return EndpointEmbedder(
        Endpoint(
            name=name,
            settings=settings,
            base_url=provider.base_url,
            provider=opened,
            breaker=Breaker(BreakerSettings(), into.rng),
            share=RateShare(settings.requests_per_minute, settings.tokens_per_minute, into.workers),
            clock=into.clock,
            events=into.events,
        )
    )


def _lane(name: str, settings: EmbedderSettings, provider: ProviderSettings) -> LaneConfig:
    """How calls are made: an endpoint is asked as a lane is, and has no topic, limits or budget."""
    return LaneConfig(
        name=f"embedder-{name}",
        provider_name=settings.provider or "",
        model=settings.model or "",
        limits=LimitSettings(),
        token_rule="input",  # noqa: S106 these tokens are no passwords
        call_timeout=settings.timeout,
        connect_timeout=min(settings.timeout, provider.connect_timeout or DEFAULT_CONNECT_TIMEOUT),
        max_tokens_field=None,
        structured_output="none",
        stream="never",
        first_token_timeout=settings.timeout,
        idle_timeout=settings.timeout,
        slow_after=settings.timeout,
        protocol=EMBEDDINGS,
        headers=tuple(provider.headers.items()),
        profile=profile_of(provider.profile, provider.base_url, EMBEDDINGS),
    )
