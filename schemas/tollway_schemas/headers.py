"""Record headers: what routing needs without decoding a value.

Values are UTF-8. Headers of a service's own pass through to reply and dead letter; ours are made
anew by the worker that writes the record, so that no producer can forge them.
"""

import math
from collections.abc import Iterable, Sequence

PREFIX = "tollway-"

JOB_ID = "tollway-job-id"
GENERATION = "tollway-generation"
DEADLINE = "tollway-deadline"
ROUTE = "tollway-route"
PRIORITY = "tollway-priority"
TENANT = "tollway-tenant"
RUN = "tollway-run"
ATTEMPTS = "tollway-attempts"
LANE = "tollway-lane"
#: On what travels between workers, and believed nowhere else (lane and retry topics).
#: How often it was forwarded from one lane to another.
HOPS = "tollway-hops"
#: When its tier lets it go, in seconds since 1970.
DUE = "tollway-due"
#: No call before this instant, in seconds since 1970, where that is later than its tier lets it go.
NOT_BEFORE = "tollway-not-before"
#: JSON of a `JobHistory` (see history.py).
HISTORY = "tollway-history"
STATUS = "tollway-status"
#: On replies: equal for copies of one job, and for nothing else.
DIGEST = "tollway-job-digest"
PROVENANCE = "tollway-provenance"
#: "true" where a simulator answered, else absent.
SCRIPTED = "tollway-scripted"
TRACEPARENT = "traceparent"

# On dead letters.
FAILURE_CLASS = "tollway-failure-class"
FINGERPRINT = "tollway-fingerprint"
ORIGIN = "tollway-origin"
FAILURE_MESSAGE = "tollway-failure-message"
DEAD_AT = "tollway-dead-at"
WORKER = "tollway-worker"
#: What the fleet's settings were there: equal for equal settings.
CONFIGURATION = "tollway-configuration"
#: "raw" where the value is the undecodable record itself, else absent.
VALUE_KIND = "tollway-value"
#: "record" or "batch" where the raw value is not even the record's own, but one record's bytes, or
#: those of a batch of records, as Kafka keeps them: nobody can publish it again. Else absent.
VALUE_OF = "tollway-value-of"

Headers = Sequence[tuple[str, bytes]]


def get(headers: Headers, name: str) -> str | None:
    """The last header of that name as text; bad UTF-8 is replaced; None if there is none."""
    found = None
    for key, value in headers:
        if key == name:
            found = value
    return None if found is None else bytes(found).decode("utf-8", "replace")


def of_the_service(headers: Headers) -> list[tuple[str, bytes]]:
    """The headers that are not ours and so pass through, in order, `traceparent` included."""
    return [(key, value) for key, value in headers if not key.startswith(PREFIX)]


def number(headers: Headers, name: str) -> float | None:
    """The header of that name as a finite number from 0 on; None where it is none."""
    try:
        value = float(get(headers, name) or "")
    except ValueError:
        return None
    return value if 0.0 <= value < math.inf else None


def encode(pairs: Iterable[tuple[str, str | None]]) -> list[tuple[str, bytes]]:
    """Headers as Kafka takes them; those without a value are left out."""
    return [(name, value.encode()) for name, value in pairs if value is not None]
