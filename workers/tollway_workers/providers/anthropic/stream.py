"""The events of an Anthropic message, joined into the message that they are pieces of. Pure.

https://platform.claude.com/docs/en/build-with-claude/streaming: `message_start`, blocks by their
index, `message_delta` with why it stopped and all tokens so far, `message_stop`. Other events may
be added at any time; an error may come at any place.
"""

from collections import defaultdict
from collections.abc import Iterator
from io import StringIO
from typing import Any

import orjson

from tollway_workers.job.readable_json import exact_value, is_too_deep
from tollway_workers.providers.json_events import JsonObject, JsonStream, growing
from tollway_workers.providers.wire_format import BrokenStream

#: The text that each kind of delta goes on with, and the field of its block that it is.
_GROWING = {
    "text_delta": ("text", "text"),
    "thinking_delta": ("thinking", "thinking"),
    "signature_delta": ("signature", "signature"),
    "input_json_delta": ("partial_json", "input"),
}
_MOST_BLOCKS = 4_096


class MessageStream(JsonStream):
    """The message as far as its events have come (an `AnswerStream`).

    State: `_message` (all but its content), `_blocks` (by index).
    """

    def __init__(self) -> None:
        super().__init__()
        self._message: JsonObject = {}
        self._blocks: dict[int, _Block] = {}

    @property
    def is_whole(self) -> bool:
        """Whether the model has said why it stopped: nothing of the answer follows that."""
        return self._error is None and bool(self._message.get("stop_reason"))

    def text(self) -> str:
        """All that the model has said so far: answer, thoughts, arguments."""
        return "".join(piece for block in self._blocks.values() for piece in block.pieces())

    def add(self, value: Any, size: int, kind: str = "") -> bool:
        """See `JsonStream`."""
        if not isinstance(value, dict):
            return False
        said = value.get("type") or kind
        if said == "error" or value.get("error"):
            self._error, self.ended = _as_error(value), True
            return False
        match said:
            case "message_start":
                self._begin(value.get("message"), size)
            case "content_block_start":
                return self._open(value, size)
            case "content_block_delta":
                return self._grow(value, size)
            case "message_delta":
                return self._note_end(value, size)
            case "message_stop":
                self.ended = True
            case _:
                pass
        return False

    def _begin(self, message: Any, size: int) -> None:
        if isinstance(message, dict) and not self._message:
            self.size += size
            self._message = {**message}
            content = message.get("content")
            for index, block in enumerate(content if isinstance(content, list) else ()):
                self._blocks[index] = _Block(block)

    def _open(self, value: JsonObject, size: int) -> bool:
        block = value.get("content_block")
        index = _index(value)
        if not isinstance(block, dict) or index is None:
            return False
        self.size += size
        self._blocks[index] = _Block(block)
        # Of a call its name is said here; of a text nothing but that it begins.
        return block.get("type") not in ("text", "thinking", None) or bool(block.get("text"))

    def _grow(self, value: JsonObject, size: int) -> bool:
        delta, index = value.get("delta"), _index(value)
        if not isinstance(delta, dict) or index is None:
            return False
        block = self._blocks.setdefault(index, _Block(_beginning(delta)))
        grown = block.add(delta)
        self.size += size if grown is None else grown
        return bool(grown)

    def _note_end(self, value: JsonObject, size: int) -> bool:
        self.size += size
        delta, usage = value.get("delta"), value.get("usage")
        if isinstance(delta, dict):
            self._message |= {name: each for name, each in delta.items() if each is not None}
        if isinstance(usage, dict):
            before = self._message.get("usage")
            known = {name: each for name, each in usage.items() if each is not None}
            self._message["usage"] = {**before, **known} if isinstance(before, dict) else known
        return isinstance(delta, dict) and bool(delta.get("stop_reason"))

    def _whole(self) -> JsonObject:
        if not self._message:
            raise BrokenStream("the answer is a stream without a message in it")
        if not self.is_whole:
            raise BrokenStream("the stream ended before its answer did")
        content = [self._blocks[index].whole() for index in sorted(self._blocks)]
        return {**self._message, "type": "message", "content": content}


class _Block:
    """One block as far as its deltas have come."""

    def __init__(self, block: Any) -> None:
        self._fields: JsonObject = dict(block) if isinstance(block, dict) else {}
        self._growing: defaultdict[str, StringIO] = defaultdict(growing)
        self._citations: list[Any] = []

    def add(self, delta: JsonObject) -> int | None:
        """Go on with it; the characters that were added, None where the delta is no text."""
        kind = delta.get("type")
        known = _GROWING.get(kind) if isinstance(kind, str) else None
        if known is None:
            self._add_other(delta)
            return None
        said = delta.get(known[0])
        if not isinstance(said, str):
            return 0
        self._growing[known[1]].write(said)
        return len(said)

    def pieces(self) -> Iterator[str]:
        """The texts that have grown so far, without what only proves who wrote them."""
        for name in ("text", "thinking"):
            if isinstance(begun := self._fields.get(name), str):
                yield begun
        for name, text in self._growing.items():
            if name != "signature":
                yield text.getvalue()

    def whole(self) -> JsonObject:
        """The block as if it had not been streamed; arguments that nobody reads stay a text."""
        block = dict(self._fields)
        if self._citations:
            block["citations"] = self._citations
        for name, grown in self._growing.items():
            text = grown.getvalue()
            begun = block.get(name)
            if name == "input":
                block[name] = _read(text)
            else:
                block[name] = f"{begun}{text}" if isinstance(begun, str) else text
        return block

    def _add_other(self, delta: JsonObject) -> None:
        if delta.get("type") == "citations_delta":
            self._citations.append(delta.get("citation"))


def _read(text: str) -> Any:
    if not text.strip():
        return {}
    try:
        found = exact_value(text)
    except orjson.JSONDecodeError:
        return text
    # So deep, it is no reader's: the text is a bad answer of the model's, and no broken stream.
    return found if isinstance(found, dict) and not is_too_deep(text.encode()) else text


def _beginning(delta: JsonObject) -> JsonObject:
    """The block of a delta whose beginning was not said."""
    kinds = {"text_delta": "text", "thinking_delta": "thinking", "input_json_delta": "tool_use"}
    return {"type": kinds.get(str(delta.get("type")), "text")}


def _as_error(value: JsonObject) -> JsonObject:
    if value.get("error"):
        return {"type": "error", **value}
    return {"type": "error", "error": {name: each for name, each in value.items()}}


def _index(value: JsonObject) -> int | None:
    index = value.get("index", 0)
    return index if type(index) is int and 0 <= index < _MOST_BLOCKS else None
