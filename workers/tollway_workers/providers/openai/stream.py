"""Chunks of an OpenAI chat completion, joined into the completion that they are pieces of. Pure.

Gateways may stream whatever they are asked, end without `[DONE]`, or send an error in mid-stream.
Chunks:
https://platform.openai.com/docs/api-reference/chat-streaming
"""

from collections.abc import Iterator
from io import StringIO
from typing import Any

from tollway_workers.providers.json_events import JsonObject, JsonStream, growing
from tollway_workers.providers.wire_format import BrokenStream

#: Texts that a later chunk repeats or replaces; any other text goes on where it ended.
_WORDS = frozenset(("role", "type", "id", "name", "format", "object", "model", "finish_reason"))

#: Levels of objects in a delta that are joined field by field.
_DEEPEST_JOIN = 4

#: Fields of a chunk that every other one repeats.
_USUAL = frozenset(
    ("id", "object", "created", "model", "system_fingerprint", "service_tier", "choices", "usage",
     "obfuscation")
)  # fmt: skip


class ChunkStream(JsonStream):
    """The completion as far as its chunks have come (an `AnswerStream`).

    State: `_envelope` and `_choices` (joined).
    """

    def __init__(self) -> None:
        super().__init__()
        self._envelope: JsonObject = {}
        self._choices: dict[int, _Choice] = {}

    @property
    def is_whole(self) -> bool:
        """Whether the model has said why it stopped, which it had not before, and nothing after:
        then at most its usage is missing.

        A server that gives the reason in every chunk tells nothing by it.
        """
        return self._error is None and bool(self._choices) and self._first.has_stopped

    def text(self) -> str:
        """All that the model has said so far: answer, reasoning, arguments."""
        return "".join(piece for choice in self._choices.values() for piece in choice.pieces())

    @property
    def _first(self) -> "_Choice":
        return self._choices[min(self._choices)]

    def add(self, value: Any, size: int, kind: str = "") -> bool:
        """See `JsonStream`."""
        if not isinstance(value, dict):
            return False
        if value.get("error") or kind == "error":
            self._error = value if value.get("error") else {"error": value}
            self.ended = True
            return False
        return self._add_chunk(value, size)

    def _add_chunk(self, chunk: JsonObject, size: int) -> bool:
        choices = chunk.get("choices")
        spoke, grown = False, 0 if chunk.keys() <= _USUAL else size
        for choice in choices if isinstance(choices, list) else ():
            if isinstance(choice, dict):
                index = _index(choice, 0)
                of_index = self._choices.setdefault(index, _Choice(index))
                spoke |= of_index.add(choice)
                grown += of_index.growth(choice, size)
        self.size += grown
        self._envelope.update(
            (name, value)
            for name, value in chunk.items()
            if value is not None and name not in ("choices", "obfuscation")
        )
        return spoke

    def _whole(self) -> JsonObject:
        if not self._choices:
            raise BrokenStream("the answer is a stream without a chat completion in it")
        if not self._first.is_whole:
            raise BrokenStream("the stream ended before its answer did")
        choices = [self._choices[index].whole() for index in sorted(self._choices)]
        envelope = {**self._envelope, "object": "chat.completion", "choices": choices}
        groq = envelope.get("x_groq")
        if "usage" not in envelope and isinstance(groq, dict) and groq.get("usage"):
            envelope["usage"] = groq["usage"]
        return envelope


