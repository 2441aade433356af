"""A conversation as Gemini's generateContent takes it. Pure."""

from collections.abc import Iterator
from typing import Any

from tollway_workers.local.simulator.ask import BadRequest, Block
from tollway_workers.local.simulator.tokens import (
    TOKENS_PER_ATTACHMENT,
    TOKENS_PER_MESSAGE,
    Tokens,
)
from tollway_workers.local.simulator.wire.gemini.names import known, listed
from tollway_workers.local.simulator.wire.reading import as_text

_CONTENT = frozenset({"role", "parts"})
_DATA = ("text", "inlineData", "fileData", "functionCall", "functionResponse")
_PART = frozenset({*_DATA, "thought", "thoughtSignature", "videoMetadata", "mediaResolution"})
_ROLES = ("user", "model", "function", None)

Turn = tuple[str, list[dict[str, Any]]]


def turns(contents: object) -> list[Turn]:
    """The conversation: who speaks, and in which parts. Raises BadRequest."""
    read = [_turn(each, f"contents[{n}]") for n, each in enumerate(listed(contents, "contents"))]
    if not read:
        raise BadRequest("* GenerateContentRequest.contents: contents is not specified")
    for number, (_, parts) in enumerate(read):
        calls = sum("functionCall" in part for part in parts)
        if calls and number + 1 < len(read) and _results(read[number + 1]) != calls:
            raise BadRequest(_UNEVEN)
        before = read[number - 1][1] if number else []
        if _results(read[number]) and not any("functionCall" in part for part in before):
            raise BadRequest(_UNEVEN)
    return read


_UNEVEN = (
    "Please ensure that the number of function response parts is equal to the number of function "
    "call parts of the function call turn."
)


def system(instruction: object) -> list[Turn]:
    """The system's text as a turn; nothing where there is none. Raises BadRequest."""
    if instruction is None:
        return []
    if isinstance(instruction, str):
        raise BadRequest("Invalid value at 'system_instruction'.")
    _, parts = _turn(instruction, "system_instruction")
    return [("system", parts)]


def prompt(read: list[Turn], tokens: Tokens) -> Iterator[Block]:
    """The turns as parts of the prompt."""
    for role, parts in read:
        counted = TOKENS_PER_MESSAGE + sum(_tokens_of(part, tokens) for part in parts)
        yield Block(content=[role, parts], tokens=counted)


def has_results(read: list[Turn]) -> bool:
    """Whether the last turn brings the results of calls."""
    return _results(read[-1]) > 0


def _results(turn: Turn) -> int:
    return sum("functionResponse" in part for part in turn[1])


def _turn(content: object, place: str) -> Turn:
    fields = known(content, _CONTENT, place)
    role = fields.get("role")
    if role not in _ROLES:
        raise BadRequest("Please use a valid role: user, model.")
    parts = [
        _part(part, f"{place}.parts[{number}]")
        for number, part in enumerate(listed(fields.get("parts"), f"{place}.parts"))
    ]
    if not parts:
        raise BadRequest(f"* GenerateContentRequest.{place}.parts: must not be empty")
    return role or "user", parts


def _part(part: object, place: str) -> dict[str, Any]:
    fields = known(part, _PART, place)
    data = [name for name in _DATA if name in fields]
    if len(data) != 1:
        raise BadRequest(
            f"{place}.data: required oneof field 'data' must have one initialized field"
        )
    if data[0] in ("inlineData", "fileData") and not _is_file(fields[data[0]]):
        raise BadRequest(f"{place}.{data[0]}: mime_type and data are required")
    if data[0] == "functionResponse":
        response = fields[data[0]]
        if not isinstance(response, dict) or not isinstance(response.get("response"), dict):
            raise BadRequest(f"Invalid value at '{place}.function_response.response' (Struct)")
    if data[0] == "functionCall":
        call = fields[data[0]]
        if not isinstance(call, dict) or not isinstance(call.get("args", {}), dict):
            raise BadRequest(f"Invalid value at '{place}.function_call.args' (Struct)")
    return fields


def _is_file(data: object) -> bool:
    if not isinstance(data, dict):
        return False
    kind = data.get("mimeType", data.get("mime_type"))
    content = data.get("data", data.get("fileUri", data.get("file_uri")))
    return isinstance(kind, str) and isinstance(content, str) and bool(kind and content)


def _tokens_of(part: dict[str, Any], tokens: Tokens) -> int:
    if part.get("thought") is True:
        return 0
    if "text" in part:
        return tokens.count(as_text(part["text"]))
    if isinstance(call := part.get("functionCall"), dict):
        return tokens.count(as_text(call.get("name"))) + tokens.count(as_text(call.get("args")))
    if isinstance(result := part.get("functionResponse"), dict):
        return tokens.count(as_text(result.get("response")))
    return TOKENS_PER_ATTACHMENT
