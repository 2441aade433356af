"""What a call may cost at most, known before it is made: an upper bound, never an estimate. Pure.

No encoder makes more tokens of a text than it has bytes; what a provider's own template adds to
messages, tools and images is bounded by figures of ours and of the lane's.
"""

from pydantic import BaseModel
from pydantic_core import to_json

from tollway_schemas.codec import encode
from tollway_schemas.request import ChatRequest, ImagePart, Message, OutputSchema, TextPart
from tollway_workers.config.shape.fleet import LaneConfig
from tollway_workers.limits.call_cost import Claim

#: Tokens that a template adds to a message at most: its marks, who speaks, its end.
_PER_MESSAGE = 16
#: What extras of a protocol may call the answer's limit, which is sent then; those of the others
#: yield to the request's own.
_LIMIT_FIELDS = {"openai": ("max_completion_tokens", "max_tokens"), "anthropic": ("max_tokens",)}
#: Extras by which a call costs what no limit and no byte of the request bounds: a conversation or
#: a prompt that the provider keeps, what its own searches read and charge, another model or pace.
_UNBOUNDED = frozenset(
    {
        "previous_response_id", "conversation", "prompt", "cachedContent", "cached_content",
        "container", "mcp_servers", "data_sources", "plugins", "web_search_options",
        "search_parameters", "prediction", "models", "speed", "inference_geo",
    }
)  # fmt: skip
#: Pace of the service at the price of all calls, or below it.
_USUAL_TIERS = ("auto", "default", "standard", "standard_only", "on_demand", "flex", "batch")
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
    answer = most_answer_tokens(request, lane.max_output_tokens, lane.protocol)
    if answer is None or unbounded_extra(request, lane.protocol):
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


def most_answer_tokens(request: ChatRequest, usual: int | None, protocol: str) -> int | None:
    """Tokens that all answers to one call can have; None where nothing bounds them.

    `usual`: the lane's answer limit, for requests that name none.
    """
    if not request.extras:
        return request.max_output_tokens or usual
    answers, limits = 1, [request.max_output_tokens or 0]
    limits += [_whole(value) for value in _own_limits(request, protocol)]
    for body in request.extras.values():
        answers = max(answers, *(_whole(body.get(name) or 1) for name in _ANSWERS))
    if -1 in limits or answers < 1:
        return None
    most = max(limits) or usual
    return None if most is None else most * answers


def _own_limits(request: ChatRequest, protocol: str) -> list[object]:
    own = request.extras.get(protocol, {})
    names = _LIMIT_FIELDS.get(protocol, ())
    return [own[name] for name in names if own.get(name) is not None]


def unbounded_extra(request: ChatRequest, protocol: str) -> str | None:
    """The extra by which a call may cost anything; None: there is none."""
    for name, value in request.extras.get(protocol, {}).items():
        unusual = name == "service_tier" and value not in _USUAL_TIERS
        own_tools = name == "tools" and not _are_functions(value)
        if value is not None and (name in _UNBOUNDED or unusual or own_tools):
            return f"request.extras.{protocol}.{name}"
    return None


def _are_functions(tools: object) -> bool:
    """Whether the caller runs all of these tools itself, and no provider."""
    return isinstance(tools, list) and all(map(_is_function, tools))


def _is_function(tool: object) -> bool:
    if not isinstance(tool, dict):
        return False
    if tool.keys() <= {"functionDeclarations", "function_declarations"}:
        return True
    named = "name" in tool or "function" in tool
    return named and tool.get("type", "custom") in ("function", "custom")


def bounded(request: ChatRequest, lane: LaneConfig) -> ChatRequest:
    """The request as it is sent: with the lane's answer limit where it names none."""
    usual = lane.max_output_tokens
    if usual is None or request.max_output_tokens is not None:
        return request
    if _own_limits(request, lane.protocol):
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
        if not isinstance(content, str) or _says_more(message):
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


def _says_more(message: Message) -> bool:
    return bool(
        message.tool_calls or message.name or message.tool_call_id or message.__pydantic_extra__
    )


def _rest_of(message: Message, image_tokens: int) -> int:
    tokens = _bytes(message.name or "") + _bytes(message.tool_call_id or "") + _more(message)
    for call in message.tool_calls or ():
        tokens += _PER_MESSAGE + len(encode(call))
    if isinstance(message.content, str):
        return tokens
    for part in message.content or ():
        if isinstance(part, TextPart):
            tokens += _bytes(part.text) + _more(part)
        elif isinstance(part, ImagePart):
            tokens += image_tokens + _more(part)
        else:
            tokens += image_tokens + len(encode(part))
    return tokens


def _more(record: BaseModel) -> int:
    """Bytes of the fields that this release does not know, which providers are sent too."""
    more = record.__pydantic_extra__
    return len(to_json(more)) if more else 0


def _bytes(text: str) -> int:
    return len(text.encode("utf-8", "surrogatepass"))
