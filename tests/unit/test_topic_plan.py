"""What is to be done to get the topics that a fleet needs."""

from dataclasses import replace
from typing import Any

from tollway_workers.config.shape.fleet import FleetSettings
from tollway_workers.topics.plan import TopicPlan, TopicState, plan_topics
from tollway_workers.topics.specs import TopicSpec, wanted_topics

JOURNAL = "tollway.journal"
JOBS = "tollway.jobs.a.bulk"
LARGEST = "max.message.bytes"


def settings(**kafka: Any) -> FleetSettings:
    return FleetSettings.model_validate(
        {
            "kafka": kafka,
            "providers": {"p": {"base_url": "http://127.0.0.1/v1"}},
            "lanes": {"main": {"provider": "p", "model": "m", "concurrency": 1}},
            "routes": {"a": {"lanes": ["main"]}, "b": {"lanes": ["main"]}},
        }
    )


def as_made(spec: TopicSpec) -> TopicState:
    """A topic as it is after it was made by the plan, with a broker's default beside."""
    return TopicState(
        partitions=spec.partitions,
        replicas=spec.replication_factor,
        config={**spec.config, "flush.ms": "1000"},
        overrides=spec.config,
    )


ALL = {spec.name: as_made(spec) for spec in wanted_topics(settings())}


def plan(existing: dict[str, TopicState], **kafka: Any) -> TopicPlan:
    return plan_topics(wanted_topics(settings(**kafka)), existing)


def test_a_new_fleet_needs_all_its_topics() -> None:
    assert plan({}).create == wanted_topics(settings())


def test_a_fleet_that_has_all_its_topics_needs_nothing() -> None:
    done = plan({**ALL, "somebody.else": replace(ALL[JOURNAL], partitions=3)})

    assert done == TopicPlan()
    assert done.done


def test_what_is_missing_is_made_and_what_is_too_small_grows() -> None:
    existing = {name: state for name, state in ALL.items() if name != JOURNAL}
    existing[JOBS] = replace(ALL[JOBS], partitions=6)

    half = plan(existing)

    assert [topic.name for topic in half.create] == [JOURNAL]
    assert half.grow == {JOBS: 12}
    assert not half.done


def test_ownership_topics_grow_last() -> None:
    small = {name: replace(state, partitions=2) for name, state in ALL.items()}

    grown = list(plan(small).grow)

    assert grown[-1] == "tollway.lanes.main.interactive"
    assert grown.index(JOBS) < grown.index("tollway.lanes.main.bulk")


def test_partitions_of_jobs_cannot_be_taken_away_and_that_is_refused() -> None:
    large = plan({**ALL, JOBS: replace(ALL[JOBS], partitions=24)})

    assert large.done
    assert large.remarks == ()
    assert [str(mistake) for mistake in large.refusals] == [
        f"kafka.partitions: is 12, and {JOBS} has 24: Kafka cannot take partitions away; set 24"
    ]


def test_more_partitions_of_other_topics_are_no_mistake() -> None:
    large = plan({**ALL, JOURNAL: replace(ALL[JOURNAL], partitions=24)})

    assert large.done
    assert large.refusals == ()
    assert "has 24 partitions, more than the 12 configured" in large.remarks[0]


def test_a_setting_that_differs_is_changed_and_all_others_are_sent_along() -> None:
    config = {**ALL[JOBS].config, "retention.bytes": "1000"}  # type: ignore[dict-item] # it was made above
    overrides = {**ALL[JOBS].overrides, "retention.bytes": "1000", "compression.type": "zstd"}
    state = replace(ALL[JOBS], config=config, overrides=overrides)

    planned = plan({**ALL, JOBS: state})

    (change,) = planned.alter
    assert not planned.done
    assert change.topic == JOBS
    assert change.settings == {"retention.bytes": ("1000", "-1")}
    assert change.complete == {**ALL[JOBS].overrides, "compression.type": "zstd"}


def test_a_setting_that_only_the_broker_gives_is_as_good_as_one_of_the_topic() -> None:
    assert plan({**ALL, JOBS: replace(ALL[JOBS], overrides={})}).done


def test_a_longer_retention_is_a_change_of_all_topics_that_hold_jobs() -> None:
    changes = plan(ALL, jobs_retention_hours=480.0).alter

    assert {change.topic for change in changes} == {
        name for name in ALL if name.split(".")[1] in ("jobs", "lanes", "retry")
    }
    assert {change.settings["retention.ms"] for change in changes} == {("1209600000", "1728000000")}


def test_where_configurations_may_not_be_seen_they_are_not_compared_and_that_is_said() -> None:
    blind = plan({**ALL, JOBS: replace(ALL[JOBS], config=None, overrides={})})

    assert blind.done
    assert blind.remarks == (
        f"{JOBS}: this user may not see its configuration (needs DescribeConfigs), so it was not "
        "compared",
    )


def test_missing_copies_are_for_the_clusters_operators_to_add() -> None:
    (first, *_) = plan(ALL, replication_factor=3).remarks

    assert first.endswith(
        "has 1 of the 3 replicas configured: its operators add copies with "
        "kafka-reassign-partitions.sh"
    )


def test_a_run_that_makes_what_is_missing_changes_no_setting() -> None:
    existing = {name: state for name, state in ALL.items() if name != JOURNAL}

    additions = plan(existing, jobs_retention_hours=480.0).additions()

    assert [topic.name for topic in additions.create] == [JOURNAL]
    assert additions.alter == ()


def test_a_run_may_make_topics_take_larger_records_and_nothing_else() -> None:
    existing = {**ALL, JOBS: replace(ALL[JOBS], overrides={"retention.ms": "1"})}
    existing[JOURNAL] = replace(ALL[JOURNAL], config={**ALL[JOURNAL].config, LARGEST: "99999999"})  # type: ignore[dict-item] # pyright: ignore[reportGeneralTypeIssues] made with one

    larger = plan(existing, max_job_bytes=4 << 20, jobs_retention_hours=480.0).additions(
        larger=True
    )

    changes = {change.topic: change for change in larger.alter}
    assert JOURNAL not in changes
    assert changes[JOBS].complete == {"retention.ms": "1", LARGEST: str((4 << 20) + 8192)}
    assert all(set(change.settings) == {LARGEST} for change in larger.alter)
    assert plan(ALL, max_job_bytes=100_000).additions(larger=True).alter == ()
