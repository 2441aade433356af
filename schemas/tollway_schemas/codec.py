"""Records to bytes and back. The format is JSON; `version` in it is the major version."""

from collections.abc import Collection
from typing import Any, TypeVar

import orjson
from pydantic import ValidationError

from tollway_schemas.errors import (
    IncompleteRecord,
    InvalidValue,
    UndecodableRecord,
    UnsupportedVersion,
)
from tollway_schemas.job import SCHEMA_VERSION
from tollway_schemas.model import Record
from tollway_schemas.no_json import no_json_in

R = TypeVar("R", bound=Record)

#: How many problems one error names.
_MOST_PROBLEMS = 10


def encode(record: Record) -> bytes:
    """The record as JSON; absent fields are left out, unknown ones kept."""
    return record.__pydantic_serializer__.to_json(record, exclude_none=True)


def decode(model: type[R], value: bytes | None, may_lack: Collection[str] = ()) -> R:
    """The record in `value`, read once, as far as its first mistakes.

    Raises:
        IncompleteRecord: of all that is wrong, every mistake is in a field of `may_lack`, which the
            caller can fill in.
        UnsupportedVersion: it was written by a newer major version.
        UndecodableRecord: it is not JSON, or not a record of this kind; the text names the fields.
    """
    if not value:
        raise UndecodableRecord("the record has no value")
    try:
        record = model.model_validate_json(value)
    except ValidationError as error:
        check_version(value)
        raise _refusal(error, may_lack) from None
    if (b"NaN" in value or b"Infinity" in value) and (found := no_json_in(value)) is not None:
        raise UndecodableRecord(found)
    version = getattr(record, "version", SCHEMA_VERSION)
    if version > SCHEMA_VERSION:
        raise UnsupportedVersion(version, SCHEMA_VERSION)
    return record


def check_version(value: bytes) -> None:
    """Raise UnsupportedVersion if `value` says so; anything else it says is not judged here."""
    if b'"version"' not in value:
        return
    try:
        parsed = orjson.loads(value)
    except orjson.JSONDecodeError:
        return
    version = parsed.get("version") if isinstance(parsed, dict) else None
    if isinstance(version, int) and not isinstance(version, bool) and version > SCHEMA_VERSION:
        raise UnsupportedVersion(version, SCHEMA_VERSION)


def explain(error: ValidationError) -> tuple[str, ...]:
    """What a validation error says, one sentence a field, without quoting any input."""
    return _sentences(_mistakes(error))


def _refusal(error: ValidationError, may_lack: Collection[str]) -> UndecodableRecord:
    mistakes = _mistakes(error)
    # What the caller can fill in is no mistake of the record's beside others.
    own = [item for item in mistakes if item["loc"][:1] not in {(name,) for name in may_lack}]
    if may_lack and not own:
        return IncompleteRecord("; ".join(_sentences(mistakes)))
    wrong = [item for item in mistakes if item in own or item["type"] != "missing"]
    return UndecodableRecord("; ".join(_sentences(wrong)))


def _mistakes(error: ValidationError) -> list[Any]:
    """What is wrong, without what only follows: a list that ends at a mistake is not short."""
    items: list[Any] = error.errors(include_url=False, include_context=False, include_input=False)
    places = {item["loc"] for item in items}
    inside = {place[:size] for place in places for size in range(len(place))}
    return [item for item in items if item["type"] != "too_short" or item["loc"] not in inside]


def _sentences(mistakes: list[Any]) -> tuple[str, ...]:
    return tuple(
        f"{'.'.join(str(part) for part in item['loc']) or 'the record'}: {item['msg']}"
        for item in mistakes[:_MOST_PROBLEMS]
    )


def invalid(error: ValidationError) -> InvalidValue:
    """The same as an error of ours."""
    return InvalidValue("; ".join(explain(error)))
