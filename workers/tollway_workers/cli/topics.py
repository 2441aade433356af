"""`tollway topics`: what the fleet's topics should be, and making them so."""

import asyncio
import os
import shlex
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import typer

from tollway_workers.app.connection import client_options
from tollway_workers.cli.output import Column, count, say, show_table, write_json
from tollway_workers.cli.topic_scan import AsJson, Config
from tollway_workers.config.fleet import FleetSettings
from tollway_workers.config.kafka import KafkaSettings
from tollway_workers.config.load import load_fleet
from tollway_workers.errors import BrokerUnavailable
from tollway_workers.kafka.connect import quieten_client_logs
from tollway_workers.kafka.topics import apply as apply_plan
from tollway_workers.kafka.topics import existing_topics
from tollway_workers.policies.topic_plan import TopicPlan, TopicSpec, plan_topics, wanted_topics

#: Exit status of `plan` where `apply` would do something.
_SOMETHING_TO_DO = 3

_COLUMNS = (
    Column("to do"),
    Column("topic"),
    Column("partitions", right=True),
    Column("replicas", right=True),
)

app = typer.Typer(
    no_args_is_help=True,
    help="Plan and make the fleet's topics.",
    epilog="Example: tollway topics plan && echo nothing to do",
)


@app.command(
    epilog="Examples:\n\ntollway topics plan --config fleet.toml\n\ntollway topics plan --json"
)
def plan(config: Config = None, as_json: AsJson = False) -> None:
    """Say what `apply` would do. Exit status 0: nothing; 3: something; 2: could not look."""
    settings = _settings(config)
    planned = asyncio.run(_plan(settings))
    if as_json:
        write_json(_facts(settings, planned))
    else:
        _show(settings, planned)
    if not planned.done:
        raise typer.Exit(_SOMETHING_TO_DO)


@app.command(
    epilog="Examples:\n\ntollway topics apply --config fleet.toml\n\ntollway topics apply --json"
)
def apply(config: Config = None, as_json: AsJson = False) -> None:
    """Make the topics that are missing and add partitions that are. Does nothing twice.

    It takes nothing away. Where Kafka forbids it: exit status 2, and what to ask for.
    """
    settings = _settings(config)
    planned, left, refused = asyncio.run(_apply(settings))
    if as_json:
        document = _facts(settings, planned) | {"done": left.done, "left": _to_do(left)}
        write_json(document | {"refused": str(refused) if refused else None})
    else:
        _show_done(planned, left)
    if refused is not None:
        if not as_json:
            _show_requests(settings.kafka, left)
        raise refused


async def make_topics(settings: FleetSettings) -> TopicPlan:
    """Make what is missing, and return what that was. Raises BrokerUnavailable, ConfigError."""
    planned = await _plan(settings)
    if not planned.done:
        await apply_plan(planned, client_options(settings.kafka))
    return planned


async def _plan(settings: FleetSettings) -> TopicPlan:
    existing = await existing_topics(client_options(settings.kafka))
    planned = plan_topics(wanted_topics(settings), existing)
    others = tuple(
        f"{name} does not exist, and workers do not start without it: kafka.reply_topics are made "
        "by the services that read them"
        for name in settings.kafka.reply_topics
        if name not in existing
    )
    return replace(planned, remarks=planned.remarks + others)


async def _apply(
    settings: FleetSettings,
) -> tuple[TopicPlan, TopicPlan, BrokerUnavailable | None]:
    """The plan, what is left of it, and what Kafka said if it refused."""
    planned = await _plan(settings)
    if planned.done:
        return planned, planned, None
    try:
        await apply_plan(planned, client_options(settings.kafka))
    except BrokerUnavailable as error:
        # Some of it may be done: Kafka judges each topic alone.
        return planned, await _plan(settings), error
    return planned, TopicPlan((), {}, planned.remarks), None


def _settings(config: Config) -> FleetSettings:
    settings = load_fleet(config, environ=os.environ)
    client_options(settings.kafka)
    quieten_client_logs()
    return settings


def _show(settings: FleetSettings, planned: TopicPlan) -> None:
    if planned.done:
        say(f"nothing to do: all {len(wanted_topics(settings))} topics are there")
    else:
        show_table(_COLUMNS, _rows(planned))
        for heading, topics in _by_configuration(planned.create):
            say()
            say(f"{', '.join(topics)}:")
            say(heading)
        say()
        say("make it so: tollway topics apply")
    _show_remarks(planned)


def _rows(planned: TopicPlan) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = [
        ("create", each.name, str(each.partitions), str(each.replication_factor))
        for each in planned.create
    ]
    return rows + [("grow", name, str(total), "-") for name, total in planned.grow.items()]


def _by_configuration(topics: Iterable[TopicSpec]) -> Iterable[tuple[str, list[str]]]:
    """Topics with one configuration together, and that configuration as lines."""
    found: dict[str, list[str]] = {}
    for topic in topics:
        lines = "\n".join(f"  {key}={value}" for key, value in topic.config.items())
        found.setdefault(lines, []).append(topic.name)
    return found.items()


def _show_done(planned: TopicPlan, left: TopicPlan) -> None:
    waiting = {topic.name for topic in left.create}
    for topic in planned.create:
        if topic.name not in waiting:
            say(f"made {topic.name}, {count(topic.partitions, 'partition')}")
    for name, total in planned.grow.items():
        if name not in left.grow:
            say(f"grew {name} to {count(total, 'partition')}")
    if planned.done:
        say("nothing to do: all topics are there")
    _show_remarks(planned)


def _show_requests(kafka: KafkaSettings, left: TopicPlan) -> None:
    """What the operators of the cluster can paste."""
    say("ask the operators of this Kafka for:")
    for topic in left.create:
        words = ["--create", "--topic", topic.name, "--partitions", str(topic.partitions)]
        words += ["--replication-factor", str(topic.replication_factor)]
        for key, value in topic.config.items():
            words += ["--config", f"{key}={value}"]
        say(_command(kafka, words))
    for name, total in left.grow.items():
        say(_command(kafka, ["--alter", "--topic", name, "--partitions", str(total)]))


def _command(kafka: KafkaSettings, words: list[str]) -> str:
    servers = kafka.bootstrap_servers or ""
    return shlex.join(["kafka-topics.sh", "--bootstrap-server", servers, *words])


def _show_remarks(planned: TopicPlan) -> None:
    for remark in planned.remarks:
        say(f"note: {remark}")


def _facts(settings: FleetSettings, planned: TopicPlan) -> dict[str, Any]:
    return {
        "bootstrap_servers": settings.kafka.bootstrap_servers,
        "to_do": _to_do(planned),
        "remarks": list(planned.remarks),
    }


def _to_do(planned: TopicPlan) -> dict[str, Any]:
    create = [
        {
            "topic": topic.name,
            "partitions": topic.partitions,
            "replication_factor": topic.replication_factor,
            "config": dict(topic.config),
        }
        for topic in planned.create
    ]
    return {"create": create, "grow": dict(planned.grow)}
