"""Jobs from Kafka: one consumer, and commits that carry the offset map and renew the lease.

aiokafka is eager: every rebalance revokes everything and forgets positions. The partitions that
this worker keeps stay in ownership/owned_partitions.py, and reading goes on at their offsets.
"""

import asyncio
import contextlib
import secrets
from collections.abc import Collection, Iterable
from types import MappingProxyType
from typing import Any

import structlog
from aiokafka import ConsumerRebalanceListener, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from tollway_schemas.reading.consumer import RecordConsumer
from tollway_workers.clock import Clock
from tollway_workers.kafka.client_settings import SourceSettings
from tollway_workers.kafka.connect import STOP_TIMEOUT, started, stopped
from tollway_workers.kafka.consume.open_transactions import OpenTransactions
from tollway_workers.kafka.consume.received import received
from tollway_workers.kafka.group.assignor import ShardAssignor
from tollway_workers.kafka.group.committed import left_at
from tollway_workers.kafka.group.committer import Committer
from tollway_workers.kafka.group.consumer_options import group_member
from tollway_workers.kafka.group.membership import Membership, join_anew, say_goodbye
from tollway_workers.limits.quota import Quotas
from tollway_workers.ownership.owned_partitions import OwnedPartitions
from tollway_workers.ownership.record import ReceivedRecord
from tollway_workers.ownership.sharding import ShardGroup
from tollway_workers.ownership.user_data import Process

log = structlog.get_logger(__name__)

#: Seconds that a poll waits for records.
_POLL_WAIT = 0.2
#: Seconds that a full worker may go without polling; Kafka allows 300 (max_poll_interval_ms).
_FULL_WAIT = 1.0
#: Seconds that a poll waits for a commit before which nothing begins.
_CLAIM_WAIT = 1.0
#: Seconds after a poll that failed.
_RETRY_WAIT = 0.5
#: Seconds between tries of the final commit during a rebalance.
_BETWEEN_FINAL_COMMITS = 0.1


