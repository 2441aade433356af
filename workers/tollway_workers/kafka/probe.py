"""Probes Kafka with a client of its own, so that stuck clients of the worker do not matter."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import structlog
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

log = structlog.get_logger(__name__)

#: Seconds that a whole probe may take.
_PATIENCE = 5.0
#: Where Kafka keeps commits: a commit needs it as much as it needs its coordinator.
_COMMITS_TOPIC = "__consumer_offsets"


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeSettings:
    """Settings of a probe."""

    #: Arguments that every aiokafka client of this process takes: servers and security.
    client: dict[str, Any]
    group: str
    topics: tuple[str, ...]
    #: Copies that a partition must have in sync to be written to.
    min_insync_replicas: int


async def kafka_is_well(settings: ProbeSettings) -> bool:
    """Whether a worker could read, write and commit: asked on fresh connections.

    The metadata alone do not tell: without a quorum a living broker goes on handing out what it
    last knew. So the group's coordinator and every broker that leads a partition of ours must
    answer for themselves, and every partition must have enough replicas in sync.
    """
    try:
        async with asyncio.timeout(_PATIENCE):
            return await _look(settings)
    except (KafkaError, TimeoutError, OSError) as error:
        log.debug("the probe of Kafka failed", error=type(error).__name__)
        return False


async def _look(settings: ProbeSettings) -> bool:
    async with _Client(settings.client) as admin:
        if not await _coordinates(admin, settings.group):
            return False
        # The public calls ask for all topics of the cluster to name its brokers.
        found = await admin._get_cluster_metadata([*settings.topics, _COMMITS_TOPIC])
        metadata = found.to_object()
    missing = {topic["topic"] for topic in metadata["topics"] if topic["error_code"] != 0}
    partitions = [each for topic in metadata["topics"] for each in topic["partitions"]]
    if missing & set(settings.topics) or not all(
        writable(each, settings.min_insync_replicas) for each in partitions
    ):
        return False
    addresses = {each["node_id"]: f"{each['host']}:{each['port']}" for each in metadata["brokers"]}
    for leader in {partition["leader"] for partition in partitions}:
        if leader not in addresses:
            return False
        async with _Client(settings.client | {"bootstrap_servers": addresses[leader]}):
            """Connecting has it answer for itself."""
    return True


def writable(partition: Mapping[str, Any], min_insync_replicas: int) -> bool:
    """Whether a partition, as Kafka describes it, has a leader and enough replicas in sync."""
    needed = min(min_insync_replicas, len(partition["replicas"]))
    return int(partition["leader"]) >= 0 and len(partition["isr"]) >= needed


async def _coordinates(admin: AIOKafkaAdminClient, group: str) -> bool:
    """Whether the group's coordinator is found, and knows the group."""
    responses: list[Any] = await admin.describe_consumer_groups([group])
    return all(found[0] == 0 for response in responses for found in response.groups)


class _Client:
    """An admin client for a moment, on connections of its own."""

    def __init__(self, client: dict[str, Any]) -> None:
        self._admin = AIOKafkaAdminClient(
            **client, request_timeout_ms=int(_PATIENCE * 1000), retry_backoff_ms=500
        )

    async def __aenter__(self) -> AIOKafkaAdminClient:
        try:
            await self._admin.start()
        except BaseException:
            # A client that did not start has open sockets all the same.
            await self._admin.close()
            raise
        return self._admin

    async def __aexit__(self, *error: object) -> None:
        await self._admin.close()
