"""Walks the settings: which section stands at a dotted name, and how such a name is written."""

import re
from collections.abc import Sequence
from typing import Any, get_args, get_origin

from tollway_workers.config.shape.fleet import FleetSettings
from tollway_workers.config.shape.model import Section

#: Tables whose keys are names that the operator chooses.
NAMED_TABLES = ("providers", "limit_groups", "lanes", "tenants", "routes", "budgets", "embedders")

_BARE = re.compile(r"[A-Za-z0-9_-]{1,60}")
#: How well-known providers' keys begin: such a text is never shown, wherever it stands.
_KEY_SHAPE = re.compile(r"(?i)^(sk[-_]|gsk_|xai-|aiza|hf_|ghp_|r8_|pplx-|nvapi-|bearer |basic )")


def looks_like_key(text: str) -> bool:
    """Whether a text begins as the keys of well-known providers do."""
    return _KEY_SHAPE.match(text.strip()) is not None


def section_in(annotation: Any) -> type[Section] | None:
    """The section that a field's type holds: itself, optional, or as the values of a table."""
    if isinstance(annotation, type) and issubclass(annotation, Section):
        return annotation
    found = (section_in(part) for part in get_args(annotation))
    return next((section for section in found if section is not None), None)


def section_at(path: Sequence[str | int]) -> type[Section] | None:
    """The section whose keys stand below `path`; None where there is none."""
    section: type[Section] = FleetSettings
    parts = iter(path)
    for part in parts:
        field = section.model_fields.get(str(part))
        inner = None if field is None else section_in(field.annotation)
        if field is None or inner is None:
            return None
        if get_origin(field.annotation) is dict:
            next(parts, None)
        section = inner
    return section


def dotted(path: Sequence[str | int]) -> str:
    """A place as TOML would name it: `lanes."my lane".model`, `routes.a.lanes[0]`."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            text += f".{shown(part)}" if text else shown(part)
    return text


def shown(name: str) -> str:
    """A name from the file that is safe to print: quoted, short, escaped, no key pasted there."""
    if looks_like_key(name):
        return '"***"'
    if _BARE.fullmatch(name):
        return name
    short = name if len(name) <= 60 else f"{name[:57]}..."
    return '"' + short.encode("unicode_escape").decode("ascii").replace('"', '\\"') + '"'
