"""The kinds of failure. What each leads to is the fleet's table, not this list."""

import hashlib
import re
from enum import StrEnum

from tollway_schemas.model import Record

#: Characters of a detail that count.
_LONGEST_DETAIL = 1_000
_STATUS = re.compile(r"[1-5][0-9]{2}")
_REQUIRED = re.compile(r'("[^"]{0,100}") is a required property')
_QUOTED = re.compile(r'"[^"]*"|\'[^\']*\'|`[^`]*`|“[^”]*”')
#: A list of quoted names, however long.
_UNEXPECTED = re.compile(r'""(?:, "")* (?:was|were) unexpected')
_NUMBER = re.compile(r"[-+]?\d+(?:[.,:]\d+)*(?:[eE][-+]?\d+)?")
_HEX = re.compile(r"\b[0-9A-Fa-f]{8,}\b")
#: A word with a number in it: an id, a time, a place in a list.
_WITH_NUMBER = re.compile(r"[\w-]*#[\w#-]*")


class FailureClass(StrEnum):
    """Why a call, or a whole job, did not end in an answer."""

    # What a provider can answer.
    RATE_LIMIT = "rate_limit"
    QUOTA_EXHAUSTED = "quota_exhausted"
    OVERLOADED = "overloaded"
    TRANSIENT = "transient"
    CONNECT = "connect"
    TIMEOUT_FIRST_TOKEN = "timeout_first_token"  # noqa: S105 a language token, no password
    TIMEOUT_IDLE = "timeout_idle"
    TIMEOUT_TOTAL = "timeout_total"
    CONTEXT_LENGTH = "context_length"
    CONTENT_POLICY = "content_policy"
    TRUNCATED = "truncated"
    INVALID_REQUEST = "invalid_request"
    AUTH = "auth"
    MODEL_NOT_FOUND = "model_not_found"
    BAD_OUTPUT = "bad_output"
    NO_COMPLETION = "no_completion"
    UNSUPPORTED_FIELD = "unsupported_field"
    UNKNOWN = "unknown"

    # What the fleet itself finds before or after any call.
    EXPIRED = "expired"
    UNKNOWN_ROUTE = "unknown_route"
    INVALID_JOB = "invalid_job"
    BEYOND_LIMITS = "beyond_limits"
    UNDECODABLE = "undecodable"
    UNSUPPORTED_VERSION = "unsupported_version"
    REPLY_TOO_LARGE = "reply_too_large"
    REPLY_UNDELIVERABLE = "reply_undeliverable"
    HOPS_EXHAUSTED = "hops_exhausted"
    WORKER_CRASHED = "worker_crashed"
    CANCELLED = "cancelled"
    BUDGET_EXCEEDED = "budget_exceeded"


class ErrorScope(StrEnum):
    """How much of the world an error speaks of."""

    REQUEST = "request"
    MODEL = "model"
    KEY = "key"
    ACCOUNT = "account"
    PROVIDER = "provider"


class Failure(Record):
    """Why a job has no answer, in words that quote neither prompt nor answer."""

    failure_class: FailureClass
    """The kind of failure."""
    message: str
    """One sentence for a person, redacted, at most 1,000 characters."""
    lane: str | None = None
    """The lane of the last call, if there was one."""
    problems: tuple[str, ...] = ()
    """For a bad output: places and rules it breaks, values masked. For a bad job: its fields."""


def fingerprint(route: str, failure_class: FailureClass, detail: str = "") -> str:
    """Sixteen hex digits that are equal for failures that are likely one cause.

    `detail` says what was wrong: a provider's error code, or a problem with its place. Ids, numbers
    and quoted values in it do not count.
    """
    text = "\0".join((route, failure_class.value, stable(detail)))
    return hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=8).hexdigest()


def stable(detail: str) -> str:
    """What is the same in all details of one cause; of a required property its name counts, which
    is the schema's word and not the answer's. An HTTP status alone stands for itself.
    """
    if _STATUS.fullmatch(detail):
        return detail
    required = _REQUIRED.search(detail)
    said = _UNEXPECTED.sub('"" unexpected', _QUOTED.sub('""', detail[:_LONGEST_DETAIL]))
    said = _WITH_NUMBER.sub("#", _HEX.sub("#", _NUMBER.sub("#", said)))
    return f"{said} {required[1]}" if required else said
