"""A commit that succeeds is the lease: from when it was sent, on a clock that counts suspend."""

from typing import Any
from unittest.mock import AsyncMock

import pytest
from aiokafka import AIOKafkaConsumer
from aiokafka.errors import CommitFailedError, IllegalStateError, KafkaError, RequestTimedOutError
from manual_clock import ManualClock

from tollway_workers.kafka.group.committer import Committer
from tollway_workers.ownership.owned_partition import LEASE
from tollway_workers.ownership.owned_partitions import Found, OwnedPartitions
from tollway_workers.ownership.user_data import Orders

_PLACE = ("tollway.jobs.extract.bulk", 0)


class _LaptopClock(ManualClock):
    """A manual clock of a machine that can sleep."""

    def __init__(self) -> None:
        super().__init__()
        self.slept = 0.0

    def boottime(self) -> float:
        """Seconds, those among them that the machine slept."""
        return super().boottime() + self.slept


class Stage:
    """A committer of one partition."""

    def __init__(self) -> None:
        self.clock = _LaptopClock()
        self.partitions = OwnedPartitions(1)
        orders = Orders(partitions={_PLACE[0]: 1})
        self.partitions.assign({_PLACE: Found(offset=0, fresh=True)}, orders, 0.0)
        self.committer = Committer(self.partitions, self.clock)
        self.consumer = AsyncMock(AIOKafkaConsumer)
        self.consumer.position.return_value = 0

    async def commit(self, *, stable: bool = True) -> bool:
        return await self.committer.commit(self.consumer, lambda: stable)


@pytest.fixture
def stage() -> Stage:
    return Stage()


async def test_a_lease_begins_when_its_commit_was_sent_however_long_kafka_took(
    stage: Stage,
) -> None:
    async def slowly(offsets: Any) -> None:
        stage.clock.advance(LEASE - 1)

    stage.consumer.commit.side_effect = slowly
    sent = stage.clock.monotonic()

    assert await stage.commit()

    assert stage.committer.last == sent
    assert stage.committer.lease_age == LEASE - 1
    assert stage.committer.holds_lease
    stage.clock.advance(1)
    assert not stage.committer.holds_lease


async def test_a_lease_runs_out_while_the_machine_sleeps(stage: Stage) -> None:
    await stage.commit()
    held = stage.committer.holds_lease

    stage.clock.slept += LEASE

    assert (held, stage.committer.holds_lease) == (True, False)


async def test_nobody_holds_a_lease_before_a_commit(stage: Stage) -> None:
    assert not stage.committer.holds_lease
    assert stage.partitions.unclaimed


@pytest.mark.parametrize(
    "failure", [CommitFailedError(), IllegalStateError(), RequestTimedOutError()]
)
async def test_a_commit_that_fails_is_no_lease_and_no_claim_and_is_counted_once(
    stage: Stage, failure: KafkaError
) -> None:
    stage.consumer.commit.side_effect = failure

    assert not await stage.commit()

    assert not stage.committer.holds_lease
    assert stage.partitions.unclaimed
    assert [stage.committer.take_failures(), stage.committer.take_failures()] == [1, 0]


async def test_while_a_rebalance_goes_on_nothing_is_sent(stage: Stage) -> None:
    assert not await stage.commit(stable=False)

    stage.consumer.commit.assert_not_awaited()
    assert not stage.committer.holds_lease


async def test_a_rebalance_that_begins_while_positions_are_asked_for_stops_the_commit(
    stage: Stage,
) -> None:
    stable = True

    async def position(partition: object) -> int:
        nonlocal stable
        stable = False
        return 0

    stage.consumer.position.side_effect = position

    assert not await stage.committer.commit(stage.consumer, lambda: stable)
    stage.consumer.commit.assert_not_awaited()


async def test_with_nothing_to_say_all_is_known_and_nothing_proved(stage: Stage) -> None:
    stage.partitions.assign({}, Orders(partitions={}), 0.0)

    assert await stage.commit()

    stage.consumer.commit.assert_not_awaited()
    assert not stage.committer.holds_lease
