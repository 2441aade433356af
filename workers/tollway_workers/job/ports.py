"""The seams to Kafka, owned by the worker that calls them; MemoryBroker has the same contract. And
the seam to what makes vectors of texts.
"""

from collections.abc import Awaitable, Collection, Sequence
from typing import TYPE_CHECKING, NamedTuple, Protocol, TypeAlias

from tollway_workers.ownership.record import ReceivedRecord

if TYPE_CHECKING:
    from numpy import float32
    from numpy.typing import NDArray

#: Where a text lies among others: of unit length, so that the product of two is their cosine.
Vector: TypeAlias = "NDArray[float32]"


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
    """A service's topic takes no records: they have to go elsewhere, other topics go on."""

    def __init__(self, topic: str, why: str) -> None:
        """`why`: what follows the topic's name, such as `does not exist`."""
        super().__init__(f"{topic} {why}")
        self.topic = topic
        self.why = why


class RecordSource(Protocol):
    """The source of jobs. Records taken and not completed are read again after a crash."""

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

        No call may start for the `resting` ones, so after a crash none of their jobs is handed
        over: it would only wait, and the next crash would count against it.
        """
        ...

    def complete(self, record: ReceivedRecord) -> None:
        """The outcome of a record is safely written: it is not read again."""
        ...

    def may_start(self, record: ReceivedRecord) -> bool:
        """Whether a call for it may start now: the lease holds, and its partition stays."""
        ...

    @property
    def lost(self) -> int:
        """Partitions that this worker has owned and does not any more; it only grows.

        Jobs of theirs that wait here are another worker's to call.
        """
        ...

    def serves(self, topic: str) -> bool:
        """Whether this worker owns a shard of the topic's limit group, and may call its lanes."""
        ...

    def unread(self, record: ReceivedRecord) -> None:
        """A record was taken and not begun: the partition's next owner reads it anew."""
        ...

    async def commit(self) -> None:
        """Commit what is complete. A failure raises nothing: the next commit repeats it.

        A partition that is being released moves once none of its offsets is incomplete.
        """
        ...

    @property
    def releasing(self) -> bool:
        """Whether a partition is being released; its tracker says so."""
        ...

    def drain(self) -> None:
        """Release every shard as its calls end, and ask for no others."""
        ...

    async def leave(self) -> None:
        """Commit, and leave the group so that others own the partitions at once; idempotent."""
        ...


class RecordSink(Protocol):
    """The sink of outcomes."""

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


class Embedder(Protocol):
    """What makes vectors of texts. Equal texts have equal vectors, whatever they are asked with."""

    @property
    def id(self) -> str:
        """Names the model, its files or address, and the number of dimensions: vectors of embedders
        with other ids say nothing of each other.
        """
        ...

    def fits(self, text: str) -> bool:
        """Whether a vector says something of all of the text: what is behind a model's window, or
        in no vocabulary of it, would be ignored. Quick, and raises nothing.
        """
        ...

    async def embed(self, texts: Sequence[str]) -> Sequence[Vector]:
        """A vector for each text, in their order, soon or not at all.

        Raises EmbedderError: it is away, slow, full, or answers something else. Cancellation asks
        for none of them any more.
        """
        ...

    async def aclose(self) -> None:
        """Give back threads and connections; idempotent."""
        ...
