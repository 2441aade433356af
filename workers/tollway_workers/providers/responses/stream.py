"""Events of an OpenAI response, from which the response is known that they build up. Pure.

The last event holds the whole response; servers that leave its output out have sent it in items.
Events: https://platform.openai.com/docs/api-reference/responses-streaming
"""

from collections import defaultdict
from collections.abc import Iterator
from io import StringIO
from typing import Any

from tollway_workers.providers.json_events import JsonObject, JsonStream, growing
from tollway_workers.providers.wire_format import BrokenStream

#: The last event of a stream, and the status of the response in it.
_LAST = {
    f"response.{status}": status for status in ("completed", "incomplete", "failed", "cancelled")
}
#: What a piece of an item's text is called there.
_TEXTS = {
    "response.output_text.delta": "output_text",
    "response.refusal.delta": "refusal",
    "response.function_call_arguments.delta": "arguments",
}
#: Fields of items and of their parts that the model itself has written.
_SAID = ("text", "refusal", "arguments")
_MOST_ITEMS = 4_096


class EventStream(JsonStream):
    """The response as far as its events have come (an `AnswerStream`).

    State: `_text` (all that was said), `_items` (by place in the output), `_response` (of the
    last event).
    """

    def __init__(self) -> None:
        super().__init__()
        self._text = growing()
        self._items: dict[int, _Item] = {}
        self._response: JsonObject | None = None
        self._said = self._itemized = 0

    @property
    def is_whole(self) -> bool:
        """Whether the last event has come."""
        return self._error is None and self._response is not None

    def text(self) -> str:
        """All that the model has said so far: answer, reasoning, arguments.

        Of a server that sends no pieces, what its items say.
        """
        if self._said:
            return self._text.getvalue()
        said = (self._response or {}).get("output") or [each.whole() for each in self._all()]
        return "".join(_texts_in(said)) if isinstance(said, list) else ""

    def add(self, value: Any, size: int, kind: str = "") -> bool:
        """See `JsonStream`."""
        return isinstance(value, dict) and self._add_event(value, size, kind)

    def _add_event(self, said: JsonObject, size: int, kind: str) -> bool:
        given = said.get("type")
        kind = given if isinstance(given, str) else kind
        if kind == "error" or (said.get("error") and "response" not in said):
            self._error = {"type": "error", "error": _error_of(said)}
            self.ended = True
            return False
        if kind in _LAST and isinstance(said.get("response"), dict):
            response = said["response"]
            self._response = {**response, "status": response.get("status") or _LAST[kind]}
            self.ended = True
            self.size = max(self.size, size)
            return True
        spoke = self._add_piece(said, kind, size)
        self.size = max(self.size, self._said, self._itemized)
        return spoke

    def _add_piece(self, said: JsonObject, kind: str, size: int) -> bool:
        item = said.get("item")
        if kind.startswith("response.output_item.") and isinstance(item, dict):
            self._item(said).set(item)
            self._itemized += size
            return kind.endswith(".done")
        delta = said.get("delta")
        if not kind.endswith(".delta") or not isinstance(delta, str) or not delta:
            return False
        self._text.write(delta)
        self._said += len(delta)
        if kind in _TEXTS:
            self._item(said).grow(_TEXTS[kind], delta)
        return True

    def _item(self, said: JsonObject) -> "_Item":
        """The item that an event is about: by its place, else the last one."""
        index = said.get("output_index")
        if type(index) is not int or not 0 <= index < _MOST_ITEMS:
            index = max(self._items, default=0)
        return self._items.setdefault(index, _Item())

    def _whole(self) -> JsonObject:
        if self._response is None:
            raise BrokenStream("the stream ended before its answer did")
        if self._response.get("output") or not self._items:
            return self._response
        output = [item for each in self._all() if (item := each.whole())]
        return {**self._response, "output": output}

    def _all(self) -> "list[_Item]":
        return [self._items[index] for index in sorted(self._items)]


def _texts_in(items: list[Any]) -> Iterator[str]:
    """What the items of an output say, in their own fields and in their parts."""
    for item in items:
        if not isinstance(item, dict):
            continue
        content = item.get("content")
        for part in (item, *(content if isinstance(content, list) else ())):
            said = (part.get(name) for name in _SAID) if isinstance(part, dict) else ()
            yield from (text for text in said if isinstance(text, str))


def _error_of(said: JsonObject) -> Any:
    """The error of an event: its own fields, or an object in it."""
    inside = said.get("error")
    if isinstance(inside, dict) and inside:
        return inside
    own = {name: said.get(name) for name in ("code", "message", "param") if said.get(name)}
    return own or {"message": inside if isinstance(inside, str) else "the stream ended in an error"}


class _Item:
    """One item of the output as far as its events have come."""

    def __init__(self) -> None:
        self._fields: JsonObject = {}
        self._grown: defaultdict[str, StringIO] = defaultdict(growing)

    def set(self, item: JsonObject) -> None:
        """What an event says of the whole item."""
        self._fields = item

    def grow(self, name: str, piece: str) -> None:
        """Add a piece to one of its texts."""
        self._grown[name].write(piece)

    def whole(self) -> JsonObject:
        """The item; its texts are what has grown where it was not said whole."""
        fields = dict(self._fields)
        for name, text in self._texts():
            if name == "arguments":
                if not fields.get(name):
                    fields = {"type": "function_call", **fields, name: text}
            elif not fields.get("content"):
                part = {"type": name, "text" if name == "output_text" else name: text}
                fields = {"type": "message", **fields, "content": [part]}
        return fields

    def _texts(self) -> Iterator[tuple[str, str]]:
        return ((name, text.getvalue()) for name, text in self._grown.items())
