"""What of a job OpenAI's protocol has no words for: what was said in another's own. Pure."""

from collections.abc import Iterator

from tollway_schemas.request import ChatRequest, ContentPart, OutputSchema
from tollway_workers.config.shape.fleet import LaneConfig
from tollway_workers.providers.content import fields_of
from tollway_workers.providers.foreign_fields import foreign_fields
from tollway_workers.providers.openai.request import PROTOCOL

#: Parts of Anthropic's messages, which no server of OpenAI's protocol takes.
_ELSEWHERE = frozenset(
    ("document", "redacted_thinking", "search_result", "server_tool_use", "tool_result", "tool_use")
)


def unsupported(request: ChatRequest, _: OutputSchema | None, lane: LaneConfig) -> tuple[str, ...]:
    """What would be refused or lost: a clause each, `<field>: <why>`."""
    return (*_of_messages(request), *foreign_fields(request, PROTOCOL))


def _of_messages(request: ChatRequest) -> Iterator[str]:
    for index, message in enumerate(request.messages):
        if (message.__pydantic_extra__ or {}).get("is_error"):
            yield f"request.messages.{index}.is_error: OpenAI has no such field"
        for place, part in enumerate(message.content if isinstance(message.content, tuple) else ()):
            if part.type in _ELSEWHERE or _is_signed_thought(part):
                yield (
                    f"request.messages.{index}.content.{place}: is a part of type {part.type!r}, "
                    "which is Anthropic's own"
                )


def _is_signed_thought(part: ContentPart) -> bool:
    """Mistral has parts of this type too, without a signature."""
    return "signature" in fields_of(part, "thinking")
