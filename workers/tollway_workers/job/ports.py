"""The seams to Kafka, owned by the worker that calls them; MemoryBroker has the same contract."""

from collections.abc import Awaitable, Collection
from typing import NamedTuple, Protocol

from tollway_workers.ownership.record import ReceivedRecord


class OutgoingRecord(NamedTuple):
    """A record to be written."""

    topic: str
    key: bytes | None
    value: bytes
    headers: list[tuple[str, bytes]]
    #: By the key if None, or where the topic has no such partition.
    partition: int | None = None


class RecordTooLarge(Exception):
    """A record is larger than its topic takes; the sink is still usable."""


class TopicUnavailable(Exception):
    """A service's topic takes nothing: what was for it can only go elsewhere; others can go on."""

    def __init__(self, topic: str, why: str) -> None:
        """`why`: what follows the topic's name, such as `does not exist`."""
        super().__init__(f"{topic} {why}")
        self.topic = topic
        self.why = why


class RecordSource(Protocol):
    """Where jobs come from. What was taken and not completed comes again after a crash."""

    async def start(self) -> None:
        """Join the fleet. Raises BrokerUnavailable."""
        ...

    async def poll(self, most: int) -> list[ReceivedRecord]:
        """About `most` new records, each once while its partition is ours; waits a moment.

        Never cancel it: let it return. Raises InstanceIdInUse.
        """
        ...

    def hold_back(self, topics: Collection[str], resting: Collection[str] = ()) -> None:
        """Read nothing more from exactly these topics, until told otherwise.

        No call may start for those that are `resting`: after a crash nothing of them begins. It
        would only wait, and the next crash would be held against it.
        """
        ...

    def complete(self, record: ReceivedRecord) -> None:
        """The outcome of a record is safely written: it never comes again."""
        ...

    def may_start(self, record: ReceivedRecord) -> bool:
        """Whether a call for it may start now: its partition is provably ours, and stays."""
        ...

    def serves(self, topic: str) -> bool:
        """Whether a shard of the topic's limit group is ours: calls to its lanes may start here."""
        ...

    def unread(self, record: ReceivedRecord) -> None:
        """A record was taken and not begun: the partition's next owner reads it anew."""
        ...

    async def commit(self) -> None:
        """Write down what is complete. Failing is no error: the next commit says it again.

        A partition that is to go elsewhere goes once nothing of it is taken and not complete.
        """
        ...

    @property
    def releasing(self) -> bool:
        """Whether something of ours is to go elsewhere: its trackers say so."""
        ...

    def drain(self) -> None:
        """Let everything go elsewhere as it ends, and want nothing more."""
        ...

    async def leave(self) -> None:
        """Commit, and give the partitions to others at once; idempotent."""
        ...


class RecordSink(Protocol):
    """Where outcomes go."""

    async def start(self) -> None:
        """Connect. Raises BrokerUnavailable."""
        ...

    async def send(self, record: OutgoingRecord) -> Awaitable[object]:
        """Hand a record over; what is returned is done when Kafka has it safely.

        Raises:
            RecordTooLarge: it was not handed over and never can be.
            TopicUnavailable: so is it, or what is returned raises it: a topic of a service.
        """
        ...

    async def recover(self) -> None:
        """After a failed write: make the next ones possible again."""
        ...

    async def stop(self) -> None:
        """Write what was handed over, then disconnect; idempotent."""
        ...
