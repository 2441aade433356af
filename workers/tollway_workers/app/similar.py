"""What a worker finds similar prompts with, where a route of it looks for them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from tollway_schemas.semantic import Observations
from tollway_workers.cache.key import lane_identity
from tollway_workers.cache.semantic.experience import Experience
from tollway_workers.cache.semantic.similar import SimilarPrompts
from tollway_workers.config.shape.fleet import FleetSettings
from tollway_workers.embedding.opening import Surroundings, open_embedders
from tollway_workers.pipeline.agreements import Agreements
from tollway_workers.pipeline.semantic_cache import (
    AllObservations,
    SemanticEvents,
    SemanticParts,
)
from tollway_workers.pipeline.text_vectors import NamedEmbedder, Pack


@dataclass(frozen=True, slots=True)
class OpenSimilar:
    """Embedders that are open, and the prompts whose vectors are theirs."""

    embedders: Mapping[str, NamedEmbedder]
    prompts: SimilarPrompts
    pack: Pack

    def parts(
        self,
        settings: FleetSettings,
        observations: AllObservations,
        events: SemanticEvents,
        agreements: Agreements,
    ) -> SemanticParts:
        """What the semantic cache is put together from."""
        firsts = {route.lanes[0] for route in settings.routes.values()}
        return SemanticParts(
            prompts=self.prompts,
            observations=observations,
            embedders=self.embedders,
            pack=self.pack,
            lanes={lane: lane_identity(lane, settings) for lane in firsts},
            events=events,
            agreements=agreements,
        )

    async def aclose(self) -> None:
        """Close the embedders; idempotent."""
        for each in self.embedders.values():
            await each.embedder.aclose()


def used_embedders(settings: FleetSettings) -> list[str]:
    """The names of those that routes look for similar prompts with."""
    caches = (route.cache for route in settings.routes.values())
    return sorted({cache.embedder for cache in caches if cache.is_semantic and cache.embedder})


def open_similar(
    settings: FleetSettings,
    worker: str,
    surroundings: Surroundings,
    read: Callable[[bytes], Sequence[Observations]],
) -> OpenSimilar | None:
    """None where no route looks for similar prompts, or no embedder of theirs can be used.

    `read`: what workers observed of the answer of a key, as far as it is known here.
    """
    names = used_embedders(settings)
    opened = open_embedders(settings, names, surroundings) if names else {}
    if not opened:
        return None
    # Here: who looks for nothing similar needs no numpy.
    from tollway_workers.cache.semantic.index import PromptIndex, packed

    named = {
        name: NamedEmbedder(name=name, embedder=embedder, timeout=settings.embedders[name].timeout)
        for name, embedder in opened.items()
    }
    index = PromptIndex(each.id for each in opened.values())
    return OpenSimilar(named, SimilarPrompts(index, Experience(worker, read)), packed)
