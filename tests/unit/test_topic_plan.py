"""Which topics a fleet needs, and what is to be done to get them."""

from typing import Any

from tollway_workers.config.fleet import FleetSettings
from tollway_workers.policies.topic_plan import (
    TopicPlan,
    largest_record,
    plan_topics,
    wanted_topics,
)


def settings(**kafka: Any) -> FleetSettings:
    return FleetSettings.model_validate(
        {
            "kafka": kafka,
            "providers": {"p": {"base_url": "http://127.0.0.1/v1"}},
            "lanes": {"main": {"provider": "p", "model": "m", "concurrency": 1}},
            "routes": {"a": {"lanes": ["main"]}, "b": {"lanes": ["main"]}},
        }
    )


def plan(existing: dict[str, int], **kafka: Any) -> TopicPlan:
    return plan_topics(wanted_topics(settings(**kafka)), existing)


ALL = {
    "tollway.jobs.a.interactive": 12,
    "tollway.jobs.a.bulk": 12,
    "tollway.jobs.b.interactive": 12,
    "tollway.jobs.b.bulk": 12,
    "tollway.replies": 12,
    "tollway.dead-letters": 12,
    "tollway.journal": 12,
}


def test_a_new_fleet_needs_all_its_topics() -> None:
    assert {topic.name: topic.partitions for topic in plan({}).create} == ALL


def test_a_fleet_that_has_all_its_topics_needs_nothing() -> None:
    done = plan(ALL | {"somebody.else": 3})

    assert (done.done, done.create, done.grow, done.remarks) == (True, (), {}, ())


def test_what_is_missing_is_made_and_what_is_too_small_grows() -> None:
    existing = {name: count for name, count in ALL.items() if name != "tollway.journal"}

    half = plan(existing | {"tollway.replies": 6})

    assert [topic.name for topic in half.create] == ["tollway.journal"]
    assert half.grow == {"tollway.replies": 12}
    assert not half.done


def test_partitions_cannot_be_taken_away_and_that_is_said() -> None:
    large = plan(ALL | {"tollway.replies": 24})

    assert large.done
    assert large.remarks == (
        "tollway.replies has 24 partitions, more than the 12 configured: Kafka cannot take "
        "partitions away; set kafka.partitions to that",
    )


def test_no_record_of_ours_is_larger_than_its_topic_takes() -> None:
    given = settings(max_job_bytes=100_000)
    limits = {topic.name: int(topic.config["max.message.bytes"]) for topic in wanted_topics(given)}

    largest = largest_record(given.kafka)

    assert limits["tollway.jobs.a.bulk"] >= 100_000
    for name in ("replies", "dead-letters", "journal"):
        assert limits[f"tollway.{name}"] > largest >= 200_000


def test_topics_keep_records_by_time_and_never_by_size() -> None:
    topics = wanted_topics(settings(jobs_retention_hours=48.0, min_insync_replicas=2))
    jobs = next(topic for topic in topics if topic.name == "tollway.jobs.a.bulk")

    assert jobs.config["retention.ms"] == "172800000"
    assert {topic.config["retention.bytes"] for topic in topics} == {"-1"}
    assert {topic.config["cleanup.policy"] for topic in topics} == {"delete"}
    assert {topic.config["min.insync.replicas"] for topic in topics} == {"2"}
