"""Compares the topics that a fleet needs with those in its Kafka, and makes missing ones."""

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any

import structlog

from tollway_schemas import TopicNames
from tollway_workers.app.connection import client_options
from tollway_workers.app.run_topics import run_leftovers
from tollway_workers.app.work_left import unfinished_in
from tollway_workers.config.shape.fleet import FleetSettings
from tollway_workers.errors import BrokerUnavailable
from tollway_workers.kafka.topic_admin import apply, broker_settings, existing_topics, topic_states
from tollway_workers.topics import leftovers as topic_leftovers
from tollway_workers.topics.brokers import BROKER_SETTINGS, broker_remarks
from tollway_workers.topics.plan import TopicPlan, plan_topics
from tollway_workers.topics.run_leftovers import own_topics
from tollway_workers.topics.run_leftovers import remarks as run_remarks
from tollway_workers.topics.specs import wanted_topics

log = structlog.get_logger(__name__)


async def require_topics(
    client: dict[str, Any], names: Collection[str], theirs: Collection[str] = ()
) -> None:
    """Return if all of our own topics exist; missing topics of services are logged.

    Raises BrokerUnavailable.
    """
    existing = await existing_topics(client)
    if unseen := [name for name in theirs if name not in existing]:
        log.warning(
            "reply topics of services do not exist: their replies go to our reply topic, "
            "and each is a dead letter",
            topics=unseen,
        )
    missing = [name for name in names if name not in existing]
    if missing:
        raise BrokerUnavailable(
            f"Kafka lacks {len(missing)} topic(s), {missing[0]} for one: "
            "make them with `tollway topics apply`"
        )


async def look_and_plan(settings: FleetSettings) -> TopicPlan:
    """The plan for all topics, with remarks. Raises BrokerUnavailable, ConfigError."""
    client = client_options(settings.kafka)
    names = await existing_topics(client)
    planned = await _plan(settings, names)
    left = topic_leftovers.leftovers(settings, names)
    of_runs = own_topics(TopicNames(settings.kafka.prefix), (each.topic for each in left))
    runs = await run_leftovers(settings.kafka, of_runs)
    left = tuple(each for each in left if each.topic not in of_runs)
    unfinished = await unfinished_in(settings.kafka, (each.topic for each in left))
    brokers = await broker_settings(client, BROKER_SETTINGS)
    return replace(
        planned,
        delete=tuple(topic for each in runs if each.may_go for topic in each.topics),
        refusals=(*planned.refusals, *topic_leftovers.refusals(left, unfinished)),
        remarks=(
            *planned.remarks,
            *topic_leftovers.remarks(left, unfinished),
            *run_remarks(runs),
            *_missing_reply_topics(settings, names),
            *broker_remarks(settings.kafka, brokers),
        ),
    )


async def make_missing(settings: FleetSettings, *, larger: bool = False) -> TopicPlan:
    """Make missing topics and partitions, and return what was made.

    `larger`: where a topic takes smaller records than this fleet may write, it takes them from now
    on. Nothing else is changed. Raises BrokerUnavailable, ConfigError.
    """
    client = client_options(settings.kafka)
    planned = (await _plan(settings, await existing_topics(client))).additions(larger=larger)
    if planned.done:
        return planned
    made = await apply(planned, client)
    return replace(planned, create=tuple(topic for topic in planned.create if topic.name in made))


async def _plan(settings: FleetSettings, existing: Mapping[str, int]) -> TopicPlan:
    wanted = wanted_topics(settings)
    names = {spec.name for spec in wanted} & existing.keys()
    return plan_topics(wanted, await topic_states(client_options(settings.kafka), names))


def _missing_reply_topics(settings: FleetSettings, existing: Mapping[str, int]) -> list[str]:
    return [
        f"{name} does not exist: until it does, replies for it go to the dead letters and to "
        f"{TopicNames(settings.kafka.prefix).replies}; kafka.reply_topics are made by the services "
        "that read them"
        for name in settings.kafka.reply_topics
        if name not in existing
    ]
