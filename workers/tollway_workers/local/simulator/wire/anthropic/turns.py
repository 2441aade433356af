"""A conversation as Anthropic's Messages take it. Pure."""

import re
from collections.abc import Iterator
from typing import Any

from tollway_workers.local.simulator.ask import BadRequest, Block, objects
from tollway_workers.local.simulator.tokens import (
    TOKENS_PER_ATTACHMENT,
    TOKENS_PER_MESSAGE,
    Tokens,
)
from tollway_workers.local.simulator.wire.reading import as_text, word

#: Seconds by the word for how long a prompt is kept.
_TTL = {"5m": 300, "1h": 3600}
_MOST_BREAKPOINTS = 4
_ID = re.compile(r"[a-zA-Z0-9_-]+")
_IMAGES = frozenset({"image/jpeg", "image/png", "image/gif", "image/webp"})
_IN_USER = frozenset({"text", "image", "document", "tool_result", "search_result"})
_IN_ASSISTANT = frozenset({"text", "thinking", "redacted_thinking", "tool_use"})

Turn = tuple[str, list[dict[str, Any]]]


def turns(fields: dict[str, Any]) -> list[Turn]:
    """The conversation: who speaks, and in which blocks. Raises BadRequest."""
    messages = fields.get("messages")
    if messages is None:
        raise BadRequest("messages: Field required")
    if not isinstance(messages, list) or not messages:
        raise BadRequest("messages: at least one message is required")
    read = [_turn(message, f"messages.{n}") for n, message in enumerate(messages)]
    for number, (role, content) in enumerate(read):
        calls = read[number - 1][1] if number else []
        _check_results(role, content, calls, number)
        _check_calls(content, read[number + 1][1] if number + 1 < len(read) else None, number)
    if read[-1][0] == "assistant":
        raise BadRequest(
            "This model does not support assistant message prefill. "
            "The conversation must end with a user message."
        )
    return read


def prompt(fields: dict[str, Any], read: list[Turn], tokens: Tokens) -> Iterator[Block]:
    """The prompt after its tools: the system's text, then the turns. Raises BadRequest."""
    system = fields.get("system")
    if system:
        yield from _blocks("system", _content(system, "system"), tokens)
    for role, content in read:
        yield from _blocks(role, content, tokens)


def cached_for(block: dict[str, Any]) -> int | None:
    """Seconds for which the prompt up to this block is to be cached. Raises BadRequest."""
    control = block.get("cache_control")
    if control is None:
        return None
    ttl = word(control.get("ttl", "5m")) if isinstance(control, dict) else ""
    if not isinstance(control, dict) or control.get("type") != "ephemeral" or ttl not in _TTL:
        raise BadRequest("cache_control: Input should be an ephemeral cache control of 5m or 1h")
    return _TTL[ttl]


def check_breakpoints(blocks: tuple[Block, ...]) -> None:
    """Raises BadRequest where more is to be cached than can be."""
    found = sum(block.cached_for is not None for block in blocks)
    if found > _MOST_BREAKPOINTS:
        raise BadRequest(
            f"A maximum of {_MOST_BREAKPOINTS} blocks with cache_control may be provided. "
            f"Found {found}."
        )


def _turn(message: object, place: str) -> Turn:
    role = message.get("role") if isinstance(message, dict) else None
    if not isinstance(message, dict) or role not in ("user", "assistant"):
        said = f'Unexpected role "{role}". ' if role == "system" else ""
        raise BadRequest(
            f'{place}: {said}Allowed roles are "user" or "assistant"; '
            "the Messages API accepts a top-level `system` parameter"
        )
    content = _content(message.get("content"), f"{place}.content")
    allowed = _IN_USER if role == "user" else _IN_ASSISTANT
    for number, block in enumerate(content):
        _check_block(block, allowed, f"{place}.content.{number}")
    return role, content


def _content(content: object, place: str) -> list[dict[str, Any]]:
    if isinstance(content, str):
        content = [{"type": "text", "text": content}]
    if not isinstance(content, list) or not content:
        raise BadRequest(f"{place}: Field required")
    blocks = list(objects(content))
    for block in blocks:
        if block.get("type") == "text" and not block.get("text"):
            raise BadRequest(f"{place}: text content blocks must be non-empty")
    return blocks


def _check_block(block: dict[str, Any], allowed: frozenset[str], place: str) -> None:
    kind = word(block.get("type"))
    if kind not in allowed:
        raise BadRequest(f"{place}.type: Input should be one of {', '.join(sorted(allowed))}")
    if kind == "image":
        _check_image(block.get("source"), place)
    if kind == "tool_use":
        if not _is_id(block.get("id")):
            raise BadRequest(f"{place}.tool_use.id: String should match pattern '^[a-zA-Z0-9_-]+$'")
        if not isinstance(block.get("input"), dict):
            raise BadRequest(f"{place}.tool_use.input: Input should be a valid dictionary")


def _check_image(source: object, place: str) -> None:
    match source:
        case {"type": "base64", "media_type": media, "data": str(data)} if (
            word(media) in _IMAGES and data
        ):
            return
        case {"type": "url", "url": str(url)} if url.startswith(("https://", "http://")):
            return
        case {"type": "file", "file_id": str()}:
            return
    raise BadRequest(f"{place}.image.source: Input should be a base64, url or file source")


def _check_results(
    role: str, content: list[dict[str, Any]], calls: list[dict[str, Any]], number: int
) -> None:
    asked = {word(block.get("id")) for block in calls if block.get("type") == "tool_use"}
    for place, block in enumerate(content):
        if block.get("type") == "tool_result" and word(block.get("tool_use_id")) not in asked:
            raise BadRequest(
                f"messages.{number}.content.{place}: unexpected `tool_use_id` found in "
                "`tool_result` blocks. Each `tool_result` block must have a corresponding "
                "`tool_use` block in the previous message."
            )


def _check_calls(
    content: list[dict[str, Any]], after: list[dict[str, Any]] | None, number: int
) -> None:
    calls = {word(block.get("id")) for block in content if block.get("type") == "tool_use"}
    told = {word(block.get("tool_use_id")) for block in after or ()}
    if calls - told:
        raise BadRequest(
            f"messages.{number}: `tool_use` ids were found without `tool_result` blocks "
            "immediately after. Each `tool_use` block must have a corresponding `tool_result` "
            "block in the next message."
        )


def _is_id(text: object) -> bool:
    return isinstance(text, str) and _ID.fullmatch(text) is not None


def _blocks(role: str, content: list[dict[str, Any]], tokens: Tokens) -> Iterator[Block]:
    for number, block in enumerate(content):
        yield Block(
            # Whether it is cached is not what it says.
            content=[role, {name: each for name, each in block.items() if name != "cache_control"}],
            tokens=_tokens_of(block, tokens) + (0 if number else TOKENS_PER_MESSAGE),
            cached_for=cached_for(block),
        )


def _tokens_of(block: dict[str, Any], tokens: Tokens) -> int:
    match block.get("type"):
        case "text":
            return tokens.count(as_text(block.get("text")))
        case "tool_use":
            said = as_text(block.get("name")), as_text(block.get("input"))
            return sum(tokens.count(each) for each in said)
        case "tool_result":
            content = block.get("content")
            if isinstance(content, list):
                return sum(_tokens_of(each, tokens) for each in objects(content))
            return tokens.count(as_text(content))
        case "thinking" | "redacted_thinking":
            # Thoughts of earlier turns are not read again.
            return 0
        case _:
            return TOKENS_PER_ATTACHMENT
