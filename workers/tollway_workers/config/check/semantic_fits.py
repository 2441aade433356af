"""Whether what `[routes.<name>.cache]` says of similar prompts fits together. Pure."""

from collections.abc import Iterator

from tollway_workers.config.shape.fleet import FleetSettings
from tollway_workers.config.shape.protocols import EMBEDDINGS
from tollway_workers.errors import ConfigMistake

#: What has an effect with `semantic` only.
_OWN = ("agree", "agree_timeout", "embedder", "error_bound", "recheck")


def semantic_errors(name: str, settings: FleetSettings) -> Iterator[ConfigMistake]:
    """What is missing, or said to no effect."""
    cache = settings.routes[name].cache
    said = sorted(cache.model_fields_set.intersection(_OWN))
    if said and "semantic" not in cache.model_fields_set:
        yield ConfigMistake(
            key=f"routes.{name}.cache.{said[0]}",
            problem="has no effect without semantic: similar prompts are not looked for",
            remedy='add semantic = "shadow" (or semantic = "off", to keep it for later)',
        )
    if not cache.is_semantic:
        return
    if cache.embedder is None:
        yield ConfigMistake(
            key=f"routes.{name}.cache.semantic",
            problem="no embedder says how similar two prompts are",
            remedy="add [embedders.NAME] and embedder = NAME here",
        )
    lane = settings.lanes.get(settings.routes[name].lanes[0])
    provider = None if lane is None else settings.providers.get(lane.provider)
    if provider is not None and provider.protocol == EMBEDDINGS:
        yield ConfigMistake(
            key=f"routes.{name}.cache.semantic",
            problem="the route makes vectors: those of a similar text are of no use",
            remedy="remove it; exact = true gives the vectors of equal texts again",
        )
