"""What providers say about waiting becomes seconds, or nothing."""

from datetime import UTC, datetime

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tollway_workers.providers.http.retry_after import (
    MAX_WAIT_SECONDS,
    go_duration,
    reset_seconds,
    retry_after,
)
from tollway_workers.providers.openai.rate_headers import limits_and_resets

NOON = datetime(2026, 11, 23, 12, 0, 0, tzinfo=UTC).timestamp()
NOON_HTTP = "Mon, 23 Nov 2026 12:00:00 GMT"


@pytest.mark.parametrize(
    ("headers", "text", "seconds"),
    [
        ({"retry-after-ms": "1500", "retry-after": "2"}, "try again in 9s", 1.5),
        ({"retry-after": "2"}, "try again in 9s", 2.0),
        ({"x-ms-retry-after-ms": "250", "retry-after": "2"}, "", 0.25),
        ({"retry-after": " 0.25 "}, "", 0.25),
        ({"retry-after": "1m30s"}, "", 90.0),
        ({"retry-after": "Mon, 23 Nov 2026 12:00:07 GMT"}, "", 7.0),
        ({"retry-after-ms": "soon", "retry-after": "3"}, "", 3.0),
        ({"retry-after": "soon"}, "try again in 9s", 9.0),
        ({}, "Rate limit reached. Please try again in 1.2s. Visit ...", 1.2),
        ({}, "Please try again in 120ms.", 0.12),
        ({}, "Please try again in 6m0s.", 360.0),
        ({}, "Please retry after 20 seconds.", 20.0),
        ({}, "Try again in 2 minutes", 120.0),
        ({}, "Please try again in 1.5 s, thank you", 1.5),
        ({}, "Try again in 1 hour.", 3_600.0),
        ({}, "try again in 3 weeks", None),
        ({}, "try again later", None),
        ({}, "", None),
    ],
)
def test_the_most_exact_thing_said_about_waiting_wins(
    headers: dict[str, str], text: str, seconds: float | None
) -> None:
    assert retry_after(headers, text, now=NOON) == (
        None if seconds is None else pytest.approx(seconds)
    )


def test_googles_retry_delay_is_believed_before_the_text_and_after_the_headers() -> None:
    assert retry_after({}, "try again in 9s", delay="34.5s") == 34.5
    assert retry_after({"retry-after": "2"}, delay="34s") == 2.0
    assert retry_after({}, "try again in 9s", delay="-") == 9.0


def test_a_date_counts_from_the_servers_own_clock() -> None:
    headers = {"retry-after": "Mon, 23 Nov 2026 12:00:07 GMT", "date": NOON_HTTP}

    assert retry_after(headers) == 7.0
    assert retry_after(headers, now=NOON - 3_600) == 7.0


def test_a_date_without_any_clock_says_nothing() -> None:
    assert retry_after({"retry-after": NOON_HTTP}) is None


def test_a_wait_is_at_least_nothing_and_at_most_a_year() -> None:
    assert retry_after({"retry-after": "-5"}) == 0.0
    assert retry_after({"retry-after": "9" * 50}) == MAX_WAIT_SECONDS
    assert retry_after({"retry-after": NOON_HTTP}, now=NOON + 60) == 0.0
    assert retry_after({}, "try again in 9999h") == MAX_WAIT_SECONDS
    assert retry_after({"retry-after": "604800"}) == 604_800.0


def test_headers_of_httpx_are_read_in_any_case() -> None:
    assert retry_after(httpx.Headers({"Retry-After": "4"})) == 4.0


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("1h2m", 3_720.0),
        ("2m59.56s", 179.56),
        ("120ms", 0.12),
        ("6m0s", 360.0),
        ("0s", 0.0),
        ("5µs", 5e-6),
        ("5\u03bcs", 5e-6),
        ("7us", 7e-6),
        ("1s5ms", 1.005),
        ("12", None),
        ("", None),
        ("m", None),
        ("1s, 2s", None),
    ],
)
def test_go_durations_are_read_as_go_writes_them(value: str, seconds: float | None) -> None:
    assert go_duration(value) == (None if seconds is None else pytest.approx(seconds))


def test_a_reset_may_be_an_rfc_3339_time() -> None:
    assert reset_seconds("2026-11-23T12:00:30Z", now=NOON) == 30.0
    assert reset_seconds("2026-11-23T13:00:30+01:00", now=NOON) == 30.0
    assert reset_seconds("2026-11-23T12:00:30Z", now=None) is None


_near_misses = st.text(alphabet="0123456789.hmsµnu-+eT:Z ,GMTinfax_", max_size=80) | st.text()


@given(_near_misses, _near_misses, _near_misses, st.floats() | st.none())
def test_garbage_never_raises_and_a_wait_is_in_bounds(
    first: str, second: str, text: str, now: float | None
) -> None:
    headers = {"retry-after-ms": first, "retry-after": second, "date": text}

    wait = retry_after(headers, f"try again in {text}", now=now)
    rate = limits_and_resets({"x-ratelimit-reset-tokens": first, "x-ratelimit-limit-tokens": text})

    assert wait is None or 0.0 <= wait <= MAX_WAIT_SECONDS
    assert rate is not None
    assert rate.reset_tokens_seconds is None or 0 <= rate.reset_tokens_seconds <= MAX_WAIT_SECONDS
