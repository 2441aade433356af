"""What an OpenAI message says: its text and its tool calls, whatever the server made of them. Pure.

Anything may be missing, null or of another type.
"""

from itertools import islice, starmap
from typing import Any

from tollway_schemas.request import ToolCall, ToolCallFunction
from tollway_workers.providers.answer_body import MOST_CALLS, arguments_text

_LONGEST_ID = 256

#: Fields of a message that are an answer in a form that has no field of ours.
_OTHER_ANSWERS = ("audio", "images", "video")


def text_of(content: Any) -> str | None:
    """The text of a message: a string, or the text parts of a list."""
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        return None
    texts = [part["text"] for part in content if _is_text(part)]
    return "".join(texts) if texts else None


def tool_calls_of(message: dict[str, Any]) -> tuple[ToolCall, ...]:
    """The calls of functions that a message asks for, the older `function_call` among them.

    Of too many, one more than there may be.
    """
    calls = message.get("tool_calls")
    if calls and isinstance(calls, list):
        read = starmap(_tool_call, enumerate(calls))
        found = tuple(islice((call for call in read if call is not None), MOST_CALLS + 1))
        if found:
            return found
    older = message.get("function_call") and _tool_call(0, {"function": message["function_call"]})
    return (older,) if older else ()


def has_other_answer(message: dict[str, Any]) -> bool:
    """Whether a message answers in another form: audio, images, a tool that is no function."""
    calls, content = message.get("tool_calls"), message.get("content")
    return (
        (isinstance(calls, list) and any(_is_other_call(call) for call in calls))
        or (isinstance(content, list) and any(_is_other_part(part) for part in content))
        or any(map(message.get, _OTHER_ANSWERS))
    )


def is_refusal(message: dict[str, Any]) -> bool:
    """Whether the model refused, in the message's own field or in a part of its content."""
    content = message.get("content")
    return bool(message.get("refusal")) or (
        isinstance(content, list)
        and any(isinstance(part, dict) and part.get("type") == "refusal" for part in content)
    )


def _is_text(part: Any) -> bool:
    return (
        isinstance(part, dict)
        and part.get("type") in ("text", "output_text")
        and isinstance(part.get("text"), str)
    )


def _is_other_call(call: Any) -> bool:
    kind = call.get("type") if isinstance(call, dict) else None
    return isinstance(kind, str) and kind != "function"


def _is_other_part(part: Any) -> bool:
    """Whether a part is content of its own: not text, and not what the model thought or refused."""
    kind = part.get("type") if isinstance(part, dict) else None
    return isinstance(kind, str) and kind.partition("_")[0] in ("image", "audio", "video", "file")


def _tool_call(index: int, call: Any) -> ToolCall | None:
    function = call.get("function") if isinstance(call, dict) else None
    if not isinstance(function, dict) or not isinstance(function.get("name"), str):
        return None
    # Ollama's own API gives an object instead of its text; no arguments may be null.
    arguments = arguments_text(function.get("arguments"))
    said = call.get("id")
    return ToolCall(
        id=said[:_LONGEST_ID] if isinstance(said, str) and said else f"call_{index}",
        function=ToolCallFunction(name=function["name"], arguments=arguments),
    )
