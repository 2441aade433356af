"""Which topics a fleet needs, and what to do to get them. Pure: what exists is an argument."""

from collections.abc import Mapping
from dataclasses import dataclass

from tollway_schemas.job import Priority
from tollway_schemas.topics import TopicNames
from tollway_workers.config.fleet import FleetSettings
from tollway_workers.config.kafka import KafkaSettings

#: Answers and dead letters carry a job and what came of it.
_LARGER = 2
#: Room for keys, headers and a batch's own fields.
RECORD_OVERHEAD = 4_096


@dataclass(frozen=True, slots=True, kw_only=True)
class TopicSpec:
    """One topic with its complete configuration."""

    name: str
    partitions: int
    replication_factor: int
    config: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class TopicPlan:
    """What has to change, and what is not as it should be but is not ours to change."""

    create: tuple[TopicSpec, ...]
    #: Partitions to add: topic to new count.
    grow: Mapping[str, int]
    #: One sentence each.
    remarks: tuple[str, ...]

    @property
    def done(self) -> bool:
        """Whether nothing has to change."""
        return not self.create and not self.grow


def wanted_topics(settings: FleetSettings) -> tuple[TopicSpec, ...]:
    """All topics of a fleet."""
    kafka = settings.kafka
    names = TopicNames(kafka.prefix)
    jobs = [
        _spec(kafka, names.jobs(route, priority), hours=kafka.jobs_retention_hours, times=1)
        for route in sorted(settings.routes)
        for priority in Priority
    ]
    return (
        *jobs,
        _spec(kafka, names.replies, hours=kafka.replies_retention_hours, times=_LARGER),
        _spec(
            kafka, names.dead_letters, hours=24 * kafka.dead_letters_retention_days, times=_LARGER
        ),
        _spec(kafka, names.journal, hours=24 * kafka.journal_retention_days, times=_LARGER),
    )


def plan_topics(wanted: tuple[TopicSpec, ...], existing: Mapping[str, int]) -> TopicPlan:
    """What to do, given the partition counts of the topics that exist."""
    create = tuple(topic for topic in wanted if topic.name not in existing)
    grow = {
        topic.name: topic.partitions
        for topic in wanted
        if existing.get(topic.name, topic.partitions) < topic.partitions
    }
    remarks = tuple(
        f"{topic.name} has {existing[topic.name]} partitions, more than the {topic.partitions} "
        "configured: Kafka cannot take partitions away; set kafka.partitions to that"
        for topic in wanted
        if existing.get(topic.name, 0) > topic.partitions
    )
    return TopicPlan(create, grow, remarks)


def largest_record(kafka: KafkaSettings) -> int:
    """Bytes that the largest record of ours may have: a dead letter or a journal record."""
    return _LARGER * kafka.max_job_bytes + RECORD_OVERHEAD


def _spec(kafka: KafkaSettings, name: str, *, hours: float, times: int) -> TopicSpec:
    return TopicSpec(
        name=name,
        partitions=kafka.partitions,
        replication_factor=kafka.replication_factor,
        config={
            "cleanup.policy": "delete",
            "retention.ms": str(int(hours * 3_600_000)),
            # Retention is a promise in time: never cut short by size.
            "retention.bytes": "-1",
            "max.message.bytes": str(times * kafka.max_job_bytes + 2 * RECORD_OVERHEAD),
            "min.insync.replicas": str(kafka.min_insync_replicas),
        },
    )
