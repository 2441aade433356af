"""What a model said, in the body of an answer of any provider's form. Pure."""

from collections.abc import Iterator, Mapping
from typing import Any


def text_of(body: object) -> str | None:
    """The text of an answer, its pieces joined; None where it has none, or the form is unknown."""
    if not isinstance(body, Mapping):
        return None
    pieces = [*_of_chat(body), *_of_messages(body), *_of_gemini(body), *_of_responses(body)]
    return "".join(pieces) or None


def _of_chat(body: Mapping[str, Any]) -> Iterator[str]:
    """OpenAI's chat completions, and who speaks as they do."""
    message = _object(_first(body.get("choices")).get("message"))
    if isinstance(content := message.get("content"), str):
        yield content


def _of_messages(body: Mapping[str, Any]) -> Iterator[str]:
    """Anthropic's."""
    yield from _texts(body.get("content"), "text")


def _of_gemini(body: Mapping[str, Any]) -> Iterator[str]:
    parts = _objects(_object(_first(body.get("candidates")).get("content")).get("parts"))
    for part in parts:
        if isinstance(text := part.get("text"), str) and not part.get("thought"):
            yield text


def _of_responses(body: Mapping[str, Any]) -> Iterator[str]:
    """OpenAI's Responses: what is the answer; where all is commentary, that is it."""
    messages = [each for each in _objects(body.get("output")) if each.get("type") == "message"]
    answers = [each for each in messages if each.get("phase") != "commentary"]
    for message in answers or messages:
        yield from _texts(message.get("content"), "output_text", "text")


def _texts(blocks: object, *kinds: str) -> Iterator[str]:
    for block in _objects(blocks):
        if block.get("type") in kinds and isinstance(text := block.get("text"), str):
            yield text


def _objects(value: object) -> list[Mapping[str, Any]]:
    listed = value if isinstance(value, list) else []
    return [each for each in listed if isinstance(each, Mapping)]


def _first(value: object) -> Mapping[str, Any]:
    return _object(value[0]) if isinstance(value, list) and value else {}


def _object(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
