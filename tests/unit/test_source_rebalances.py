"""What a source does around a rebalance, when a call may start, and how it leaves."""

from collections.abc import Collection
from typing import Any
from unittest.mock import AsyncMock, Mock

import pytest
from aiokafka import ConsumerRecord, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import CommitFailedError
from manual_clock import ManualClock

from tollway_schemas.reading.consumer import RecordConsumer
from tollway_workers.kafka.client_settings import SourceSettings
from tollway_workers.kafka.consume import source as source_module
from tollway_workers.kafka.consume.source import KafkaSource
from tollway_workers.ownership.owned_partition import LEASE
from tollway_workers.ownership.owned_partitions import Found
from tollway_workers.ownership.record import ReceivedRecord
from tollway_workers.ownership.user_data import Orders, Process

_PLACE = TopicPartition("tollway.jobs.extract.bulk", 0)


class Stage:
    """A source, its consumer, and what Kafka keeps of its one partition."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.clock = ManualClock()
        settings = SourceSettings(
            client={},
            topics=(_PLACE.topic,),
            group="workers",
            instance_id="one",
            session_timeout=15.0,
        )
        self.source = KafkaSource(settings, self.clock)
        self.consumer = AsyncMock(RecordConsumer)
        self.consumer._coordinator = Mock(generation=1, _group_instance_id="one")
        self.consumer.assignment.return_value = {_PLACE}
        self.consumer.paused.return_value = set()
        self.consumer.position.return_value = 0
        self.consumer.getmany.return_value = {}
        self.consumer.last_stable_offset.return_value = None
        self.consumer.commit.side_effect = self._keep
        self.source._consumer = self.consumer
        self.source._admin = AsyncMock(AIOKafkaAdminClient)
        self.kept = Found(offset=0, fresh=True)
        self.assignor = self.source._membership.assignor
        monkeypatch.setattr(source_module, "left_at", self._left_at)

    async def _keep(self, offsets: Any) -> None:
        offset, metadata = offsets[_PLACE]
        self.kept = Found(offset=offset, metadata=metadata)

    async def _left_at(self, *asked: object) -> dict[TopicPartition, Found]:
        return {_PLACE: self.kept}

    async def assign(
        self, *, marks: Collection[TopicPartition] = (), process: Process | None = None
    ) -> None:
        """A rebalance ends."""
        self.assignor.orders = Orders(
            marks=frozenset(marks), process=process, partitions={_PLACE.topic: 1}
        )
        await self.source.on_partitions_assigned([_PLACE])

    async def poll(self, *offsets: int, most: int = 10) -> list[ReceivedRecord]:
        """A poll to which Kafka has these records."""
        self.consumer.getmany.return_value = {_PLACE: [_record(offset) for offset in offsets]}
        polled = await self.source.poll(most)
        self.consumer.getmany.return_value = {}
        return polled


def _record(offset: int) -> Any:
    return ConsumerRecord(
        topic=_PLACE.topic,
        partition=_PLACE.partition,
        offset=offset,
        timestamp=0,
        timestamp_type=0,
        key=None,
        value=b"{}",
        checksum=None,
        serialized_key_size=0,
        serialized_value_size=2,
        headers=(),
    )


@pytest.fixture
async def stage(monkeypatch: pytest.MonkeyPatch) -> Stage:
    """A source that has its partition, and whose claim Kafka has."""
    stage = Stage(monkeypatch)
    await stage.assign()
    await stage.source.commit()
    return stage


async def test_a_rebalance_begins_with_a_commit_of_what_is_complete(stage: Stage) -> None:
    (record,) = await stage.poll(0)
    stage.source.complete(record)

    await stage.source.on_partitions_revoked([_PLACE])

    assert stage.kept.offset == 1


async def test_between_two_assignments_nothing_is_committed_and_nothing_begins(
    stage: Stage,
) -> None:
    await stage.source.on_partitions_revoked([_PLACE])
    before = stage.consumer.commit.await_count

    begun = await stage.poll(0)
    await stage.source.commit()

    assert begun == []
    assert stage.consumer.commit.await_count == before
    assert stage.source.owned == 0


async def test_after_a_rebalance_reading_goes_on_behind_what_was_taken(stage: Stage) -> None:
    await stage.poll(0, 1, 2)

    await stage.source.on_partitions_revoked([_PLACE])
    await stage.assign()

    assert stage.consumer.seek.call_args.args == (_PLACE, 3)


async def test_what_is_new_is_claimed_at_once_and_not_after_a_poll_that_finds_nothing(
    stage: Stage,
) -> None:
    await stage.source.on_partitions_revoked([_PLACE])
    before = stage.consumer.wake.call_count

    await stage.assign()

    assert stage.consumer.wake.call_count == before + 1


async def test_a_call_may_start_while_the_last_commit_is_younger_than_a_lease(
    stage: Stage,
) -> None:
    (record,) = await stage.poll(0)
    fresh = stage.source.may_start(record)

    stage.clock.advance(LEASE)
    stale = stage.source.may_start(record)
    await stage.source.commit()

    assert (fresh, stale, stage.source.may_start(record)) == (True, False, True)


async def test_no_call_starts_for_a_partition_that_is_to_go(stage: Stage) -> None:
    (record,) = await stage.poll(0)

    await stage.assign(marks=[_PLACE])
    marked = stage.source.may_start(record)
    await stage.assign()

    assert (marked, stage.source.may_start(record)) == (False, True)


async def test_a_source_without_room_reads_nothing_and_shows_that_it_lives(stage: Stage) -> None:
    stage.source.last_poll = float("-inf")
    stage.source._room.set()

    await stage.poll(most=0)

    stage.consumer.pause.assert_called_once_with(_PLACE)
    stage.consumer.getmany.assert_awaited_once_with(_PLACE, timeout_ms=0, max_records=1)


async def test_leaving_says_the_last_word_and_goodbye(stage: Stage) -> None:
    (record,) = await stage.poll(0)
    stage.source.complete(record)

    await stage.source.leave()

    assert stage.kept.offset == 1
    assert stage.consumer._coordinator._group_instance_id is None
    stage.consumer.stop.assert_awaited_once_with()


async def test_a_process_whose_name_another_has_leaves_without_a_word(stage: Stage) -> None:
    before = stage.consumer.commit.await_count
    newer = Process(start=2**60, nonce=0)
    await stage.assign(process=newer)

    await stage.source.leave()

    assert stage.consumer.commit.await_count == before
    assert stage.consumer._coordinator._group_instance_id == "one"
    stage.consumer.stop.assert_awaited_once_with()


async def test_where_kafka_takes_no_last_word_the_group_is_not_told_that_we_go(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(source_module, "STOP_TIMEOUT", 0.05)
    stage.consumer.commit.side_effect = CommitFailedError()

    await stage.source.leave()

    assert stage.consumer._coordinator._group_instance_id == "one"
    stage.consumer.stop.assert_awaited_once_with()


async def test_what_is_released_for_a_rebalance_is_no_reason_for_another(stage: Stage) -> None:
    asked = stage.consumer._coordinator.request_rejoin
    await stage.source.on_partitions_revoked([_PLACE])
    offered = stage.assignor.claim.released

    stage.clock.advance(2.0)
    await stage.source.commit()
    await stage.assign()
    await stage.source.commit()

    assert offered == {_PLACE}
    assert asked.call_count == 0
