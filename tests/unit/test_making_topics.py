"""Topics that were made are there for the next command: Kafka says so before its brokers know."""

from types import SimpleNamespace
from typing import Any
from unittest.mock import AsyncMock

import pytest
from aiokafka.admin import AIOKafkaAdminClient

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
