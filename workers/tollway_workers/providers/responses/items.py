"""A conversation in the words of OpenAI's Responses: a list of items. Pure.

https://platform.openai.com/docs/api-reference/responses/create#responses-create-input. A call of a
function and its answer are items of their own, which belong together by `call_id`.
"""

from collections.abc import Iterator
from hashlib import sha256
from typing import Any

from tollway_schemas.request import ContentPart, ImagePart, Message, TextPart
from tollway_workers.config.shape.profiles import Profile
from tollway_workers.providers.content import File, file_of

JsonObject = dict[str, Any]

#: Types of parts that are Responses' own.
_OWN = {
    "user": frozenset(("input_text", "input_image", "input_file")),
    "assistant": frozenset(("output_text", "refusal")),
}
_LONGEST_CALL_ID = 64


def items_of(message: Message, profile: Profile) -> Iterator[JsonObject]:
    """The items that one turn is."""
    if message.role == "tool":
        yield {
            "type": "function_call_output",
            "call_id": call_id(message.tool_call_id or ""),
            "output": _content(message) or "",
        }
        return
    role = message.role
    if role == "developer" and not profile.developer_role:
        role = "system"
    calls = message.tool_calls or ()
    content = _content(message)
    if content or not calls:
        yield {"role": role, "content": content or ""}
    for call in calls:
        yield {
            "type": "function_call",
            "call_id": call_id(call.id),
            "name": call.function.name,
            "arguments": call.function.arguments,
        }


def call_id(given: str) -> str:
    """The id of a call, as long as one may be: other providers' are longer."""
    if len(given) <= _LONGEST_CALL_ID:
        return given
    return f"call_{sha256(given.encode()).hexdigest()[:32]}"


def part_of(part: ContentPart, role: str) -> JsonObject | None:
    """The part in Responses' words; None where it has none."""
    if isinstance(part, TextPart):
        kind = "output_text" if role == "assistant" else "input_text"
        return {"type": kind, "text": part.text}
    if part.type in _OWN.get(role, _OWN["user"]):
        return part.model_dump(exclude_none=True)
    if role == "assistant":
        return None
    if isinstance(part, ImagePart):
        image = part.image_url
        return {"type": "input_image", "image_url": image.url, "detail": image.detail or "auto"}
    file = file_of(part)
    return None if file is None else _file(file)


def _file(file: File) -> JsonObject:
    named: JsonObject = {"type": "input_file"}
    if file.inline is not None:
        inline = file.inline
        named["file_data"] = f"data:{inline.media_type};base64,{inline.data}"
        named["filename"] = file.name or "file"
    elif file.file_id is not None:
        named["file_id"] = file.file_id
    else:
        named["file_url"] = file.url
    return named


def _content(message: Message) -> str | list[JsonObject]:
    """What a turn says; an assistant's is text alone, what it refused with among it."""
    content = message.content
    if isinstance(content, tuple):
        parts = [said for part in content if (said := part_of(part, message.role)) is not None]
        if message.role != "assistant":
            return parts
        return "".join(part.get("text") or part.get("refusal") or "" for part in parts)
    if content is None:
        refusal = (message.__pydantic_extra__ or {}).get("refusal")
        return refusal if isinstance(refusal, str) else ""
    return content
