"""What all our records have in common."""

import json
from collections.abc import Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Annotated, Any, ClassVar, Self

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    ConfigDict,
    GetCoreSchemaHandler,
    ValidationError,
)
from pydantic_core import CoreSchema

from tollway_schemas.errors import InvalidValue
from tollway_schemas.faults import Fault, faults, nulls
from tollway_schemas.nulls import Place, every, without

_set = object.__setattr__
#: Kinds of places where one record may say null.
_MOST_PLACES = 50
#: Times that a record is read for its nulls: so often that this many bytes are, and always a few
#: times. 80,000 labels that are null are found one by one.
_MOST_READ, _ALWAYS_READ = 4 * 2**20, 8
_FIRST, _LAST = datetime(1970, 1, 1, tzinfo=UTC), datetime(9000, 1, 1, tzinfo=UTC)


def _can_be_told(moment: datetime) -> datetime:
    if not _FIRST <= moment < _LAST:
        raise ValueError("must be between the years 1970 and 9000")
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
    retry, a forward or a dead letter in an older fleet; a class whose fields change an answer
    refuses them. Null in an optional field is absence. It can be made of what its JSON would hold:
    lists and dictionaries as well as tuples and records.

    Raises InvalidValue, which names the fields and quotes no value.
    """

    model_config = ConfigDict(
        frozen=True,
        strict=True,
        extra="allow",
        hide_input_in_errors=True,
        ser_json_inf_nan="null",
        allow_inf_nan=False,
    )

    #: The names of all fields: one set for all records of `trusted`, which nobody changes.
    _all_fields: ClassVar[set[str]]

    @classmethod
    def __pydantic_init_subclass__(cls, **options: Any) -> None:
        super().__pydantic_init_subclass__(**options)
        cls._all_fields = set(cls.model_fields)

    def __init__(self, /, **fields: Any) -> None:
        try:
            super().__init__(**fields)
        except ValidationError:
            self._read(_as_json(fields), self)

    # Records within records need no such care: without this pydantic would call it for each.
    __init__.__pydantic_base_init__ = True  # type: ignore[attr-defined] # pyright: ignore[reportFunctionMemberAccess] pydantic's own mark

    @classmethod
    def model_validate(cls, obj: Any, **options: Any) -> Self:
        """As the constructor, from a dictionary or from a record."""
        if isinstance(obj, Mapping) and not options:
            return cls(**obj)
        try:
            return super().model_validate(obj, **options)
        except ValidationError as error:
            raise cls._invalid(error) from None

    @classmethod
    def model_validate_json(cls, json_data: str | bytes | bytearray, **options: Any) -> Self:
        """The record that this JSON holds. Raises InvalidValue."""
        if not options:
            return cls._read(json_data)
        try:
            return super().model_validate_json(json_data, **options)
        except ValidationError as error:
            raise cls._invalid(error) from None

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
        _set(record, "__pydantic_fields_set__", cls._all_fields)
        _set(record, "__pydantic_extra__", {} if cls.model_config.get("extra") == "allow" else None)
        _set(record, "__pydantic_private__", None)
        return record

    @classmethod
    def _read(cls, value: str | bytes | bytearray, into: Self | None = None) -> Self:
        """Validate JSON; again where it only says null for what it does not say."""
        try:
            record: Self = cls.__pydantic_validator__.validate_json(value, self_instance=into)
        except ValidationError as error:
            return cls._read_without_nulls(value, error, into)
        return record

    @classmethod
    def _read_without_nulls(
        cls, value: str | bytes | bytearray, error: ValidationError, into: Self | None
    ) -> Self:
        taken: set[Place] = set()
        tries = max(_ALWAYS_READ, _MOST_READ // max(len(value), 1))
        while True:
            found = {every(path) for path in nulls(error, cls.__pydantic_core_schema__)}
            rest = without(value, taken | found) if found - taken else None
            tries -= 1
            if rest is None or len(taken) > _MOST_PLACES or not tries:
                raise cls._invalid(error) from None
            taken |= found
            try:
                record: Self = cls.__pydantic_validator__.validate_json(rest, self_instance=into)
            except ValidationError as next_error:
                # Validation ends at the first mistake of a list: others may follow.
                error = next_error
            else:
                return record

    @classmethod
    def _invalid(cls, error: ValidationError) -> InvalidValue:
        return InvalidValue.of(faults(error, cls.__pydantic_core_schema__))


_NESTED = "refers to itself, or is nested too deep"


def _as_json(fields: Mapping[str, Any]) -> str:
    """What Python values say in JSON. Raises InvalidValue where they hold what JSON cannot."""
    return "{" + ", ".join(f"{json.dumps(k)}: {_json_of(k, v)}" for k, v in fields.items()) + "}"


def _json_of(name: str, value: object) -> str:
    try:
        text = json.dumps(value, default=_plain, ensure_ascii=False)
        text.encode()
    except UnicodeEncodeError:
        raise _refused(name, "has text that UTF-8 cannot carry") from None
    except TypeError as error:
        raise _refused(name, f"holds what JSON cannot ({error})") from None
    except (ValueError, RecursionError) as error:
        # Python writes no number of so many digits, and says it with the same class.
        is_number = "digits" in str(error)
        problem = "has a number of thousands of digits" if is_number else _NESTED
        raise _refused(name, problem) from None
    return text


def _refused(name: str, problem: str) -> InvalidValue:
    return InvalidValue.of((Fault((name,), problem),))


def _plain(value: object) -> object:
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json", exclude_none=True)
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Decimal):
        return str(value)
    raise TypeError(f"an object of the type {type(value).__name__}")
