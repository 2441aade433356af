"""What of a job Gemini's protocol has no words for. Pure."""

from collections.abc import Iterator

from tollway_schemas.request import (
    ChatRequest,
    ContentPart,
    ImagePart,
    Message,
    OutputSchema,
)
from tollway_workers.config.shape.fleet import LaneConfig
from tollway_workers.providers.foreign_fields import foreign_fields
from tollway_workers.providers.gemini.contents import args_of
from tollway_workers.providers.gemini.model import is_before_3, thinking
from tollway_workers.providers.gemini.parts import part_of
from tollway_workers.providers.unknown_fields import unknown_fields, unknown_in_part

#: The key of `ChatRequest.extras` that this protocol reads.
PROTOCOL = "gemini"

#: A seed has 32 bits.
_LEAST_SEED, _MOST_SEED = -(2**31), 2**31 - 1
_MOST_STOPS = 5
_SYSTEM = ("system", "developer")


def unsupported(request: ChatRequest, _: OutputSchema | None, lane: LaneConfig) -> tuple[str, ...]:
    """What would be lost: a clause each, `<field>: <why>`."""
    return (
        *_of_fields(request, lane),
        *_of_messages(request, lane),
        *foreign_fields(request, PROTOCOL),
    )


def _of_fields(request: ChatRequest, lane: LaneConfig) -> Iterator[str]:
    if request.parallel_tool_calls is False and request.tools:
        yield "request.parallel_tool_calls: Gemini cannot be kept from several calls at once"
    if request.seed is not None and not _LEAST_SEED <= request.seed <= _MOST_SEED:
        yield "request.seed: Gemini's has 32 bits"
    if len(request.stop or ()) > _MOST_STOPS:
        yield f"request.stop: Gemini takes {_MOST_STOPS} at most"
    effort = request.reasoning_effort
    if effort is not None and thinking(effort, lane.model) is None:
        yield f"request.reasoning_effort: {lane.model} has no such level"
    if len(_details(request)) > 1:
        yield "request.messages: Gemini looks at all images with one detail"
    for index, tool in enumerate(request.tools or ()):
        for name in (*unknown_fields(tool), *unknown_fields(tool.function)):
            yield f"request.tools.{index}.{name}: Gemini has no such field"


def _of_messages(request: ChatRequest, lane: LaneConfig) -> Iterator[str]:
    called: set[str] = set()
    for index, message in enumerate(request.messages):
        at = f"request.messages.{index}"
        called.update(call.id for call in message.tool_calls or ())
        if message.role == "tool" and message.name is None and message.tool_call_id not in called:
            yield f"{at}.tool_call_id: Gemini answers functions by name, and none was called so"
        if message.name is not None and message.role != "tool":
            yield f"{at}.name: Gemini has no names for speakers"
        for name in unknown_fields(message):
            yield f"{at}.{name}: Gemini has no such field"
        for place, call in enumerate(message.tool_calls or ()):
            if args_of(call) is None:
                yield (
                    f"{at}.tool_calls.{place}.function.arguments: is no JSON object with numbers "
                    "of 64 bits, which Gemini asks for"
                )
        yield from _of_parts(message, at, lane)


def _of_parts(message: Message, at: str, lane: LaneConfig) -> Iterator[str]:
    for index, part in enumerate(message.content if isinstance(message.content, tuple) else ()):
        for name in unknown_in_part(part):
            yield f"{at}.content.{index}.{name}: Gemini has no such field"
        said = part_of(part)
        if said is None:
            yield f"{at}.content.{index}: {_why(part)}"
        elif message.role in _SYSTEM and "text" not in said:
            yield f"{at}.content.{index}: Gemini's system instruction is text alone"
        elif message.role == "tool" and "text" not in said and is_before_3(lane.model):
            yield f"{at}.content.{index}: {lane.model} takes text alone from a tool"


def _why(part: ContentPart) -> str:
    if isinstance(part, ImagePart):
        return "Gemini reads images from a data URL in base64, or from an https address"
    return "Gemini has no such part, or the file is held by another provider"


def _details(request: ChatRequest) -> set[str]:
    """How closely the images are to be looked at, where that is said."""
    return {
        part.image_url.detail
        for message in request.messages
        if isinstance(message.content, tuple)
        for part in message.content
        if isinstance(part, ImagePart) and part.image_url.detail in ("low", "high")
    }


def detail_of(request: ChatRequest) -> str | None:
    """How closely all images are to be looked at: `low`, `high`, or as Gemini likes."""
    return next(iter(_details(request)), None)
