"""What a worker knows of the others' heartbeats, and that it works where it knows nothing."""

import asyncio
from typing import Any

import pytest
from manual_clock import ManualClock
from samples import NOW

from tollway_schemas.codec import encode
from tollway_schemas.heartbeat import Heartbeat
from tollway_workers.errors import BrokerUnavailable
from tollway_workers.job.envelopes import instant
from tollway_workers.kafka.talk import heartbeats
from tollway_workers.kafka.talk.heartbeats import HeartbeatFollower
from tollway_workers.lanes.live_beats import Heard, LiveBeats


def beat(worker: str) -> Heartbeat:
    return Heartbeat(worker=worker, started_at=instant(NOW), release="1")


class Reader:
    """Heartbeats of one worker at the start, and of another later; or none may be read."""

    def __init__(self, *, refused: bool = False) -> None:
        self.refused = refused
        self.now, self.unanswered = NOW, 0.0
        self.later: asyncio.Queue[list[Heard]] = asyncio.Queue()

    async def start(self, seconds: float) -> list[Heard]:
        if self.refused:
            raise BrokerUnavailable("not for you")
        return [Heard(NOW, beat("one"))]

    async def read(self) -> list[Heard]:
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
    reader.later.put_nowait([Heard(NOW + 5, beat("two"))])
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


async def test_what_strangers_write_neither_stalls_a_reader_nor_fills_its_memory() -> None:
    large, small = encode(beat("x" * 300_000)), encode(beat("one"))
    many = [encode(beat(f"stranger-{number}-" + "x" * 200_000)) for number in range(5)]
    turns_taken = 0

    async def go_on() -> None:
        nonlocal turns_taken
        while True:
            turns_taken += 1
            await asyncio.sleep(0)

    calls = asyncio.create_task(go_on())
    found = await heartbeats._readable([(NOW, each) for each in (large, small, *many)])
    calls.cancel()
    live = LiveBeats(history=0.0, most_bytes=500_000)
    for heard in (*found, *found):
        live.hear(*heard)
    known = [each.worker[:10] for each in live.live(NOW)]
    live.forget_dead(NOW + 60.0)
    live.hear(NOW + 60.0, beat("later"), 400_000)

    assert len(found) == 6
    assert turns_taken >= 4
    assert known == ["one", "stranger-0", "stranger-1"]
    assert [each.worker for each in live.live(NOW + 60.0)] == ["later"]
