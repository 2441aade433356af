"""The largest record that each of some topics takes."""

from collections.abc import Collection
from typing import Any

import structlog
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaError

from tollway_workers.kafka.connect import started

log = structlog.get_logger(__name__)

_LIMIT = "max.message.bytes"


async def topic_limits(client: dict[str, Any], topics: Collection[str]) -> dict[str, int]:
    """Bytes by topic, as Kafka has them now; a topic that we may not ask about is left out.

    Raises BrokerUnavailable.
    """
    if not topics:
        return {}
    admin = AIOKafkaAdminClient(**client)
    await started(admin, client)
    wanted = [ConfigResource(ConfigResourceType.TOPIC, each, {_LIMIT: ""}) for each in topics]
    try:
        responses: list[Any] = await admin.describe_configs(wanted)
    except KafkaError as error:
        log.warning("cannot read the limits of reply topics", error=type(error).__name__)
        return {}
    finally:
        await admin.close()
    return {
        name: int(value)
        for response in responses
        for code, _, _, name, entries in response.resources
        if code == 0
        for key, value, *_ in entries
        if key == _LIMIT
    }
