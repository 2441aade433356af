"""What OpenAI's rate-limit headers say, in the words of all protocols."""

import httpx
import pytest

from tollway_workers.providers.openai.rate_headers import limits, limits_and_resets
from tollway_workers.providers.rate_headers import RateHeaders, amount


def test_rate_headers_are_read_as_openai_sends_them() -> None:
    headers = httpx.Headers(
        {
            "x-ratelimit-limit-requests": "5000",
            "x-ratelimit-limit-tokens": "800000",
            "x-ratelimit-remaining-requests": "4999",
            "x-ratelimit-remaining-tokens": "799000",
            "x-ratelimit-reset-requests": "12ms",
            "x-ratelimit-reset-tokens": "6m0s",
        }
    )

    assert limits_and_resets(headers) == RateHeaders(
        limit_requests=5_000,
        limit_tokens=800_000,
        remaining_requests=4_999,
        remaining_tokens=799_000,
        reset_requests_seconds=pytest.approx(0.012),  # type: ignore[arg-type]  # compares as float
        reset_tokens_seconds=360.0,
    )


def test_no_rate_headers_are_none_and_unreadable_ones_are_left_out() -> None:
    assert limits_and_resets({"content-type": "application/json"}) is None
    assert (
        limits_and_resets(
            {"x-ratelimit-remaining-tokens": "many", "x-ratelimit-limit-tokens": "-1"}
        )
        == RateHeaders()
    )


@pytest.mark.parametrize(
    "said", [None, "", " ", "-1", "+5", "1_000", "1.5", "1 2", "\u0663", "\u00b2", "9" * 65, "many"]
)
def test_what_is_no_number_in_ascii_digits_is_no_amount(said: str | None) -> None:
    assert amount(said) is None


def test_an_amount_may_have_space_around_it_and_64_digits() -> None:
    assert amount(" \t12 ") == 12
    assert amount("9" * 64) == 10**64 - 1


def test_an_answer_s_amounts_are_read_without_its_resets() -> None:
    headers = {
        "x-ratelimit-limit-requests": "600",
        "x-ratelimit-remaining-tokens": "17",
        "x-ratelimit-reset-requests": "1s",
        "date": "no date",
    }

    assert limits(headers) == RateHeaders(limit_requests=600, remaining_tokens=17)
    assert limits({"x-ratelimit-reset-requests": "1s"}) is None


def test_the_reset_of_what_is_used_up_is_the_wait_of_a_refusal() -> None:
    said = RateHeaders(
        remaining_requests=0,
        reset_requests_seconds=2.0,
        remaining_tokens=5,
        reset_tokens_seconds=60.0,
    )

    assert said.reset == 2.0
    assert RateHeaders(remaining_tokens=5, reset_tokens_seconds=60.0).reset is None
