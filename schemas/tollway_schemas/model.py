"""What all our records have in common."""

from datetime import UTC, datetime
from typing import Annotated, Any, Self

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    ConfigDict,
    GetCoreSchemaHandler,
)
from pydantic_core import CoreSchema

_set = object.__setattr__
_FIRST, _LAST = datetime(1970, 1, 1, tzinfo=UTC), datetime(9000, 1, 1, tzinfo=UTC)


def _can_be_told(moment: datetime) -> datetime:
    if not _FIRST <= moment < _LAST:
        raise ValueError("a moment is between the years 1970 and 9000")
    return moment


#: A moment that still is one after it was turned into seconds and back, whatever its time zone.
Moment = Annotated[AwareDatetime, AfterValidator(_can_be_told)]


def _fail_fast(schema: Any) -> None:
    """Mark all that has items, at any depth."""
    parts = schema.values() if isinstance(schema, dict) else schema
    if isinstance(schema, dict) and schema.get("type") in ("tuple", "list", "dict", "set"):
        schema["fail_fast"] = True
    for part in parts:
        if isinstance(part, dict | list | tuple):
            _fail_fast(part)


class Record(BaseModel):
    """A frozen, strictly typed part of a record.

    Fields that this release does not know are kept, so that a newer producer's record survives a
    retry, a forward or a dead letter in an older fleet. Validation errors never quote input.
    """

    model_config = ConfigDict(
        frozen=True,
        strict=True,
        extra="allow",
        hide_input_in_errors=True,
        use_attribute_docstrings=True,
        ser_json_inf_nan="null",
        allow_inf_nan=False,
    )

    @classmethod
    def __get_pydantic_core_schema__(
        cls, source: type[BaseModel], handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        """As the fields say; but the first mistake in a list, or in a table, ends it.

        pydantic would build an error for each: a megabyte of `{}` where messages belong costs two
        seconds and 200 MiB.
        """
        schema = handler(source)
        _fail_fast(schema)
        return schema

    @classmethod
    def trusted(cls, **fields: Any) -> Self:
        """A record of values that are right already: nothing is checked, at a fifth of the cost.

        For what our own code made a moment ago, never for input. Every field must be given: none
        takes its default (pydantic's `model_construct`, which fills them in, costs more than
        validating). A test holds each use to what validation would make.
        """
        record = cls.__new__(cls)
        _set(record, "__dict__", fields)
        _set(record, "__pydantic_fields_set__", set(fields))
        _set(record, "__pydantic_extra__", {})
        _set(record, "__pydantic_private__", None)
        return record
