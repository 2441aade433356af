"""Whether the parts of `[kafka]` fit together. Pure."""

import re
from collections.abc import Iterator
from itertools import chain

from tollway_schemas.job import LONGEST_DEADLINE
from tollway_schemas.topics import TopicNames
from tollway_workers.config.shape.kafka import KafkaSettings, SecuritySettings
from tollway_workers.config.shape.network import is_loopback
from tollway_workers.errors import ConfigMistake

#: Hours that jobs topics keep a record at the least: a job must not vanish before its deadline.
_LEAST_RETENTION = 2 * LONGEST_DEADLINE.total_seconds() / 3600
#: What survives the loss of a broker.
_REPLICAS, _IN_SYNC = 3, 2

_TOPIC = re.compile(r"[A-Za-z0-9._-]{1,249}")
_SERVER = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+):(\d{1,5})")


def kafka_errors(kafka: KafkaSettings) -> Iterator[ConfigMistake]:
    """What keeps `[kafka]` from being used."""
    return chain(_servers(kafka), _copies(kafka), _reply_topics(kafka), _sasl(kafka), _tls(kafka))


def kafka_warnings(kafka: KafkaSettings) -> Iterator[ConfigMistake]:
    """What is allowed in `[kafka]` but hardly meant."""
    if kafka.replication_factor == kafka.min_insync_replicas > 1:
        yield ConfigMistake(
            key="kafka.min_insync_replicas",
            problem="equals replication_factor, so one broker that is away stops all writing",
            remedy=f"set {kafka.min_insync_replicas - 1}",
        )
    if kafka.replication_factor < _REPLICAS and not _is_local(kafka):
        yield ConfigMistake(
            key="kafka.replication_factor",
            problem=f"is {kafka.replication_factor}, so a broker that is lost takes jobs along or "
            "stops all writing",
            remedy=f"set {_REPLICAS}, and min_insync_replicas = {_IN_SYNC}",
        )
    elif kafka.min_insync_replicas < _IN_SYNC and not _is_local(kafka):
        yield ConfigMistake(
            key="kafka.min_insync_replicas",
            problem="is 1, so what only one broker has counts as written",
            remedy=f"set {_IN_SYNC}",
        )
    clear = kafka.security.protocol == "SASL_PLAINTEXT" and kafka.security.mechanism == "PLAIN"
    if clear and not _is_local(kafka):
        yield ConfigMistake(
            key="kafka.security.protocol",
            problem="sends the password unencrypted",
            remedy='use "SASL_SSL" or a SCRAM mechanism',
        )


def _servers(kafka: KafkaSettings) -> Iterator[ConfigMistake]:
    if kafka.bootstrap_servers is None:
        return
    for server in kafka.bootstrap_servers.split(","):
        match = _SERVER.fullmatch(server.strip())
        if match is None or not 0 < int(match[2]) < 65536:
            yield ConfigMistake(
                key="kafka.bootstrap_servers",
                problem="has an entry that is not host:port",
                remedy='write "host:9092", several with commas between',
            )
            return


def _is_local(kafka: KafkaSettings) -> bool:
    """Whether the broker is on this machine, or none is named."""
    servers = kafka.bootstrap_servers.split(",") if kafka.bootstrap_servers else []
    hosts = [server.strip().rpartition(":")[0].strip("[]") for server in servers]
    return all(is_loopback(host) for host in hosts)


def _copies(kafka: KafkaSettings) -> Iterator[ConfigMistake]:
    if kafka.min_insync_replicas > kafka.replication_factor:
        yield ConfigMistake(
            key="kafka.min_insync_replicas",
            problem=f"is more than the {kafka.replication_factor} copies that there are",
            remedy="set at most replication_factor; in production 2 of 3",
        )
    if kafka.jobs_retention_hours < _LEAST_RETENTION:
        yield ConfigMistake(
            key="kafka.jobs_retention_hours",
            problem="is less than twice the longest deadline, so jobs could vanish unread",
            remedy=f"set at least {_LEAST_RETENTION:g}: services may give a job "
            f"{_LEAST_RETENTION / 2:g} hours",
        )


def _reply_topics(kafka: KafkaSettings) -> Iterator[ConfigMistake]:
    names = TopicNames(kafka.prefix)
    for index, topic in enumerate(kafka.reply_topics):
        key = f"kafka.reply_topics[{index}]"
        if not _TOPIC.fullmatch(topic) or topic in {".", ".."}:
            remedy = "use at most 249 letters, digits, dots, hyphens and underscores"
            yield ConfigMistake(key=key, problem="is no name of a topic", remedy=remedy)
        elif names.is_ours(topic):
            remedy = f"name a topic of the service's own, not one that begins {kafka.prefix}."
            yield ConfigMistake(key=key, problem="is a topic of the fleet itself", remedy=remedy)


def _sasl(kafka: KafkaSettings) -> Iterator[ConfigMistake]:
    security = kafka.security
    given = {name: getattr(security, name) for name in ("mechanism", "username", "password")}
    wanted = security.protocol.startswith("SASL")
    for name, value in given.items():
        key = f"kafka.security.{name}"
        if wanted and value is None:
            example = _EXAMPLES[name]
            yield ConfigMistake(
                key=key,
                problem=f"is missing, and {security.protocol} needs it",
                remedy=f"add {name} = {example}",
            )
        elif not wanted and value is not None:
            yield ConfigMistake(
                key=key,
                problem=f"has no effect with protocol {security.protocol}",
                remedy='remove it, or set protocol = "SASL_SSL"',
            )


def _tls(kafka: KafkaSettings) -> Iterator[ConfigMistake]:
    security = kafka.security
    files = ("ca_file", "certificate_file", "key_file")
    for name in files:
        if getattr(security, name) is not None and not security.protocol.endswith("SSL"):
            yield ConfigMistake(
                key=f"kafka.security.{name}",
                problem=f"has no effect with protocol {security.protocol}",
                remedy='remove it, or set protocol = "SSL" or "SASL_SSL"',
            )
    if (missing := _missing_half(security)) is not None:
        yield ConfigMistake(
            key=f"kafka.security.{missing}",
            problem="is missing: certificate_file and key_file belong together",
            remedy="give both or neither",
        )


def _missing_half(security: SecuritySettings) -> str | None:
    if (security.certificate_file is None) == (security.key_file is None):
        return None
    return "key_file" if security.key_file is None else "certificate_file"


_EXAMPLES = {
    "mechanism": '"SCRAM-SHA-512"',
    "username": '"NAME"',
    "password": '{env = "TOLLWAY_SASL_PASSWORD"}',
}
