"""What a relay has put back is committed, if not at once then with the next poll."""

from collections import deque
from typing import Any
from unittest.mock import AsyncMock

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import CommitFailedError, KafkaError, RequestTimedOutError
from manual_clock import ManualClock

from tollway_workers.kafka.client_settings import SourceSettings
from tollway_workers.kafka.consume.tier_reader import KafkaTierSource
from tollway_workers.ownership.offsets import OffsetTracker
from tollway_workers.ownership.record import ReceivedRecord

_PLACE = TopicPartition("tollway.retry.15s", 0)


class Stage:
    """A source of one partition from which one record was taken."""

    def __init__(self, *commits: KafkaError | None) -> None:
        """`commits`: how each ends."""
        self.consumer = AsyncMock(AIOKafkaConsumer)
        self.consumer.commit.side_effect = commits
        self.consumer.getmany.return_value = {}
        self.consumer.assignment.return_value = {_PLACE}
        self.consumer.paused.return_value = set()
        settings = SourceSettings(
            client={},
            topics=(_PLACE.topic,),
            group="relays",
            instance_id="one",
            session_timeout=15.0,
        )
        self.source = KafkaTierSource(settings, ManualClock())
        self.source._consumer = self.consumer
        tracker = OffsetTracker(0)
        self.source._trackers[_PLACE] = tracker
        self.source._heads[_PLACE] = deque()
        tracker.start(0)
        self.taken = [
            ReceivedRecord(
                topic=_PLACE.topic,
                partition=_PLACE.partition,
                offset=0,
                key=None,
                value=None,
                headers=(),
                timestamp=0.0,
                tracker=tracker,
            )
        ]

    @property
    def said(self) -> list[Any]:
        """The offset of each commit."""
        return [call.args[0][_PLACE][0] for call in self.consumer.commit.await_args_list]


@pytest.mark.parametrize("failure", [RequestTimedOutError(), CommitFailedError()])
async def test_a_commit_that_failed_is_said_again_with_the_next_poll(failure: KafkaError) -> None:
    stage = Stage(failure, None)

    await stage.source.commit(stage.taken)
    await stage.source.poll()
    await stage.source.poll()

    assert stage.said == [1, 1]


async def test_a_rebalance_begins_with_a_commit_of_what_is_not_committed_yet() -> None:
    stage = Stage(RequestTimedOutError(), None)
    await stage.source.commit(stage.taken)

    await stage.source.on_partitions_revoked([_PLACE])
    await stage.source.poll()

    assert stage.said == [1, 1]


async def test_what_went_to_another_relay_is_not_committed_here() -> None:
    stage = Stage(RequestTimedOutError(), RequestTimedOutError())
    await stage.source.commit(stage.taken)
    await stage.source.on_partitions_revoked([_PLACE])
    stage.source._trackers[_PLACE] = OffsetTracker(7)

    await stage.source.poll()

    assert stage.said == [1, 1]
