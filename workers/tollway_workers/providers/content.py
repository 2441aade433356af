"""What a message's parts carry, read once for all protocols that write them anew. Pure.

Parts of a request are in OpenAI's words: `text`, `image_url`, and what this release passes on,
of which a `file` and `input_audio` can be said in other protocols too.
"""

import re
from base64 import b64decode
from typing import Any, NamedTuple

import orjson
import pydantic_core

from tollway_schemas.no_json import has_long_number
from tollway_schemas.request import ContentPart, ImagePart, OtherPart, TextPart

#: https://developer.mozilla.org/docs/Web/URI/Reference/Schemes/data
_DATA_URL = re.compile(r"data:(?P<type>[\w.+-]+/[\w.+-]+)?(?P<parameters>(?:;[^;,]*)*),")


class Inline(NamedTuple):
    """Bytes that travel in the request itself."""

    #: As `image/png`, in lower case.
    media_type: str
    #: In base64.
    data: str

    def text(self) -> str:
        """What it says, where it is text; what is no UTF-8 becomes U+FFFD."""
        try:
            return b64decode(self.data).decode(errors="replace")
        except ValueError:
            return ""


class File(NamedTuple):
    """A document in a message: its bytes, an address, or a name that one account alone knows."""

    inline: Inline | None = None
    url: str | None = None
    file_id: str | None = None
    name: str | None = None


class Audio(NamedTuple):
    """A sound in a message, in base64."""

    #: As OpenAI names it: `wav`, `mp3`.
    format: str
    data: str


def inline_of(url: str) -> Inline | None:
    """What a data URL holds; None where it is an address, or is not in base64."""
    found = _DATA_URL.match(url, 0, 512)
    if found is None or "base64" not in found["parameters"].lower().split(";"):
        return None
    return Inline((found["type"] or "text/plain").lower(), url[found.end() :])


def is_data_url(url: str) -> bool:
    """Whether an address is no address."""
    return url[:5].lower() == "data:"


def file_of(part: ContentPart) -> File | None:
    """The file in a part of OpenAI's type `file`; None where it is of another, or says none."""
    fields = fields_of(part, "file").get("file")
    if not isinstance(fields, dict):
        return None
    data, name = _text(fields, "file_data"), _text(fields, "filename")
    inline = None if data is None else inline_of(data)
    url = _text(fields, "file_url")
    file_id = _text(fields, "file_id")
    if inline is None and url is None and file_id is None:
        return None
    return File(inline, url, file_id, name)


def audio_of(part: ContentPart) -> Audio | None:
    """The sound in a part of OpenAI's type `input_audio`; None as `file_of`."""
    fields = fields_of(part, "input_audio").get("input_audio")
    if not isinstance(fields, dict):
        return None
    kind, data = _text(fields, "format"), _text(fields, "data")
    return None if kind is None or data is None else Audio(kind.lower(), data)


def fields_of(part: ContentPart, kind: str) -> dict[str, Any]:
    """The fields of a part of this type that no class of ours has; none of one of another type."""
    if not isinstance(part, OtherPart) or part.type != kind:
        return {}
    return part.__pydantic_extra__ or {}


def text_of(content: "str | tuple[ContentPart, ...] | None") -> str:
    """All text of a message, its parts one after the other."""
    if content is None or isinstance(content, str):
        return content or ""
    return "".join(part.text for part in content if isinstance(part, TextPart))


def images_in(content: "str | tuple[ContentPart, ...] | None") -> list[ImagePart]:
    """The images of a message."""
    if content is None or isinstance(content, str):
        return []
    return [part for part in content if isinstance(part, ImagePart)]


def object_of(text: str) -> dict[str, Any] | None:
    """The object that a text is, where it can be sent as one without losing a digit."""
    if not text.lstrip().startswith("{"):
        return None
    try:
        said = orjson.loads(text)
        exact = said if not has_long_number(text.encode()) else pydantic_core.from_json(text)
    except ValueError:
        return None
    return said if isinstance(said, dict) and said == exact else None


def _text(fields: dict[str, Any], name: str) -> str | None:
    value = fields.get(name)
    return value if isinstance(value, str) and value else None
