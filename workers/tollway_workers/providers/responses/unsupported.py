"""What of a job OpenAI's Responses have no words for. Pure."""

from collections.abc import Iterator

from tollway_schemas.request import ChatRequest, Message, OutputSchema
from tollway_workers.config.shape.fleet import LaneConfig
from tollway_workers.providers.foreign_fields import foreign_fields
from tollway_workers.providers.responses.items import part_of
from tollway_workers.providers.unknown_fields import unknown_fields, unknown_in_part

#: The key of `ChatRequest.extras` that this protocol reads.
PROTOCOL = "responses"


def unsupported(request: ChatRequest, _: OutputSchema | None, __: LaneConfig) -> tuple[str, ...]:
    """What would be lost: a clause each, `<field>: <why>`."""
    return (*_of_fields(request), *_of_messages(request), *foreign_fields(request, PROTOCOL))


def _of_fields(request: ChatRequest) -> Iterator[str]:
    if request.stop:
        yield "request.stop: Responses have no texts at which an answer ends"
    if request.seed is not None:
        yield "request.seed: Responses have none"
    for index, tool in enumerate(request.tools or ()):
        for name in unknown_fields(tool):
            yield f"request.tools.{index}.{name}: Responses have no such field"


def _of_messages(request: ChatRequest) -> Iterator[str]:
    for index, message in enumerate(request.messages):
        at = f"request.messages.{index}"
        if message.role == "tool" and not message.tool_call_id:
            yield f"{at}.tool_call_id: Responses answer a call by its id"
        if message.name is not None and message.role != "tool":
            yield f"{at}.name: Responses have no names for speakers"
        for name in unknown_fields(message):
            yield f"{at}.{name}: Responses have no such field"
        yield from _of_parts(message, at)


def _of_parts(message: Message, at: str) -> Iterator[str]:
    for index, part in enumerate(message.content if isinstance(message.content, tuple) else ()):
        for name in unknown_in_part(part):
            yield f"{at}.content.{index}.{name}: Responses have no such field"
        if part_of(part, message.role) is None:
            yield f"{at}.content.{index}: Responses have no such part in a turn of this role"
