"""The parts of a message in Gemini's words: text, images, files and sounds. Pure.

https://ai.google.dev/api/caching#Part
"""

from typing import Any
from urllib.parse import urlsplit

from tollway_schemas.request import ContentPart, ImagePart, TextPart
from tollway_workers.providers.content import audio_of, file_of, inline_of, is_data_url

JsonObject = dict[str, Any]

#: Fields of Gemini's own parts, which have no `type`.
_OWN = frozenset(
    {
        "text", "inlineData", "fileData", "videoMetadata", "mediaResolution", "executableCode",
        "codeExecutionResult", "thought", "thoughtSignature", "functionCall", "functionResponse",
    }
)  # fmt: skip

#: How names of files begin that Gemini or Google's storage holds.
_FILE_ADDRESSES = ("https://", "gs://")

#: Types by the end of an address; Gemini finds out others by itself.
_TYPES = {
    "png": "image/png", "jpg": "image/jpeg", "jpeg": "image/jpeg", "webp": "image/webp",
    "heic": "image/heic", "heif": "image/heif", "gif": "image/gif", "pdf": "application/pdf",
    "txt": "text/plain", "csv": "text/csv", "html": "text/html", "json": "application/json",
    "wav": "audio/wav", "mp3": "audio/mp3", "flac": "audio/flac", "ogg": "audio/ogg",
    "mp4": "video/mp4", "mov": "video/mov", "webm": "video/webm",
}  # fmt: skip


def part_of(part: ContentPart) -> JsonObject | None:
    """The part in Gemini's words; None where it has none."""
    if isinstance(part, TextPart):
        return {"text": part.text}
    if isinstance(part, ImagePart):
        return _at(part.image_url.url)
    if (file := file_of(part)) is not None:
        if file.inline is not None:
            return _inline(file.inline.media_type, file.inline.data)
        return _file(file.url or file.file_id or "")
    if (sound := audio_of(part)) is not None:
        return _inline(f"audio/{sound.format}", sound.data)
    return _own(part)


def _own(part: ContentPart) -> JsonObject | None:
    said = {name: each for name, each in (part.__pydantic_extra__ or {}).items() if each}
    return said if said and said.keys() <= _OWN else None


def _at(url: str) -> JsonObject | None:
    if not is_data_url(url):
        return _file(url)
    carried = inline_of(url)
    return None if carried is None else _inline(carried.media_type, carried.data)


def _inline(media_type: str, data: str) -> JsonObject:
    return {"inlineData": {"mimeType": media_type, "data": data}}


def _file(address: str) -> JsonObject | None:
    if not address.lower().startswith(_FILE_ADDRESSES):
        return None
    media_type = _TYPES.get(_path_of(address).rpartition(".")[2].lower())
    typed = {} if media_type is None else {"mimeType": media_type}
    return {"fileData": {**typed, "fileUri": address}}


def _path_of(address: str) -> str:
    try:
        return urlsplit(address).path
    except ValueError:
        return ""
