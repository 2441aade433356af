"""What a provider says about waiting, in seconds. Pure; garbage is None, never an error."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

#: A year: who asks for more is told of as one who asks for this. It is no bound of what is waited:
#: a lane is asked again within minutes, a job waits for a day at most.
MAX_WAIT_SECONDS = 365 * 86_400.0

#: The sentence stands in the first lines; the rest of a page of HTML is not searched.
_MAX_TEXT = 4_096
#: Longer is no number and no date, and Python refuses or crawls on some of them.
_MAX_VALUE = 64

_UNIT_SECONDS = {
    "h": 3_600.0,
    "m": 60.0,
    "s": 1.0,
    "ms": 1e-3,
    "us": 1e-6,
    "µs": 1e-6,  # U+00B5, the micro sign
    "\u03bcs": 1e-6,  # the Greek letter, which Go accepts too
    "ns": 1e-9,
}
_NUMBER = r"(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)"
_UNIT = r"(?:h|ms|m|s|us|µs|\u03bcs|ns)"
_GO_PART = re.compile(rf"({_NUMBER})({_UNIT})")
_GO_DURATION = re.compile(rf"(?:{_NUMBER}{_UNIT})+")
_SECONDS = re.compile(rf"[+-]?{_NUMBER}")
_SENTENCE = re.compile(
    r"\b(?:try again|retry) (?:in|after) "
    rf"(?:(?P<go>(?:{_NUMBER}{_UNIT})+)(?![a-z0-9])"
    rf"|(?P<number>{_NUMBER})(?: ?(?P<word>sec|min|hour|s)(?:ond|ute)?s?\b|(?! ?[a-z0-9])))",
    re.IGNORECASE,
)
_WORD_SECONDS = {"s": 1.0, "sec": 1.0, "min": 60.0, "hour": 3_600.0}
_MILLISECONDS = ("retry-after-ms", "x-ms-retry-after-ms")


def retry_after(
    headers: Mapping[str, str], text: str = "", *, delay: str = "", now: float | None = None
) -> float | None:
    """Seconds to wait, from 0 to a year; None if the response does not say.

    In this order: `retry-after-ms` (Azure: `x-ms-retry-after-ms`); `retry-after` (seconds or
    HTTP-date, RFC 9110 section 10.2.3); `delay`, Google's `RetryInfo.retryDelay` of the error's
    body; the error's own text, "try again in 1.2s". `headers` are lower-case or case-insensitive.
    A date counts from the response's `date` header, so that a wrong clock here does not matter;
    `now` (seconds since 1970) stands in where there is none.
    """
    for name in _MILLISECONDS:
        milliseconds = _number(headers.get(name, ""))
        if milliseconds is not None:
            return _clamped(milliseconds / 1_000)
    for stated in (headers.get("retry-after", ""), delay):
        wait = reset_seconds(stated, now=sent_at(headers, now))
        if wait is not None:
            return wait
    return _wait_in_text(text)


def reset_seconds(value: str, *, now: float | None) -> float | None:
    """Seconds of a number, a Go duration, an HTTP-date or an RFC 3339 time, from 0 to a year.

    A point in time is None where `now` (seconds since 1970) is not known.
    """
    value = value.strip()
    if not value or len(value) > _MAX_VALUE:
        return None
    seconds = _number(value)
    if seconds is None:
        seconds = go_duration(value)
    if seconds is None and now is not None:
        moment = _moment(value)
        seconds = None if moment is None else moment - now
    return None if seconds is None else _clamped(seconds)


def go_duration(value: str) -> float | None:
    """Seconds of a Go duration (`1h2m`, `2m59.56s`, `120ms`), not clamped; None if it is none."""
    if len(value) > _MAX_VALUE or _GO_DURATION.fullmatch(value) is None:
        return None
    return sum(float(number) * _UNIT_SECONDS[unit] for number, unit in _GO_PART.findall(value))


def _wait_in_text(text: str) -> float | None:
    found = _SENTENCE.search(text[:_MAX_TEXT])
    if found is None:
        return None
    if found["go"] is not None:
        seconds = go_duration(found["go"].lower())
        return None if seconds is None else _clamped(seconds)
    return _clamped(float(found["number"]) * _WORD_SECONDS[(found["word"] or "s").lower()])


def _number(value: str) -> float | None:
    value = value.strip()
    if len(value) > _MAX_VALUE or _SECONDS.fullmatch(value) is None:
        return None
    return float(value)


def _moment(value: str) -> float | None:
    """Seconds since 1970 of an HTTP-date or an RFC 3339 time; one without a zone is UTC."""
    for parse in (datetime.fromisoformat, parsedate_to_datetime):
        try:
            moment = parse(value)
            return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
        except (ValueError, TypeError, OverflowError, IndexError):
            continue
    return None


def sent_at(headers: Mapping[str, str], now: float | None = None) -> float | None:
    """When a response was sent, by its `date` header (seconds since 1970); else `now`."""
    sent = headers.get("date", "")
    moment = _moment(sent) if sent and len(sent) <= _MAX_VALUE else None
    return now if moment is None else moment


def _clamped(seconds: float) -> float:
    # In this order a NaN, which only the caller's clock could bring, is no wait.
    return min(max(0.0, seconds), MAX_WAIT_SECONDS)
