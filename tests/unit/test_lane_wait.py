"""The sentence that says why a lane waits: from class, status and code, never from a prompt."""

from typing import Any

import httpx
import pytest

from tollway_schemas.failure import ErrorScope, FailureClass
from tollway_workers.errors import ProviderFailure
from tollway_workers.job.failure_table import FAILURE_TABLE, Next
from tollway_workers.lanes.lane_wait import reason_of, span, waiting
from tollway_workers.providers.http.call_errors import connection_failed
from tollway_workers.providers.openai.errors import classify

_SECRET = "my patient's name is Jane"


def failure(kind: FailureClass, **fields: Any) -> ProviderFailure:
    return ProviderFailure(failure_class=kind, message=_SECRET, **fields)


@pytest.mark.parametrize(
    ("kind", "fields", "reason"),
    [
        (
            FailureClass.AUTH,
            {"status": 401, "provider_code": "invalid_api_key"},
            "the provider refused the key (HTTP 401, invalid_api_key)",
        ),
        (FailureClass.AUTH, {"status": 403}, "the key has no right to do that"),
        (FailureClass.AUTH, {"status": 407}, "the proxy asks for a login (HTTP 407)"),
        (FailureClass.AUTH, {}, "the provider refused the key, or the key has no right to do that"),
        (FailureClass.QUOTA_EXHAUSTED, {"status": 402}, "credit is used up (HTTP 402)"),
        (
            FailureClass.MODEL_NOT_FOUND,
            {"status": 404, "provider_code": "not_found_error"},
            "the provider does not know the model gpt-9 (HTTP 404, not_found_error)",
        ),
        (FailureClass.RATE_LIMIT, {"status": 429, "provider_code": "429"}, "rate (HTTP 429)"),
    ],
)
def test_a_reason_is_made_of_class_status_and_code(
    kind: FailureClass, fields: dict[str, Any], reason: str
) -> None:
    assert reason in reason_of(failure(kind, **fields), "gpt-9")


@pytest.mark.parametrize("kind", FailureClass)
def test_no_reason_repeats_what_a_provider_says_in_its_own_words(kind: FailureClass) -> None:
    said = reason_of(failure(kind, status=400, provider_code=_SECRET), "gpt-9")

    assert said
    assert "Jane" not in said
    assert len(said) < 100


def test_an_address_that_serves_nothing_is_told_in_our_own_words() -> None:
    wrong = classify(404, {}, b"<html>nothing here</html>")
    moved = classify(308, {"location": "/login"}, b"")

    assert wrong.scope is moved.scope is ErrorScope.PROVIDER
    assert "nothing is served at this address: check base_url" in reason_of(wrong, "m")
    assert "redirects to another address" in reason_of(moved, "m")


def test_every_class_that_parks_or_slows_a_lane_has_words_of_its_own() -> None:
    holding = [c for c, row in FAILURE_TABLE.items() if row.next is Next.PARK_LANE or row.slow_lane]

    assert [c for c in holding if reason_of(failure(c), "m").startswith("calls end in")] == []


def test_the_sentence_says_when_the_next_try_is_and_how_long_the_provider_asked_for() -> None:
    assert waiting("why", 7.2) == "waiting: why; next try in 8 s"
    assert waiting("why", 0.0) == "waiting: why; trying now"
    assert waiting("why", None) == "waiting: why"
    assert (
        waiting("why", 300.0, until="2031-01-01 00:00:00 UTC")
        == "waiting: why; the provider asks to wait until 2031-01-01 00:00:00 UTC; next try in 5 m"
    )


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 s"), (59.5, "1 m"), (61, "1 m 01 s"), (7_500, "2 h 05 m"), (90_000, "1 d 1 h")],
)
def test_a_duration_is_in_whole_seconds(seconds: float, text: str) -> None:
    assert span(seconds) == text


@pytest.mark.parametrize(
    "why",
    [
        "[Errno 111] Connect call failed ('127.0.0.1', 9)",
        "[Errno -2] Name or service not known",
        "[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: self-signed certificate",
    ],
)
def test_a_connection_that_cannot_be_made_is_told_with_the_system_s_own_reason(why: str) -> None:
    refused = connection_failed(httpx.ConnectError(f"llm.example: cannot connect: {why}"))

    reason = reason_of(refused.failure, "m")

    assert reason.startswith("no connection to the provider (ConnectError: llm.example")
    assert why.partition("]")[0] in reason