class KafkaSource(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka is untyped
    """Takes each record once while this worker owns its partition, and commits what is complete.

    Mutable state: `partitions` (owned now, or before the rebalance under way), `joined` (whether
    the group has given this member its assignment, which may be empty), `_held_back` (topics of
    full lanes), and the times of the last poll and commit.
    """

    def __init__(
        self, settings: SourceSettings, clock: Clock, quotas: Quotas = MappingProxyType({})
    ) -> None:
        self._settings = settings
        self._clock = clock
        process = Process(start=int(clock.now() * 1000), nonce=secrets.randbits(32))
        self.partitions = OwnedPartitions(process.nonce, quotas)
        self.committer = Committer(self.partitions, clock)
        self.transactions = OpenTransactions(clock)
        assignor = ShardAssignor(process, settings.groups, settings.topics)
        self._membership = Membership(assignor, settings.instance_id, clock)
        self._held_back: frozenset[str] = frozenset()
        self._room = asyncio.Event()
        self._consumer: RecordConsumer | None = None
        self._admin: AIOKafkaAdminClient | None = None
        self.joined = False
        #: Monotonic seconds: when Kafka last answered a poll, or nothing was to be read.
        self.last_poll = clock.monotonic()

    async def start(self) -> None:
        """Join the group. Raises BrokerUnavailable."""
        self._admin = AIOKafkaAdminClient(**self._settings.client)
        await started(self._admin, self._settings.client)
        self._consumer = RecordConsumer(
            **group_member(self._settings),
            most_unpacked=self._settings.most_unpacked,
            # Exactly one: aiokafka sends a JoinGroup for each.
            partition_assignment_strategy=[self._membership.assignor],
        )
        self._consumer.subscribe(list(self._settings.topics), listener=self)
        await started(self._consumer, self._settings.client)

    async def poll(self, most: int) -> list[ReceivedRecord]:
        """About `most` new records, each once while its partition is ours; waits a moment.

        Raises InstanceIdInUse where a process that started later has our instance id.
        """
        assert self._consumer is not None  # noqa: S101 a source is started before it is polled
        self._membership.check()
        if self.partitions.unclaimed:
            await self._claim()
        if most > 0 and (begun := await self._begin_what_waits()):
            return begun
        wanted = self._wanted() if most > 0 else []
        wait = int(_POLL_WAIT * 1000)
        if self.joined and self.partitions and not wanted:
            polled = self._clock.monotonic() - self.last_poll < _FULL_WAIT
            if await self._wait_for_room() and polled:
                return []
            # Poll with everything paused: Kafka must see that this member lives, and no more may be
            # read. A rebalance may have begun: only what is assigned now can be paused.
            wanted, wait = list(self._consumer.assignment()), 0
            self._consumer.pause(*wanted)
        else:
            self._consumer.resume(*self._consumer.paused())
        try:
            # Records that arrive in spite of a pause, because of a rebalance, are taken too: the
            # position has passed them, so they would be committed as if they were complete.
            batches = await self._consumer.getmany(
                *wanted, timeout_ms=wait, max_records=max(most, 1)
            )
        except KafkaError as error:
            log.warning(
                f"polling Kafka failed; trying again in {_RETRY_WAIT:g} s",
                error=type(error).__name__,
            )
            if not self.joined and type(error) is KafkaError:
                # What Kafka's client has no name for came from a join.
                join_anew(self._consumer)
            await self._clock.sleep(_RETRY_WAIT)
            return []
        self.last_poll = self._clock.monotonic()
        for partition, records in batches.items():
            self._take(partition, records)
        return self._begin() if most > 0 else []

    def hold_back(self, topics: Collection[str], resting: Collection[str] = ()) -> None:
        """Read nothing more from exactly these topics; no call may start for the resting ones."""
        told = frozenset(topics), frozenset(resting)
        if (self._held_back, self.partitions.resting) != told:
            self._held_back, self.partitions.resting = told
            self._room.set()

    def may_start(self, record: ReceivedRecord) -> bool:
        """Whether a call for it may start now: this worker owns and keeps its partition.

        The lease proves that: a commit that succeeded and was sent less than 5 s ago, on a clock
        that goes on while the machine sleeps, so a frozen worker that wakes starts nothing.
        """
        tracker = record.tracker
        return tracker.owned and not tracker.releasing and self.committer.holds_lease

    @property
    def lost(self) -> int:
        """Partitions that this worker has owned and does not any more; it only grows."""
        return self.partitions.lost

    def serves(self, topic: str) -> bool:
        """Whether this worker owns a shard of the topic's limit group, and may call its lanes."""
        return self.partitions.serves(topic)

    def complete(self, record: ReceivedRecord) -> None:
        """The outcome of a record is safely written: it is not read again."""
        record.tracker.finish(record.offset)
        if self.partitions.waiting:
            self._room.set()

    def unread(self, record: ReceivedRecord) -> None:
        """A record was not begun: its partition's next owner reads it anew."""
        record.tracker.unread(record.offset)

    async def commit(self) -> None:
        """Commit what is complete, whether or not anything changed: it renews the lease.

        A partition that is being released gets its final commit once nothing of it runs.
        """
        if self._consumer is not None:
            await self._commit()
            if self.joined:
                # What was released for this very join is no reason for another one.
                self._membership.look(self._consumer)
            self.transactions.look(self._consumer)

    def drain(self) -> None:
        """Release every shard as its calls end, and ask for no others."""
        self.partitions.drain()
        self._membership.leave_soon()
        self._end_waiting()

    def configure(self, groups: tuple[ShardGroup, ...]) -> None:
        """The limit groups are these from now on; the fleet follows by a rebalance."""
        self._membership.configure(groups, self._settings.topics)

    def release_all(self) -> None:
        """Release all shards to other members, if there are any, and ask for none for a while."""
        self._membership.stand_back()

    async def leave(self) -> None:
        """Commit, and leave the group so that others own the partitions at once; idempotent.

        Where Kafka takes no final commit the group is not told: until the session is over nobody
        calls again a job whose paid-for answer is not committed.
        """
        if self._consumer is not None:
            committed = await self._commit_finally()
            consumer, self._consumer = self._consumer, None
            if committed:
                say_goodbye(consumer)
            await stopped(consumer, STOP_TIMEOUT, "leaving the group")
            self.joined = False
        admin, self._admin = self._admin, None
        if admin is not None:
            await admin.close()

    @property
    def releasing(self) -> bool:
        """Whether a partition is being released, so that its waiting jobs have to leave."""
        return self.partitions.releasing > 0

    @property
    def owned(self) -> int:
        """How many partitions this worker owns now."""
        return len(self.partitions) if self.joined else 0

    @property
    def last_commit(self) -> float | None:
        """Monotonic seconds: when the last commit that succeeded was sent."""
        return self.committer.last

    # The two callbacks may be coroutines: aiokafka says so, its annotations do not.
    async def on_partitions_revoked(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, revoked: Iterable[TopicPartition]
    ) -> None:
        """A rebalance begins: commit what is complete, and wait for nothing else."""
        self.partitions.offer_untouched(self._clock.boottime())
        await self._commit()
        self.joined = False

    async def on_partitions_assigned(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, assigned: Iterable[TopicPartition]
    ) -> None:
        """A rebalance is over: read on from our own offsets, or the previous owner's."""
        consumer, partitions = self._consumer, self.partitions
        if consumer is None or self._admin is None:
            return
        found = await left_at(consumer, self._admin, self._settings.group, list(assigned))
        self._membership.joined(consumer)
        partitions.assign(found, self._membership.assignor.orders, self._clock.boottime())
        self._membership.released(partitions.released)
        for partition in partitions:
            consumer.seek(TopicPartition(*partition), partitions.tracker(partition).next_offset)
        self.joined = True
        # The next poll claims what is new: no call starts before.
        self._end_waiting()
        log.info(
            "partitions were assigned to this worker",
            owned=len(partitions),
            releasing=partitions.releasing,
        )

    def _end_waiting(self) -> None:
        """Let a poll that waits for room or for records return."""
        self._room.set()
        if self._consumer is not None:
            self._consumer.wake()

    def _wanted(self) -> list[TopicPartition]:
        now = self._clock.boottime()
        return [
            TopicPartition(*partition)
            for partition in self.partitions
            if partition[0] not in self._held_back and self.partitions.wanted(partition, now)
        ]

    async def _wait_for_room(self) -> bool:
        self._room.clear()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_FULL_WAIT):
                await self._room.wait()
        return self._room.is_set()

    async def _claim(self) -> None:
        """Commit new partitions, so that they open; a poll must return even while Kafka is away."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_CLAIM_WAIT):
                await self._commit()

    async def _begin_what_waits(self) -> list[ReceivedRecord]:
        """Records read earlier that may start now, some only after a commit that names them."""
        if not (begun := self._begin()) and self.partitions.waiting:
            await self._claim()
            begun = self._begin()
        return begun

    def _begin(self) -> list[ReceivedRecord]:
        return self.partitions.begin(self._clock.boottime()) if self.joined else []

    def _take(self, partition: TopicPartition, records: Iterable[Any]) -> None:
        # Records arrive before on_partitions_assigned returns, and for partitions just revoked.
        if self.joined and partition in self.partitions:
            tracker = self.partitions.tracker(partition)
            self.partitions.take(partition, received(partition, records, tracker))

    async def _commit(self) -> bool:
        if self._consumer is None:
            return False
        written = await self.committer.commit(self._consumer, lambda: self.joined)
        self._membership.released(self.partitions.released)
        return written

    async def _commit_finally(self) -> bool:
        """Whether the final commit of every partition succeeded."""
        if self._membership.in_use:
            return False  # The process with our instance id commits for itself.
        self.partitions.drain()
        until = self._clock.monotonic() + STOP_TIMEOUT
        while self.partitions:
            try:
                async with asyncio.timeout(until - self._clock.monotonic()):
                    if await self._commit():
                        return True
                    await self._clock.sleep(_BETWEEN_FINAL_COMMITS)
            except TimeoutError:
                log.warning(
                    "Kafka is away: leaving without a final commit, so the next owners of these "
                    "partitions wait one lease and may call some jobs again"
                )
                return False
        return True

    def __repr__(self) -> str:
        return f"<KafkaSource {self._settings.instance_id} [{len(self.partitions)} partitions]>"
