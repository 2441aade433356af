"""Tokens by a plain formula that a test can repeat: a token is four characters."""

import math
from collections.abc import Iterator
from typing import Any

CHARACTERS_PER_TOKEN = 4
#: What each message costs beside its text.
TOKENS_PER_MESSAGE = 4
#: What an image, a sound or a file costs.
TOKENS_PER_ATTACHMENT = 85


def text_tokens(text: str) -> int:
    """A quarter of the characters, rounded up."""
    return math.ceil(len(text) / CHARACTERS_PER_TOKEN)


def prompt_tokens(messages: list[dict[str, Any]]) -> int:
    """For each message 4, the tokens of its text, and 85 for each part that is not text."""
    return sum(TOKENS_PER_MESSAGE + _content_tokens(message.get("content")) for message in messages)


def _content_tokens(content: object) -> int:
    if isinstance(content, str):
        return text_tokens(content)
    if isinstance(content, list):
        return sum(map(_part_tokens, content))
    return 0


def _part_tokens(part: object) -> int:
    text = part.get("text") if isinstance(part, dict) else None
    return text_tokens(text) if isinstance(text, str) else TOKENS_PER_ATTACHMENT


def texts(messages: list[dict[str, Any]]) -> Iterator[str]:
    """Every text in the messages."""
    for message in messages:
        content = message.get("content")
        parts = content if isinstance(content, list) else [{"text": content}]
        for part in parts:
            text = part.get("text") if isinstance(part, dict) else None
            if isinstance(text, str):
                yield text
