"""The dead letter of a record that holds no job: its raw bytes, described in headers. Pure."""

import re
from typing import NamedTuple

from tollway_schemas import headers
from tollway_schemas.failure import Failure, fingerprint
from tollway_schemas.keys import dead_letter_key
from tollway_workers.job.envelopes import HEAD_BYTES, Writer, instant, size_of
from tollway_workers.ownership.record import ReceivedRecord

#: The partition that a record stood in.
_NAMES = re.compile(r"[A-Za-z0-9._-]+-\d+(?= cannot be read)")
#: Bytes that the description takes at most, roughly.
_OUR_HEADERS = 8_192


class RawDeadLetter(NamedTuple):
    """A record of the dead letters' topic."""

    key: bytes
    value: bytes
    headers: list[tuple[str, bytes]]


def raw_dead_letter(
    record: ReceivedRecord,
    failure: Failure,
    route: str,
    *,
    by: Writer,
    now: float,
    most_bytes: int,
) -> RawDeadLetter:
    """At most `most_bytes` long; `now` is seconds UTC."""
    origin = f"{record.topic}-{record.partition}-{record.offset}"
    job_id = headers.get(record.headers, headers.JOB_ID) or origin
    passed = headers.of_the_service(record.headers)
    most = most_bytes - _OUR_HEADERS
    if size_of(None, passed) > most // 2:
        passed = []
    value, kind = record.value or b"", "raw"
    if len(value) > (room := most - size_of(None, passed)):
        value, kind = value[: min(HEAD_BYTES, max(room, 0))], "raw-head"
    described = headers.encode(
        (
            (headers.JOB_ID, job_id[:256]),
            (headers.GENERATION, "1"),
            (headers.ROUTE, route),
            (headers.VALUE_KIND, kind),
            (headers.VALUE_OF, record.bytes_of),
            (headers.FAILURE_CLASS, failure.failure_class.value),
            (headers.FAILURE_MESSAGE, failure.message[:1000]),
            (headers.FINGERPRINT, fingerprint(route, failure.failure_class, _kind(failure))),
            (headers.ORIGIN, origin),
            (headers.DEAD_AT, instant(now).isoformat()),
            (headers.WORKER, by.worker),
            (headers.CONFIGURATION, by.configuration),
        )
    )
    return RawDeadLetter(dead_letter_key(origin, 1), value, passed + described)


def _kind(failure: Failure) -> str:
    """What is wrong, whichever partition the record stood in."""
    return _NAMES.sub("#", failure.message)
