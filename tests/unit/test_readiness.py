"""Readiness: the first reason that matters, and none while all is well."""

from dataclasses import replace

import pytest

from tollway_workers.health.readiness import Condition, why_not_ready

WELL = Condition(
    draining=False, kafka_away=False, joined=True, owned=4, commit_age=0.3, loop_lag=0.01, held=0
)


def test_a_worker_that_works_is_ready() -> None:
    assert why_not_ready(WELL) is None


def test_a_standby_is_ready_without_ever_committing() -> None:
    assert why_not_ready(replace(WELL, owned=0, commit_age=float("inf"))) is None


@pytest.mark.parametrize(
    ("trouble", "reason"),
    [
        ({"draining": True, "joined": False}, "draining"),
        (
            {"kafka_away": True, "commit_age": 60.0, "held": 7},
            "Kafka is away: no call starts, 7 answer(s) are held",
        ),
        ({"joined": False, "owned": 0}, "the worker is no stable member of its"),
        ({"commit_age": 7.1}, "offsets were last committed 7 s ago"),
        ({"commit_age": float("inf")}, "offsets were not committed yet"),
        ({"loop_lag": 2.5}, "the event loop was 2.5 s late"),
    ],
    ids=lambda value: str(value) if isinstance(value, str) else "",
)
def test_a_worker_in_trouble_says_the_reason_that_comes_first(
    trouble: dict[str, bool | float], reason: str
) -> None:
    assert (why_not_ready(replace(WELL, **trouble)) or "").startswith(reason)  # type: ignore[arg-type]  # fields by name
