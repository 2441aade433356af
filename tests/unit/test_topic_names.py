"""Names of topics, and the headers that are numbers."""

import pytest

from tollway_schemas import headers
from tollway_schemas.job import Priority
from tollway_schemas.topics import TopicNames


def test_a_lane_has_a_topic_for_each_priority() -> None:
    names = TopicNames("acme")

    assert [names.lane("fast", priority) for priority in Priority] == [
        "acme.lanes.fast.interactive",
        "acme.lanes.fast.bulk",
    ]


@pytest.mark.parametrize("prefix", ["tollway", "acme.lanes", "a-b"])
def test_a_lane_is_known_by_its_topics_and_by_no_other(prefix: str) -> None:
    names = TopicNames(prefix)
    others = ["x.lanes.fast.bulk", f"{prefix}.lanes.fast.urgent", f"{prefix}.lanes", ""]
    others += [names.jobs("fast", Priority.BULK), names.retry(15.0), names.replies]

    assert {names.lane_of(names.lane("fast", priority)) for priority in Priority} == {"fast"}
    assert [names.lane_of(topic) for topic in others] == [None] * len(others)


@pytest.mark.parametrize(
    ("seconds", "word"),
    [(15.0, "15s"), (60.0, "60s"), (90.0, "90s"), (300.0, "5m"), (1800.0, "30m"), (7200.0, "2h")],
)
def test_a_retry_topic_is_named_by_its_delay(seconds: float, word: str) -> None:
    assert TopicNames().retry(seconds) == f"tollway.retry.{word}"


def test_lane_and_retry_topics_are_ours_so_no_job_may_reply_there() -> None:
    names = TopicNames()

    assert names.is_ours(names.lane("fast", Priority.BULK))
    assert names.is_ours(names.retry(15.0))


@pytest.mark.parametrize(
    ("value", "read"),
    [(b"1700000000.25", 1700000000.25), (b"3", 3.0), (b"-1", None), (b"inf", None), (b"x", None)],
)
def test_a_header_is_a_finite_number_or_none(value: bytes, read: float | None) -> None:
    assert headers.number([(headers.DUE, value)], headers.DUE) == read
    assert headers.number([], headers.DUE) is None


def test_marks_stand_beside_the_dead_letters_and_are_ours() -> None:
    names = TopicNames("acme")

    assert names.marks == "acme.dead-letters.marks"
    assert names.is_ours(names.marks)
