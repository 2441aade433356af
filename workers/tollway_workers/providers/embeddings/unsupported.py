"""What of a job a model of embeddings has no words for. Pure."""

from collections.abc import Iterator

from tollway_schemas.request import ChatRequest, OutputSchema
from tollway_workers.config.shape.fleet import LaneConfig
from tollway_workers.config.shape.protocols import EMBEDDINGS
from tollway_workers.providers.embeddings.request import input_of
from tollway_workers.providers.foreign_fields import foreign_fields

#: What is asked of who answers in words.
_OF_ANSWERS = (
    "temperature", "top_p", "stop", "seed", "tools", "tool_choice", "parallel_tool_calls",
    "reasoning_effort",
)  # fmt: skip


def unsupported(
    request: ChatRequest, output: OutputSchema | None, _: LaneConfig
) -> tuple[str, ...]:
    """What would be refused or lost: a clause each, `<field>: <why>`."""
    if EMBEDDINGS not in request.extras:
        return (
            f"request.extras.{EMBEDDINGS}: is absent, so the job asks for an answer in words and "
            "for no vectors",
        )
    return (*_of_fields(request, output), *foreign_fields(request, EMBEDDINGS))


def _of_fields(request: ChatRequest, output: OutputSchema | None) -> Iterator[str]:
    for index, message in enumerate(request.messages):
        if message.role != "user" or input_of(message) is None:
            yield f"request.messages.{index}: vectors are made of texts that users say, not empty"
    for name in _OF_ANSWERS:
        if getattr(request, name) is not None:
            yield f"request.{name}: a model of embeddings has no such field"
    if output is not None:
        yield "output: vectors are held to no schema"
