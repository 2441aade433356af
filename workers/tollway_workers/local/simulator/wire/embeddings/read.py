"""What a body of OpenAI's embeddings asks. Pure."""

from typing import Any

from tollway_workers.local.simulator.ask import Ask, Asked, BadRequest
from tollway_workers.local.simulator.tokens import CHARACTERS, Tokens
from tollway_workers.local.simulator.wire.reading import whole_number

#: Numbers of a vector where nobody says how many, and at most.
USUAL_DIMENSIONS = 256
MOST_DIMENSIONS = 3_072
#: What OpenAI takes in one call: inputs, tokens of each, tokens of all.
_MOST_INPUTS = 2_048
_MOST_TOKENS = 8_192
_MOST_TOKENS_OF_ALL = 300_000
_KNOWN = frozenset({"model", "input", "dimensions", "encoding_format", "user"})
_ENCODINGS = (None, "float", "base64")

#: A text, or its tokens.
Input = str | list[int]


def read(asked: Asked, tokens: Tokens = CHARACTERS) -> Ask:
    """What a request body asks. Raises BadRequest."""
    fields = asked.fields
    if unknown := sorted(fields.keys() - _KNOWN):
        raise BadRequest(f"Unrecognized request argument supplied: {unknown[0][:40]}")
    model = fields.get("model")
    if not isinstance(model, str) or not model:
        raise BadRequest("you must provide a model parameter", param="model")
    if fields.get("encoding_format") not in _ENCODINGS:
        raise BadRequest("'encoding_format' must be float or base64.", param="encoding_format")
    if dimensions_of(fields) > MOST_DIMENSIONS:
        raise BadRequest(
            f"Invalid value for 'dimensions': must be less than or equal to {MOST_DIMENSIONS}.",
            param="dimensions",
        )
    counts = [_tokens_of(each, tokens) for each in inputs_of(fields)]
    if max(counts) > _MOST_TOKENS:
        raise BadRequest(
            f"This model's maximum context length is {_MOST_TOKENS} tokens, however you requested "
            f"{max(counts)} tokens. Please reduce your prompt.",
            param="input",
            code="context_length_exceeded",
        )
    if sum(counts) > _MOST_TOKENS_OF_ALL:
        raise BadRequest(
            f"Requested {sum(counts)} tokens, max {_MOST_TOKENS_OF_ALL} tokens per request",
            param="input",
        )
    return Ask(
        model=model,
        prompt_tokens=sum(counts),
        max_tokens=None,
        stream=False,
        wants="text",
        tokens=tokens,
        speaks=False,
    )


def dimensions_of(fields: dict[str, Any]) -> int:
    """Numbers of each vector. Raises BadRequest."""
    return whole_number(fields, "dimensions") or USUAL_DIMENSIONS


def inputs_of(fields: dict[str, Any]) -> list[Input]:
    """What is to have a vector each. Raises BadRequest."""
    given = fields.get("input")
    alone = isinstance(given, str) or _is_tokens(given)
    inputs: list[Any] = [given] if alone else given if isinstance(given, list) else []
    if not inputs or len(inputs) > _MOST_INPUTS:
        raise _invalid()
    if not all((isinstance(each, str) and each) or _is_tokens(each) for each in inputs):
        raise _invalid()
    return inputs


def _is_tokens(value: object) -> bool:
    return isinstance(value, list) and bool(value) and all(type(each) is int for each in value)


def _tokens_of(given: Input, tokens: Tokens) -> int:
    return tokens.count(given) if isinstance(given, str) else len(given)


def _invalid() -> BadRequest:
    return BadRequest("'$.input' is invalid. Please check the API reference.", param="input")
