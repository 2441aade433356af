"""What a body of OpenAI's Responses takes as its input. Pure."""

from collections.abc import Iterator
from typing import Any

from tollway_workers.local.simulator.ask import BadRequest, Block, objects
from tollway_workers.local.simulator.tokens import (
    TOKENS_PER_ATTACHMENT,
    TOKENS_PER_MESSAGE,
    Tokens,
)
from tollway_workers.local.simulator.wire.reading import as_text, word

_SAID_BY_USER = frozenset({"input_text", "input_image", "input_file"})
_SAID_BY_MODEL = frozenset({"output_text", "refusal"})
_ROLES = frozenset({"user", "assistant", "system", "developer"})
_CALL, _RESULT = "function_call", "function_call_output"
#: What items that are no messages must have.
_REQUIRED: dict[str, dict[str, type | tuple[type, ...]]] = {
    _CALL: {"call_id": str, "name": str, "arguments": str},
    _RESULT: {"call_id": str, "output": (str, list)},
    "reasoning": {"summary": list},
    "item_reference": {"id": str},
}


def items(given: object) -> list[dict[str, Any]]:
    """The input as items; a text is what a user says. Raises BadRequest."""
    if isinstance(given, str):
        return [{"role": "user", "content": given}]
    if not isinstance(given, list) or not given:
        raise _invalid("Missing required parameter: 'input'.", "input")
    for place, item in enumerate(given):
        _check(item, f"input[{place}]")
    calls = {word(item.get("call_id")) for item in given if item.get("type") == _CALL}
    results = {word(item.get("call_id")) for item in given if item.get("type") == _RESULT}
    if results - calls:
        raise _invalid("No tool call found for function call output with this call_id.", "input")
    if calls - results:
        raise _invalid("No tool output found for function call with this call_id.", "input")
    return given


def prompt(instructions: object, given: list[dict[str, Any]], tokens: Tokens) -> Iterator[Block]:
    """The prompt after its tools."""
    if isinstance(instructions, str) and instructions:
        counted = TOKENS_PER_MESSAGE + tokens.count(instructions)
        yield Block(content=["instructions", instructions], tokens=counted)
    for item in given:
        yield Block(content=item, tokens=_tokens_of(item, tokens))


def has_results(given: list[dict[str, Any]]) -> bool:
    """Whether the last item is the result of a call."""
    return given[-1].get("type") == _RESULT


def says_json(instructions: object, given: list[dict[str, Any]]) -> bool:
    """Whether anybody says the word."""
    said = [as_text(instructions), *(text for item in given for text in _texts(item))]
    return any("json" in text.lower() for text in said)


def _check(item: object, place: str) -> None:
    if not isinstance(item, dict):
        raise _invalid("Invalid type for an item of the input.", place)
    kind = word(item.get("type", "message"))
    if kind == "message":
        _check_message(item, place)
    elif kind not in _REQUIRED:
        raise _invalid("Invalid value for the type of an item.", f"{place}.type")
    for name, types in _REQUIRED.get(kind, {}).items():
        if not isinstance(item.get(name), types):
            raise _missing(f"{place}.{name}")


def _check_message(item: dict[str, Any], place: str) -> None:
    role, content = word(item.get("role")), item.get("content")
    if role not in _ROLES:
        raise _invalid(f"Invalid value. Supported roles: {', '.join(sorted(_ROLES))}.", place)
    if isinstance(content, str):
        return
    if not isinstance(content, list):
        raise _missing(f"{place}.content")
    allowed = _SAID_BY_MODEL if role == "assistant" else _SAID_BY_USER
    for number, part in enumerate(content):
        kind = word(part.get("type")) if isinstance(part, dict) else ""
        if kind not in allowed:
            raise _invalid(
                f"Invalid value. Supported values are: {', '.join(sorted(allowed))}.",
                f"{place}.content[{number}]",
            )
        image = part.get("image_url", part.get("file_id"))
        if kind == "input_image" and not isinstance(image, str):
            raise _invalid("Invalid type for an image.", f"{place}.content[{number}].image_url")


def _invalid(message: str, param: str) -> BadRequest:
    return BadRequest(message, param=param, code="invalid_value")


def _missing(param: str) -> BadRequest:
    return BadRequest(
        f"Missing required parameter: '{param}'.", param=param, code="missing_required_parameter"
    )


def _texts(item: dict[str, Any]) -> Iterator[str]:
    content = item.get("content")
    if isinstance(content, str):
        yield content
    for part in objects(content):
        if isinstance(text := part.get("text"), str):
            yield text


def _tokens_of(item: dict[str, Any], tokens: Tokens) -> int:
    match item.get("type", "message"):
        case "message":
            parts = sum(_part_tokens(part, tokens) for part in objects(item.get("content")))
            return TOKENS_PER_MESSAGE + tokens.count(_only_text(item)) + parts
        case "function_call":
            said = as_text(item.get("name")), as_text(item.get("arguments"))
            return TOKENS_PER_MESSAGE + sum(tokens.count(each) for each in said)
        case "function_call_output":
            return TOKENS_PER_MESSAGE + tokens.count(as_text(item.get("output")))
        case _:
            # Thoughts of earlier turns are not read again.
            return 0


def _only_text(item: dict[str, Any]) -> str:
    content = item.get("content")
    return content if isinstance(content, str) else ""


def _part_tokens(part: dict[str, Any], tokens: Tokens) -> int:
    text = part.get("text", part.get("refusal"))
    return tokens.count(text) if isinstance(text, str) else TOKENS_PER_ATTACHMENT
