"""Fills in the fields that a service left out of a job, from the record around it."""

from collections.abc import Mapping

import orjson

from tollway_schemas.errors import UndecodableRecord
from tollway_schemas.no_json import no_json_in

#: Fields of a job that the record around it says, too.
LEFT_OUT = frozenset({"id", "created_at", "deadline", "route", "priority"})


def filled_in(value: bytes | None, said: Mapping[str, object]) -> bytes:
    """The job's JSON, an object, with what it leaves out taken from `said`.

    Null is the same as left out. Fields that this release does not know stay. Raises
    UndecodableRecord where that is not all that is wrong with it.
    """
    try:
        fields = orjson.loads(value or b"")
        return orjson.dumps(
            {**said, **{name: text for name, text in fields.items() if text is not None}}
        )
    except orjson.JSONDecodeError as error:
        # pydantic took it: it is a number that it takes alone.
        found = no_json_in(value or b"")
        raise UndecodableRecord(found or "the record: is not JSON") from error
    except orjson.JSONEncodeError as error:
        # orjson reads what is nested deeper than what it writes.
        raise UndecodableRecord("the record: is nested too deep") from error
