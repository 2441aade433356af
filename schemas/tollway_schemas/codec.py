"""Records to bytes and back. The format is JSON; `version` in it is the major version."""

from typing import TypeVar

import orjson

from tollway_schemas.errors import InvalidValue, UndecodableRecord, UnsupportedVersion
from tollway_schemas.job import SCHEMA_VERSION
from tollway_schemas.model import Record

R = TypeVar("R", bound=Record)


def encode(record: Record) -> bytes:
    """The record as JSON; absent fields are left out, unknown ones kept."""
    return record.__pydantic_serializer__.to_json(record, exclude_none=True)


def decode(model: type[R], value: bytes | None) -> R:
    """The record in `value`.

    Raises:
        UnsupportedVersion: it was written by a newer major version.
        UndecodableRecord: it is not JSON, or not a record of this kind; the text names the fields.
    """
    if not value:
        raise UndecodableRecord("the record has no value")
    try:
        record = model.model_validate_json(value)
    except InvalidValue as error:
        check_version(value)
        raise UndecodableRecord(str(error)) from None
    version = getattr(record, "version", SCHEMA_VERSION)
    if version > SCHEMA_VERSION:
        raise UnsupportedVersion(version, SCHEMA_VERSION)
    return record


def check_version(value: bytes) -> None:
    """Raise UnsupportedVersion if `value` says so; anything else it says is not judged here."""
    try:
        parsed = orjson.loads(value)
    except orjson.JSONDecodeError:
        return
    version = parsed.get("version") if isinstance(parsed, dict) else None
    if isinstance(version, int) and not isinstance(version, bool) and version > SCHEMA_VERSION:
        raise UnsupportedVersion(version, SCHEMA_VERSION)
