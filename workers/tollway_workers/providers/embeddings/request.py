"""OpenAI's embeddings: from a request to the bytes of a call. Pure.

Protocol: https://platform.openai.com/docs/api-reference/embeddings/create. Each message of a
request is a text that is to have a vector. A request for vectors says so by extras of this
protocol, which may be empty: any other asks for an answer in words.
"""

from typing import Any

import orjson

from tollway_schemas.failure import FailureClass
from tollway_schemas.request import ChatRequest, Message, OutputSchema, TextPart
from tollway_workers.config.shape.fleet import LaneConfig
from tollway_workers.config.shape.protocols import EMBEDDINGS
from tollway_workers.errors import ProviderFailure
from tollway_workers.providers.asking import NOT_JSON, invalid, own_extras
from tollway_workers.providers.content import fields_of
from tollway_workers.providers.failures.error_body import read_error
from tollway_workers.providers.openai.dialect import SEARCHED, takes

#: A part of a message that is tokens of the model's own, in place of a text.
TOKENS = "tokens"
#: Numbers in four bytes each: a quarter of what they take in digits.
ENCODING = "encoding_format"
_BASE64 = "base64"
#: What belongs to the lane and to how we call: an extra of this name would change another's call.
_RESERVED = ("model", "input")


def build(
    request: ChatRequest,
    _: OutputSchema | None,
    lane: LaneConfig,
    refused: frozenset[str] = frozenset(),
) -> bytes:
    """The body of a call. Vectors are asked for in base64, unless the server has refused that.

    Raises ProviderError (invalid request) if the request cannot be expressed.
    """
    inputs = [input_of(message) for message in request.messages]
    if None in inputs:
        raise invalid(f"request.messages.{inputs.index(None)}: is no text that can have a vector")
    body: dict[str, Any] = {"model": lane.model, "input": inputs}
    body.update(own_extras(request, EMBEDDINGS, _RESERVED))
    # How a caller wants to read them is no matter of the call.
    body.pop(ENCODING, None)
    if takes(ENCODING, refused):
        body[ENCODING] = _BASE64
    try:
        return orjson.dumps(body)
    except (orjson.JSONEncodeError, RecursionError):
        raise invalid(NOT_JSON) from None


def streams(
    _request: ChatRequest, _lane: LaneConfig, _refused: frozenset[str] = frozenset()
) -> bool:
    """Vectors come whole."""
    return False


def input_of(message: Message) -> str | list[Any] | None:
    """What of a message is to have a vector: a text, or its tokens; None where it has none."""
    content = message.content
    if content is None or isinstance(content, str):
        return content or None
    if len(content) == 1 and content[0].type == TOKENS:
        tokens = fields_of(content[0], TOKENS).get(TOKENS)
        return tokens if isinstance(tokens, list) and tokens else None
    if not all(isinstance(part, TextPart) for part in content):
        return None
    return "".join(part.text for part in content if isinstance(part, TextPart)) or None


def refusals(failure: ProviderFailure, sent: bytes, refused: frozenset[str]) -> frozenset[str]:
    """Whether a failed call tells that the server knows no base64."""
    if failure.failure_class not in SEARCHED or not failure.body or ENCODING in refused:
        return frozenset()
    if failure.failure_class is FailureClass.NO_COMPLETION or ENCODING not in orjson.loads(sent):
        return frozenset()
    detail = read_error(failure.body)
    said = detail.message.lower()
    named = any(ENCODING in field for field in detail.fields)
    return frozenset({ENCODING} if named or ENCODING in said or _BASE64 in said else ())
