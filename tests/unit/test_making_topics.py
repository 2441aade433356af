"""Topics that were made are there for the next command: Kafka says so before its brokers know."""

from dataclasses import replace
from types import SimpleNamespace
from typing import Any
from unittest.mock import AsyncMock

import pytest
from aiokafka.admin import AIOKafkaAdminClient

from tollway_workers.app import topic_setup
from tollway_workers.config.shape.fleet import FleetSettings
from tollway_workers.config.shape.kafka import KafkaSettings
from tollway_workers.errors import BrokerUnavailable
from tollway_workers.kafka import topic_admin as topics
from tollway_workers.topics.plan import TopicPlan
from tollway_workers.topics.specs import TopicSpec

_PLAN = TopicPlan(
    create=(TopicSpec(name="jobs", partitions=2, replication_factor=1, config={}),),
    grow={"replies": 3},
)


@pytest.fixture
def admin(monkeypatch: pytest.MonkeyPatch) -> AsyncMock:
    """An admin client of a controller that does all it is asked for at once."""
    admin = AsyncMock(AIOKafkaAdminClient)
    admin.create_topics.return_value = SimpleNamespace(topic_errors=[("jobs", 0, None)])
    monkeypatch.setattr(topics, "AIOKafkaAdminClient", lambda **client: admin)
    return admin


def described(**partitions: int) -> list[dict[str, Any]]:
    return [{"topic": name, "partitions": [{}] * count} for name, count in partitions.items()]


async def test_what_was_made_and_grown_is_shown_before_it_counts_as_done(admin: AsyncMock) -> None:
    answers = [described(replies=1), described(replies=1, jobs=2), described(replies=3, jobs=2)]
    admin.describe_topics.side_effect = answers

    await topics.apply(_PLAN, {})

    assert admin.describe_topics.await_count == len(answers)


async def test_a_topic_that_no_broker_ever_shows_is_named(
    admin: AsyncMock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(topics, "_SHOWN_WITHIN", 0.1)
    admin.describe_topics.return_value = described(jobs=2)

    with pytest.raises(BrokerUnavailable, match="made or grew topic replies and does not show it"):
        await topics.apply(_PLAN, {})


async def test_a_topic_that_another_made_meanwhile_is_none_that_was_made_here(
    admin: AsyncMock,
) -> None:
    plan = replace(_PLAN, create=(*_PLAN.create, replace(_PLAN.create[0], name="marks")))
    answer = SimpleNamespace(topic_errors=[("marks", 0, None), ("jobs", 36, "exists")])
    admin.create_topics.return_value = answer
    admin.describe_topics.return_value = described(replies=3, jobs=9, marks=2)

    assert await topics.apply(plan, {}) == {"marks"}


async def test_what_is_said_to_be_made_was_made_by_this_command_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    plan = replace(_PLAN, create=(*_PLAN.create, replace(_PLAN.create[0], name="marks")))
    monkeypatch.setattr(topic_setup, "existing_topics", AsyncMock(return_value={}))
    monkeypatch.setattr(topic_setup, "_plan", AsyncMock(return_value=plan))
    monkeypatch.setattr(topic_setup, "apply", AsyncMock(return_value={"marks"}))

    kafka = KafkaSettings(bootstrap_servers="here:9092")
    made = await topic_setup.make_missing(FleetSettings(kafka=kafka))

    assert [topic.name for topic in made.create] == ["marks"]
