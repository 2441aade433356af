"""The seam between a producer and whatever answers it: Kafka, or a FakeFleet."""

from dataclasses import dataclass
from typing import Protocol

from tollway.mailbox import Mailbox
from tollway_schemas import ReplyAddress


@dataclass(frozen=True, slots=True, kw_only=True)
class OutgoingRecord:
    """A job as bytes."""

    job_id: str
    topic: str
    key: bytes
    value: bytes
    headers: list[tuple[str, bytes]]


class Transport(Protocol):
    """How records leave and replies come back. Replies go to the mailbox given to `start`."""

    @property
    def reply_address(self) -> ReplyAddress:
        """Where this producer's replies are to go; known once `start` has returned."""
        ...

    async def start(self, mailbox: Mailbox) -> None:
        """Connect. Raises BrokerUnreachable, UnknownTopic, RepliesUnreadable, InvalidSettings."""
        ...

    async def stop(self) -> None:
        """Flush what was sent and disconnect, within a bound. May be called twice."""
        ...

    async def send(self, record: OutgoingRecord) -> None:
        """Return when the record is acknowledged.

        Raises UnknownTopic, BrokerUnreachable, NotAcknowledged or JobTooLarge. Cancelled: the
        record may be written all the same.
        """
        ...

    async def listen(self) -> None:
        """Have this producer's replies delivered, those since `start` included. Idempotent."""
        ...

    async def search(self) -> None:
        """Have the whole reply topic delivered, for the mailbox's reattached slots."""
        ...
