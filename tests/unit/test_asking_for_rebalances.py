"""When a member asks its group for another plan, and that it does not stop before it has it."""

from collections.abc import Mapping
from dataclasses import replace
from unittest.mock import Mock

import pytest
from aiokafka import AIOKafkaConsumer
from manual_clock import ManualClock

from tollway_workers.kafka.group.assignor import ShardAssignor
from tollway_workers.kafka.group.instance import InstanceIdInUse
from tollway_workers.kafka.group.membership import Membership
from tollway_workers.ownership.partition import Partition
from tollway_workers.ownership.sharding import ShardGroup
from tollway_workers.ownership.user_data import Orders, Process

_TOPIC = "tollway.jobs.extract.bulk"
_PLACE: Partition = (_TOPIC, 0)
_SELF = Process(start=1_000, nonce=1)


class Stage:
    """A member that a test tells what its leader said."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.assignor = ShardAssignor(_SELF, (), (_TOPIC,))
        self.membership = Membership(self.assignor, "one", self.clock)
        self.consumer = Mock(AIOKafkaConsumer)
        self.consumer._coordinator = Mock(generation=0)
        self.consumer.partitions_for_topic.return_value = {0}
        # What follows is asked for in its own time.
        self.clock.advance(10.0)

    def join(
        self,
        *,
        process: Process = _SELF,
        knows: bool = True,
        partitions: Mapping[str, int] | None = None,
    ) -> None:
        """A rebalance is over. `knows`: the plan was made with what the member says of itself."""
        claim = self.assignor.claim
        self.consumer._coordinator.generation += 1
        self.assignor.orders = Orders(
            process=process,
            fingerprint=claim.fingerprint,
            leaving=claim.leaving if knows else not claim.leaving,
            standby=claim.standby,
            partitions=dict(partitions or {_TOPIC: 1}),
        )
        self.membership.joined(self.consumer)

    def looks(self, seconds: float) -> int:
        """Requests within so many seconds of looking four times a second."""
        before = self.asked
        for _ in range(round(seconds * 4)):
            self.membership.look(self.consumer)
            self.clock.advance(0.25)
        return self.asked - before

    @property
    def asked(self) -> int:
        return int(self.consumer._coordinator.request_rejoin.call_count)


@pytest.fixture
def stage() -> Stage:
    stage = Stage()
    stage.join()
    return stage


def test_a_member_whose_plan_knows_it_as_it_is_asks_for_nothing(stage: Stage) -> None:
    assert stage.looks(60) == 0


def test_what_is_released_is_said_at_once_and_every_second_until_it_is_gone(stage: Stage) -> None:
    stage.membership.released({_PLACE})
    at_once = stage.looks(0.25)
    later = stage.looks(3)
    stage.membership.released(set())

    assert (at_once, later) == (1, 3)
    assert stage.looks(5) == 0


def test_the_same_release_is_no_reason_to_ask_sooner(stage: Stage) -> None:
    stage.membership.released({_PLACE})
    stage.looks(0.25)

    stage.membership.released({_PLACE})

    assert stage.looks(0.5) == 0


def test_a_drain_asks_until_the_leader_has_heard_of_it(stage: Stage) -> None:
    stage.membership.leave_soon()
    asked = stage.looks(0.25)
    stage.join(knows=False)
    again = stage.looks(2.25)
    stage.join()

    assert asked == 1
    assert again >= 2
    assert stage.looks(5) == 0


def test_orders_of_an_older_process_are_answered_at_once_so_that_it_finds_ours(
    stage: Stage,
) -> None:
    before = stage.asked

    stage.join(process=replace(_SELF, start=_SELF.start - 1))

    assert stage.asked == before + 1
    stage.membership.check()


def test_orders_for_a_newer_process_of_our_name_end_this_one(stage: Stage) -> None:
    stage.join(process=replace(_SELF, start=_SELF.start + 1))

    assert stage.membership.in_use
    with pytest.raises(InstanceIdInUse, match="'one' too"):
        stage.membership.check()


def test_a_member_that_stands_back_wants_its_part_again_after_half_a_minute(stage: Stage) -> None:
    stage.membership.stand_back()
    stage.looks(0.25)
    stage.join()
    meanwhile = stage.looks(29)
    stood_back = stage.assignor.claim.standby

    asked = stage.looks(2)

    assert (meanwhile, stood_back) == (0, True)
    assert (asked >= 1, stage.assignor.claim.standby) == (True, False)


def test_a_topic_that_grew_is_a_reason_to_ask_within_ten_seconds(stage: Stage) -> None:
    stage.looks(11)
    stage.consumer.partitions_for_topic.return_value = {0, 1}

    assert stage.looks(10.5) >= 1
    stage.join(partitions={_TOPIC: 2})
    assert stage.looks(30) == 0


def test_a_member_says_in_which_generation_it_was_given_what_it_has(stage: Stage) -> None:
    stage.join()

    assert stage.assignor.claim.epoch == stage.consumer._coordinator.generation == 2


def test_a_configuration_that_was_read_again_is_newer_and_asks_to_be_followed(
    stage: Stage,
) -> None:
    group = ShardGroup(name="g", shards=1, ownership_topic=_TOPIC, topics=(_TOPIC,), generation=1)
    before = stage.assignor.claim.configured

    stage.membership.configure((group,), (_TOPIC,))
    asked = stage.looks(0.25)
    stage.join()
    stage.membership.configure((group,), (_TOPIC,))

    assert (asked, stage.looks(5)) == (1, 0)
    assert stage.assignor.claim.layout == (group,)
    assert stage.assignor.claim.configured > before
