"""What a service leaves out of a job is filled in from what the record around it says."""

from collections.abc import Mapping

import orjson


def filled_in(value: bytes | None, said: Mapping[str, object]) -> bytes | None:
    """The job's JSON with what it leaves out taken from `said`; None where it is no JSON object.

    Null is the same as left out. Fields that this release does not know stay.
    """
    try:
        fields = orjson.loads(value or b"")
    except orjson.JSONDecodeError:
        return None
    if not isinstance(fields, dict):
        return None
    try:
        return orjson.dumps({**said, **{k: v for k, v in fields.items() if v is not None}})
    except orjson.JSONEncodeError:
        # orjson reads what is nested deeper than what it writes.
        return None
