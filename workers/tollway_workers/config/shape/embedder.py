"""`[embedders.<name>]`: what makes vectors of prompts, so that similar ones are found."""

from typing import Annotated

from pydantic import Field

from tollway_workers.config.shape.model import Section
from tollway_workers.config.shape.price import UsdPerMillion


class EmbedderSettings(Section):
    """Either a model in a `folder` of this machine, or a `model` of a `provider`."""

    folder: Annotated[str, Field(min_length=1)] | None = None
    """Folder of an ONNX model: `model.onnx` (or `onnx/model.onnx`), `tokenizer.json`, and what its
    makers say of its window and pooling. Nothing is downloaded."""
    tokenizer: Annotated[str, Field(min_length=1)] | None = None
    """Path of the model's `tokenizer.json`, where it is not in its folder."""
    provider: str | None = None
    """Name of a `[providers.<name>]` that answers at `/embeddings` as OpenAI does."""
    model: Annotated[str, Field(min_length=1)] | None = None
    """The model in the provider's word."""
    dimensions: Annotated[int, Field(ge=1, le=16_384)] | None = None
    """Numbers of a vector that the provider is asked for (default: as many as the model has)."""
    window: Annotated[int, Field(ge=8, le=1_000_000)] | None = None
    """Tokens of the longest prompt that is looked for (default: the model's own by its folder, 512
    of a provider's, estimated)."""
    timeout: Annotated[float, Field(gt=0, le=30)] = 1.0
    """Seconds for a vector; a prompt that has none by then is called as if none were similar."""
    batch: Annotated[int, Field(ge=1, le=2_048)] = 64
    """Most texts of one call to the provider."""
    requests_per_minute: Annotated[float, Field(gt=0, le=1e9)] | None = None
    """Most calls to the provider a minute, of all workers together."""
    tokens_per_minute: Annotated[float, Field(gt=0, le=1e12)] | None = None
    """Most tokens a minute, of all workers together."""
    price: UsdPerMillion | None = None
    """US dollars per million tokens; absent means that cost is unknown, never zero."""
