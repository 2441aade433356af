"""A conversation in Anthropic's turns: a system prompt, then user and assistant by turns. Pure.

Calls of tools are blocks of an assistant's turn, their results blocks of the user's next one; turns
of one speaker in a row are one turn. System messages stand before all others, wherever they were,
as Anthropic's own server for OpenAI's protocol has it.
"""

import re
from collections.abc import Iterable, Iterator
from hashlib import sha256
from typing import NamedTuple

from tollway_schemas.request import ContentPart, Message, ToolCall
from tollway_workers.providers.anthropic.parts import JsonObject, block_of, problem_of, with_own
from tollway_workers.providers.asking import invalid
from tollway_workers.providers.content import object_of
from tollway_workers.providers.unknown_fields import unknown_fields, unknown_in_part

_SYSTEM = ("system", "developer")
_ID = re.compile(r"[a-zA-Z0-9_-]{1,64}")
#: A field of a tool's result that no other protocol has.
_FAILED = "is_error"
_THOUGHTS = frozenset(("thinking", "redacted_thinking"))


class Conversation(NamedTuple):
    """What goes out of a request's messages."""

    system: list[JsonObject]
    turns: list[JsonObject]

    @property
    def in_tool_loop(self) -> bool:
        """Whether the model is to go on after calls that it was not seen to think about: its
        thoughts cannot be shown to it, and without them it may not think now."""
        if len(self.turns) < 2 or not _has(self.turns[-1], frozenset(("tool_result",))):
            return False
        return not _has(self.turns[-2], _THOUGHTS)


def conversation_of(messages: Iterable[Message]) -> Conversation:
    """The messages as turns. Raises ProviderError (invalid request) where they cannot be said."""
    names = _CallNames()
    system: list[JsonObject] = []
    turns: list[JsonObject] = []
    for message in messages:
        if message.role in _SYSTEM:
            system += _marked(_blocks(message.content), message)
            continue
        role, blocks = _turn(message, names)
        if turns and turns[-1]["role"] == role:
            turns[-1]["content"] += blocks
        elif blocks:
            turns.append({"role": role, "content": blocks})
    for turn in turns:
        # Results come first: Anthropic asks for that.
        turn["content"].sort(key=_is_no_result)
    if not turns and system:
        # There is at least one.
        return Conversation([], [{"role": "user", "content": system}])
    return Conversation(system, turns)


def problems_in(messages: Iterable[Message]) -> Iterator[str]:
    """What of the messages Anthropic has no words for, a clause each."""
    for index, message in enumerate(messages):
        at = f"request.messages.{index}"
        if message.name is not None and message.role != "tool":
            yield f"{at}.name: Anthropic has no names for speakers"
        for name in unknown_fields(message):
            if name != _FAILED:
                yield f"{at}.{name}: Anthropic has no such field"
        yield from _part_problems(message, at)
        for place, call in enumerate(message.tool_calls or ()):
            if _arguments(call) is None:
                yield (
                    f"{at}.tool_calls.{place}.function.arguments: is no JSON object with numbers "
                    "of 64 bits, which Anthropic asks for"
                )


def _part_problems(message: Message, at: str) -> Iterator[str]:
    for place, part in enumerate(_parts(message.content)):
        for name in unknown_in_part(part):
            yield f"{at}.content.{place}.{name}: Anthropic has no such field"
        if (problem := problem_of(part)) is not None:
            yield f"{at}.content.{place}: {problem}"
        elif message.role in _SYSTEM and part.type != "text":
            yield f"{at}.content.{place}: Anthropic's system prompt is text alone"


class _CallNames:
    """Ids of calls as Anthropic takes them: of letters and digits, none twice in a conversation,
    though other servers name the calls of each turn anew."""

    def __init__(self) -> None:
        self._used: set[str] = set()
        self._now: dict[str, str] = {}

    def of_call(self, given: str) -> str:
        """The name of a new call."""
        name = wanted = _plain(given)
        number = 2
        while name in self._used:
            name, number = f"{wanted[:56]}_{number}", number + 1
        self._used.add(name)
        self._now[given] = name
        return name

    def of_result(self, given: str) -> str:
        """The name of the last call that was named so."""
        return self._now.get(given) or _plain(given)


def _plain(given: str) -> str:
    if _ID.fullmatch(given):
        return given
    return f"call_{sha256(given.encode()).hexdigest()[:24]}"


def _turn(message: Message, names: _CallNames) -> tuple[str, list[JsonObject]]:
    blocks = _blocks(message.content)
    if message.role == "tool":
        result: JsonObject = {
            "type": "tool_result",
            "tool_use_id": names.of_result(message.tool_call_id or ""),
        }
        if _failed(message):
            result["is_error"] = True
        return "user", _marked([result | ({"content": blocks} if blocks else {})], message)
    for call in message.tool_calls or ():
        arguments = _arguments(call)
        if arguments is None:
            raise invalid(
                "the arguments of a tool call in a message are no JSON object with numbers of 64 "
                "bits"
            )
        use = {"type": "tool_use", "id": names.of_call(call.id), "name": call.function.name}
        blocks.append(with_own({**use, "input": arguments}, call))
    return message.role, _marked(blocks, message)


def _marked(blocks: list[JsonObject], message: Message) -> list[JsonObject]:
    """The blocks of a message, the last one with what the message says for all of them."""
    return [*blocks[:-1], with_own(blocks[-1], message)] if blocks else blocks


def _failed(message: Message) -> bool:
    return bool((message.__pydantic_extra__ or {}).get(_FAILED))


def _blocks(content: str | tuple[ContentPart, ...] | None) -> list[JsonObject]:
    if content is None or isinstance(content, str):
        return [{"type": "text", "text": content}] if content and content.strip() else []
    return [block for part in content if (block := block_of(part)) is not None]


def _parts(content: str | tuple[ContentPart, ...] | None) -> tuple[ContentPart, ...]:
    return content if isinstance(content, tuple) else ()


def _arguments(call: ToolCall) -> JsonObject | None:
    """A call's arguments; None where they are no object, or one that would lose a digit.

    No text at all is no arguments.
    """
    return object_of(call.function.arguments.strip() or "{}")


def _is_no_result(block: JsonObject) -> bool:
    return bool(block["type"] != "tool_result")


def _has(turn: JsonObject, types: frozenset[str]) -> bool:
    return any(block["type"] in types for block in turn["content"])
