"""What a provider says about waiting, in seconds. Pure; garbage is None, never an error."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Self

from tollway_workers.config.shape.contract import Resource

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

#: Most responses have no such header, or all of them.
_RATE_NAMES = tuple(
    f"x-ratelimit-{about}-{what}"
    for what in ("requests", "tokens")
    for about in ("limit", "remaining", "reset")
)
#: Those that say how much, without those that say when.
_AMOUNTS = tuple(name for name in _RATE_NAMES if "-reset-" not in name)


@dataclass(frozen=True, slots=True, kw_only=True)
class RateHeaders:
    """What OpenAI's `x-ratelimit-*` headers say; None where one is missing or unreadable.

    Source: https://platform.openai.com/docs/guides/rate-limits. At Groq, `requests` are per day.
    """

    limit_requests: int | None = None
    limit_tokens: int | None = None
    remaining_requests: int | None = None
    remaining_tokens: int | None = None
    reset_requests_seconds: float | None = None
    reset_tokens_seconds: float | None = None

    def about(self, resource: Resource) -> tuple[int | None, int | None] | None:
        """Limit and what remains of requests or tokens; None of anything else."""
        if resource is Resource.REQUESTS:
            return self.limit_requests, self.remaining_requests
        if resource is Resource.TOKENS:
            return self.limit_tokens, self.remaining_tokens
        return None

    @property
    def reset(self) -> float | None:
        """Seconds until what is used up is there again; None where nothing is."""
        waits = (
            (self.remaining_requests, self.reset_requests_seconds),
            (self.remaining_tokens, self.reset_tokens_seconds),
        )
        return max((wait for left, wait in waits if left == 0 and wait is not None), default=None)

    @classmethod
    def parse(cls, headers: Mapping[str, str], *, now: float | None = None) -> Self | None:
        """The six headers of a response; None if none of them is there. `now` as `retry_after`."""
        if not any(name in headers for name in _RATE_NAMES):
            return None
        at = _sent_at(headers, now)
        return cls(
            limit_requests=_count(headers, "limit-requests"),
            limit_tokens=_count(headers, "limit-tokens"),
            remaining_requests=_count(headers, "remaining-requests"),
            remaining_tokens=_count(headers, "remaining-tokens"),
            reset_requests_seconds=reset_seconds(_rate(headers, "reset-requests"), now=at),
            reset_tokens_seconds=reset_seconds(_rate(headers, "reset-tokens"), now=at),
        )

    @classmethod
    def parse_amounts(cls, headers: Mapping[str, str]) -> Self | None:
        """The same without the resets, which only who was refused has to know; None if none of the
        amounts is there. Every answer pays for it: under 1 us without such headers, 4 with.
        """
        if not any(name in headers for name in _AMOUNTS):
            return None
        return cls(
            limit_requests=_count(headers, "limit-requests"),
            limit_tokens=_count(headers, "limit-tokens"),
            remaining_requests=_count(headers, "remaining-requests"),
            remaining_tokens=_count(headers, "remaining-tokens"),
        )


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
        wait = reset_seconds(stated, now=_sent_at(headers, now))
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


def _sent_at(headers: Mapping[str, str], now: float | None) -> float | None:
    sent = headers.get("date", "")
    moment = _moment(sent) if sent and len(sent) <= _MAX_VALUE else None
    return now if moment is None else moment


def _clamped(seconds: float) -> float:
    # In this order a NaN, which only the caller's clock could bring, is no wait.
    return min(max(0.0, seconds), MAX_WAIT_SECONDS)


def _rate(headers: Mapping[str, str], name: str) -> str:
    return headers.get(f"x-ratelimit-{name}", "")


def _count(headers: Mapping[str, str], name: str) -> int | None:
    value = _rate(headers, name).strip()
    digits = value.isascii() and value.isdigit() and len(value) <= _MAX_VALUE
    return int(value) if digits else None
