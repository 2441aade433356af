"""A consumer's membership: when to ask for a rebalance, and when another process has its id.

aiokafka has no public way to ask for a rebalance, to leave as a static member, or to see the
group's generation: all of its private names that we need are here.
"""

from collections.abc import Collection, Set
from dataclasses import replace

import structlog
from aiokafka import AIOKafkaConsumer

from tollway_workers.clock import Clock
from tollway_workers.kafka.group.assignor import ShardAssignor
from tollway_workers.kafka.group.instance import InstanceIdInUse
from tollway_workers.ownership.partition import Partition
from tollway_workers.ownership.sharding import ShardGroup
from tollway_workers.ownership.user_data import (
    Claim,
    Next,
    after_join,
    fingerprint_of,
    outgrown,
)

log = structlog.get_logger(__name__)

#: Seconds between two requests for a rebalance: one that is made during a join is lost.
_ASK_INTERVAL = 1.0
#: Seconds between two that are made right after a join.
_ASK_AGAIN = 0.1
#: Seconds between two looks at the topics' partitions.
_GROWTH_INTERVAL = 10.0
#: Seconds for which a member that cannot keep up asks for no shards.
_STANDBY = 30.0


class Membership:
    """Asks for rebalances until the group's plan is up to date.

    State: `_wanted` (a rebalance is), `_first` (this process has not joined yet), `_in_use` (a
    newer process has our name), `_standby_until`, and when what was done last.
    """

    def __init__(self, assignor: ShardAssignor, instance_id: str, clock: Clock) -> None:
        self.assignor = assignor
        self._instance_id = instance_id
        self._clock = clock
        self._wanted = False
        self._first = True
        self._in_use = False
        self._standby_until: float | None = None
        self._asked = self._looked = clock.monotonic()

    def joined(self, consumer: AIOKafkaConsumer) -> None:
        """A rebalance is over, and the assignor has its orders."""
        assignor = self.assignor
        next_step = after_join(assignor.claim, assignor.orders, first=self._first)
        self._first = False
        self._in_use = next_step is Next.END
        self._wanted = next_step is Next.REJOIN
        generation = consumer._coordinator.generation  # pyright: ignore
        assignor.claim = replace(assignor.claim, epoch=generation)
        if self._wanted and self._clock.monotonic() - self._asked >= _ASK_AGAIN:
            # At once: a process with our instance id would soon replace us as the member, and a
            # static member that replaces another gets the old orders again.
            self._ask(consumer)

    def check(self) -> None:
        """Raises InstanceIdInUse where a process that started later has our instance id."""
        if self._in_use:
            raise InstanceIdInUse(
                f"a process that started later has the instance id {self._instance_id!r} too, so "
                "this one ends: give each process an --instance-id of its own"
            )

    def released(self, partitions: Set[Partition]) -> None:
        """List these partitions as released, for the next plan."""
        claim = self.assignor.claim
        if partitions != claim.released:
            self.assignor.claim = replace(claim, released=frozenset(partitions))
            self._ask_soon(wanted=self._wanted)

    def leave_soon(self) -> None:
        """Claim to be leaving, for good."""
        self._say(replace(self.assignor.claim, leaving=True))

    def stand_back(self) -> None:
        """Claim to be a standby for a while; idempotent."""
        self._standby_until = self._clock.monotonic() + _STANDBY
        self._say(replace(self.assignor.claim, standby=True))

    def configure(self, layout: tuple[ShardGroup, ...], topics: Collection[str]) -> None:
        """Our configuration has changed: it is the newest, so the next plan is to follow it."""
        claim = self.assignor.claim
        fingerprint = fingerprint_of(layout, topics)
        if fingerprint != claim.fingerprint:
            configured = int(self._clock.now() * 1000)
            self._say(replace(claim, configured=configured, layout=layout, fingerprint=fingerprint))

    def look(self, consumer: AIOKafkaConsumer) -> None:
        """Ask for a rebalance if one is due; call it a few times a second."""
        now = self._clock.monotonic()
        if self._standby_until is not None and now >= self._standby_until:
            self._standby_until = None
            self._say(replace(self.assignor.claim, standby=False))
        if now - self._looked >= _GROWTH_INTERVAL:
            self._looked = now
            self._wanted = self._wanted or self._outgrown(consumer)
        if (self._wanted or self.assignor.claim.released) and now - self._asked >= _ASK_INTERVAL:
            self._ask(consumer)

    @property
    def in_use(self) -> bool:
        """Whether a process that started later has our instance id."""
        return self._in_use

    def _ask(self, consumer: AIOKafkaConsumer) -> None:
        self._asked = self._clock.monotonic()
        consumer._coordinator.request_rejoin()  # pyright: ignore

    def _say(self, claim: Claim) -> None:
        if claim != self.assignor.claim:
            self.assignor.claim = claim
            self._ask_soon(wanted=True)

    def _ask_soon(self, *, wanted: bool) -> None:
        self._wanted = wanted
        self._asked = self._clock.monotonic() - _ASK_INTERVAL

    def _outgrown(self, consumer: AIOKafkaConsumer) -> bool:
        orders = self.assignor.orders
        now = {t: len(consumer.partitions_for_topic(t) or ()) for t in orders.partitions}
        return outgrown(orders, now)


def join_anew(consumer: AIOKafkaConsumer) -> None:
    """Join the group without the member id of before, which aiokafka keeps after an unknown error.

    Kafka answers so to a static member that another process replaced while it joined, again and
    again until that process leaves.
    """
    if consumer._coordinator is not None:  # pyright: ignore
        consumer._coordinator.reset_generation()  # pyright: ignore


def say_goodbye(consumer: AIOKafkaConsumer) -> None:
    """Let `stop` tell the group that we leave, which a static member does not do by itself."""
    if consumer._coordinator is not None:  # pyright: ignore
        consumer._coordinator._group_instance_id = None  # pyright: ignore
