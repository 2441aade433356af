"""Starts and stops Kafka clients; a failure is one sentence that says what is wrong."""

import asyncio
import contextlib
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
#: Seconds that connections have to send their buffers after their client was abandoned.
_CLOSE_TIMEOUT = 1.0


class KafkaClient(Protocol):
    """What every aiokafka client can do."""

    async def start(self) -> None:
        """Connect."""


async def started(client: KafkaClient, options: dict[str, Any]) -> None:
    """Start a client; `options` are its arguments.

    Where it does not start, or is cancelled, the client is closed again.

    Raises:
        BrokerUnavailable: the broker does not answer, or refuses us.
    """
    try:
        await asyncio.wait_for(client.start(), START_TIMEOUT)
    except asyncio.CancelledError:
        await _disconnected(client)
        raise
    except (KafkaError, TimeoutError, OSError) as error:
        await stopped(client, STOP_TIMEOUT)
        servers = options.get("bootstrap_servers", "?")
        raise BrokerUnavailable(
            f"cannot use Kafka at {servers} ({type(error).__name__}): "
            "check that it runs, the address, and the security settings"
        ) from error


async def stopped(client: Any, seconds: float, what: str = "") -> None:
    """Stop a client, but wait no longer than `seconds`; then close its connections under it.

    `what` it was for is logged where it is given up; nothing where that is no news.

    aiokafka waits for a broker that is away for ever, and comes to its connections last: cancelled
    before that it leaves them open, and a task that asks for metadata for as long as we run.
    """
    close = client.close if hasattr(client, "close") else client.stop
    try:
        await asyncio.wait_for(close(), seconds)
    except TimeoutError:
        if what:
            _say_given_up(what)
    finally:
        await _disconnected(client)


async def given_up_after(seconds: float, closing: Awaitable[object], what: str) -> None:
    """Wait for `closing`, but no longer: aiokafka waits for a broker that is away for ever."""
    try:
        await asyncio.wait_for(closing, seconds)
    except TimeoutError:
        _say_given_up(what)


def quieten_client_logs() -> None:
    """Silence aiokafka's logs, for commands that report errors themselves."""
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)


def _say_given_up(what: str) -> None:
    log.warning("Kafka is away: stopping a client without waiting for it", unfinished=what)


async def _disconnected(client: Any) -> None:
    """Nothing where it is already."""
    connections = getattr(client, "client", None) or getattr(client, "_client", None)
    if connections is not None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(connections.close(), _CLOSE_TIMEOUT)
