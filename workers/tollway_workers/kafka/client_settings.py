"""Settings of the Kafka source and the Kafka sink."""

from dataclasses import dataclass
from typing import Any, Literal

from tollway_schemas.reading.unpack import MOST_UNPACKED
from tollway_workers.ownership.sharding import ShardGroup


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceSettings:
    """Settings of a source."""

    #: Arguments that every aiokafka client of this process takes: servers and security.
    client: dict[str, Any]
    topics: tuple[str, ...]
    group: str
    instance_id: str
    #: Seconds after which a silent member loses its partitions.
    session_timeout: float
    #: The limit groups that the topics belong to; one in none is divided by its partitions.
    groups: tuple[ShardGroup, ...] = ()
    #: Bytes that a compressed batch may unpack to.
    most_unpacked: int = MOST_UNPACKED


@dataclass(frozen=True, slots=True, kw_only=True)
class SinkSettings:
    """Settings of a sink."""

    #: Arguments that every aiokafka client of this process takes: servers and security.
    client: dict[str, Any]
    #: Largest record. Below the broker's own limit: a record that the broker refuses breaks an
    #: idempotent producer, one that the client refuses does not.
    most_bytes: int
    #: How batches are packed: zstd makes half of what snappy makes, and costs more the smaller
    #: batches are.
    compression: Literal["zstd", "snappy"] = "zstd"
