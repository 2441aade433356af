"""Whether the parts of a `[embedders.<name>]` fit together. Pure."""

from collections.abc import Iterator

from tollway_workers.config.shape.embedder import EmbedderSettings
from tollway_workers.config.shape.protocols import EMBEDDINGS
from tollway_workers.config.shape.provider import ProviderSettings
from tollway_workers.errors import ConfigMistake

_OF_FOLDER = ("tokenizer",)
_OF_PROVIDER = (
    "model", "dimensions", "batch", "requests_per_minute", "tokens_per_minute", "price",
)  # fmt: skip
#: Protocols at whose addresses there are embeddings in OpenAI's form too.
_BESIDE = ("openai", "responses", EMBEDDINGS)


def embedder_errors(name: str, embedder: EmbedderSettings) -> Iterator[ConfigMistake]:
    """What keeps an embedder from being used, whatever its provider is."""
    key = f"embedders.{name}"
    if (embedder.folder is None) == (embedder.provider is None):
        both = embedder.folder is not None
        yield ConfigMistake(
            key=key,
            problem="has a folder and a provider" if both else "has neither folder nor provider",
            remedy="give folder (a model on this machine), or provider and model",
        )
        return
    if embedder.provider is not None and embedder.model is None:
        yield ConfigMistake(
            key=f"{key}.model", problem="is missing", remedy="give the provider's word for it"
        )
    for field in _OF_PROVIDER if embedder.folder is not None else _OF_FOLDER:
        # `config show` says every default.
        if getattr(embedder, field) != EmbedderSettings.model_fields[field].default:
            other = "folder" if embedder.folder is not None else "provider"
            yield ConfigMistake(
                key=f"{key}.{field}", problem=f"has no effect beside {other}", remedy="remove it"
            )


def endpoint_errors(
    name: str, embedder: EmbedderSettings, provider: ProviderSettings
) -> Iterator[ConfigMistake]:
    """What keeps an embedder from being asked of its provider."""
    if provider.protocol not in _BESIDE:
        yield ConfigMistake(
            key=f"embedders.{name}.provider",
            problem=f"speaks protocol {provider.protocol}, which has no vectors in OpenAI's form",
            remedy=f'name a provider with protocol = "{EMBEDDINGS}" at the same account',
        )
