"""A topic of a service as the sink meets it: gone, closed, silent, or well again."""

import asyncio
from collections.abc import Awaitable
from typing import Any

import pytest
from aiokafka.errors import (
    KafkaConnectionError,
    OutOfOrderSequenceNumber,
    TopicAuthorizationFailedError,
)
from manual_clock import ManualClock
from structlog.testing import capture_logs

from tollway_workers.errors import BrokerUnavailable
from tollway_workers.job.ports import OutgoingRecord, TopicUnavailable
from tollway_workers.kafka.client_settings import SinkSettings
from tollway_workers.kafka.produce import isolated_topic as topic_module
from tollway_workers.kafka.produce import sink as sink_module
from tollway_workers.kafka.produce import topic_limits as limits_module
from tollway_workers.kafka.produce.sink import KafkaSink


class _Builder:
    def append(self, **_: object) -> object:
        return object()


class _Producer:
    """Keeps each batch on its way until the test says how it ended."""

    def __init__(self, **_: object) -> None:
        self.sent: list[tuple[str, asyncio.Future[object]]] = []
        self.stopped = False

    async def start(self) -> None:
        """Connected."""

    async def stop(self) -> None:
        self.stopped = True

    async def partitions_for(self, topic: str) -> set[int]:
        return {0}

    def create_batch(self) -> _Builder:
        return _Builder()

    async def send_batch(self, _: object, topic: str, **__: object) -> asyncio.Future[object]:
        sent: asyncio.Future[object] = asyncio.get_running_loop().create_future()
        self.sent.append((topic, sent))
        return sent


class Stage:
    """A sink with one topic of ours and one of a service, in a Kafka that the test plays."""

    def __init__(self) -> None:
        self.producers: list[_Producer] = []
        self.clock = ManualClock()
        #: What Kafka says of the service's topic; an exception where it does not answer.
        self.state: int | str | Exception = 2
        self.looks = 0
        settings = SinkSettings(client={}, most_bytes=1_000)
        self.sink = KafkaSink(
            settings, self.clock, ["ours", "theirs"], {"theirs": "what was for it is lost"}
        )

    def produce(self, **options: object) -> Any:
        self.producers.append(_Producer(**options))
        return self.producers[-1]

    async def look(self, client: object, name: str) -> int | str:
        self.looks += 1
        if isinstance(self.state, Exception):
            raise self.state
        return self.state

    async def send(self, topic: str = "theirs") -> Awaitable[object]:
        return await self.sink.send(OutgoingRecord(topic, b"k", b"v", []))

    async def under_way(self, producer: int, topic: str) -> asyncio.Future[object]:
        """The last batch of a topic, once it is on its way."""
        async with asyncio.timeout(5):
            while True:
                found = [sent for name, sent in self.producers[producer].sent if name == topic]
                if found:
                    return found[-1]
                await asyncio.sleep(0)


@pytest.fixture
async def stage(monkeypatch: pytest.MonkeyPatch) -> Stage:
    async def no_limits(client: object, topics: object) -> dict[str, int]:
        return {}

    stage = Stage()
    monkeypatch.setattr(sink_module, "AIOKafkaProducer", stage.produce)
    monkeypatch.setattr(limits_module, "topic_limits", no_limits)
    monkeypatch.setattr(topic_module, "topic_state", stage.look)
    monkeypatch.setattr(topic_module, "_PATIENCE", 0.02)
    monkeypatch.setattr(topic_module, "_ONCE_MORE", 0.0)
    await stage.sink.start()
    return stage


async def test_what_is_under_way_to_a_topic_that_is_deleted_is_told_so_and_ours_are_not_touched(
    stage: Stage,
) -> None:
    ours, theirs = await stage.send("ours"), await stage.send()
    await stage.under_way(1, "theirs")
    stage.state = "does not exist"

    with pytest.raises(TopicUnavailable, match=r"^theirs does not exist$"):
        await theirs
    with pytest.raises(TopicUnavailable):
        await stage.send()
    (await stage.under_way(0, "ours")).set_result("written")

    assert await ours == "written"
    assert [each.stopped for each in stage.producers] == [False, True]
    assert stage.sink.waiting_since is None


async def test_a_topic_that_takes_nothing_is_said_once_and_looked_at_twice_a_minute(
    stage: Stage,
) -> None:
    stage.state = "does not exist"

    with capture_logs() as lines:
        for _ in range(600):
            with pytest.raises(TopicUnavailable):
                await stage.send()
            stage.clock.advance(0.1)

    assert [(line["topic"], line["why"]) for line in lines] == [("theirs", "does not exist")]
    assert lines[0]["event"].endswith("holds up no other: what was for it is lost")
    # Each look that finds nothing is made once more.
    assert stage.looks <= 6


async def test_a_topic_that_is_made_again_takes_replies_again(stage: Stage) -> None:
    stage.state = "does not exist"
    with pytest.raises(TopicUnavailable):
        await stage.send()
    stage.state = 2
    stage.clock.advance(31.0)

    theirs = await stage.send()
    (await stage.under_way(1, "theirs")).set_result("written")

    assert await theirs == "written"


async def test_a_topic_that_may_not_be_written_is_unavailable_by_kafkas_word(stage: Stage) -> None:
    theirs = await stage.send()
    (await stage.under_way(1, "theirs")).set_exception(TopicAuthorizationFailedError())

    with pytest.raises(TopicUnavailable, match="TopicAuthorizationFailedError"):
        await theirs
    with pytest.raises(TopicUnavailable):
        await stage.send()


@pytest.mark.parametrize("error", [OutOfOrderSequenceNumber(), KafkaConnectionError()])
async def test_what_may_pass_is_held_and_written_again_by_another_producer(
    stage: Stage, error: Exception
) -> None:
    theirs = await stage.send()
    (await stage.under_way(1, "theirs")).set_exception(error)
    with pytest.raises(type(error)):
        await theirs

    await stage.sink.recover()
    again = await stage.send()
    (await stage.under_way(2, "theirs")).set_result("written")

    assert await again == "written"


async def test_nothing_is_given_up_while_it_is_kafka_that_is_away(stage: Stage) -> None:
    theirs = asyncio.ensure_future(await stage.send())
    on_its_way = await stage.under_way(1, "theirs")
    stage.state = BrokerUnavailable("away")
    while stage.looks < 4:
        stage.clock.advance(60.0)
        await asyncio.sleep(0.01)

    on_its_way.set_result("written")

    assert await theirs == "written"


async def test_a_topic_that_is_there_and_takes_nothing_is_given_up_where_ours_take_theirs(
    stage: Stage,
) -> None:
    theirs = asyncio.ensure_future(await stage.send())
    await stage.under_way(1, "theirs")
    while stage.looks < 4:
        stage.clock.advance(60.0)
        await asyncio.sleep(0.01)
    held = not theirs.done()

    ours = await stage.send("ours")
    (await stage.under_way(0, "ours")).set_result("written")
    await ours

    assert held
    with pytest.raises(TopicUnavailable, match="takes no records"):
        await theirs


async def test_stopping_waits_no_longer_for_a_topic_that_takes_nothing(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sink_module, "STOP_TIMEOUT", 2.1)
    await stage.send()
    await stage.under_way(1, "theirs")

    async with asyncio.timeout(5):
        await stage.sink.stop()
        await stage.sink.stop()
