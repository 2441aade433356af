"""Tokens by plain rules that a test can repeat, and by none that the fleet estimates by."""

import math
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any, Literal

CHARACTERS_PER_TOKEN = 4
#: What each message costs beside its text.
TOKENS_PER_MESSAGE = 4
#: What an image, a sound or a file costs.
TOKENS_PER_ATTACHMENT = 85

#: Up to five letters with the space before them, up to three digits, any other sign alone.
_PIECE = re.compile(r" ?[^\W\d_]{1,5}|\d{1,3}|\s+|.", re.DOTALL)

TokenRule = Literal["characters", "pieces"]


@dataclass(frozen=True, slots=True)
class Tokens:
    """One rule."""

    count: Callable[[str], int]
    #: The beginning of a text that has so many tokens.
    cut: Callable[[str, int], str]


def text_tokens(text: str) -> int:
    """A quarter of the characters, rounded up."""
    return math.ceil(len(text) / CHARACTERS_PER_TOKEN)


def _first_characters(text: str, tokens: int) -> str:
    return text[: tokens * CHARACTERS_PER_TOKEN]


def _pieces(text: str) -> int:
    return sum(1 for _ in _PIECE.finditer(text))


def _first_pieces(text: str, tokens: int) -> str:
    return "".join(piece.group() for piece in islice(_PIECE.finditer(text), tokens))


CHARACTERS = Tokens(text_tokens, _first_characters)
TOKEN_RULES: Mapping[TokenRule, Tokens] = {
    "characters": CHARACTERS,
    "pieces": Tokens(_pieces, _first_pieces),
}


def prompt_tokens(messages: list[dict[str, Any]], tokens: Tokens = CHARACTERS) -> int:
    """The tokens of a conversation."""
    return sum(message_tokens(message, tokens) for message in messages)


def message_tokens(message: dict[str, Any], tokens: Tokens = CHARACTERS) -> int:
    """4, the tokens of its text and of its calls, and 85 for each part that is not text."""
    return (
        TOKENS_PER_MESSAGE
        + _content_tokens(message.get("content"), tokens)
        + _call_tokens(message.get("tool_calls"), tokens)
    )


def _call_tokens(calls: object, tokens: Tokens) -> int:
    total = 0
    for call in calls if isinstance(calls, list) else ():
        function = call.get("function") if isinstance(call, dict) else None
        for said in function.values() if isinstance(function, dict) else ():
            total += tokens.count(said) if isinstance(said, str) else 0
    return total


def _content_tokens(content: object, tokens: Tokens) -> int:
    if isinstance(content, str):
        return tokens.count(content)
    if isinstance(content, list):
        return sum(_part_tokens(part, tokens) for part in content)
    return 0


def _part_tokens(part: object, tokens: Tokens) -> int:
    text = part.get("text") if isinstance(part, dict) else None
    return tokens.count(text) if isinstance(text, str) else TOKENS_PER_ATTACHMENT


def texts(messages: list[dict[str, Any]]) -> Iterator[str]:
    """Every text in the messages."""
    for message in messages:
        content = message.get("content")
        parts = content if isinstance(content, list) else [{"text": content}]
        for part in parts:
            text = part.get("text") if isinstance(part, dict) else None
            if isinstance(text, str):
                yield text
