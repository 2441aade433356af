"""Clients of Kafka end in time, and leave no connection behind."""

import asyncio

import pytest
from structlog.testing import capture_logs

from tollway_workers.errors import BrokerUnavailable
from tollway_workers.kafka.connect import started, stopped


class Connections:
    """Those of a client."""

    def __init__(self) -> None:
        self.closed = asyncio.Event()

    async def close(self) -> None:
        self.closed.set()


class Client:
    """As aiokafka's: it comes to its connections last, and may never."""

    def __init__(self) -> None:
        self._client = Connections()
        self.broker = asyncio.Event()
        self.waiting = asyncio.Event()

    async def start(self) -> None:
        self.waiting.set()
        await self.broker.wait()

    async def stop(self) -> None:
        self.waiting.set()
        await self.broker.wait()
        await self._client.close()

    @property
    def connected(self) -> bool:
        return not self._client.closed.is_set()


class Refused(Client):
    """Nobody answers."""

    async def start(self) -> None:
        self.broker.set()
        raise OSError


@pytest.fixture
def client() -> Client:
    return Client()


async def test_a_client_that_does_not_end_loses_its_connections(client: Client) -> None:
    with capture_logs() as said:
        await stopped(client, 0.01, "leaving")

    assert not client.connected
    assert [each["unfinished"] for each in said] == ["leaving"]


async def test_a_client_that_ends_in_time_is_no_news(client: Client) -> None:
    client.broker.set()

    with capture_logs() as said:
        await stopped(client, 5.0, "leaving")

    assert (client.connected, said) == (False, [])


@pytest.mark.parametrize("what", ["start", "stop"])
async def test_who_is_cancelled_meanwhile_leaves_no_connection_either(
    client: Client, what: str
) -> None:
    work = started(client, {}) if what == "start" else stopped(client, 5.0)
    task = asyncio.create_task(work)
    await client.waiting.wait()

    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task
    assert not client.connected


async def test_a_client_that_is_refused_is_closed_and_says_where() -> None:
    client = Refused()

    with pytest.raises(BrokerUnavailable, match=r"Kafka at 127\.0\.0\.1:1"):
        await started(client, {"bootstrap_servers": "127.0.0.1:1"})

    assert not client.connected