class _Choice:
    """One choice as far as its chunks have come."""

    def __init__(self, index: int) -> None:
        self._fields: JsonObject = {"index": index}
        self._message: JsonObject = {"role": "assistant"}
        self._calls: list[JsonObject] = []
        #: What a server says beside its deltas, or instead of them.
        self._said: JsonObject = {}
        #: Whether its first chunk gave no reason to stop, and whether anything was said after one.
        self._began_open: bool | None = None
        self._went_on = False

    def add(self, choice: JsonObject) -> bool:
        """Join the choice of one chunk to what came before; whether anything was said in it."""
        spoke = False
        if self._began_open is None:
            self._began_open = not choice.get("finish_reason") or bool(choice.get("message"))
        self._went_on |= self.is_whole and _says_something(choice.get("delta"))
        for name, value in choice.items():
            if name == "delta" and isinstance(value, dict):
                spoke |= _says_something(value)
                if "tool_calls" in value:
                    self._add_calls(value["tool_calls"])
                    value = {part: said for part, said in value.items() if part != "tool_calls"}
                _join(self._message, value)
            elif name == "message" and isinstance(value, dict):
                self._said, spoke = value, True
            elif name == "logprobs" and isinstance(value, dict):
                _join(self._fields.setdefault(name, {}), value)
            elif value not in (None, "") and name not in ("index", "delta"):
                self._fields[name] = value
                spoke |= name == "finish_reason"
        return spoke

    @staticmethod
    def growth(choice: JsonObject, size: int) -> int:
        """Bytes by which a chunk's choice may make the answer larger; `size` is its own."""
        delta = choice.get("delta")
        if not isinstance(delta, dict) or choice.get("logprobs") or choice.get("message"):
            return size
        if any(said and not isinstance(said, str) for said in delta.values()):
            return size
        return sum(map(len, filter(None, delta.values())))

    @property
    def is_whole(self) -> bool:
        return bool(self._fields.get("finish_reason") or self._fields.get("error"))

    @property
    def has_stopped(self) -> bool:
        """Whether its reason to stop came in time: once, and last."""
        return self.is_whole and bool(self._began_open) and not self._went_on

    def pieces(self) -> Iterator[str]:
        """The texts that have grown so far."""
        yield from _pieces_in((self._message, *self._calls))

    def whole(self) -> JsonObject:
        """The choice as if it had not been streamed."""
        message = _plain(self._message)
        if self._calls:
            message["tool_calls"] = _plain(self._calls)
        said_nothing = not any(value for name, value in message.items() if name != "role")
        if said_nothing and self._said:
            message = self._said
        return {**_plain(self._fields), "message": message}

    def _add_calls(self, calls: Any) -> None:
        for call in calls if isinstance(calls, list) else ():
            if isinstance(call, dict):
                _join(self._call_of(call), call)

    def _call_of(self, piece: JsonObject) -> JsonObject:
        """The tool call that a piece belongs to: by index, else by id, else the last one."""
        index, named = piece.get("index"), piece.get("id")
        same_index = [call for call in self._calls[-64:] if call.get("index") == index]
        candidates = same_index if isinstance(index, int) else self._calls[-1:]
        for call in reversed(candidates):
            # Some servers give each of several whole calls the index 0.
            if not named or call.get("id") in (None, "", named):
                return call
        self._calls.append({} if index is None else {"index": index})
        return self._calls[-1]


def _says_something(delta: Any) -> bool:
    return isinstance(delta, dict) and any(said for part, said in delta.items() if part != "role")


def _join(into: JsonObject, piece: JsonObject, level: int = 0) -> None:
    """Add the fields of a piece to what came before: texts and lists go on, words are replaced."""
    for name, value in piece.items():
        if value is None:
            into.setdefault(name, None)
        elif isinstance(value, str) and name not in _WORDS:
            _join_text(into, name, value)
        elif isinstance(value, list):
            _join_list(into, name, value)
        elif isinstance(value, dict) and level < _DEEPEST_JOIN:
            if not isinstance(into.get(name), dict):
                into[name] = {}
            _join(into[name], value, level + 1)
        elif value != "":
            into[name] = value


def _join_text(into: JsonObject, name: str, text: str) -> None:
    before = into.get(name)
    if isinstance(before, StringIO):
        before.write(text)
    elif isinstance(before, list):
        # Mistral: a message of parts that goes on as text.
        before.append({"type": "text", "text": text})
    else:
        into[name] = growing(text)


def _join_list(into: JsonObject, name: str, more: list[Any]) -> None:
    before = into.get(name)
    if isinstance(before, StringIO):
        text = before.getvalue()
        into[name] = [{"type": "text", "text": text}, *more] if text else list(more)
    elif isinstance(before, list):
        before.extend(more)
    else:
        into[name] = list(more)


def _pieces_in(value: Any, level: int = 0) -> Iterator[str]:
    if isinstance(value, StringIO):
        yield value.getvalue()
    elif level <= _DEEPEST_JOIN + 2 and isinstance(value, dict | list | tuple):
        for each in value.values() if isinstance(value, dict) else value:
            yield from _pieces_in(each, level + 1)


def _plain(value: Any, level: int = 0) -> Any:
    """The same with whole texts in place of pieces."""
    if isinstance(value, StringIO):
        return value.getvalue()
    if level > _DEEPEST_JOIN + 2:
        return value
    if isinstance(value, dict):
        return {name: _plain(each, level + 1) for name, each in value.items()}
    if isinstance(value, list):
        return [_plain(each, level + 1) for each in value]
    return value


def _index(piece: JsonObject, default: int) -> int:
    index = piece.get("index")
    return index if type(index) is int and 0 <= index < 128 else default
