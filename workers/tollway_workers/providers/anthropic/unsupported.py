"""What of a job Anthropic's protocol has no words for. Pure."""

from collections.abc import Iterator
from datetime import date

from tollway_schemas.attempt import ANSWER_TOOL
from tollway_schemas.request import ChatRequest, OutputSchema
from tollway_workers.config.shape.fleet import LaneConfig
from tollway_workers.config.shape.profiles import PROFILES
from tollway_workers.providers.anthropic.request import PROTOCOL
from tollway_workers.providers.anthropic.turns import problems_in
from tollway_workers.providers.foreign_fields import foreign_fields
from tollway_workers.providers.unknown_fields import unknown_fields

VERSION_HEADER = "anthropic-version"
#: From this version on there is no sampling.
_WITHOUT_SAMPLING = date(2026, 10, 21)
_MOST_RANDOM = 1.0
#: Of a model that thinks.
_LEAST_TOP_P = 0.95
_NO_REASONING = (None, "none", "minimal")


def unsupported(request: ChatRequest, _: OutputSchema | None, lane: LaneConfig) -> tuple[str, ...]:
    """What would be lost: a clause each, `<field>: <why>`."""
    return (
        *_of_sampling(request, lane),
        *_of_tools(request),
        *problems_in(request.messages),
        *foreign_fields(request, PROTOCOL),
    )


def _of_sampling(request: ChatRequest, lane: LaneConfig) -> Iterator[str]:
    if request.seed is not None:
        yield "request.seed: Anthropic has none"
    if _is_too_random(request):
        yield "request.temperature: Anthropic's is at most 1"
    if lane.profile is PROFILES["anthropic"]:
        yield from _refused_by_anthropic_itself(request)
    if not _has_no_sampling(lane):
        return
    for name in ("temperature", "top_p"):
        if getattr(request, name) is not None:
            yield f"request.{name}: Anthropic has none from version {_WITHOUT_SAMPLING} on"


def _refused_by_anthropic_itself(request: ChatRequest) -> Iterator[str]:
    """Other servers of its protocol take these."""
    if any(not text.strip() for text in request.stop or ()):
        yield "request.stop: Anthropic takes none of blanks alone"
    if request.reasoning_effort in _NO_REASONING:
        return
    said = "Anthropic's models cannot both think and be given"
    if request.temperature not in (None, _MOST_RANDOM) and not _is_too_random(request):
        yield f"request.temperature: {said} another than 1"
    if request.top_p is not None and request.top_p < _LEAST_TOP_P:
        yield f"request.top_p: {said} less than {_LEAST_TOP_P}"


def _is_too_random(request: ChatRequest) -> bool:
    return request.temperature is not None and request.temperature > _MOST_RANDOM


def _of_tools(request: ChatRequest) -> Iterator[str]:
    choice = request.tool_choice
    forced = choice is not None and choice not in ("auto", "none")
    if forced and request.reasoning_effort not in _NO_REASONING:
        yield "request.tool_choice: Anthropic's models cannot both think and be made to use a tool"
    if forced and not request.tools and "tools" not in request.extras.get(PROTOCOL, {}):
        yield "request.tool_choice: demands a tool, and there is none"
    for index, tool in enumerate(request.tools or ()):
        if tool.function.name == ANSWER_TOOL:
            yield f"request.tools.{index}.function.name: is kept for Tollway's own tool"
        for name in (*unknown_fields(tool), *unknown_fields(tool.function)):
            yield f"request.tools.{index}.{name}: Anthropic has no such field"


def _has_no_sampling(lane: LaneConfig) -> bool:
    said = next((value for name, value in lane.headers if name.lower() == VERSION_HEADER), "")
    try:
        return date.fromisoformat(said.strip()) >= _WITHOUT_SAMPLING
    except ValueError:
        return False
