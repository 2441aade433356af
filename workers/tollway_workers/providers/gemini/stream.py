"""Chunks of Gemini's streamGenerateContent, joined into the answer that they are pieces of. Pure.

Each chunk is a whole GenerateContentResponse; what it says of the answer's end and of tokens stands
in the last ones. There is no `[DONE]`. Without `alt=sse` they come as one list.
https://ai.google.dev/api/generate-content#method:-models.streamgeneratecontent
"""

from collections.abc import Iterable, Iterator
from io import StringIO
from typing import Any

from tollway_workers.job.readable_json import ReadJson, encoded, read_body
from tollway_workers.providers.json_events import JsonObject, JsonStream, growing
from tollway_workers.providers.wire_format import BrokenStream

#: Fields that every chunk repeats.
_USUAL = frozenset(("candidates", "usageMetadata", "modelVersion", "responseId", "createTime"))
_USUAL_OF_CANDIDATE = frozenset(
    ("content", "finishReason", "finishMessage", "index", "safetyRatings", "tokenCount")
)
#: Fields of a part that goes on where the one before it ended.
_GROWING = frozenset(("text", "thought"))


class ContentStream(JsonStream):
    """The answer as far as its chunks have come (an `AnswerStream`).

    State: `_envelope`, `_usage` and `_candidates` (joined).
    """

    def __init__(self) -> None:
        super().__init__()
        self._envelope: JsonObject = {}
        self._usage: JsonObject = {}
        self._candidates: dict[int, _Candidate] = {}

    def add(self, value: Any, size: int, kind: str = "") -> bool:
        """See `JsonStream`."""
        # Errors come as a list of one.
        values = value if isinstance(value, list) else (value,)
        chunk = next((each for each in values if isinstance(each, dict)), None)
        if chunk is None:
            return False
        if chunk.get("error"):
            self._error, self.ended = chunk, True
            return False
        spoke, grown = False, 0 if chunk.keys() <= _USUAL else size
        for candidate in _list(chunk.get("candidates")):
            if isinstance(candidate, dict):
                index = _index(candidate)
                of_index = self._candidates.setdefault(index, _Candidate())
                spoke |= of_index.add(candidate)
                grown += of_index.growth(candidate, size)
        self.size += grown
        usage = chunk.get("usageMetadata")
        if isinstance(usage, dict):
            self._usage.update(usage)
        self._envelope.update(
            (name, value)
            for name, value in chunk.items()
            if value is not None and name not in ("candidates", "usageMetadata")
        )
        return spoke or self._is_blocked

    @property
    def is_whole(self) -> bool:
        """Whether the model has said why it stopped, which it had not before, and nothing after.

        A server that gives the reason in every chunk tells nothing by it, nor may a first chunk
        that has one: there only the end of the response tells that the answer is whole.
        """
        first = self._first
        if self._error is not None:
            return False
        return self._is_blocked if first is None else first.has_stopped

    def text(self) -> str:
        """All that the model has said so far: answer, thoughts, arguments."""
        return "".join(
            piece for candidate in self._candidates.values() for piece in candidate.pieces()
        )

    @property
    def _is_blocked(self) -> bool:
        feedback = self._envelope.get("promptFeedback")
        return isinstance(feedback, dict) and bool(feedback.get("blockReason"))

    @property
    def _first(self) -> "_Candidate | None":
        return self._candidates[min(self._candidates)] if self._candidates else None

    def _whole(self) -> JsonObject:
        first = self._first
        if first is None and not self._is_blocked:
            raise BrokenStream("the answer is a stream without a candidate in it")
        if first is not None and not first.is_whole:
            raise BrokenStream("the stream ended before its answer did")
        whole = dict(self._envelope)
        if self._candidates:
            found = sorted(self._candidates.items())
            whole["candidates"] = [{**each.whole(), "index": index} for index, each in found]
        if self._usage:
            whole["usageMetadata"] = self._usage
        return whole


def join_chunks(chunks: Iterable[Any]) -> ReadJson:
    """The answer in chunks that came as one list, or the object with `error` that ended it.

    Raises BrokenStream if it was cut or holds neither.
    """
    stream = ContentStream()
    for chunk in chunks:
        if not stream.ended:
            stream.add(chunk, 0)
    joined = stream.body()
    return read_body(joined, {})


class _Candidate:
    """One answer as far as its chunks have come. State: `_parts`, where the text of one may still
    grow, `_began_open` (its first chunk gave no reason to stop), and `_went_on`
    (something was said after one).
    """

    def __init__(self) -> None:
        self._fields: JsonObject = {}
        self._role: Any = "model"
        self._parts: list[JsonObject] = []
        self._began_open: bool | None = None
        self._went_on = False

    def add(self, candidate: JsonObject) -> bool:
        """Join the candidate of one chunk; whether anything was said in it."""
        spoke = False
        content = candidate.get("content")
        if isinstance(content, dict):
            self._role = content.get("role") or self._role
            for part in _list(content.get("parts")):
                if isinstance(part, dict) and _says_something(part):
                    self._add_part(part)
                    spoke = True
        self._went_on |= spoke and self.is_whole
        if self._began_open is None:
            self._began_open = not candidate.get("finishReason")
        for name, value in candidate.items():
            if value not in (None, "") and name not in ("content", "index"):
                self._fields[name] = value
                spoke |= name == "finishReason"
        return spoke

    @staticmethod
    def growth(candidate: JsonObject, size: int) -> int:
        """Bytes by which a chunk's candidate may make the answer larger; `size` is its own."""
        content = candidate.get("content")
        parts = _list(content.get("parts")) if isinstance(content, dict) else []
        usual = candidate.keys() <= _USUAL_OF_CANDIDATE
        if not usual or not all(isinstance(p, dict) and p.keys() <= _GROWING for p in parts):
            return size
        return sum(len(p["text"]) for p in parts if isinstance(p.get("text"), str))

    @property
    def is_whole(self) -> bool:
        return bool(self._fields.get("finishReason"))

    @property
    def has_stopped(self) -> bool:
        """Whether its reason to stop came in time: once, and last."""
        return self.is_whole and bool(self._began_open) and not self._went_on

    def pieces(self) -> Iterator[str]:
        """The texts so far."""
        for part in self._parts:
            text = part.get("text")
            if isinstance(text, StringIO):
                yield text.getvalue()
            elif "functionCall" in part:
                yield _as_text(part["functionCall"])

    def whole(self) -> JsonObject:
        """The candidate as if it had not been streamed."""
        parts = [
            {**part, "text": text.getvalue()} if isinstance(text, StringIO) else part
            for part in self._parts
            for text in (part.get("text"),)
        ]
        if not parts:
            return dict(self._fields)
        return {"content": {"role": self._role, "parts": parts}, **self._fields}

    def _add_part(self, part: JsonObject) -> None:
        text = part.get("text")
        if not isinstance(text, str):
            self._parts.append({name: each for name, each in part.items() if name != "text"})
            return
        last = self._parts[-1] if self._parts else {}
        grows = part.keys() <= _GROWING and last.keys() <= _GROWING
        if grows and "text" in last and bool(last.get("thought")) == bool(part.get("thought")):
            last["text"].write(text)
        else:
            self._parts.append({**part, "text": growing(text)})


def _says_something(part: JsonObject) -> bool:
    return any(value for name, value in part.items() if name != "thought")


def _as_text(call: Any) -> str:
    try:
        return encoded(call).decode()
    except ValueError:
        return ""


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _index(candidate: JsonObject) -> int:
    index = candidate.get("index")
    return index if type(index) is int and 0 <= index < 128 else 0
