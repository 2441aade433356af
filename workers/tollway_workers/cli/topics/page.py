"""How a plan of topics is shown to people, to machines, and to the operators of a cluster."""

import shlex
from collections.abc import Iterable
from typing import Any

from tollway_workers.cli.shared.output import Column, count, say, show_table
from tollway_workers.config.shape.kafka import KafkaSettings
from tollway_workers.topics.plan import TopicPlan
from tollway_workers.topics.specs import REASONS, TopicSpec

_COLUMNS = (
    Column("to do"),
    Column("topic"),
    Column("partitions", right=True),
    Column("replicas", right=True),
)
_CHANGES = (
    Column("topic"),
    Column("setting"),
    Column("is"),
    Column("becomes"),
    Column("so that", wraps=True),
)


def show_plan(planned: TopicPlan) -> None:
    """What is to be done, and why."""
    if planned.create or planned.grow or planned.delete:
        show_table(_COLUMNS, _rows(planned))
    if planned.alter:
        show_table(_CHANGES, _changes(planned))
    for heading, topics in _by_configuration(planned.create):
        say()
        say(f"{', '.join(topics)}:")
        say(heading)


def show_remarks(planned: TopicPlan) -> None:
    """What is worth knowing and not ours to change."""
    for remark in planned.remarks:
        say(f"note: {remark}")


def show_done(planned: TopicPlan, left: TopicPlan) -> None:
    """What was made: the plan without what is left of it."""
    waiting = {topic.name for topic in left.create}
    for topic in planned.create:
        if topic.name not in waiting:
            say(f"made {topic.name}, {count(topic.partitions, 'partition')}")
    for name, total in planned.grow.items():
        if name not in left.grow:
            say(f"grew {name} to {count(total, 'partition')}")
    for name in planned.delete:
        if name not in left.delete:
            say(f"deleted {name}, which a finished run had left")
    _show_changed(planned, left)


def _show_changed(planned: TopicPlan, left: TopicPlan) -> None:
    unchanged = {change.topic for change in left.alter}
    for change in planned.alter:
        if change.topic not in unchanged:
            settings = ", ".join(f"{key}={new}" for key, (_, new) in change.settings.items())
            say(f"changed {change.topic}: {settings}")


def show_requests(kafka: KafkaSettings, left: TopicPlan) -> None:
    """What the operators of the cluster can paste into a shell."""
    say("this user may not do all of it; ask the operators of this Kafka to run:")
    for topic in left.create:
        words = ["--create", "--topic", topic.name, "--partitions", str(topic.partitions)]
        words += ["--replication-factor", str(topic.replication_factor)]
        for key, value in topic.config.items():
            words += ["--config", f"{key}={value}"]
        say(_command(kafka, "kafka-topics.sh", words))
    for name, total in left.grow.items():
        words = ["--alter", "--topic", name, "--partitions", str(total)]
        say(_command(kafka, "kafka-topics.sh", words))
    for name in left.delete:
        say(_command(kafka, "kafka-topics.sh", ["--delete", "--topic", name]))
    for change in left.alter:
        settings = ",".join(f"{key}={new}" for key, (_, new) in change.settings.items())
        words = ["--alter", "--entity-type", "topics", "--entity-name", change.topic]
        say(_command(kafka, "kafka-configs.sh", [*words, "--add-config", settings]))


def facts(kafka: KafkaSettings, planned: TopicPlan) -> dict[str, Any]:
    """The plan for machines."""
    return {
        "bootstrap_servers": kafka.bootstrap_servers,
        "to_do": to_do(planned),
        "refused": [str(mistake) for mistake in planned.refusals],
        "remarks": list(planned.remarks),
    }


def to_do(planned: TopicPlan) -> dict[str, Any]:
    """What is to be made, grown and changed, for machines."""
    create = [
        {
            "topic": topic.name,
            "partitions": topic.partitions,
            "replication_factor": topic.replication_factor,
            "config": dict(topic.config),
        }
        for topic in planned.create
    ]
    alter = [
        {
            "topic": change.topic,
            "settings": {
                key: {"is": old, "becomes": new} for key, (old, new) in change.settings.items()
            },
            "complete": dict(change.complete),
        }
        for change in planned.alter
    ]
    return {
        "create": create,
        "grow": dict(planned.grow),
        "alter": alter,
        "delete": list(planned.delete),
    }


def _rows(planned: TopicPlan) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = [
        ("create", each.name, str(each.partitions), str(each.replication_factor))
        for each in planned.create
    ]
    rows += [("grow", name, str(total), "-") for name, total in planned.grow.items()]
    return rows + [("delete", name, "-", "-") for name in planned.delete]


def _changes(planned: TopicPlan) -> list[tuple[str, ...]]:
    return [
        (change.topic, key, old or "not set", new, REASONS[key])
        for change in planned.alter
        for key, (old, new) in change.settings.items()
    ]


def _by_configuration(topics: Iterable[TopicSpec]) -> Iterable[tuple[str, list[str]]]:
    """Topics with one configuration together, and that configuration as lines."""
    found: dict[str, list[str]] = {}
    for topic in topics:
        lines = "\n".join(f"  {key}={value}" for key, value in topic.config.items())
        found.setdefault(lines, []).append(topic.name)
    return found.items()


def _command(kafka: KafkaSettings, script: str, words: list[str]) -> str:
    return shlex.join([script, "--bootstrap-server", kafka.bootstrap_servers or "", *words])
