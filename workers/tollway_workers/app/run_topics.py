"""Topics that `tollway run` made for itself: what they still hold, and deleting them."""

import time
from collections.abc import Collection

from tollway_schemas import Priority, SchemaError, TopicNames, headers
from tollway_schemas.codec import decode
from tollway_schemas.command import Command
from tollway_schemas.job import Job
from tollway_workers.app.connection import client_options
from tollway_workers.app.work_left import unfinished_in
from tollway_workers.config.shape.fleet import FleetSettings
from tollway_workers.config.shape.kafka import KafkaSettings
from tollway_workers.kafka.group.unfinished import read_unfinished
from tollway_workers.kafka.read.log_reader import LoggedRecord
from tollway_workers.kafka.talk.command_log import latest_by_key
from tollway_workers.kafka.talk.heartbeats import HeartbeatReader
from tollway_workers.kafka.topic_admin import delete, existing_topics
from tollway_workers.topics.run_leftovers import Left, RunLeftover, of_topics, own_topics
from tollway_workers.topics.run_names import is_run_name

#: Jobs of each topic that are looked at for the runs they belong to.
_MOST = 1_000
#: Seconds: a worker with a heartbeat within them is alive.
_LIVE = 10.0


async def delete_finished(settings: FleetSettings) -> bool:
    """Delete the topics of every route and lane with a name of a run's, if no job is left there.

    Whether they were. Raises BrokerUnavailable.
    """
    kafka = settings.kafka
    names, client = TopicNames(kafka.prefix), client_options(kafka)
    lanes = {lane for lane in settings.lanes if is_run_name(lane)}
    routes = {route for route in settings.routes if is_run_name(route)}
    topics = {names.jobs(route, priority) for route in routes for priority in Priority}
    topics |= {names.lane(lane, priority) for lane in lanes for priority in Priority}
    existing = await existing_topics(client)
    unfinished = await unfinished_in(kafka, topics & existing.keys())
    if any(unfinished.values()) or await _wait_in_tiers(kafka, existing, lanes):
        return False
    await delete(client, topics, names.worker_group)
    return True


async def delete_given_up(kafka: KafkaSettings) -> tuple[str, ...]:
    """Delete the topics of runs whose jobs were all given up; which they were.

    Those that hold none stay: they may be of a run that has just begun. Raises BrokerUnavailable.
    """
    client = client_options(kafka)
    existing = await existing_topics(client)
    topics = own_topics(TopicNames(kafka.prefix), existing)
    left = await run_leftovers(kafka, topics)
    given_up = (each for each in left if each.may_go and each.given_up)
    gone = tuple(topic for each in given_up for topic in each.topics)
    if gone:
        await delete(client, gone, TopicNames(kafka.prefix).worker_group)
    return gone


async def run_leftovers(kafka: KafkaSettings, topics: Collection[str]) -> list[RunLeftover]:
    """Unfinished jobs of runs on these topics of theirs. Raises BrokerUnavailable."""
    if not topics:
        return []
    names, client = TopicNames(kafka.prefix), client_options(kafka)
    records = await read_unfinished(client, names.worker_group, topics, _MOST * len(topics))
    existing = await existing_topics(client)
    waiting = await _in_tiers(kafka, existing)
    left = [Left(record.partition[0], _job(record)) for record in records]
    commands = await _commands(kafka) if names.commands in existing else []
    served = await _served(kafka) if names.heartbeats in existing else set()
    lanes = {lane for record in waiting if (lane := headers.get(record.headers, headers.LANE))}
    return of_topics(names, topics, left, commands, in_use=served | lanes, now=time.time())


async def _wait_in_tiers(
    kafka: KafkaSettings, existing: Collection[str], lanes: Collection[str]
) -> bool:
    waiting = await _in_tiers(kafka, existing)
    return any(headers.get(record.headers, headers.LANE) in lanes for record in waiting)


async def _in_tiers(kafka: KafkaSettings, existing: Collection[str]) -> list[LoggedRecord]:
    tiers = [name for name in existing if name.startswith(f"{kafka.prefix}.retry.")]
    group = TopicNames(kafka.prefix).relay_group
    return await read_unfinished(client_options(kafka), group, tiers, _MOST * len(tiers))


async def _commands(kafka: KafkaSettings) -> list[Command]:
    found = []
    topic = TopicNames(kafka.prefix).commands
    for value in (await latest_by_key(client_options(kafka), topic)).values():
        try:
            found.append(decode(Command, value))
        except SchemaError:
            continue
    return found


async def _served(kafka: KafkaSettings) -> set[str]:
    """Lanes of the workers that are alive."""
    reader = HeartbeatReader(client_options(kafka), TopicNames(kafka.prefix).heartbeats)
    try:
        last = {heard.beat.worker: heard.beat for heard in await reader.start(_LIVE)}
        return {lane.lane for beat in last.values() if not beat.left for lane in beat.lanes}
    finally:
        await reader.stop()


def _job(record: LoggedRecord) -> Job | None:
    try:
        return decode(Job, record.value)
    except SchemaError:
        return None
