"""Records to bytes and back. The format is JSON; `version` in it is the major version."""

from collections.abc import Collection
from typing import TypeVar

import orjson

from tollway_schemas.bounds import SCHEMA_VERSION
from tollway_schemas.dead_letter import DeadLetter
from tollway_schemas.errors import (
    IncompleteRecord,
    InvalidValue,
    UndecodableRecord,
    UnsupportedVersion,
)
from tollway_schemas.faults import MISSING, sentence
from tollway_schemas.job import Job
from tollway_schemas.mark import Mark
from tollway_schemas.model import Record
from tollway_schemas.no_json import is_json, no_json_in

R = TypeVar("R", bound=Record)
_OF_STRANGERS = (Job, DeadLetter, Mark)


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
    except InvalidValue as error:
        check_version(value)
        # Under no name: a frame that holds what it raises is a cycle, and so is the record.
        raise _refusal(model, value, error, may_lack) from None
    _check_numbers(model, value)
    version = getattr(record, "version", SCHEMA_VERSION)
    if version > SCHEMA_VERSION:
        raise UnsupportedVersion(version, SCHEMA_VERSION)
    return record


def _check_numbers(model: type[Record], value: bytes) -> None:
    """Raise UndecodableRecord for a number in an open field that nobody behind us can read.

    Of a job, any: it is a stranger's. So is what a dead letter holds of one, which is exported and
    published again. What else we wrote ourselves may quote a provider's long integers.
    """
    if not issubclass(model, _OF_STRANGERS):
        has_words = b"NaN" in value or b"Infinity" in value
        if not has_words or is_json(value):
            return
    if (found := no_json_in(value)) is not None:
        raise UndecodableRecord(found)


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


def _refusal(
    model: type[Record], value: bytes, error: InvalidValue, may_lack: Collection[str]
) -> UndecodableRecord:
    # What the caller can fill in is no fault of the record's beside others.
    own = [fault for fault in error.faults if fault.path[:1] not in {(name,) for name in may_lack}]
    if may_lack and error.faults and not own:
        # Filled in, it is written by orjson, which would round the number or meet it as a bug.
        _check_numbers(model, value)
        return IncompleteRecord(str(error))
    wrong = [fault for fault in error.faults if fault in own or fault.problem != MISSING]
    return UndecodableRecord(sentence(wrong) if wrong else str(error))
