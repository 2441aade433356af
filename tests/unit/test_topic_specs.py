"""Which topics a fleet needs, and how each is configured."""

from typing import Any

import pytest

from tollway_workers.config.shape.fleet import FleetSettings
from tollway_workers.ownership.sharding import shard_groups
from tollway_workers.topics.specs import (
    REASONS,
    TopicSpec,
    largest_record,
    wanted_topics,
)

HOUR = 3_600_000


def settings(**kafka: Any) -> FleetSettings:
    return FleetSettings.model_validate(
        {
            "kafka": kafka,
            "providers": {"p": {"base_url": "http://127.0.0.1/v1"}},
            "lanes": {"main": {"provider": "p", "model": "m", "concurrency": 4}},
            "routes": {"a": {"lanes": ["main"]}, "b": {"lanes": ["main"]}},
        }
    )


def topics(**kafka: Any) -> dict[str, TopicSpec]:
    return {
        topic.name.removeprefix("tollway."): topic for topic in wanted_topics(settings(**kafka))
    }


def test_a_fleet_has_these_topics() -> None:
    assert {name: topic.partitions for name, topic in topics().items()} == {
        "jobs.a.interactive": 12,
        "jobs.a.bulk": 12,
        "jobs.b.interactive": 12,
        "jobs.b.bulk": 12,
        "retry.15s": 3,
        "retry.60s": 3,
        "retry.5m": 3,
        "retry.30m": 3,
        "replies": 12,
        "dead-letters": 12,
        "dead-letters.marks": 1,
        "journal": 12,
        "commands": 1,
        "ledger": 1,
        "heartbeats": 1,
        "lanes.main.bulk": 12,
        "lanes.main.interactive": 12,
    }


def test_ownership_topics_grow_last() -> None:
    given = settings()
    names = [topic.name for topic in wanted_topics(given)]

    owners = {group.ownership_topic for group in shard_groups(given)}

    assert owners <= set(names[-len(given.lanes) :])
    assert all(topic.fixed for topic in wanted_topics(given) if topic.name in _sharded(given))


def _sharded(given: FleetSettings) -> set[str]:
    return {topic for group in shard_groups(given) for topic in group.topics}


def test_no_record_of_ours_is_larger_than_its_topic_takes() -> None:
    found = topics(max_job_bytes=100_000)
    limits = {name: int(topic.config["max.message.bytes"]) for name, topic in found.items()}

    largest = largest_record(settings(max_job_bytes=100_000).kafka)

    assert limits["jobs.a.bulk"] >= 100_000
    for name in ("replies", "dead-letters", "journal", "retry.5m", "lanes.main.bulk"):
        assert limits[name] > largest >= 200_000


def test_records_are_kept_by_their_time_of_arrival_and_never_by_size() -> None:
    for name, topic in topics().items():
        if name not in ("commands", "ledger", "dead-letters.marks"):
            assert topic.config["cleanup.policy"] == "delete"
            assert topic.config["retention.bytes"] == "-1"
        assert topic.config["message.timestamp.type"] == "LogAppendTime"


@pytest.mark.parametrize(
    ("topic", "hours"),
    [
        ("jobs.a.bulk", 336),
        ("lanes.main.bulk", 336),
        ("retry.30m", 336),
        ("replies", 168),
        ("dead-letters", 90 * 24),
        ("dead-letters.marks", 180 * 24),
        ("journal", 30 * 24),
    ],
)
def test_every_topic_keeps_records_for_its_own_time(topic: str, hours: int) -> None:
    assert topics()[topic].config["retention.ms"] == str(hours * HOUR)


@pytest.mark.parametrize(
    ("retention", "segment"), [(0.5, 1.0), (100.0, 10.0), (1_000.0, 100.0), (10_000.0, 168.0)]
)
def test_records_go_not_much_later_than_they_may(retention: float, segment: float) -> None:
    found = topics(replies_retention_hours=retention)["replies"]

    assert found.config["segment.ms"] == str(int(segment * HOUR))


@pytest.mark.parametrize("days", [1.0, 90.0, 3_650.0])
def test_a_dead_letter_is_never_without_its_mark(days: float) -> None:
    found = topics(dead_letters_retention_days=days)
    letters, marks = found["dead-letters"].config, found["dead-letters.marks"].config

    assert int(marks["retention.ms"]) == 2 * int(letters["retention.ms"])
    assert marks["cleanup.policy"] == "compact,delete"
    assert int(marks["retention.ms"]) >= int(letters["retention.ms"]) + int(letters["segment.ms"])


def test_copies_are_as_configured_and_one_that_lacks_records_never_leads() -> None:
    for topic in topics(replication_factor=3, min_insync_replicas=2).values():
        assert topic.replication_factor == 3
        assert topic.config["min.insync.replicas"] == "2"
        assert topic.config["unclean.leader.election.enable"] == "false"


def caching(**cache: Any) -> FleetSettings:
    given = settings().model_dump(exclude_unset=True)
    given["routes"]["a"]["cache"] = {"exact": True, **cache}
    return FleetSettings.model_validate(given)


def test_stored_answers_have_a_topic_where_a_route_gives_them() -> None:
    assert "cache" not in topics()
    found = {topic.name: topic for topic in wanted_topics(caching())}

    assert found["tollway.cache"].config["cleanup.policy"] == "compact,delete"


def test_marks_of_what_is_forgotten_are_kept_longer_than_any_answer_is_given() -> None:
    given = caching(ttl=10 * 86_400, stale_for=5 * 86_400)
    (cache,) = (each for each in wanted_topics(given) if each.name == "tollway.cache")

    assert int(cache.config["retention.ms"]) > 15 * 24 * HOUR
    assert int(cache.config["delete.retention.ms"]) == 7 * 24 * HOUR


def test_every_setting_has_its_reason() -> None:
    found = wanted_topics(caching())

    assert {key for topic in found for key in topic.config} == REASONS.keys()


def test_what_was_asked_of_the_ledger_is_not_compacted_before_its_writer_judged_it() -> None:
    ledger = topics()["ledger"]

    assert (ledger.partitions, ledger.fixed) == (1, True)
    assert ledger.config["cleanup.policy"] == "compact"
    assert int(ledger.config["min.compaction.lag.ms"]) >= 600_000


def test_of_commands_the_last_of_each_key_stays_and_heartbeats_go_soon() -> None:
    commands, heartbeats = topics()["commands"].config, topics()["heartbeats"].config

    assert (commands["cleanup.policy"], commands["segment.ms"]) == ("compact", "600000")
    assert not [key for key in commands if key.startswith("retention.")]
    assert (heartbeats["retention.ms"], heartbeats["segment.ms"]) == ("600000", "600000")
