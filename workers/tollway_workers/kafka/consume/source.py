"""Jobs from Kafka: one consumer, and commits that carry the offset map and prove that we live.

aiokafka is eager: every rebalance revokes everything and forgets positions. What is ours is kept in
ownership/holdings.py, and reading goes on where it was.
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
from tollway_workers.kafka.group.membership import Membership, say_goodbye
from tollway_workers.limits.quota import Quotas
from tollway_workers.ownership.holdings import Holdings
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
#: Seconds between tries of the last commit, while a rebalance goes on.
_BETWEEN_LAST_WORDS = 0.1


class KafkaSource(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka is untyped
    """Takes each record once while its partition is ours, and commits what is complete.

    Mutable state: `holdings` (what is ours, or was before a rebalance that goes on), `joined`
    (whether the group has given this member its perhaps empty part), `_held_back` (topics of full
    lanes), and when things were last done.
    """

    def __init__(
        self, settings: SourceSettings, clock: Clock, quotas: Quotas = MappingProxyType({})
    ) -> None:
        self._settings = settings
        self._clock = clock
        process = Process(start=int(clock.now() * 1000), nonce=secrets.randbits(32))
        self.holdings = Holdings(process.nonce, quotas)
        self.committer = Committer(self.holdings, clock)
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

        Raises InstanceIdInUse where a process that started later has our name.
        """
        assert self._consumer is not None  # noqa: S101 a source is started before it is polled
        self._membership.check()
        if self.holdings.unclaimed:
            await self._claim()
        if most > 0 and (begun := await self._begin_what_waits()):
            return begun
        wanted = self._wanted() if most > 0 else []
        wait = int(_POLL_WAIT * 1000)
        if self.joined and self.holdings and not wanted:
            polled = self._clock.monotonic() - self.last_poll < _FULL_WAIT
            if await self._wait_for_room() and polled:
                return []
            # Kafka must see that we live, and nothing more may be read. While we waited a rebalance
            # may have begun: only what is assigned can be paused.
            wanted, wait = list(self._consumer.assignment()), 0
            self._consumer.pause(*wanted)
        else:
            self._consumer.resume(*self._consumer.paused())
        try:
            # What a rebalance lets through in spite of a pause is taken too: its position has
            # passed, and a record that nobody took would be committed as if it were done.
            batches = await self._consumer.getmany(
                *wanted, timeout_ms=wait, max_records=max(most, 1)
            )
        except KafkaError as error:
            log.warning("poll failed, trying again", error=type(error).__name__)
            await self._clock.sleep(_RETRY_WAIT)
            return []
        self.last_poll = self._clock.monotonic()
        for partition, records in batches.items():
            self._take(partition, records)
        return self._begin() if most > 0 else []

    def hold_back(self, topics: Collection[str], resting: Collection[str] = ()) -> None:
        """Read nothing more from exactly these topics; no call may start for the resting ones."""
        told = frozenset(topics), frozenset(resting)
        if (self._held_back, self.holdings.resting) != told:
            self._held_back, self.holdings.resting = told
            self._room.set()

    def may_start(self, record: ReceivedRecord) -> bool:
        """Whether a call for it may start now: its partition is ours and stays, and we prove it.

        The proof is a commit that succeeded and was sent less than a lease ago, on a clock that
        goes on while the machine sleeps: a frozen worker that wakes starts nothing.
        """
        tracker = record.tracker
        return tracker.owned and not tracker.releasing and self.committer.holds_lease

    def serves(self, topic: str) -> bool:
        """Whether a shard of the topic's limit group is ours: calls to its lanes may start here."""
        return self.holdings.serves(topic)

    def complete(self, record: ReceivedRecord) -> None:
        """The outcome of a record is safely written: it never comes again."""
        record.tracker.finish(record.offset)
        if self.holdings.waiting:
            self._room.set()

    def unread(self, record: ReceivedRecord) -> None:
        """A record was not begun: it comes again, to whoever has its partition next."""
        record.tracker.unread(record.offset)

    async def commit(self) -> None:
        """Write down what is complete, whether or not anything changed: it proves that we live.

        A partition of which nothing runs any more, and which is to be released, gets its last word.
        """
        if self._consumer is not None:
            await self._commit()
            self._membership.look(self._consumer)
            self.transactions.look(self._consumer)

    def drain(self) -> None:
        """Release all that is ours, shard by shard as they end, and want nothing more."""
        self.holdings.drain()
        self._membership.leave_soon()
        self._room.set()

    def configure(self, groups: tuple[ShardGroup, ...]) -> None:
        """The limit groups are these from now on; the fleet follows by a rebalance."""
        self._membership.configure(groups, self._settings.topics)

    def release_all(self) -> None:
        """Let others have all shards, if there are others; want none for a while."""
        self._membership.stand_back()

    async def leave(self) -> None:
        """Commit, and give the partitions to others at once; idempotent.

        Where Kafka takes no last commit, the group is not told: until the session is over nobody
        begins what has been paid for and is not known to be.
        """
        if self._consumer is not None:
            known = await self._last_word()
            consumer, self._consumer = self._consumer, None
            if known:
                say_goodbye(consumer)
            await stopped(consumer, STOP_TIMEOUT, "leaving the group")
            self.joined = False
        admin, self._admin = self._admin, None
        if admin is not None:
            await admin.close()

    @property
    def releasing(self) -> bool:
        """Whether something of ours is about to go: what waits of it has to be let go of."""
        return self.holdings.releasing > 0

    @property
    def owned(self) -> int:
        """Partitions that are ours now."""
        return len(self.holdings) if self.joined else 0

    @property
    def last_commit(self) -> float | None:
        """Monotonic seconds: when the last commit that succeeded was sent."""
        return self.committer.last

    # The two callbacks may be coroutines: aiokafka says so, its annotations do not.
    async def on_partitions_revoked(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, revoked: Iterable[TopicPartition]
    ) -> None:
        """A rebalance begins: write down what is complete, and wait for nothing else."""
        await self._commit()
        self.joined = False

    async def on_partitions_assigned(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, assigned: Iterable[TopicPartition]
    ) -> None:
        """A rebalance is over: go on where we were, or where the one before us was."""
        consumer, holdings = self._consumer, self.holdings
        if consumer is None or self._admin is None:
            return
        found = await left_at(consumer, self._admin, self._settings.group, list(assigned))
        self._membership.joined(consumer)
        holdings.assign(found, self._membership.assignor.orders, self._clock.boottime())
        self._membership.released(holdings.released)
        for place in holdings:
            consumer.seek(TopicPartition(*place), holdings.tracker(place).next_offset)
        self.joined = True
        self._room.set()
        log.info("partitions assigned", owned=len(holdings), leaving=holdings.releasing)

    def _wanted(self) -> list[TopicPartition]:
        now = self._clock.boottime()
        return [
            TopicPartition(*place)
            for place in self.holdings
            if place[0] not in self._held_back and self.holdings.wanted(place, now)
        ]

    async def _wait_for_room(self) -> bool:
        self._room.clear()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._room.wait(), _FULL_WAIT)
        return self._room.is_set()

    async def _claim(self) -> None:
        """Say that what we were given is ours; a poll must return even while Kafka is away."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_CLAIM_WAIT):
                await self._commit()

    async def _begin_what_waits(self) -> list[ReceivedRecord]:
        """Records that were read before and may begin, some only once a commit says so."""
        if not (begun := self._begin()) and self.holdings.waiting:
            await self._claim()
            begun = self._begin()
        return begun

    def _begin(self) -> list[ReceivedRecord]:
        return self.holdings.begin(self._clock.boottime()) if self.joined else []

    def _take(self, partition: TopicPartition, records: Iterable[Any]) -> None:
        # Records arrive before on_partitions_assigned returns, and for partitions just revoked.
        if self.joined and partition in self.holdings:
            tracker = self.holdings.tracker(partition)
            self.holdings.take(partition, received(partition, records, tracker))

    async def _commit(self) -> bool:
        if self._consumer is None:
            return False
        written = await self.committer.commit(self._consumer, lambda: self.joined)
        self._membership.released(self.holdings.released)
        return written

    async def _last_word(self) -> bool:
        """Whether Kafka knows all that is complete, and that nothing of ours runs any more."""
        if self._membership.in_use:
            return False  # What is ours is another's too: it says itself what it has done.
        self.holdings.drain()
        until = self._clock.monotonic() + STOP_TIMEOUT
        while self.holdings:
            try:
                async with asyncio.timeout(until - self._clock.monotonic()):
                    if await self._commit():
                        return True
                    await self._clock.sleep(_BETWEEN_LAST_WORDS)
            except TimeoutError:
                log.warning("Kafka is away, leaving without a last commit")
                return False
        return True

    def __repr__(self) -> str:
        return f"<KafkaSource {self._settings.instance_id} [{len(self.holdings)} partitions]>"
