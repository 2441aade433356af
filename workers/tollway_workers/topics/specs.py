"""Which topics a fleet needs, each with its complete configuration. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from tollway_schemas.job import Priority
from tollway_schemas.reading.unpack import MOST_UNPACKED
from tollway_schemas.topics import TopicNames
from tollway_workers.config.shape.fleet import FleetSettings
from tollway_workers.config.shape.kafka import KafkaSettings

#: What carries a job and what came of it may be so many times as large as a job.
_LARGER = 2
#: A batch of jobs may unpack to so many times as much as one job may have.
_UNPACKED = 16
_TIER_PARTITIONS = 3
#: Heartbeats are kept so long that one looks back to see who has gone; segments are as long.
_MINUTES_10 = 600_000
#: Room for keys, headers and a batch's own fields.
RECORD_OVERHEAD = 4_096

_HOUR = 3_600_000
#: Seconds that the cache's topic tells of answers that were taken back: a worker that was away for
#: longer than half of it reads all anew.
CACHE_DELETES_KEPT = 7 * 86_400.0
#: Seconds that the cache's topic keeps marks beyond the answers that they speak of, which may come
#: as late as a call ends.
_CACHE_SPARE = 2 * 86_400.0
#: Kafka deletes whole segments, so one segment is what a record may outlive its time by.
_LONGEST_SEGMENT = 7 * 24 * _HOUR

#: Why a topic is configured as it is, for those who are asked to change it.
REASONS: Mapping[str, str] = {
    "cleanup.policy": "records go by their time; of commands, marks and stored answers the last of "
    "each stays",
    "delete.retention.ms": "a worker that was away hears which answers were taken back",
    "max.compaction.lag.ms": "answers that were taken back are gone within days",
    "retention.ms": "records stay as long as was promised",
    "retention.bytes": "records stay as long as was promised, however many come",
    "segment.ms": "records go within a tenth of their time (an hour, a week at most) after it",
    "max.message.bytes": "the largest record that may be written fits",
    "min.compaction.lag.ms": "what was asked for is not compacted before its writer judged it",
    "message.timestamp.type": "time counts from arrival, whatever clock the writer has",
    "min.insync.replicas": "a record that is acknowledged survives a broker",
    "unclean.leader.election.enable": "a copy that lacks acknowledged records never leads",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class TopicSpec:
    """One topic with its complete configuration."""

    name: str
    partitions: int
    replication_factor: int
    config: Mapping[str, str]
    #: Keys find their shard by it: exactly so many partitions, neither fewer nor more.
    fixed: bool = False


def wanted_topics(settings: FleetSettings) -> tuple[TopicSpec, ...]:
    """All topics of a fleet, in the order in which they may be made and may grow.

    Lanes come last, and `interactive` after `bulk`: there are the ownership topics, and a shard
    must have its partitions of all its topics before anybody can own it.
    """
    kafka = settings.kafka
    names = TopicNames(kafka.prefix)
    jobs, journal = kafka.jobs_retention_hours, kafka.journal_retention_days
    dead_letters = kafka.dead_letters_retention_days
    return (
        *(
            _spec(kafka, names.jobs(route, priority), hours=jobs, fixed=True)
            for route in sorted(settings.routes)
            for priority in Priority
        ),
        *(_tier(kafka, names.retry(delay)) for delay in settings.retry.seconds),
        _spec(kafka, names.replies, hours=kafka.replies_retention_hours, times=_LARGER),
        _spec(kafka, names.dead_letters, hours=24 * dead_letters, times=_LARGER),
        _marks(kafka, names.marks),
        _spec(kafka, names.journal, hours=24 * journal, times=_LARGER),
        *([_cache(settings, names.cache)] if caches(settings) else []),
        _commands(kafka, names.commands),
        _ledger(kafka, names.ledger),
        _heartbeats(kafka, names.heartbeats),
        *(
            _spec(kafka, names.lane(lane, priority), hours=jobs, times=_LARGER, fixed=True)
            for priority in (Priority.BULK, Priority.INTERACTIVE)
            for lane in sorted(settings.lanes)
        ),
    )


def caches(settings: FleetSettings) -> bool:
    """Whether any route gives stored answers."""
    return any(route.cache.exact for route in settings.routes.values())


def largest_record(kafka: KafkaSettings) -> int:
    """Bytes that the largest record of ours may have: a dead letter or a journal record."""
    return _LARGER * kafka.max_job_bytes + RECORD_OVERHEAD


def most_unpacked(kafka: KafkaSettings) -> int:
    """Bytes that a compressed batch may unpack to before it is stepped over as it is."""
    return min(_UNPACKED * kafka.max_job_bytes, MOST_UNPACKED)


def _tier(kafka: KafkaSettings, name: str) -> TopicSpec:
    """A retry topic: few partitions, because its relay looks at the head of each."""
    spec = _spec(kafka, name, hours=kafka.jobs_retention_hours, times=_LARGER)
    return replace(spec, partitions=min(_TIER_PARTITIONS, kafka.partitions))


def _marks(kafka: KafkaSettings, name: str) -> TopicSpec:
    """A table in one order, which outlives what it speaks of: a letter is never without its mark.

    A dead letter may outlive its own time by a segment, a week at most.
    """
    days = 2 * kafka.dead_letters_retention_days
    spec = _spec(kafka, name, hours=24 * days)
    return replace(spec, partitions=1, config={**spec.config, "cleanup.policy": "compact,delete"})


def _cache(settings: FleetSettings, name: str) -> TopicSpec:
    """A table that keeps answers, and marks of what is forgotten, as long as any may be given."""
    kept = max(
        route.cache.ttl + route.cache.stale_for
        for route in settings.routes.values()
        if route.cache.exact
    )
    spec = _spec(settings.kafka, name, hours=(kept + _CACHE_SPARE) / 3_600)
    deletes = str(int(CACHE_DELETES_KEPT * 1000))
    own = {
        "cleanup.policy": "compact,delete",
        "delete.retention.ms": deletes,
        "max.compaction.lag.ms": deletes,
    }
    return replace(spec, config={**spec.config, **own})


def _commands(kafka: KafkaSettings, name: str) -> TopicSpec:
    """A table in one order: workers read all of it when they start."""
    spec = _heartbeats(kafka, name)
    kept = {key: text for key, text in spec.config.items() if not key.startswith("retention.")}
    return replace(spec, config={**kept, "cleanup.policy": "compact"})


def _ledger(kafka: KafkaSettings, name: str) -> TopicSpec:
    """A table in one order, which grants money: exactly one partition.

    A record stays for an hour after the next of its key: who reads back its own claim, within half
    a minute, has read all that others had asked for before it.
    """
    spec = _commands(kafka, name)
    config = {**spec.config, "min.compaction.lag.ms": str(_HOUR), "segment.ms": str(_HOUR)}
    return replace(spec, config=config, fixed=True)


def _heartbeats(kafka: KafkaSettings, name: str) -> TopicSpec:
    spec = _spec(kafka, name, hours=_MINUTES_10 / _HOUR)
    return replace(spec, partitions=1, config={**spec.config, "segment.ms": str(_MINUTES_10)})


def _spec(
    kafka: KafkaSettings, name: str, *, hours: float, times: int = 1, fixed: bool = False
) -> TopicSpec:
    retention = int(hours * _HOUR)
    return TopicSpec(
        name=name,
        partitions=kafka.partitions,
        replication_factor=kafka.replication_factor,
        fixed=fixed,
        config={
            "cleanup.policy": "delete",
            "retention.ms": str(retention),
            "retention.bytes": "-1",
            "segment.ms": str(min(_LONGEST_SEGMENT, max(_HOUR, retention // 10))),
            "max.message.bytes": str(times * kafka.max_job_bytes + 2 * RECORD_OVERHEAD),
            "message.timestamp.type": "LogAppendTime",
            "min.insync.replicas": str(kafka.min_insync_replicas),
            "unclean.leader.election.enable": "false",
        },
    )
