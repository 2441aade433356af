"""Starting Kafka clients so that what fails says what is wrong in one sentence."""

import asyncio
import logging
from collections.abc import Awaitable
from typing import Any, Protocol

import structlog
from aiokafka.errors import KafkaError

from tollway_workers.errors import BrokerUnavailable

log = structlog.get_logger(__name__)

#: Seconds to wait for a broker at start.
START_TIMEOUT = 30.0
#: Seconds to wait for one at the end.
STOP_TIMEOUT = 5.0


class KafkaClient(Protocol):
    """What every aiokafka client can do."""

    async def start(self) -> None:
        """Connect."""


async def started(client: KafkaClient, options: dict[str, Any]) -> None:
    """Start a client; `options` are its arguments.

    Raises:
        BrokerUnavailable: nobody answers, or we are refused; the client is closed again.
    """
    try:
        await asyncio.wait_for(client.start(), START_TIMEOUT)
    except (KafkaError, TimeoutError, OSError) as error:
        await _close(client)
        servers = options.get("bootstrap_servers", "?")
        raise BrokerUnavailable(
            f"cannot use Kafka at {servers} ({type(error).__name__}): "
            "check that it runs, the address, and the security settings"
        ) from error


async def given_up_after(seconds: float, closing: Awaitable[object], what: str) -> None:
    """Wait for `closing`, but no longer: aiokafka waits for a broker that is away for ever."""
    try:
        await asyncio.wait_for(closing, seconds)
    except TimeoutError:
        log.warning("Kafka is away, going without it", unfinished=what)


def quieten_client_logs() -> None:
    """For commands that say themselves what is wrong; aiokafka logs an error a second and node."""
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)


async def _close(client: Any) -> None:
    close = client.close if hasattr(client, "close") else client.stop
    await close()
