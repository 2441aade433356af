"""A conversation in Gemini's words: a system instruction, and turns of user and model. Pure.

Protocol: https://ai.google.dev/api/caching#Content. Gemini answers calls of functions by name, so
names are looked up by the ids that other protocols use. A call that Gemini made carries a
signature, which Gemini 3 wants back: https://ai.google.dev/gemini-api/docs/thought-signatures.
"""

from collections.abc import Iterable
from typing import Any

from tollway_schemas.request import ContentPart, Message, ToolCall, ToolCallFunction
from tollway_workers.providers.content import object_of, text_of
from tollway_workers.providers.gemini.model import is_before_3
from tollway_workers.providers.gemini.parts import part_of
from tollway_workers.providers.refused import takes_value

JsonObject = dict[str, Any]

#: Google's own word for a call that another model made, so that nobody signed it.
UNSIGNED = "skip_thought_signature_validator"

#: What an answer of a function calls its parts: an object with one of these means that part alone.
_RESULT_WORDS = frozenset(("output", "error"))

_SYSTEM = ("system", "developer")


class Conversation:
    """One conversation as it goes out; `names` are the functions called so far, by id of a call."""

    def __init__(self, model: str, refused: frozenset[str] = frozenset()) -> None:
        self.system: list[JsonObject] = []
        self.turns: list[JsonObject] = []
        self._names: dict[str, str] = {}
        self._signs = not is_before_3(model)
        self._refused = refused
        self._in_results = False

    def add(self, message: Message) -> None:
        """Say one more turn."""
        if message.role == "tool":
            self._add_result(message)
            return
        self._in_results = False
        if message.role in _SYSTEM:
            # Gemini has one instruction, which stands before the conversation.
            self.system += [part for part in _parts(message) if part.get("text")]
        elif message.role == "user":
            self.turns.append({"role": "user", "parts": _parts(message)})
        else:
            calls = message.tool_calls or ()
            said = [] if calls and not message.content else _parts(message)
            parts = [*said, *self._calls(calls)]
            self.turns.append({"role": "model", "parts": parts})

    def _calls(self, calls: Iterable[ToolCall]) -> list[JsonObject]:
        parts: list[JsonObject] = []
        for call in calls:
            self._names[call.id] = call.function.name
            part: JsonObject = {
                "functionCall": {
                    "id": call.id,
                    "name": call.function.name,
                    "args": args_of(call) or {},
                }
            }
            signature = signature_of(call)
            if signature is not None and not takes_value(signature, self._refused):
                # Of another model or account.
                signature = None
            if signature is None and self._signs and not parts:
                # Of calls that were made at once the first alone is signed.
                signature = UNSIGNED
            if signature is not None:
                part["thoughtSignature"] = signature
            parts.append(part)
        return parts

    def _add_result(self, message: Message) -> None:
        """Answers to calls that were made at once are one turn."""
        called = message.tool_call_id or ""
        name = self._names.get(called) or message.name or called
        result: JsonObject = {"id": called, "name": name} if called else {"name": name}
        result["response"] = _response(message.content)
        media = [] if isinstance(message.content, str) else _parts(message)
        if media := [part for part in media if "text" not in part]:
            result["parts"] = media
        part = {"functionResponse": result}
        if self._in_results:
            self.turns[-1]["parts"].append(part)
        else:
            self.turns.append({"role": "user", "parts": [part]})
        self._in_results = True


def signature_of(call: ToolCall) -> str | None:
    """The signature of a call, where Google's server for OpenAI's protocol has it too."""
    extra: Any = (call.__pydantic_extra__ or {}).get("extra_content")
    for name in ("google", "thought_signature"):
        extra = extra.get(name) if isinstance(extra, dict) else None
    return extra if isinstance(extra, str) and extra else None


def signed(call_id: str, function: ToolCallFunction, signature: Any) -> ToolCall:
    """A call with its signature, as `signature_of` reads it."""
    if not isinstance(signature, str) or not signature:
        return ToolCall(id=call_id, function=function)
    said = {"google": {"thought_signature": signature}}
    return ToolCall.model_validate({"id": call_id, "function": function, "extra_content": said})


def _parts(message: Message) -> list[JsonObject]:
    content = message.content
    if content is None:
        # What another API calls a refusal stands in a field of its own.
        refusal = (message.__pydantic_extra__ or {}).get("refusal")
        content = refusal if isinstance(refusal, str) else ""
    if isinstance(content, str):
        return [{"text": content}]
    return [said for part in content if (said := part_of(part)) is not None]


def _response(content: str | tuple[ContentPart, ...] | None) -> JsonObject:
    """What a function answered: its object, or its text under the word that means all of it."""
    text = text_of(content)
    said = object_of(text)
    if said is None:
        return {"output": text}
    return {"output": said} if _RESULT_WORDS & said.keys() else said


def args_of(call: ToolCall) -> JsonObject | None:
    """The arguments of a call; None where they are no object, or one that would lose a digit."""
    return object_of(call.function.arguments.strip() or "{}")
