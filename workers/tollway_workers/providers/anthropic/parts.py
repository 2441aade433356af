"""What a message's parts are in Anthropic's blocks. Pure.

https://platform.claude.com/docs/en/api/messages: text, images and documents, by their bytes or by
an address. A part in one of Anthropic's own types goes out as it is.
"""

from typing import Any

from tollway_schemas.model import Record
from tollway_schemas.request import ContentPart, ImagePart, TextPart
from tollway_workers.providers.asking import invalid
from tollway_workers.providers.content import File, file_of, inline_of, is_data_url

JsonObject = dict[str, Any]

#: Images that it takes by their bytes.
_IMAGES = frozenset(("image/jpeg", "image/png", "image/gif", "image/webp"))
_PDF, _PLAIN = "application/pdf", "text/plain"
#: Its own types of blocks: whoever writes one means them.
_OWN_TYPES = frozenset(
    {
        "image", "document", "search_result", "thinking", "redacted_thinking", "tool_use",
        "tool_result", "server_tool_use", "web_search_tool_result", "web_fetch_tool_result",
        "code_execution_tool_result", "bash_code_execution_tool_result",
        "text_editor_code_execution_tool_result", "mcp_tool_use", "mcp_tool_result",
        "container_upload", "compaction",
    }
)  # fmt: skip


def block_of(part: ContentPart) -> JsonObject | None:
    """The block that a part is; None for a text without a letter, which Anthropic refuses.

    Raises ProviderError (invalid request) where there is none: `problem_of` says so before.
    """
    problem = problem_of(part)
    if problem is not None:
        raise invalid(f"a part of a message {problem}")
    if isinstance(part, TextPart):
        return with_own({"type": "text", "text": part.text}, part) if part.text.strip() else None
    if isinstance(part, ImagePart):
        return with_own({"type": "image", "source": _source_of(part.image_url.url)}, part)
    found = file_of(part)
    if found is not None:
        return with_own(_document(found), part)
    return {"type": part.type, **(part.__pydantic_extra__ or {})}


def problem_of(part: ContentPart) -> str | None:
    """Why a part cannot be said, as the end of a sentence; None where it can."""
    if isinstance(part, TextPart):
        return None
    if isinstance(part, ImagePart):
        return _image_problem(part)
    if part.type in _OWN_TYPES:
        return None
    found = file_of(part)
    if found is not None:
        return _file_problem(found)
    return f"is of type {part.type[:64]!r}, which Anthropic does not have"


def with_own(block: JsonObject, record: Record) -> JsonObject:
    """The block with the fields of Anthropic's own that the part has, such as `cache_control`."""
    own = (record.__pydantic_extra__ or {}).get("cache_control")
    return block if own is None else {**block, "cache_control": own}


def _image_problem(part: ImagePart) -> str | None:
    if part.image_url.detail == "low":
        return 'is an image with detail "low", and Anthropic looks at all of an image'
    url = part.image_url.url
    if not is_data_url(url):
        return None if url[:8].lower() == "https://" else "is an image at no https address"
    inline = inline_of(url[:256])
    if inline is None:
        return "is an image in a data URL that is not in base64"
    if inline.media_type not in _IMAGES:
        return f"is an image of type {inline.media_type[:64]!r}, which Anthropic does not take"
    return None


def _file_problem(found: File) -> str | None:
    if found.inline is not None:
        kind = found.inline.media_type
        known = kind in (_PDF, _PLAIN) or kind in _IMAGES
        return None if known else f"is a file of type {kind[:64]!r}, which Anthropic does not take"
    if found.url is not None:
        return None
    return "is a file by its id at another provider"


def _source_of(url: str) -> JsonObject:
    inline = inline_of(url)
    if inline is None:
        return {"type": "url", "url": url}
    return {"type": "base64", "media_type": inline.media_type, "data": inline.data}


def _document(found: File) -> JsonObject:
    inline = found.inline
    if inline is None:
        return _titled({"type": "document", "source": {"type": "url", "url": found.url}}, found)
    source = {"type": "base64", "media_type": inline.media_type, "data": inline.data}
    if inline.media_type in _IMAGES:
        return {"type": "image", "source": source}
    if inline.media_type == _PLAIN:
        source = {"type": "text", "media_type": _PLAIN, "data": inline.text()}
    return _titled({"type": "document", "source": source}, found)


def _titled(block: JsonObject, found: File) -> JsonObject:
    return block if found.name is None else {**block, "title": found.name}
