"""What a call may cost at most, known before it is made: an upper bound, never an estimate. Pure.

No encoder makes more tokens of a text than it has bytes; what a provider's own template adds to
messages, tools and images is bounded by figures of ours and of the lane's.
"""

from typing import get_args

from pydantic_core import to_json

from tollway_schemas.codec import encode
from tollway_schemas.request import ChatRequest, ImagePart, Message, OutputSchema, TextPart
from tollway_workers.config.shape.fleet import LaneConfig
from tollway_workers.config.shape.profiles import LimitField
from tollway_workers.limits.call_cost import Claim

#: Tokens that a template adds to a message at most: its marks, who speaks, its end.
_PER_MESSAGE = 16
#: What bodies call the answer's limit.
LIMIT_FIELDS: tuple[str, ...] = get_args(LimitField)
#: What bodies call the number of answers, each of which is billed.
_ANSWERS = ("n", "best_of")
#: Tokens that one adds to a conversation.
_PER_CALL = 32


def claim_of(
    request: ChatRequest, output: OutputSchema | None, lane: LaneConfig, schema: bytes = b""
) -> Claim | None:
    """The most that a call can cost; None where nothing bounds its answer.

    `schema` is that of `output` as JSON, where it exists already.
    """
    answer = most_answer_tokens(request, lane.max_output_tokens)
    if answer is None:
        return None
    prompt = most_prompt_tokens(request, output, lane, schema)
    money = lane.prices.bound(
        input_tokens=prompt, output_tokens=answer, may_keep=_may_keep(request)
    )
    return Claim(prompt + answer, money)


def _may_keep(request: ChatRequest) -> bool:
    """Whether it may ask its provider to cache its prompt for an hour: text alone cannot."""
    return bool(request.tools or request.extras) or any(
        not isinstance(message.content, str) or message.__pydantic_extra__
        for message in request.messages
    )


def most_answer_tokens(request: ChatRequest, usual: int | None) -> int | None:
    """Tokens that all answers to one call can have; None where nothing bounds them.

    `usual`: the lane's answer limit, for requests that name none.
    """
    answers, limits = 1, [request.max_output_tokens or 0]
    for body in request.extras.values():
        limits += [_whole(body[name]) for name in LIMIT_FIELDS if body.get(name) is not None]
        answers = max(answers, *(_whole(body.get(name) or 1) for name in _ANSWERS))
    if -1 in limits or answers < 1:
        return None
    most = max(limits) or usual
    return None if most is None else most * answers


def bounded(request: ChatRequest, usual: int | None) -> ChatRequest:
    """The request as it is sent: with the lane's answer limit where it names none."""
    if usual is None or request.max_output_tokens is not None:
        return request
    if any(body.get(name) is not None for body in request.extras.values() for name in LIMIT_FIELDS):
        return request
    return request.model_copy(update={"max_output_tokens": usual})


def _whole(value: object) -> int:
    """A number that a provider can take for a limit; -1: who knows what it takes it for."""
    right = isinstance(value, int) and not isinstance(value, bool) and value > 0
    return value if right and isinstance(value, int) else -1


def most_prompt_tokens(
    request: ChatRequest, output: OutputSchema | None, lane: LaneConfig, schema: bytes = b""
) -> int:
    """Tokens that a whole prompt can have."""
    tokens = _PER_CALL
    for message in request.messages:
        tokens += _PER_MESSAGE
        content = message.content
        if isinstance(content, str):
            tokens += len(content) if content.isascii() else _bytes(content)
        if message.tool_calls or message.name or not isinstance(content, str):
            tokens += _rest_of(message, lane.image_tokens)
    if request.tools or output is not None:
        tokens += lane.tool_tokens
        for tool in request.tools or ():
            tokens += len(encode(tool))
        if output is not None:
            tokens += len(schema or to_json(output.json_schema)) + _bytes(output.description or "")
    if request.extras:
        tokens += len(to_json(request.extras))
    return tokens


def _rest_of(message: Message, image_tokens: int) -> int:
    tokens = _bytes(message.name or "")
    for call in message.tool_calls or ():
        tokens += _PER_MESSAGE + _bytes(call.function.name) + _bytes(call.function.arguments)
    if isinstance(message.content, str):
        return tokens
    for part in message.content or ():
        if isinstance(part, TextPart):
            tokens += _bytes(part.text)
        elif isinstance(part, ImagePart):
            tokens += image_tokens
        else:
            tokens += image_tokens + len(encode(part))
    return tokens


def _bytes(text: str) -> int:
    return len(text.encode("utf-8", "surrogatepass"))
