"""What a worker knows of the others' heartbeats, and that it works where it knows nothing."""

import asyncio
from typing import Any

import pytest
from manual_clock import ManualClock
from samples import NOW

from tollway_schemas.heartbeat import Heartbeat
from tollway_workers.errors import BrokerUnavailable
from tollway_workers.job.envelopes import instant
from tollway_workers.kafka.talk import heartbeats
from tollway_workers.kafka.talk.heartbeats import HeartbeatFollower


def beat(worker: str) -> Heartbeat:
    return Heartbeat(worker=worker, started_at=instant(NOW), release="1")


class Reader:
    """Heartbeats of one worker at the start, and of another later; or none may be read."""

    def __init__(self, *, refused: bool = False) -> None:
        self.refused = refused
        self.now, self.unanswered = NOW, 0.0
        self.later: asyncio.Queue[list[tuple[float, Heartbeat]]] = asyncio.Queue()

    async def start(self, seconds: float) -> list[tuple[float, Heartbeat]]:
        if self.refused:
            raise BrokerUnavailable("not for you")
        return [(NOW, beat("one"))]

    async def read(self) -> list[tuple[float, Heartbeat]]:
        return await self.later.get()

    async def stop(self) -> None:
        """Nothing to disconnect."""


async def turns() -> None:
    """Let everything happen that needs no time."""
    for _ in range(10):
        await asyncio.sleep(0)


async def follow(reader: Reader, monkeypatch: pytest.MonkeyPatch) -> tuple[HeartbeatFollower, Any]:
    monkeypatch.setattr(heartbeats, "HeartbeatReader", lambda *_: reader)
    follower = HeartbeatFollower({}, "tollway.heartbeats", ManualClock(NOW))
    before = follower.live()
    running = asyncio.create_task(follower.run())
    await turns()
    assert before is None
    return follower, running


def names(follower: HeartbeatFollower) -> list[str] | None:
    live = follower.live()
    return None if live is None else [each.worker for each in live]


async def test_the_last_heartbeat_of_each_live_worker_is_known(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    reader = Reader()
    follower, running = await follow(reader, monkeypatch)
    first = names(follower)
    reader.later.put_nowait([(NOW + 5, beat("two"))])
    await turns()
    both = names(follower)
    reader.now = NOW + 12
    running.cancel()

    assert (first, both, names(follower)) == (["one"], ["one", "two"], ["two"])


async def test_where_kafka_does_not_tell_for_long_nobody_is_known(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    reader = Reader()
    follower, running = await follow(reader, monkeypatch)
    reader.unanswered = 11.0
    running.cancel()

    assert follower.live() == []


async def test_a_worker_that_may_not_read_them_goes_on_without(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    follower, running = await follow(Reader(refused=True), monkeypatch)

    assert follower.live() == []
    assert not running.done()
    running.cancel()
