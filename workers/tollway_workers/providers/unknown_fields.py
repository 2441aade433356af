"""What of a conversation belongs to one protocol alone. Pure.

An assistant's turn is often the answer of another API as it came. What that says about the answer
is no part of the conversation, and may be left out; anything else that is not known may not.
"""

from collections.abc import Iterator

from tollway_schemas.model import Record
from tollway_schemas.request import ContentPart, ImagePart, TextPart

#: About an answer, or what an answer costs: left out, the conversation is the same.
_ABOUT_ANSWERS = frozenset(
    {
        "annotations", "cache_control", "citations", "extra_content", "logprobs", "phase",
        "provider_specific_fields", "reasoning", "reasoning_content", "reasoning_details",
        "refusal", "thinking_blocks",
    }
)  # fmt: skip


def unknown_fields(record: Record) -> Iterator[str]:
    """The names of fields that only another protocol could say, where they hold anything."""
    for name, value in (record.__pydantic_extra__ or {}).items():
        if name not in _ABOUT_ANSWERS and value not in (None, "", [], {}, ()):
            yield name


def unknown_in_part(part: ContentPart) -> Iterator[str]:
    """The same of a part that is written anew, by their paths in it. Other parts go as they are."""
    if isinstance(part, TextPart | ImagePart):
        yield from unknown_fields(part)
    if isinstance(part, ImagePart):
        for name in unknown_fields(part.image_url):
            yield f"image_url.{name}"
