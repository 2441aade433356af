"""Logs in an outage: few lines, a count of the others, and nothing that may not be said."""

import asyncio
import logging
from collections.abc import Iterator

import pytest
import structlog
from manual_clock import ManualClock
from structlog.testing import capture_logs

from tollway_workers.telemetry.client_logs import pass_on_client_logs
from tollway_workers.telemetry.log_limit import RepeatLimit

CLIENT = logging.getLogger("aiokafka.client")


@pytest.fixture(autouse=True)
def _client_logs() -> Iterator[None]:
    """The loggers are left as they were."""
    loggers = [logging.getLogger(name) for name in ("aiokafka", "asyncio")]
    before = [(each.handlers, each.propagate, each.level) for each in loggers]
    yield
    for logger, (handlers, propagate, level) in zip(loggers, before, strict=True):
        logger.handlers, logger.propagate = handlers, propagate
        logger.setLevel(level)


def written(limit: RepeatLimit, event: str, times: int = 1) -> list[dict[str, object]]:
    """The lines that come of an event that happens so often."""
    lines = []
    for _ in range(times):
        try:
            lines.append(dict(limit(None, "warning", {"event": event})))
        except structlog.DropEvent:
            continue
    return lines


def test_an_event_a_second_for_ten_minutes_is_three_lines_a_minute_with_a_count() -> None:
    clock = ManualClock()
    limit, lines = RepeatLimit(clock), []

    for _ in range(600):
        lines += written(limit, "commit failed")
        clock.advance(1.0)

    assert len(lines) == 30
    assert [line.get("repeated") for line in lines[:6]] == [None, None, None, 57, None, None]


def test_other_events_are_not_held_by_one_that_repeats() -> None:
    limit = RepeatLimit(ManualClock())

    written(limit, "commit failed", times=1_000)

    assert written(limit, "worker starts") == [{"event": "worker starts"}]


def test_what_the_limit_remembers_is_bounded() -> None:
    limit = RepeatLimit(ManualClock())

    for number in range(10_000):
        written(limit, f"event {number}")

    assert len(limit._windows) == 500


def test_the_clients_errors_are_lines_of_ours_without_the_text_of_an_error() -> None:
    pass_on_client_logs()

    with capture_logs() as lines:
        CLIENT.error("Unable connect to node with id %s: %s", 3, OSError("secret prompt"))
        CLIENT.warning("Could not send %r: %r", OSError, {"value": "secret prompt"})
        CLIENT.error("Unexpected: %s %s", "one")
        CLIENT.info("Discovered coordinator %s", 3)

    assert [(line["log_level"], line["event"]) for line in lines] == [
        ("warning", "Kafka's client: Unable connect to node with id 3: OSError"),
        ("info", "Kafka's client: Could not send 'OSError': '...'"),
        ("warning", "Kafka's client: Unexpected: %s %s"),
    ]


def test_a_missing_topic_of_which_we_speak_ourselves_is_no_line_of_the_client() -> None:
    pass_on_client_logs(["tollway.cache"])

    with capture_logs() as lines:
        for topic in ("tollway.cache", "tollway.journal"):
            CLIENT.error("Topic %s not found in cluster metadata", topic)

    assert [line["event"] for line in lines] == [
        "Kafka's client: Topic tollway.journal not found in cluster metadata"
    ]


def test_an_exception_that_the_client_logs_is_its_type_and_its_frames() -> None:
    pass_on_client_logs()

    with capture_logs() as lines:
        try:
            raise RuntimeError("secret prompt")
        except RuntimeError:
            CLIENT.exception("Unexpected error in coordinator routine")

    assert [line["error"] for line in lines] == ["RuntimeError"]
    assert "test_log_limit.py:" in lines[0]["exception"]
    assert "secret" not in str(lines)


async def test_a_task_that_the_client_left_behind_is_one_line_without_the_text_of_its_error() -> (
    None
):
    pass_on_client_logs()
    error = RuntimeError("secret prompt")

    with capture_logs() as lines:
        asyncio.get_running_loop().call_exception_handler(
            {"message": "Task exception was never retrieved", "exception": error, "task": error}
        )

    assert lines == [
        {
            "event": "the event loop: Task exception was never retrieved",
            "error": "RuntimeError",
            "exception": "RuntimeError",
            "log_level": "warning",
        }
    ]
