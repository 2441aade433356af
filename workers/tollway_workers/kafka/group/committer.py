"""Commits the owned partitions; a commit that succeeds renews this worker's lease."""

from collections.abc import Callable

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import CommitFailedError, IllegalStateError, KafkaError

from tollway_workers.clock import Clock
from tollway_workers.kafka.group.committed import position
from tollway_workers.ownership.owned_partition import LEASE
from tollway_workers.ownership.owned_partitions import OwnedPartitions

log = structlog.get_logger(__name__)


class Committer:
    """Commits a member's owned partitions.

    State: `last` (when the last commit that succeeded was sent, monotonic seconds), the same on the
    clock that counts suspend, and the commits that failed.
    """

    def __init__(self, partitions: OwnedPartitions, clock: Clock) -> None:
        self._partitions = partitions
        self._clock = clock
        self.last: float | None = None
        self._lease_from = float("-inf")
        self._failures = 0

    async def commit(self, consumer: AIOKafkaConsumer, stable: Callable[[], bool]) -> bool:
        """Commit all that is complete; whether Kafka took it. Cancelled, it may have taken it.

        `stable` says whether no rebalance goes on. While one does, a commit would wait behind the
        join, carry the old generation, and cost us our membership.
        """
        partitions, clock = self._partitions, self._clock
        positions = await self._positions(consumer)
        if not stable():
            return False
        commits = partitions.commits(positions, clock.boottime())
        if not commits:
            return True
        lease, sent = clock.boottime(), clock.monotonic()
        try:
            await consumer.commit(
                {TopicPartition(*at): (each.offset, each.metadata) for at, each in commits.items()}
            )
        except (CommitFailedError, IllegalStateError) as error:
            # A rebalance overtook this commit: it has made its own, or the next one repeats this.
            self._failures += 1
            log.info(
                "a rebalance refused a commit; committing again after it",
                error=type(error).__name__,
            )
            return False
        except KafkaError as error:
            self._failures += 1
            log.warning(
                "a commit of offsets failed: the next one repeats it",
                error=type(error).__name__,
            )
            return False
        self._lease_from, self.last = lease, sent
        partitions.written(commits)
        return True

    @property
    def lease_age(self) -> float:
        """Seconds since the lease was last renewed."""
        return self._clock.boottime() - self._lease_from

    @property
    def holds_lease(self) -> bool:
        """Whether the lease holds, so that calls may start."""
        return self.lease_age < LEASE

    def take_failures(self) -> int:
        """Commits that failed since this was last asked."""
        failures, self._failures = self._failures, 0
        return failures

    async def _positions(self, consumer: AIOKafkaConsumer) -> dict[tuple[str, int], int | None]:
        """Of what is idle: it may have passed what never arrives."""
        partitions = self._partitions
        return {
            partition: await position(consumer, TopicPartition(*partition))
            for partition in tuple(partitions)
            if partition in partitions and partitions.idle(partition)
        }
